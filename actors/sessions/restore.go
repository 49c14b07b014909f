package sessions

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// RecoverWindow is how many waiting messages of each session are read at a
// recovery; the others stay in the store until they are wanted.
const RecoverWindow = 16

// Restore makes a session of what the store has of it. It is the first message
// of its actor. Nobody is connected to it; a client that was when it was written
// counts as lost now. Done is called when its subscriptions are in effect, or
// when it is clear that there is nothing to restore.
type Restore struct {
	Record *store.Recovered
	Done   func()

	orphan *orphan // it crashed; nil at the start of the node
}

// orphan is a kept session whose actor crashed and that is on its way to be
// restored. Until then its subscriptions stay, and hold publishers back.
type orphan struct {
	id   store.SessionID
	pid  *actor.PID
	name protocol.ClientID
	sub  *topics.Subscriber
}

// orphans are those of a node by client identifier.
type orphans struct {
	mu sync.Mutex
	m  map[protocol.ClientID]*orphan
}

func (o *orphans) add(x *orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil {
		o.m = make(map[protocol.ClientID]*orphan)
	}
	o.m[x.name] = x
}

func (o *orphans) remove(x *orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, x.name)
}

func (o *orphans) has(id protocol.ClientID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.m[id] != nil
}

// restoring is what the session is being made of, nil otherwise.
func (s *session) restoring() *Restore {
	if s.keep == nil {
		return nil
	}
	return s.keep.restoring
}

// restore claims the client identifier, as a connection does.
func (s *session) restore(c actor.Context, m *Restore) {
	s.keep = &keeping{restoring: m}
	if m.orphan != nil {
		rec, err := s.rt.Disk.Session(m.orphan.id, RecoverWindow)
		if err != nil || rec == nil {
			s.rt.Log.Error("a session that crashed cannot be restored", "client_id", m.orphan.name, "error", err)
			s.giveUp(c)
			return
		}
		m.Record = rec
	}
	s.claim(c, m)
}

func (s *session) claim(c actor.Context, m *Restore) {
	r := &m.Record.Session
	c.Send(s.rt.Registry.Slot(r.ClientID), &registry.Claim{
		ClientID: r.ClientID, By: s.self, Stored: madeAt(m),
	})
}

// madeAt is when a session that was in the store was made, for the registry: it
// must not win against one that has a client.
func madeAt(m *Restore) int64 { return max(m.Record.Session.Created, 1) }

// granted makes the session, unless there is another one already.
func (s *session) granted(c actor.Context, m *registry.Granted) {
	if s.moves != nil && s.moves.guest != nil {
		s.admitted(c, m)
		return
	}
	slot := s.rt.Registry.Slot(m.ClientID)
	r := s.restoring()
	if r == nil && s.sub != nil {
		s.assured(c, m)
		return
	}
	mine := m.Session == nil || r != nil && r.orphan != nil && r.orphan.pid.Equal(m.Session)
	if r == nil || s.sub != nil || !mine {
		c.Send(slot, &registry.Abort{ClientID: m.ClientID, Generation: m.Generation, By: s.self})
		switch {
		case s.sub != nil:
		case r != nil && m.Session != nil:
			s.yield(c, r.Record, m.Session)
		default:
			s.giveUp(c)
		}
		return
	}
	c.Send(slot, &registry.Commit{
		ClientID: m.ClientID, Generation: m.Generation, By: s.self, Session: s.self, Stored: madeAt(r),
	})
	s.adopt(c, r.Record)
}

// giveUp ends an actor that has become no session.
func (s *session) giveUp(c actor.Context) {
	s.restored()
	s.ending = true
	c.Stop(s.self)
}

func (s *session) restored() {
	r := s.restoring()
	if r == nil {
		return
	}
	s.keep.restoring = nil
	if r.orphan != nil {
		s.rt.Router.Forget(r.orphan.sub)
		s.rt.orphans.remove(r.orphan)
	}
	if r.Done != nil {
		r.Done()
	}
}

// adopt takes over what the store has.
func (s *session) adopt(c actor.Context, r *store.Recovered) {
	m := &r.Session
	s.id, s.created, s.clean, s.expiry = m.ClientID, m.Created, m.Clean, m.Expiry
	s.own(m.Owner)
	s.keep.id, s.keep.copied = m.ID, m.Moving
	s.revive(r)
	orphan := s.keep.restoring.orphan != nil
	if orphan || m.Connected || m.Will != nil || m.Expires != 0 {
		s.keep.past = m
	}
	if s.keep.past != nil && !orphan {
		s.rt.recovery.add(s.self) // before anybody hears that it is restored
	}
	if !s.resubscribe(r.Subscriptions, s.restored) {
		s.restored()
	}
	if orphan {
		s.goOn(c)
	}
}

// revive makes queue and window of what the store has.
func (s *session) revive(r *store.Recovered) {
	s.state = delivery.Restore(s.rt.limits(), savedState(r))
	s.keep.dropped, s.keep.safe = s.state.Floor(), s.state.Next()
	s.register()
	s.accept(s.state.Pending())
}

// goOn lets time go on for a restored session: its will and its expiry.
func (s *session) goOn(c actor.Context) {
	m, now := s.keep.past, unixMilli()
	s.keep.past = nil
	if s.link != nil {
		return // its client is back already
	}
	will := m.Will
	switch {
	case m.Connected:
		if s.expiry != Never {
			s.expires = now + s.expiry*1000
		}
		if will != nil {
			s.lose(&Will{Message: will.Message, Delay: will.Delay, Expiry: will.Expiry}, now)
		}
	default:
		s.expires = m.Expires
		if will != nil && will.Due != 0 {
			s.will = &Will{Message: will.Message, Delay: will.Delay, Expiry: will.Expiry, due: will.Due}
		}
	}
	if s.expires != 0 && s.expires <= now {
		s.end(c)
		return
	}
	s.work()
	if m.Connected {
		s.putSession()
	}
	s.arm(now)
}

// resubscribe puts subscriptions into effect that the session has. The exchange has
// nobody to answer; when it is complete, done is called. false: there are none.
func (s *session) resubscribe(list []store.Subscription, done func()) bool {
	if len(list) == 0 {
		return false
	}
	x := &exchange{token: s.tokens, remove: true, done: done}
	for i := range list {
		r, err := stored(&list[i])
		if err != nil {
			s.rt.Log.Error("a stored subscription is no filter", "client_id", s.id, "filter", list[i].Text, "error", err)
			continue
		}
		x.requests = append(x.requests, r)
	}
	n := len(x.requests)
	x.codes, x.fresh = make([]protocol.ReasonCode, n), make([]bool, n)
	s.tokens += uint64(n)
	for i := range x.requests {
		r := &x.requests[i]
		if s.subs.put(r.Text, r.Options) {
			s.census().subscriptions.Add(1)
		}
		x.left++
		s.rt.Router.Subscribe(s.subscription(r, x.token+uint64(i)))
	}
	s.await(x)
	return true
}

// savedState is the state's part of a record.
func savedState(r *store.Recovered) *delivery.Saved {
	sv := &delivery.Saved{Awaiting: r.Awaiting}
	w := &r.Window
	sv.Window.LastID, sv.Window.Next = w.LastID, w.NextSeq
	items := make(map[uint64]*store.Item, len(r.Inflight))
	for i := range r.Inflight {
		items[r.Inflight[i].Seq] = &r.Inflight[i]
	}
	for _, f := range w.Flights {
		x := delivery.Flight{ID: f.ID, Phase: delivery.Phase(f.Phase)}
		it := items[f.Seq]
		switch {
		case it != nil && x.Phase != delivery.AwaitPubcomp:
			x.Item = deliveryItem(it)
		case x.Phase != delivery.AwaitPubcomp:
			continue // it was sent before it was safe, and nobody was promised it
		}
		x.Seq = f.Seq
		sv.Window.Flights = append(sv.Window.Flights, x)
	}
	for i := range r.Levels {
		l := &r.Levels[i]
		sv.Window.Next = max(sv.Window.Next, l.Last+1)
		sv.Levels = append(sv.Levels, delivery.Level{
			Priority: int(l.Priority), Items: deliveryItems(l.Head), Waiting: l.Waiting, Bytes: l.Bytes,
		})
	}
	return sv
}

// rescue has a session that crashed restored from the store, when everything it
// has entered is there.
func (s *session) rescue() {
	x := &orphan{id: s.keep.id, pid: s.self, name: s.id, sub: s.sub}
	rt, shard := s.rt, s.shard
	rt.orphans.add(x)
	// What this actor has claimed nobody would take any more, and the restored one would wait for it.
	rt.System.Root.Send(rt.Registry.Slot(s.id), &registry.Abort{ClientID: s.id, By: s.self})
	open := s.pending()
	left := new(atomic.Int32)
	left.Store(int32(len(open)) + 1)
	safe := func(error) {
		if left.Add(-1) == 0 {
			rt.System.Root.Send(shard, &kernel.Spawn{Props: rt.Props(), First: &Restore{orphan: x}})
		}
	}
	for _, r := range open {
		r.After(safe)
	}
	rt.Disk.Commit(nil, safe)
}
