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
	"emqttd/cluster/replicas/lww"
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
	case *apply:
		s.onApply(m)
	case *tour:
		s.tour(m)
	case *digestQuery:
		m.tell(s.digest)
	case *forget:
		s.onForget(m)
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
		s.takeAway(m)
		return
	}
	if s.stores.expired(m, time.Now().UnixMilli()) {
		return
	}
	kept := m.Clone()
	kept.From = strings.Clone(m.From) // it may be a part of a read buffer, too
	kept.Retain = true                // [MQTT-3.3.1-8]
	v := s.stores.next()
	if !s.put(kept, v) {
		s.stores.full.Add(1)
		s.stores.refuse("table_full", m)
		return
	}
	s.keep(kept, v)
	s.commit()
	s.tell(kept, v)
}

// takeAway removes a message on behalf of a client.
func (s *shard) takeAway(m *protocol.Message) {
	if m.Sys || !s.stores.replicated() {
		if s.remove(m.Topic) != nil {
			s.drop(m.Topic)
			s.commit()
		}
		return
	}
	v := s.stores.next()
	s.end(m, v) // also if there is none here: another node may have one
	s.commit()
	if s.stores.peers != nil {
		s.stores.peers.Changed(string(m.Topic), v, nil)
	}
}

// tell tells other nodes of a message, unless it is one of those that each node
// has for itself.
func (s *shard) tell(kept *protocol.Message, v lww.Version) {
	if s.stores.peers == nil || kept.Sys && !own(kept.Topic, s.stores.options.Node) {
		return
	}
	s.stores.peers.Changed(string(kept.Topic), v, valueOf(kept))
}

// keep has a message written that is in the table now.
func (s *shard) keep(kept *protocol.Message, v lww.Version) {
	if s.stores.Keeps(kept) {
		s.ops.PutRetained(&store.Retained{Topic: kept.Topic, Version: v, Message: kept})
	} else if !kept.Sys {
		s.drop(kept.Topic) // it may have replaced one that was kept
	}
}

// end removes what a topic has; a tombstone of the version takes its place if there
// are such. m is the message or anything that says how it is kept.
func (s *shard) end(m *protocol.Message, v lww.Version) {
	if s.bury(m.Topic, v) && s.stores.Keeps(m) {
		s.ops.PutRetained(&store.Retained{Topic: m.Topic, Version: v})
	} else {
		s.drop(m.Topic)
	}
	s.trim(s.drop)
}

// drop takes what there is of a topic out of the disk store.
func (s *shard) drop(t topic.Name) {
	if s.stores.options.Disk != nil {
		s.ops.DropRetained(string(t))
	}
}

// commit hands the changes to the disk store.
func (s *shard) commit() {
	if s.ops.Empty() {
		return
	}
	s.stores.options.Disk.Commit(&s.ops, nil)
	s.ops.Reset()
}

// maxChange is how large the changes of a Clean become before they are committed.
const maxChange = 1 << 20

func (s *shard) onRestore(m *restore) {
	defer m.done()
	defer s.commit()
	r := &m.record
	switch {
	case r.Message == nil && !s.stores.replicated():
		s.drop(r.Topic)
	case r.Message == nil:
		if !s.bury(r.Topic, r.Version) {
			s.drop(r.Topic)
		}
		s.trim(s.drop)
	case s.stores.expired(r.Message, time.Now().UnixMilli()):
		s.end(r.Message, r.Version)
	default:
		r.Message.Retain = true
		if !s.put(r.Message, r.Version) {
			s.stores.full.Add(1)
			s.stores.refuse("table_full", r.Message)
		}
	}
}

// onApply takes over what another node has, where it is newer.
func (s *shard) onApply(m *apply) {
	defer m.done()
	defer s.commit()
	now := time.Now().UnixMilli()
	for i := range m.entries {
		s.applyOne(&m.entries[i], m.from, now)
	}
}

func (s *shard) applyOne(e *remoteEntry, from string, now int64) {
	m := e.message
	if m != nil && m.Sys && !own(e.topic, from) {
		return // of a node that is to say it itself
	}
	if known, ok := s.version(e.topic); ok && !e.After(known) || !e.After(s.watermark) && (m == nil || !m.Sys) {
		return
	}
	switch max := s.stores.limits.Load().MaxPayload; {
	case m == nil:
		s.end(&protocol.Message{Topic: e.topic}, e.Version)
	case s.stores.expired(m, now):
		s.end(m, e.Version)
	case max > 0 && len(m.Payload) > max:
		s.stores.tooLarge.Add(1)
		s.stores.refuse("too_large", m)
	case !s.put(m, e.Version):
		s.stores.full.Add(1)
		s.stores.refuse("table_full", m)
	default:
		s.keep(m, e.Version)
	}
}

// onForget takes away what a node said of itself. There is no tombstone: when it
// is back, it says it anew.
func (s *shard) onForget(m *forget) {
	for _, kept := range s.table.match(topic.Filter("$SYS/brokers/"+m.node+"/#"), func(m *protocol.Message) bool { return m.Sys }) {
		s.remove(kept.Topic)
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
	if m.told != nil {
		defer m.told()
	}
	switch {
	case !s.stores.replicated():
		m.count.Add(int64(s.clear()))
	case s.raise(m.version):
		m.count.Add(int64(s.clean(m)))
	}
	if m.left.Add(-1) == 0 && m.ReplyTo != nil {
		c.Send(m.ReplyTo, &Cleaned{Token: m.Token, Count: int(m.count.Load())})
	}
}

// clear empties a table that nobody else has.
func (s *shard) clear() int {
	s.table.scan(0, math.MaxInt, func(_ uint32, kept *protocol.Message) { s.dropSome(kept.Topic) })
	s.commit()
	n := s.table.clear()
	s.stores.count.Add(int64(-n))
	return n
}

func (s *shard) dropSome(t topic.Name) {
	if s.drop(t); s.ops.Len() > maxChange {
		s.commit()
	}
}

// clean takes away what is not newer than the Clean, with the tombstones, which it
// stands for. A local one also takes what was stored behind it in time, but before
// it here.
func (s *shard) clean(m *Clean) (count int) {
	local := m.told == nil
	s.table.scan(0, math.MaxInt, func(at uint32, kept *protocol.Message) {
		switch newer := s.table.node(at).version().After(m.version); {
		case kept.Sys && local, !kept.Sys && !newer:
			s.remove(kept.Topic)
			s.dropSome(kept.Topic)
		case !kept.Sys && local:
			s.takeAway(&protocol.Message{Topic: kept.Topic})
		default:
			return
		}
		count++
	})
	for t, v := range s.tombs.all {
		if !v.After(m.version) {
			s.unbury(t)
			s.dropSome(t)
		}
	}
	if s.number == 0 {
		if s.stores.options.Disk != nil {
			s.ops.PutRetained(&store.Retained{Version: m.version})
		}
		if local && s.stores.peers != nil {
			s.stores.peers.Changed("", m.version, nil)
		}
	}
	s.commit()
	return count
}

func (s *shard) onSweep(c actor.Context, m *sweep) {
	now := time.Now().UnixMilli()
	next := s.table.scan(m.from, sweepLen, func(at uint32, kept *protocol.Message) {
		if s.stores.expired(kept, now) {
			// Every node does so by itself: the tombstone has the message's own version.
			s.end(kept, s.table.node(at).version())
		}
	})
	s.trim(s.drop)
	s.commit()
	if next != 0 {
		c.Send(c.Self(), &sweep{from: next})
		return
	}
	s.schedule(c)
}

// schedule wakes the shard for the next sweep.
func (s *shard) schedule(c actor.Context) {
	every := sweepEvery
	if e := s.stores.limits.Load().Expiry; e > 0 {
		every = min(every, max(e, time.Second))
	}
	root, self := c.ActorSystem().Root, c.Self()
	s.timer = time.AfterFunc(every, func() { root.Send(self, &sweep{}) })
}
