package durability

import (
	"fmt"
	"testing"
	"time"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// TestFullQueueHoldsPublishersBackAndLosesNothing fills the queue of an absent
// session up to mqtt.mqueue.max_length.
func TestFullQueueHoldsPublishersBackAndLosesNothing(t *testing.T) {
	const bound = 20
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.MQueue.MaxLength = bound })
	s := b.Dial(t)
	s.Connect(testkit.Persistent("absent"))
	s.Subscribe(1, "q/#")
	s.Disconnect()

	p := b.Dial(t)
	p.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "publisher-5"})
	accepted := 0
	for id := protocol.PacketID(1); id <= 2*bound; id++ {
		p.Publish(fmt.Sprint("q/", id), fmt.Sprint(id), 1, id)
		h, body, err := p.TryRead()
		var ack mqtt.Ack
		if err == nil {
			err = ack.Decode(h, body, mqtt.V5)
		}
		if err != nil || ack.ID != id {
			t.Fatalf("%v %v: %v", h.Type, ack.ID, err)
		}
		if ack.Code == protocol.QuotaExceeded {
			break
		}
		accepted++
	}
	if accepted < bound || accepted > bound+1 {
		t.Errorf("%d messages were accepted, the bound is %d", accepted, bound)
	}

	old := b.Dial(t)
	old.Connect(testkit.Hello("publisher-311"))
	old.Publish("q/old", "held back", 1, 99)
	_ = old.Conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := old.Conn.Read(make([]byte, 8)); n > 0 {
		t.Fatalf("the publisher of MQTT 3.1.1 got an answer (%v)", err)
	}
	other := b.Dial(t) // whom the queue does not concern
	other.Connect(testkit.Hello("other"))
	other.Subscribe(1, "elsewhere")
	other.Publish("elsewhere", "goes on", 1, 3)
	if h, _, err := other.TryRead(); err != nil || h.Type != mqtt.PUBACK && h.Type != mqtt.PUBLISH {
		t.Errorf("another client: %v %v", h.Type, err)
	}

	s = b.Dial(t)
	s.Connect(testkit.Persistent("absent"))
	for i := range accepted {
		s.ExpectPublish(fmt.Sprint("q/", i+1), fmt.Sprint(i+1))
	}
	old.ExpectAck(mqtt.PUBACK, 99)
	s.ExpectPublish("q/old", "held back")
	p.Publish("q/again", "room", 1, 7)
	p.ExpectAck(mqtt.PUBACK, 7)
	s.ExpectPublish("q/again", "room")
}
