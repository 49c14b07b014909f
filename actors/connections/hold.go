package connections

import (
	"time"

	"emqttd/actors/sessions"
	"emqttd/actors/store"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// acknowledge lets acknowledgements go to the client when what they promise is
// safe, behind those that came before; promise is nil for those that promise
// nothing.
func (r *reader) acknowledge(acks []byte, promise *store.Receipt) {
	c := r.c
	line := c.held.Load()
	switch {
	case promise == nil && line == nil:
		c.box.Send(acks)
		return
	case promise == nil:
		line.Send(acks)
		return
	case line == nil:
		line = sessions.NewLine(&c.box, c.unsafe, nil)
		c.held.Store(line)
		if c.flow.Closed() {
			line.Close()
		}
	}
	line.Follow(promise)
	promise.After(line.Hold(acks, 1, nil))
	promise.Part()
}

// holdTime is how often a publisher that is held back looks by itself whether there
// is room.
const holdTime = time.Second

// roomFor tells whether everybody who keeps m can take it: their queues are not
// full, and the store takes what is new. A client of MQTT 5 is refused; one of
// MQTT 3.x cannot be, so it is held back: nothing more is read from it until
// there is room.
func (in *intake) roomFor(m *protocol.Message) bool {
	rt := in.r.c.rt.Sessions
	for rt.Router.Holding() && !in.r.c.flow.Closed() {
		b := rt.Router.NewBatch()
		full := b.Held(m)
		b.Release()
		retain := m.Retain && rt.Retained.Keeps(m) && rt.Disk.Refusing()
		if full == nil && !retain {
			break
		}
		if in.r.c.client.Version == mqtt.V5 {
			return false
		}
		in.letGo() // what came before is not held back
		if full != nil {
			full.WaitRoom(holdTime, in.r.c.flow.Stopped())
		} else {
			rt.Disk.WaitRoom(holdTime, in.r.c.flow.Stopped())
		}
	}
	return true
}
