package routes

import (
	"testing"
	"time"

	"emqttd/protocol"
)

func TestAMessageReachesSubscribersOfOtherNodes(t *testing.T) {
	_, n := trio(t, 3, setup{})
	for i, text := range []string{"a/b", "a/+", "#"} {
		n[i].join(nil)
		c := n[i].join(nil).subscribe(text)
		for _, from := range n {
			m := message("a/b", 1)
			m.Properties, m.Retain, m.Sys = []byte{1, 2}, true, true
			m.Arrived = time.Now().UnixMilli()
			m.Expires = m.Arrived + 60_000
			b := from.router.NewBatch()
			if k := b.Publish(m); k != 1 {
				t.Errorf("%s at %s: %d deliveries", text, from.name, k)
			}
			b.Flush(true)
			b.Release()
			got := c.take(1)[0].Message
			if got.Topic != m.Topic || string(got.Payload) != string(m.Payload) || string(got.Properties) != string(m.Properties) ||
				got.From != m.From || got.QoS != m.QoS || !got.Retain || !got.Sys {
				t.Errorf("got %+v, want %+v", got, m)
			}
			if got.Origin != from.net.Self().Incarnation || got.Serial != m.Serial || m.Serial == 0 {
				t.Errorf("origin %d, serial %d, want %d, %d", got.Origin, got.Serial, from.net.Self().Incarnation, m.Serial)
			}
			if d := got.Expires - got.Arrived; d != 60_000 {
				t.Errorf("lives %d ms", d)
			}
		}
		c.unsubscribe(text)
		eventually(t, "the route is gone", func() bool {
			for _, o := range n {
				if o.router.Counts().PeerRoutes != 0 {
					return false
				}
			}
			return true
		})
	}
}

func TestAMessageIsNeverForwardedTwice(t *testing.T) {
	_, n := trio(t, 3, setup{})
	for _, o := range n {
		o.join(nil).subscribe("t")
	}
	c := n[2].join(nil).subscribe("t")
	for range 100 {
		if k := n[0].publish("t", 0); k != 3 {
			t.Fatalf("%d deliveries", k)
		}
	}
	n[0].publish("t", protocol.AtMostOnce)
	c.take(101)
	done := n[1].join(nil).subscribe("done")
	n[2].publish("done", 0)
	done.take(1)
	if k := c.left(); k != 0 {
		t.Errorf("%d copies too many", k)
	}
}
