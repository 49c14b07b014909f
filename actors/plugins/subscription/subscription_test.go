package subscription

import (
	"slices"
	"testing"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/tests/plugintest"
)

func TestAClientIsSubscribedWhenItConnects(t *testing.T) {
	r := plugintest.Start(t, Plugin(), plugins.Settings{
		"module.subscription.1.topic": "$client/%c", "module.subscription.1.qos": "2",
		"module.subscription.2.topic": "users/%u/#",
	})
	r.Hooks.Connected(&hooks.Client{ID: "refused"}, protocol.NotAuthorized)
	r.Hooks.Connected(&hooks.Client{ID: "a", Username: "joe"}, protocol.Success)
	r.Hooks.Connected(&hooks.Client{ID: "b"}, protocol.Success)
	var got []string
	for range 3 {
		select {
		case s := <-r.Subscribed:
			got = append(got, s)
		case <-time.After(time.Minute):
			t.Fatalf("only %v", got)
		}
	}
	slices.Sort(got)
	if want := []string{"a $client/a 2", "a users/joe/# 1", "b $client/b 2"}; !slices.Equal(got, want) {
		t.Errorf("subscribed %v", got)
	}
}

func TestABadSubscriptionIsNamed(t *testing.T) {
	for _, s := range []plugins.Settings{
		{"module.subscription.1.topic": "a/#/b"},
		{"module.subscription.1.topic": "a", "module.subscription.1.qos": "3"},
		{"module.subscription.1.topics": "a"},
	} {
		if _, err := read(s); err == nil {
			t.Errorf("%v is accepted", s)
		}
	}
}
