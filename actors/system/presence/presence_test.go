package presence

import (
	"regexp"
	"testing"

	"emqttd/protocol"
)

func TestWhoComesAndGoesIsToldAsEMQDoes(t *testing.T) {
	var said []*protocol.Message
	var s Switch
	s.Disconnected("nobody", "", "closed") // while it is off
	s.Set(New(Options{Node: "emq@host", QoS: 1, Publish: func(m *protocol.Message) { said = append(said, m) }}))
	s.Connected(&Client{ID: "a/b", Username: "u", IP: "10.0.0.7", Clean: true, Version: 4}, 0)
	s.Connected(&Client{ID: "c", IP: "::1", Version: 3}, 5)
	s.Disconnected("c", "", "keepalive_timeout")
	s.Connected(&Client{ID: "wild/#"}, 0)

	for i, want := range []struct{ topic, payload string }{
		{"$SYS/brokers/emq@host/clients/a/b/connected", `^{"clientid":"a/b","username":"u","ipaddress":"10.0.0.7","clean_sess":true,"protocol":4,"connack":0,"ts":\d{10}}$`},
		{"$SYS/brokers/emq@host/clients/c/connected", `^{"clientid":"c","username":"undefined","ipaddress":"::1","clean_sess":false,"protocol":3,"connack":5,"ts":\d{10}}$`},
		{"$SYS/brokers/emq@host/clients/c/disconnected", `^{"clientid":"c","username":"undefined","reason":"keepalive_timeout","ts":\d{10}}$`},
	} {
		if i >= len(said) {
			t.Fatalf("nothing is said on %s", want.topic)
		}
		m := said[i]
		if string(m.Topic) != want.topic || !regexp.MustCompile(want.payload).Match(m.Payload) || m.QoS != 1 || m.Retain || !m.Sys {
			t.Errorf("got %s %s (QoS %d), want %s %s", m.Topic, m.Payload, m.QoS, want.topic, want.payload)
		}
	}
	if len(said) != 3 {
		t.Errorf("%d messages: one has a topic that is none", len(said))
	}
}
