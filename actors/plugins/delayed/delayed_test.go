package delayed

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
	"emqttd/tests/plugintest"
)

// publish tells whether the message is published at once.
func publish(r *plugintest.Rig, name topic.Name) bool {
	return r.Hooks.Publish(&hooks.Client{ID: "c"}, &protocol.Message{Topic: name, Payload: []byte("p"), From: "c", QoS: 1}) != nil
}

func TestADelayedMessageIsPublishedWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := plugintest.Start(t, Plugin(), nil)
		start := time.Now()
		if publish(r, "$delayed/30/late") || publish(r, "$delayed/10/a/b") || !publish(r, "now") {
			t.Fatal("a delayed message went on, or another did not")
		}
		for _, want := range []struct {
			name  topic.Name
			after time.Duration
		}{{"a/b", 10 * time.Second}, {"late", 30 * time.Second}} {
			m := <-r.Published
			if d := time.Since(start); m.Topic != want.name || d != want.after || m.QoS != 1 || m.From != "c" {
				t.Errorf("%v after %v, want %s after %v", m, d, want.name, want.after)
			}
		}
	})
}

func TestWhatIsNoDelayIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := plugintest.Start(t, Plugin(), nil)
		for _, name := range []topic.Name{"$delayed/x/a", "$delayed/-1/a", "$delayed/4294968/a", "$delayed/5", "$delayed/5/"} {
			if publish(r, name) {
				t.Errorf("%s went on", name)
			}
		}
		synctest.Wait()
		if text, code := r.Run("delayed"); code != 0 || !strings.Contains(text, "delayed/count       : 0") {
			t.Errorf("%d: %s", code, text)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := plugintest.Start(t, Plugin(), plugins.Settings{"delayed.max": "2"})
		for range 5 {
			publish(r, "$delayed/10/a")
		}
		synctest.Wait()
		if text, _ := r.Run("delayed"); !strings.Contains(text, "count       : 2") || !strings.Contains(text, "dropped     : 3") {
			t.Error(text)
		}
		<-r.Published
		<-r.Published
	})
}
