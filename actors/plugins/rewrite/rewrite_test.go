package rewrite

import (
	"strings"
	"testing"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestTheLastRuleThatFitsCounts(t *testing.T) {
	all, err := read(plugins.Settings{
		"module.rewrite.rule.10": `x/# ^x/y/(.+)$ z/y/$1`,
		"module.rewrite.rule.2":  `x/# ^x/(.+)$ first/$1`,
		"module.rewrite.rule.11": `y/+/z/# ^y/(.+)/z/(.+)$ y/z/$2/%c`,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &hooks.Client{ID: "dev", Username: "joe"}
	for from, want := range map[string]string{
		"x/y/1": "z/y/1", "x/z/1": "first/z/1", "y/a/z/b": "y/z/b/dev", "other": "other",
	} {
		in := &protocol.Message{Topic: topic.Name(from), Payload: []byte("p")}
		if m, v := all.publish(c, in); string(m.Topic) != want || v != hooks.Continue || string(in.Topic) != from {
			t.Errorf("%s became %s", from, m.Topic)
		}
		s := hooks.Subscription{Text: "$share/g/" + from, Filter: topic.Filter(from)}
		if all.subscription(c, &s); s.Text != "$share/g/"+want || string(s.Filter) != want {
			t.Errorf("%s became %s (%s)", from, s.Text, s.Filter)
		}
	}
}

func TestARuleThatMakesNoTopicLeavesTheMessageAlone(t *testing.T) {
	all, err := read(plugins.Settings{"module.rewrite.rule.1": `x/# ^x/(.+)$ +/$1`})
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := all.publish(&hooks.Client{}, &protocol.Message{Topic: "x/1"}); m.Topic != "x/1" {
		t.Errorf("became %s", m.Topic)
	}
}

func TestABadRuleIsNamed(t *testing.T) {
	for _, s := range []plugins.Settings{
		{"module.rewrite.rule.1": "x/# ^x"},
		{"module.rewrite.rule.1": "x/# ^x( z"},
		{"module.rewrite.rule.1": "x#y ^x z"},
		{"module.rewrite.rules.1": "x/# ^x z"},
	} {
		if _, err := read(s); err == nil || !strings.Contains(err.Error(), "module.rewrite.rule") {
			t.Errorf("%v: %v", s, err)
		}
	}
}
