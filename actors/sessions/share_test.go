package sessions

import (
	"slices"
	"testing"
	"testing/synctest"

	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

// TestAnotherMemberOfAGroupGetsWhatOneLeavesBehind ends a member of a shared group
// that has not acknowledged what it got.
func TestAnotherMemberOfAGroupGetsWhatOneLeavesBehind(t *testing.T) {
	for _, c := range []struct {
		name    string
		qos     protocol.QoS
		want    []string
		dropped uint64
	}{
		{"QoS 1", 1, []string{"sent", "queued"}, 0},
		// What is being sent with QoS 2 is for nobody else.
		{"MQTT-4.8.2-5 QoS 2", 2, []string{"queued"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRig(t, delivery.Limits{MaxInflight: 1}, func(r *rig) {
				var one, two *Attach
				a, pid := r.open("a", func(c *fakeConn) *Attach { one = hello(c, "a", 0, 0); return one })
				b, other := r.open("b", func(c *fakeConn) *Attach { two = hello(c, "b", 0, 100); return two })
				r.subscribe(a, pid, one.Generation, 2, "$share/g/x")
				r.subscribe(b, other, two.Generation, 2, "$share/g/x")
				r.send(other, &Detach{Generation: two.Generation, Normal: true}) // so that a is picked
				synctest.Wait()
				r.publish("x", "sent", c.qos)
				r.publish("x", "queued", c.qos)
				if got := payloads(a.packets(t, mqtt.V311)); !slices.Equal(got, []string{"sent"}) {
					t.Fatalf("the first member got %v", got)
				}
				r.send(pid, &Detach{Generation: one.Generation})
				again := r.conn("again")
				r.send(other, hello(again, "b", two.Generation+1, 100))
				mustHear[*Attached](t, again)
				got := payloads(again.packets(t, mqtt.V311))
				if len(c.want) == 2 { // the window holds one at a time
					if !slices.Equal(got, c.want[:1]) {
						t.Fatalf("the second member got %v", got)
					}
					in := NewInput(nil, two.Generation+1)
					in.Items = append(in.Items, InputItem{Type: mqtt.PUBACK, ID: 1})
					r.send(other, in)
					got = append(got, payloads(again.packets(t, mqtt.V311))...)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("the second member got %v, want %v", got, c.want)
				}
				if n := r.drops("session_ended"); n != c.dropped {
					t.Errorf("%d are dropped, want %d", n, c.dropped)
				}
			})
		})
	}
}
