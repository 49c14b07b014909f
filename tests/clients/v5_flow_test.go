package clients

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"
)

// tapped is a connection that remembers what came in.
type tapped struct {
	net.Conn
	mu   sync.Mutex
	seen bytes.Buffer
}

// into has a client read through it.
func (c *tapped) into(config *paho.ClientConfig, _ *paho.Connect) {
	c.Conn = config.Conn
	config.Conn = c
}

// Read implements net.Conn.
func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Write(p[:n])
	return n, err
}

func (c *tapped) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.seen.Bytes())
}

func flowCases(t *testing.T, addr string) {
	for limit := uint16(1); limit <= 2; limit++ {
		for qos := byte(1); qos <= 2; qos++ {
			t.Run(fmt.Sprintf("receive maximum %d is never exceeded with QoS %d", limit, qos), func(t *testing.T) {
				t.Parallel()
				receiveMaximum(t, addr, limit, qos)
			})
		}
	}
	t.Run("the client's aliases stand for topics", func(t *testing.T) {
		t.Parallel()
		sub := join5(t, addr, "alias-sub")
		sub.subscribe(1, "alias/up/#")
		aliases := topicaliases.NewTAHandler(3)
		pub := join5(t, addr, "alias-pub", func(c *paho.ClientConfig, _ *paho.Connect) { c.PublishHook = aliases.PublishHook })
		if n := pub.connack.Properties.TopicAliasMaximum; n == nil || *n != 32 {
			t.Fatalf("Topic Alias Maximum %v", n)
		}
		for i := range 20 {
			topic := fmt.Sprint("alias/up/", i%3)
			pub.publish(topic, byte(i%3), fmt.Sprint(i))
			if m := sub.expect(topic, fmt.Sprint(i)); m.Properties.TopicAlias != nil {
				t.Error("the publisher's alias was forwarded to a client that takes none")
			}
		}
		// An alias can be given to another topic.
		pub.publish("alias/up/moved", 1, "x", &paho.PublishProperties{TopicAlias: pointer(uint16(1))})
		sub.expect("alias/up/moved", "x")
		pub.send(&paho.Publish{Topic: "alias/up/moved", QoS: 1, Payload: []byte("y")})
		sub.expect("alias/up/moved", "y")
	})
	t.Run("the broker's aliases stand for topics", func(t *testing.T) {
		t.Parallel()
		const maximum = 2
		sub := join5(t, addr, "alias-down", asking(func(p *paho.ConnectProperties) { p.TopicAliasMaximum = pointer(uint16(maximum)) }))
		pub := join5(t, addr, "alias-down-pub")
		sub.subscribe(2, "alias/down/#")
		known := map[uint16]string{}
		bare := 0
		for i := range 60 {
			topic := fmt.Sprint("alias/down/", i/4%5)
			pub.publish(topic, byte(i%3), fmt.Sprint(i))
			m := sub.next()
			switch alias := m.Properties.TopicAlias; {
			case alias == nil:
			case *alias == 0 || *alias > maximum:
				t.Fatalf("alias %d, but %d is the maximum", *alias, maximum)
			case m.Topic == "":
				m.Topic = known[*alias]
				bare++
			default:
				known[*alias] = m.Topic
			}
			if m.Topic != topic || string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("got %s %s, want %s %d", m.Topic, m.Payload, topic, i)
			}
		}
		if bare == 0 {
			t.Error("no topic was left out")
		}
	})
	t.Run("aliases do not outlive the connection", func(t *testing.T) {
		t.Parallel()
		one := join5(t, addr, "alias-twice", expiring(600))
		one.publish("alias/twice", 1, "x", &paho.PublishProperties{TopicAlias: pointer(uint16(1))})
		one.leave(0)
		two := join5(t, addr, "alias-twice", expiring(600))
		m := &paho.Publish{QoS: 0, Properties: &paho.PublishProperties{TopicAlias: pointer(uint16(1))}}
		if _, err := two.Publish(two.context(), m); err != nil {
			t.Fatal(err)
		}
		two.dismissed(0x82)
	})
}

// receiveMaximum has a client hold back its acknowledgements. A message of QoS 0
// is not held up by those that wait, so it shows how many came before it.
func receiveMaximum(t *testing.T, addr string, limit uint16, qos byte) {
	id := fmt.Sprint("quota-", limit, "-", qos)
	sub := join5(t, addr, id, byHand, asking(func(p *paho.ConnectProperties) { p.ReceiveMaximum = &limit }))
	pub := join5(t, addr, id+"-pub")
	sub.subscribe(2, id)
	const messages = 7
	for i := range messages {
		pub.publish(id, qos, fmt.Sprint(i))
	}
	var held []*paho.Publish
	fence := func() {
		pub.publish(id, 0, "fence")
		for {
			m := sub.next()
			if string(m.Payload) == "fence" {
				return
			}
			held = append(held, m)
		}
	}
	fence()
	if len(held) != int(limit) {
		t.Fatalf("%d messages came unacknowledged, want %d", len(held), limit)
	}
	for i := range messages {
		if len(held) == 0 {
			held = append(held, sub.next())
		}
		m := held[0]
		held = held[1:]
		if string(m.Payload) != fmt.Sprint(i) || m.Duplicate() {
			t.Fatalf("got %q (DUP %t), want %d", m.Payload, m.Duplicate(), i)
		}
		if err := sub.Ack(m); err != nil {
			t.Fatal(err)
		}
		if fence(); len(held) > int(limit) {
			t.Fatalf("%d messages are unacknowledged, want at most %d", len(held), limit)
		}
	}
}
