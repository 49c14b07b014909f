package retained

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Spec is the subtree "retained".
func (s *Stores) Spec() kernel.ChildSpec {
	specs := make([]kernel.ChildSpec, len(s.shards))
	for i, p := range s.shards {
		specs[i] = kernel.ChildSpec{
			Name:    strconv.Itoa(i),
			Props:   kernel.NewProps(func() actor.Actor { return &shard{place: p} }),
			Restart: kernel.Permanent,
		}
	}
	return kernel.ChildSpec{Name: "retained", Props: kernel.Supervisor(specs), Restart: kernel.Permanent}
}

// shard is the actor that owns one table while it lives.
type shard struct {
	*place
	timer *time.Timer
	ops   store.Ops // scratch
}

const (
	// sweepEvery is how often expired messages are looked for, unless the
	// expiry interval is shorter. Look-ups do not see them anyway.
	sweepEvery = time.Minute
	// sweepLen messages are looked at in one turn, which takes well under a
	// millisecond, so that look-ups need not wait for a whole sweep.
	sweepLen = 4096
)

// Receive handles the messages of the package and nothing else.
func (s *shard) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Store:
		s.onStore(m.Message)
		if m.Receipt != nil {
			m.Receipt.Barrier()
			m.Receipt.Part()
		}
	case *restore:
		s.onRestore(m)
	case *Lookup:
		s.onLookup(c, m)
	case *List:
		s.onList(c, m)
	case *Clean:
		s.onClean(c, m)
	case *sweep:
		s.onSweep(c, m)
	case *actor.Started:
		s.pid.Store(c.Self())
		s.schedule(c)
	case *actor.Stopping, *actor.Restarting:
		if s.timer != nil {
			s.timer.Stop()
		}
	case *actor.Stopped:
	default:
		s.stores.options.Logger.Warn("unexpected message", "actor", c.Self().GetId(), "type", fmt.Sprintf("%T", m))
	}
}

func (s *shard) onStore(m *protocol.Message) {
	if len(m.Payload) == 0 { // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
		if s.table.remove(m.Topic) {
			s.stores.count.Add(-1)
			s.drop(m.Topic)
		}
		return
	}
	if s.stores.expired(m, time.Now().UnixMilli()) {
		return
	}
	kept := m.Clone()
	kept.From = strings.Clone(m.From) // it may be a part of a read buffer, too
	kept.Retain = true                // [MQTT-3.3.1-8]
	if !s.table.store(kept, s.stores.admit) {
		s.stores.full.Add(1)
		s.stores.refuse("table_full", m)
		return
	}
	if s.stores.Keeps(kept) {
		s.ops.PutRetained(kept)
		s.commit()
	} else if s.stores.options.Disk != nil && !m.Sys {
		s.drop(m.Topic) // it may have replaced one that was kept
	}
}

// drop takes the message of a topic out of the disk store.
func (s *shard) drop(t topic.Name) {
	if s.stores.options.Disk != nil {
		s.ops.DropRetained(string(t))
		s.commit()
	}
}

func (s *shard) commit() {
	s.stores.options.Disk.Commit(&s.ops, nil)
	s.ops.Reset()
}

// maxChange is how large the changes of a Clean become before they are committed.
const maxChange = 1 << 20

func (s *shard) dropAll() {
	s.table.scan(0, math.MaxInt, func(_ uint32, kept *protocol.Message) {
		if s.ops.DropRetained(string(kept.Topic)); s.ops.Len() > maxChange {
			s.commit()
		}
	})
	s.commit()
}

func (s *shard) onRestore(m *restore) {
	defer m.done()
	if s.stores.expired(m.message, time.Now().UnixMilli()) {
		s.drop(m.message.Topic)
		return
	}
	m.message.Retain = true
	if !s.table.store(m.message, s.stores.admit) {
		s.stores.full.Add(1)
		s.stores.refuse("table_full", m.message)
	}
}

func (s *shard) onLookup(c actor.Context, m *Lookup) {
	now := time.Now().UnixMilli()
	found := s.table.match(m.Filter, func(m *protocol.Message) bool { return !s.stores.expired(m, now) })
	for len(found) > ChunkLen {
		c.Send(m.ReplyTo, &Found{Token: m.Token, Messages: found[:ChunkLen:ChunkLen]})
		found = found[ChunkLen:]
	}
	if len(found) > 0 {
		c.Send(m.ReplyTo, &Found{Token: m.Token, Messages: found})
	}
	// The shard that comes last says so; the others have sent theirs before.
	if m.left.Add(-1) == 0 {
		c.Send(m.ReplyTo, &Found{Token: m.Token, Last: true})
	}
}

func (s *shard) onList(c actor.Context, m *List) {
	limit := m.Limit
	if limit <= 0 {
		limit = ChunkLen
	}
	names, next := s.names(m.Cursor, limit)
	c.Send(m.ReplyTo, &Listed{Token: m.Token, Topics: names, Next: next})
}

func (s *shard) onClean(c actor.Context, m *Clean) {
	if s.stores.options.Disk != nil {
		s.dropAll()
	}
	n := int64(s.table.clear())
	s.stores.count.Add(-n)
	m.count.Add(n)
	if m.left.Add(-1) == 0 && m.ReplyTo != nil {
		c.Send(m.ReplyTo, &Cleaned{Token: m.Token, Count: int(m.count.Load())})
	}
}

func (s *shard) onSweep(c actor.Context, m *sweep) {
	now := time.Now().UnixMilli()
	next := s.table.scan(m.from, sweepLen, func(at uint32, kept *protocol.Message) {
		if s.stores.expired(kept, now) {
			s.drop(kept.Topic)
			s.table.removeAt(at)
			s.stores.count.Add(-1)
		}
	})
	if next != 0 {
		c.Send(c.Self(), &sweep{from: next})
		return
	}
	s.schedule(c)
}

// schedule wakes the shard for the next sweep.
func (s *shard) schedule(c actor.Context) {
	every := sweepEvery
	if e := s.stores.options.Expiry; e > 0 {
		every = min(every, max(e, time.Second))
	}
	root, self := c.ActorSystem().Root, c.Self()
	s.timer = time.AfterFunc(every, func() { root.Send(self, &sweep{}) })
}
