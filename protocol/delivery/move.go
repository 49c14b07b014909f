package delivery

import "emqttd/protocol"

// A state moves to another node while messages for it keep coming in. What it has
// is read, never taken out, so that it is whole until the other node has all of it:
//
//	Depart ── Baggage, then the queue ──▶ Unpack, Arrive
//	   └─ from here on, what is queued is noted in Out.Taken, too

// Baggage is what a State is besides its queue.
type Baggage struct {
	LastID   protocol.PacketID // handed out last
	Flights  []Flight          // in sending order, with their items
	Awaiting map[protocol.PacketID]int64
	Dropped  uint64
	Enqueued uint64
}

// Depart says that the state, whose client is away, is about to be read for another
// node. What waits is numbered in a state that is not kept in a store, so that
// Waiting can be read in pieces; in either, Out.Taken gets what is queued from now
// on.
func (s *State) Depart() {
	s.noted = true
	if s.journal != nil || s.traffic == nil {
		return
	}
	n := uint64(0)
	for i := range s.queue.levels {
		r := &s.queue.levels[i].ring
		for j := range r.n {
			n++
			r.at(j).seq = n
		}
	}
}

// Remain ends Depart: the state stays here.
func (s *State) Remain() { s.noted = false }

// Baggage describes the state besides its queue. It shares nothing with it that
// will be written to.
func (s *State) Baggage() *Baggage {
	b := &Baggage{Dropped: s.dropped, Enqueued: s.enqueued}
	if s.traffic == nil {
		return b
	}
	b.LastID = s.window.last
	for i := range s.window.n {
		if f := s.window.at(i); f.phase != acked {
			b.Flights = append(b.Flights, Flight{Item: s.describe(&f.item), ID: f.id, Phase: Phase(f.phase)})
		}
	}
	if len(s.awaiting) > 0 {
		b.Awaiting = make(map[protocol.PacketID]int64, len(s.awaiting))
		for id, at := range s.awaiting {
			b.Awaiting[id] = at
		}
	}
	return b
}

// describe is an item as others see it.
func (s *State) describe(it *item) Item {
	x := Item{
		Message: it.msg, MoreIDs: it.more, Seq: it.seq, SubID: it.subID,
		QoS: it.qos, Retain: it.retain, Shared: it.shared,
	}
	if it.msg != nil {
		x.Priority = s.limits.priority(it.msg.Topic)
	}
	return x
}

// Queued appends up to max items to dst that waited when Depart was called, those
// behind the one numbered from: highest priority first, then oldest first. It is
// for a state that is not kept; the store has the items of the others.
func (s *State) Queued(dst []Item, from uint64, max int) []Item {
	if s.traffic == nil {
		return dst
	}
	for i := range s.queue.levels {
		r := &s.queue.levels[i].ring
		if r.n == 0 || r.at(0).seq == 0 {
			continue
		}
		j := 0
		if first := r.at(0).seq; first <= from { // numbers of a level follow on each other
			j = int(min(from-first+1, uint64(r.n)))
		}
		for ; j < r.n && r.at(j).seq != 0 && max > 0; j++ {
			dst = append(dst, s.describe(r.at(j)))
			max--
		}
	}
	return dst
}

// Heads are the first sequence numbers that wait in a state that is kept, of all
// priorities that there are or may come to be.
func (s *State) Heads() []Head {
	var heads []Head
	at := func(p int) int {
		for i := range heads {
			if heads[i].Priority == p {
				return i
			}
		}
		heads = append(heads, Head{Priority: p, Seq: s.journal.next})
		return len(heads) - 1
	}
	for _, p := range s.limits.Levels() {
		at(p)
	}
	if s.traffic != nil {
		for i := range s.queue.levels {
			if l := &s.queue.levels[i]; l.waiting() > 0 {
				heads[at(l.priority)].Seq = l.head()
			}
		}
	}
	return heads
}

// Unpack gives a new state what another one was. It has not sent anything on any
// connection of its own.
func (s *State) Unpack(out *Out, b *Baggage) {
	s.dropped, s.enqueued = b.Dropped, b.Enqueued
	if b.LastID == 0 && len(b.Flights) == 0 && len(b.Awaiting) == 0 {
		return
	}
	t := s.busy()
	t.window.last = b.LastID
	for i := range b.Flights {
		f := &b.Flights[i]
		it := f.item()
		it.seq = 0
		s.number(&it)
		t.window.restore(f.ID, phase(f.Phase), it)
		if s.journal != nil && it.msg != nil {
			s.take(out, &it)
		}
	}
	if len(b.Awaiting) > 0 {
		t.awaiting = b.Awaiting
	}
	s.changed()
}

// Arrive queues an item that comes from another node's state, behind what has come
// before. A state that is kept takes it even if its bound is reached: it was
// promised to be kept.
func (s *State) Arrive(out *Out, x *Item) {
	it := x.item()
	it.seq, it.shared = 0, false
	s.busy()
	if s.journal == nil {
		s.enqueue(out, it)
		return
	}
	s.number(&it)
	s.queue.append(it, s.limits.priority(it.msg.Topic), keepOffline)
	s.take(out, &it)
	s.changed()
	s.room()
	s.enqueuedOne(out, it.msg)
}
