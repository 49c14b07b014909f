package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
	"emqttd/tests/plugintest"
)

// patience is how long a test waits for what must happen; only failures take it.
const patience = time.Minute

func receive(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatal("nothing was posted")
		return ""
	}
}

// all is a rule for each event.
func all(url string) plugins.Settings {
	s := plugins.Settings{"web.hook.api.url": url, "web.hook.workers": "1"}
	for at := hooks.ClientConnected; at <= hooks.MessageAcked; at++ {
		s[prefix+at.String()+".1"] = `{"action": "on_` + action(at) + `"}`
	}
	return s
}

func TestEventsArePostedAsEMQPostsThem(t *testing.T) {
	got := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	defer server.Close()
	r := plugintest.Start(t, Plugin(), all(server.URL))
	c := &hooks.Client{ID: "c1", Username: "u1"}
	s := &hooks.Subscription{Text: "a/#", Filter: "a/#", QoS: 1}
	m := &protocol.Message{Topic: "a/b", Payload: []byte("hi"), QoS: 1, Retain: true, From: "c2", Arrived: 1_500_000_000_123}
	for _, tc := range []struct {
		happen func()
		want   string
	}{
		{func() { r.Hooks.Connected(c, protocol.Success) }, `{"action":"client_connected","client_id":"c1","username":"u1","conn_ack":0}`},
		{func() { r.Hooks.Disconnected(c, "normal") }, `{"action":"client_disconnected","client_id":"c1","username":"u1","reason":"normal"}`},
		{func() { r.Hooks.Subscribe(c, []hooks.Subscription{*s}) }, `{"action":"client_subscribe","client_id":"c1","username":"u1","topic":"a/#","opts":{"qos":1}}`},
		{func() { r.Hooks.Unsubscribe(c, []hooks.Subscription{*s}) }, `{"action":"client_unsubscribe","client_id":"c1","username":"u1","topic":"a/#","opts":{"qos":1}}`},
		{func() { r.Hooks.Created(c) }, `{"action":"session_created","client_id":"c1","username":"u1"}`},
		{func() { r.Hooks.Subscribed(c, s) }, `{"action":"session_subscribed","client_id":"c1","username":"u1","topic":"a/#","opts":{"qos":1}}`},
		{func() { r.Hooks.Unsubscribed(c, s) }, `{"action":"session_unsubscribed","client_id":"c1","username":"u1","topic":"a/#"}`},
		{func() { r.Hooks.Terminated(c, "expired") }, `{"action":"session_terminated","client_id":"c1","username":"u1","reason":"expired"}`},
		{func() { r.Hooks.Publish(c, m) }, `{"action":"message_publish","from_client_id":"c1","from_username":"u1","topic":"a/b","qos":1,"retain":true,"payload":"hi","ts":1500000000}`},
		{func() { r.Hooks.Delivered(c, m) }, `{"action":"message_delivered","client_id":"c1","username":"u1","from_client_id":"c2","topic":"a/b","qos":1,"retain":true,"payload":"hi","ts":1500000000}`},
		{func() { r.Hooks.Acked(c, m) }, `{"action":"message_acked","client_id":"c1","username":"u1","from_client_id":"c2","topic":"a/b","qos":1,"retain":true,"payload":"hi","ts":1500000000}`},
	} {
		tc.happen()
		if text := receive(t, got); text != "POST application/json "+tc.want {
			t.Errorf("got  %s\nwant %s", text, tc.want)
		}
	}
	// What EMQ does not tell: those who were refused, and the broker's own messages.
	r.Hooks.Connected(c, protocol.NotAuthorized)
	r.Hooks.Disconnected(c, "auth_failure")
	r.Hooks.Publish(c, &protocol.Message{Topic: "$SYS/x"})
	r.Hooks.Created(c)
	if text := receive(t, got); !strings.Contains(text, "session_created") {
		t.Errorf("posted %s", text)
	}
}

func TestRuleWithATopicIsAboutThatTopicOnly(t *testing.T) {
	got := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct{ Topic string }
		_ = json.NewDecoder(r.Body).Decode(&e)
		got <- e.Topic
	}))
	defer server.Close()
	r := plugintest.Start(t, Plugin(), plugins.Settings{
		"web.hook.api.url": server.URL, "web.hook.rule.message.publish.1": `{"action": "on_message_publish", "topic": "a/+"}`,
	})
	for _, name := range []string{"b", "a", "a/b/c", "a/b"} {
		r.Hooks.Publish(&hooks.Client{}, &protocol.Message{Topic: topic.Name(name)})
	}
	if name := receive(t, got); name != "a/b" {
		t.Errorf("posted %s", name)
	}
}

func TestServerThatHangsHoldsNobodyUp(t *testing.T) {
	came, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	r := plugintest.Start(t, Plugin(), plugins.Settings{
		"web.hook.api.url": server.URL, "web.hook.workers": "1", "web.hook.queue": "2", "web.hook.timeout": "1h",
		"web.hook.rule.session.created.1": `{"action": "on_session_created"}`,
	})
	r.Hooks.Created(&hooks.Client{ID: "c"})
	<-came // the worker has the first
	for range 10 {
		r.Hooks.Created(&hooks.Client{ID: "c"})
	}
	text, code := r.Run("webhook")
	if code != 0 || !strings.Contains(text, "webhook/waiting     : 2\n") || !strings.Contains(text, "webhook/dropped     : 8\n") {
		t.Errorf("%d %s", code, text)
	}
	if err := r.Host.Unload("emq_web_hook"); err != nil { // it does not wait for the server
		t.Error(err)
	}
}

func TestEventIsPostedAgainWhenTheServerFails(t *testing.T) {
	var calls atomic.Int32
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got <- "there"
	}))
	defer server.Close()
	r := plugintest.Start(t, Plugin(), plugins.Settings{
		"web.hook.api.url": server.URL, "web.hook.rule.session.created.1": `{"action": "on_session_created"}`,
	})
	r.Hooks.Created(&hooks.Client{ID: "c"})
	receive(t, got)
}

func TestWrongSettingsOfTheWebHookAreRefused(t *testing.T) {
	for key, value := range map[string]string{
		"web.hook.api.url":                "somewhere",
		"web.hook.queue":                  "0",
		"web.hook.rule.session.created.1": "no JSON",
		"web.hook.rule.session.created.2": `{"action": "on_message_publish"}`,
		"web.hook.rule.message.publish.1": `{"action": "on_message_publish", "topic": "a/#/b"}`,
		"web.hook.rule.nothing.1":         `{}`,
	} {
		if _, err := read(plugins.Settings{key: value}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %s: %v", key, value, err)
		}
	}
}
