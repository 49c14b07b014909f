package scenario

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// dialogue is a client of MQTT 5 that acknowledges nothing by itself and tells
// what came as a story.
type dialogue struct {
	*testkit.Client
	t     *testing.T
	b     *testkit.Broker
	id    string
	fence string // a topic that only it uses
}

// lasting asks for a session that outlives the connection.
func lasting(p *mqtt.Connect) { p.CleanStart, p.Properties.SessionExpiry = false, 600 }

// atMost is a Receive Maximum.
func atMost(n uint16) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) { p.Properties.ReceiveMaximum = n }
}

// hello5 is a CONNECT of MQTT 5.
func hello5(id string, with ...func(*mqtt.Connect)) *mqtt.Connect {
	p := testkit.Hello(id)
	p.Version = mqtt.V5
	for _, f := range with {
		f(p)
	}
	return p
}

// speak connects, and subscribes with QoS 2 to filters.
func speak(t *testing.T, b *testkit.Broker, id string, with []func(*mqtt.Connect), filters ...string) *dialogue {
	t.Helper()
	d := &dialogue{Client: b.Dial(t), t: t, b: b, id: id, fence: "fence/" + id}
	d.Connect(hello5(id, with...))
	d.Subscribe(0, d.fence)
	if len(filters) > 0 {
		d.Subscribe(2, filters...)
	}
	return d
}

// again comes back on a new connection, having lost the old one. The story goes
// on with what the broker sends at once.
func (d *dialogue) again(with ...func(*mqtt.Connect)) *dialogue {
	d.t.Helper()
	d.Close()
	next := *d
	next.Client = d.b.Dial(d.t)
	if ack := next.Connect(hello5(d.id, append([]func(*mqtt.Connect){lasting}, with...)...)); !ack.SessionPresent {
		d.t.Error("no session is present")
	}
	return &next
}

func (d *dialogue) ack(typ mqtt.PacketType, id protocol.PacketID, code ...protocol.ReasonCode) {
	a := &mqtt.Ack{Type: typ, ID: id}
	for _, c := range code {
		a.Code = c
	}
	d.Send(a)
}

// want compares what came since the last call, up to everything that what was
// sent until now can cause. A PUBLISH is told as payload/qos[dup]#id, another
// packet as TYPE#id[:code].
//
// The session answers a PUBREL for nothing when it has handled all before it.
// Then a message of QoS 0, which waits for no window, comes behind all that may
// come.
func (d *dialogue) want(story string) {
	d.t.Helper()
	d.ack(mqtt.PUBREL, 65535)
	words := d.until("PUBCOMP#65535:92")
	d.Publish(d.fence, "fence", 0, 0)
	words = append(words, d.until("fence/0")...)
	if got := strings.Join(words, " "); got != story {
		d.t.Errorf("got %q, want %q", got, story)
	}
}

func (d *dialogue) until(end string) (words []string) {
	d.t.Helper()
	for {
		h, body, err := d.TryRead()
		if err != nil {
			d.t.Fatalf("waiting for %s after %q: %v", end, words, err)
		}
		w := tell(d.t, h, bytes.Clone(body))
		if w == end {
			return words
		}
		words = append(words, w)
	}
}

func tell(t *testing.T, h mqtt.Header, body []byte) string {
	t.Helper()
	switch h.Type {
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(h, body, mqtt.V5); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%s/%d", p.Payload, p.QoS)
		if p.Dup {
			s += "dup"
		}
		if p.PacketID != 0 {
			s += fmt.Sprintf("#%d", p.PacketID)
		}
		return s
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var a mqtt.Ack
		if err := a.Decode(h, body, mqtt.V5); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%v#%d", h.Type, a.ID)
		if a.Code != 0 {
			s += fmt.Sprintf(":%02x", byte(a.Code))
		}
		return s
	case mqtt.DISCONNECT:
		var p mqtt.Disconnect
		if err := p.Decode(h, body, mqtt.V5); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("DISCONNECT:%02x", byte(p.Code))
	default:
		return h.Type.String()
	}
}

// teller publishes, and waits for PUBACK: then every session has the message.
type teller struct {
	*testkit.Client
	n protocol.PacketID
}

func newTeller(t *testing.T, b *testkit.Broker) *teller {
	c := b.Dial(t)
	c.Connect(testkit.Hello("teller"))
	return &teller{Client: c}
}

func (s *teller) tell(name string, qos protocol.QoS, payloads ...string) {
	for _, x := range payloads {
		s.n++
		s.Publish(name, x, qos, s.n)
		switch qos {
		case protocol.AtLeastOnce:
			s.ExpectAck(mqtt.PUBACK, s.n)
		case protocol.ExactlyOnce:
			s.ExpectAck(mqtt.PUBREC, s.n)
			s.Send(&mqtt.Ack{Type: mqtt.PUBREL, ID: s.n})
			s.ExpectAck(mqtt.PUBCOMP, s.n)
		}
	}
}

// elapse waits until the broker's clock has gone on by this many seconds, which
// the will of a client that is lost tells.
func elapse(t *testing.T, b *testkit.Broker, seconds uint32) {
	t.Helper()
	watcher := b.Dial(t)
	watcher.Connect(testkit.Hello("clock watcher"))
	watcher.Subscribe(0, "clock")
	c := b.Dial(t)
	c.Connect(hello5("clock", lasting, willing(mqtt.Will{Topic: "clock", Payload: []byte("now"), Delay: seconds})))
	c.Close()
	watcher.ExpectPublish("clock", "now")
}

func willing(w mqtt.Will) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) { p.HasWill, p.Will = true, w }
}

// message is a PUBLISH with properties.
func message(name, payload string, qos protocol.QoS, id protocol.PacketID, p mqtt.MessageProperties) *mqtt.Publish {
	return &mqtt.Publish{
		Topic: topic.Name(name), Payload: []byte(payload), QoS: qos, PacketID: id, Properties: p.Append(nil),
	}
}
