package connections

import (
	"testing"
	"time"

	"emqttd/actors/system/memory"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// full is a governor for which any use is too much.
func full() *memory.Governor {
	g := memory.NewGovernor(1, func(memory.Level, bool) {})
	g.Look()
	return g
}

func TestNewClientsAreRefusedWhenMemoryRunsOut(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		inRig(t, func(r *rig) {
			r.rt.Memory = full()
			p := r.dial()
			c := hello("late", true)
			c.Version = v
			p.send(v, c)
			p.expect(v, &mqtt.Connack{Code: protocol.ServerBusy}) // which is 3 before MQTT 5
			_ = p.conn.Close()
		})
	}
}

func TestMessagesOfQoS0AreDroppedAndPublishersHeldBackWhenMemoryRunsShort(t *testing.T) {
	inRig(t, func(r *rig) {
		p := r.join(hello("busy", true), false)
		p.send(mqtt.V311, &mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a", QoS: 1}}})
		p.take()
		r.rt.Memory = full()
		p.send(mqtt.V311, &mqtt.Publish{Topic: "a", Payload: []byte("dropped")})
		if got, _ := p.take(); len(got) != 0 {
			t.Errorf("a message of QoS 0 arrives: %x", got)
		}
		if d := r.rt.Metrics.Drops(); len(d) != 1 || d[0].Name != "memory" || d[0].Value != 1 {
			t.Errorf("drops %v", d)
		}
		done := make(chan struct{})
		go func() {
			_, _ = p.conn.Write(mqtt.AppendPingreq(nil)) // nobody reads it
			close(done)
		}()
		time.Sleep(time.Hour) // virtual: far beyond the keep alive
		if got, _ := p.take(); len(got) > 0 {
			t.Errorf("a publisher is read, and answered %x", got)
		}
		if ends := r.ends(); len(ends) != 0 {
			t.Errorf("who is held back ends: %v", ends)
		}
		_ = p.conn.Close()
		<-done
	})
}

func TestAPublisherThatIsTooFastIsReadLater(t *testing.T) {
	inRig(t, func(r *rig) {
		r.l.MessageRate = [2]int{2, 1}
		p := r.join(hello("eager", true), false)
		began := time.Now()
		for range 6 {
			p.send(mqtt.V311, &mqtt.Publish{Topic: "a"})
		}
		for range 2 { // the first may be in one read with messages
			p.write(mqtt.AppendPingreq(nil))
			for answer := 0; answer == 0; {
				time.Sleep(100 * time.Millisecond) // virtual
				got, over := p.take()
				if answer = len(got); over {
					t.Fatal("it is closed")
				}
			}
		}
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("6 messages at 1 a second behind a burst of 2 took %v", took)
		}
	})
}
