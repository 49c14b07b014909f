package topicmetrics

import (
	"testing"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/tests/plugintest"
)

func TestMessagesOfATopicAreCounted(t *testing.T) {
	r := plugintest.Start(t, Plugin(), plugins.Settings{"topic_metrics.1": "a/+"})
	c := &hooks.Client{ID: "c"}
	if text, code := r.Run("topic-metrics", "add", "#"); code != 0 {
		t.Fatal(text)
	}
	for qos := range protocol.QoS(3) {
		m := &protocol.Message{Topic: "a/b", Payload: []byte("12345"), QoS: qos}
		r.Hooks.Publish(c, m)
		r.Hooks.Delivered(c, m)
		r.Hooks.Delivered(c, m)
	}
	r.Hooks.Acked(c, &protocol.Message{Topic: "other"})
	want := "Topic(#, in=3, in_bytes=15, in_qos0=1, in_qos1=1, in_qos2=1, out=6, acked=1)\n" +
		"Topic(a/+, in=3, in_bytes=15, in_qos0=1, in_qos1=1, in_qos2=1, out=6, acked=0)\n"
	if text, code := r.Run("topic-metrics", "list"); code != 0 || text != want {
		t.Errorf("%d:\n%s", code, text)
	}
	if text, code := r.Run("topic-metrics", "del", "a/+"); code != 0 {
		t.Error(text)
	}
	for _, args := range [][]string{{"add", "#"}, {"add", "a/#/b"}, {"del", "nobody"}} {
		if text, code := r.Run("topic-metrics", args...); code != 1 || text == "" {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
	if _, code := r.Run("topic-metrics"); code != plugins.WrongArguments {
		t.Errorf("without arguments: %d", code)
	}
}

func BenchmarkPublish(b *testing.B) {
	r := plugintest.Start(b, Plugin(), plugins.Settings{"topic_metrics.1": "a/+"})
	c, m := &hooks.Client{ID: "c"}, &protocol.Message{Topic: "a/b", Payload: make([]byte, 64)}
	b.ReportAllocs()
	for b.Loop() {
		r.Hooks.Publish(c, m)
	}
}
