package sessions

import (
	"slices"
	"testing"
	"testing/synctest"

	"emqttd/actors/system/metrics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

// both runs a test for both durability classes.
func both(t *testing.T, f func(t *testing.T, o worldOptions)) {
	for _, kept := range []bool{false, true} {
		name := "class=memory"
		if kept {
			name = "class=disk"
		}
		t.Run(name, func(t *testing.T) {
			f(t, worldOptions{nodes: []string{"a", "b"}, kept: kept, limits: delivery.Limits{MaxInflight: 4, StoreQoS0: true}})
		})
	}
}

func TestASessionMovesWithSubscriptionsWindowAndQueue(t *testing.T) {
	both(t, func(t *testing.T, o worldOptions) {
		inWorld(t, o, func(w *world) {
			t := w.t
			a, b := w.nodes[0], w.nodes[1]
			c, s := a.open("test/c", come("c", 1))
			a.subscribe(c, s, 1, 2, "x", "y/#")
			for _, p := range []string{"1", "2", "3", "4", "5", "6"} {
				a.say("x", p, 2)
			}
			synctest.Wait()
			in := NewInput(nil, 1)
			in.Items = append(in.Items, InputItem{Type: mqtt.PUBREC, ID: 2}, InputItem{
				Type: mqtt.PUBLISH, ID: 77, Message: &protocol.Message{Topic: "z", QoS: 2},
			})
			a.send(s, in)
			c.packets(t, mqtt.V311)

			d := b.move("d", come("c", 2), s)
			synctest.Wait()
			mustHear[*TakenOver](t, c)
			at := mustHear[*Attached](t, d)
			if !at.SessionPresent || at.Session.Address != "b:1" {
				t.Fatalf("attached to %+v", at)
			}
			ps := d.packets(t, mqtt.V311)
			want := []packet{
				{typ: mqtt.CONNACK, present: true, codes: []protocol.ReasonCode{0}},
				{typ: mqtt.PUBLISH, id: 1, dup: true, qos: 2, payload: "1"},
				{typ: mqtt.PUBREL, id: 2},
				{typ: mqtt.PUBLISH, id: 3, dup: true, qos: 2, payload: "3"},
				{typ: mqtt.PUBLISH, id: 4, dup: true, qos: 2, payload: "4"},
			}
			if !slices.EqualFunc(ps, want, samePacket) {
				t.Fatalf("got  %+v\nwant %+v", ps, want)
			}
			a.say("y/z", "7", 1)
			in = NewInput(nil, 2)
			for id := protocol.PacketID(1); id <= 4; id++ {
				in.Items = append(in.Items, InputItem{Type: mqtt.PUBREC, ID: id}, InputItem{Type: mqtt.PUBCOMP, ID: id})
			}
			in.Items = append(in.Items, InputItem{Type: mqtt.PUBLISH, ID: 77, Message: &protocol.Message{Topic: "x", Payload: []byte("again"), QoS: 2}})
			b.send(at.Session, in)
			if got := payloads(d.packets(t, mqtt.V311)); !slices.Equal(got, []string{"5", "6", "7"}) {
				t.Errorf("then it got %v", got)
			}
			if n := a.rt.Metrics.Level(metrics.Sessions); n != 0 {
				t.Errorf("%d sessions are left where it was", n)
			}
		})
	})
}

func samePacket(a, b packet) bool {
	return a.typ == b.typ && a.id == b.id && a.dup == b.dup && a.qos == b.qos && a.payload == b.payload && a.present == b.present
}
