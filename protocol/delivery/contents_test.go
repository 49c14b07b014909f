package delivery

import (
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestContentsShowWhatIsOnItsWayAndWhatWaits(t *testing.T) {
	w := online(t, limits())
	if c := w.s.Contents(10); len(c.Flights)+len(c.Queue)+c.Waiting != 0 {
		t.Errorf("a new state holds %+v", c)
	}
	for _, text := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		w.deliver(text, protocol.ExactlyOnce, protocol.ExactlyOnce)
	}
	w.ack(mqtt.PUBREC, 2)
	c := w.s.Contents(2)
	if len(c.Flights) != 2 || len(c.Queue) != 2 || c.Waiting != 3 {
		t.Fatalf("%d on their way, %d of %d that wait", len(c.Flights), len(c.Queue), c.Waiting)
	}
	first, second := c.Flights[0], c.Flights[1]
	if string(first.Message.Payload) != "a" || first.Phase != AwaitPubrec || first.ID != 1 || first.Sent != w.now {
		t.Errorf("%+v", first)
	}
	if second.Message != nil || second.Phase != AwaitPubcomp {
		t.Errorf("%+v", second)
	}
	if q := c.Queue[0]; string(q.Message.Payload) != "e" || q.QoS != protocol.ExactlyOnce {
		t.Errorf("%+v", q)
	}
}
