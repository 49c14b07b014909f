package delivery

import "emqttd/protocol"

// journal is what a State needs that is kept in a store. The store holds every
// item that was taken under its priority and sequence number, and one record of
// the window (Window), which says which of them are alive: so an acknowledgement
// costs no deletion, and one record covers all that a turn has changed.
type journal struct {
	next   uint64              // sequence number of the next item
	dirty  bool                // the window is not what it was when Window was read
	full   bool                // the bound was reached; stays until some room is made
	forgot []protocol.PacketID // inbound identifiers that were given up
}

// Item is a message on its way to the client, as the store keeps it.
type Item struct {
	Message  *protocol.Message
	MoreIDs  *[]uint32 // nil for none
	Seq      uint64
	Priority int
	SubID    uint32
	QoS      protocol.QoS
	Retain   bool
	Shared   bool // other sessions may have the message, too
}

// Phase says what a flight waits for.
type Phase uint8

// The phases of a flight.
const (
	AwaitPuback  Phase = Phase(awaitPuback)
	AwaitPubrec  Phase = Phase(awaitPubrec)
	AwaitPubcomp Phase = Phase(awaitPubcomp) // its item is gone
)

// Flight is a message that has been sent and not yet acknowledged in full. The
// Item of a restored one is looked at; of others, only Seq and Priority are set.
type Flight struct {
	Item
	ID    protocol.PacketID
	Phase Phase
}

// Head is the first sequence number of a priority that still waits. Items below
// it are dead unless they are in flight.
type Head struct {
	Priority int
	Seq      uint64
}

// Window is what the store has to remember beside the items.
type Window struct {
	LastID  protocol.PacketID
	Next    uint64 // sequence number of the next item
	Heads   []Head // of the priorities in which something waits; of others, Next is the head
	Flights []Flight
}

// Level is a restored part of the queue: its first items, and how many messages
// and bytes it has in all.
type Level struct {
	Priority       int
	Items          []Item
	Waiting, Bytes int
}

// Saved is what a State was when the node stopped.
type Saved struct {
	Window   Window
	Levels   []Level
	Awaiting map[protocol.PacketID]int64
}

// How many items of a priority are in memory: more while the client is there, so
// that the store is read in large pieces; few while it is away, for there may be
// many such sessions. loadLen is how many are loaded at once.
const (
	keepOnline  = 1024
	keepOffline = 16
	loadLen     = 512
)

// NewKept is the state of a new session that is kept in a store.
func NewKept(l *Limits) State {
	return State{limits: l, journal: &journal{next: 1}}
}

// Restore is the state of a session as it was kept. The client is away.
func Restore(l *Limits, saved *Saved) State {
	s := NewKept(l)
	s.journal.next = max(1, saved.Window.Next)
	if len(saved.Window.Flights) == 0 && len(saved.Levels) == 0 && len(saved.Awaiting) == 0 && saved.Window.LastID == 0 {
		return s
	}
	t := s.busy()
	t.window.last = saved.Window.LastID
	for i := range saved.Window.Flights {
		f := &saved.Window.Flights[i]
		t.window.restore(f.ID, phase(f.Phase), f.item())
	}
	for i := range saved.Levels {
		s.restoreLevel(&saved.Levels[i])
	}
	if len(saved.Awaiting) > 0 {
		t.awaiting = saved.Awaiting
	}
	s.room()
	return s
}

func (s *State) restoreLevel(sv *Level) {
	for i := range sv.Items {
		it := sv.Items[i].item()
		s.queue.push(it, sv.Priority)
		s.journal.next = max(s.journal.next, it.seq+1)
	}
	l := s.queue.level(sv.Priority)
	if rest := sv.Waiting - len(sv.Items); rest > 0 {
		l.spilled = rest
		s.queue.n += rest
	}
	have := 0
	for i := range sv.Items {
		have += sv.Items[i].Message.Size()
	}
	s.queue.bytes += max(0, sv.Bytes-have)
}

func (it *Item) item() item {
	return item{
		msg: it.Message, more: it.MoreIDs, seq: it.Seq, subID: it.SubID,
		qos: it.QoS, retain: it.Retain, shared: it.Shared,
	}
}

// Busy tells whether something waits or is in flight.
func (s *State) Busy() bool {
	return s.traffic != nil && (s.queue.n > 0 || s.window.live > 0)
}

// Kept tells whether the state is kept in a store.
func (s *State) Kept() bool { return s.journal != nil }

// Full tells whether the queue has reached its bound. What a kept state has
// taken is never dropped for that: whoever publishes has to hold back.
func (s *State) Full() bool { return s.journal != nil && s.journal.full }

// room notes whether the bound is reached; and it is well again when a tenth of
// it is free.
func (s *State) room() {
	j, l := s.journal, s.limits
	if j == nil || s.traffic == nil {
		return
	}
	n, bytes := s.queue.n, s.queue.bytes
	if j.full {
		j.full = l.QueueLength > 0 && n > l.QueueLength-max(1, l.QueueLength/10) ||
			l.QueueBytes > 0 && bytes > l.QueueBytes-l.QueueBytes/10
		return
	}
	j.full = l.QueueLength > 0 && n >= l.QueueLength || l.QueueBytes > 0 && bytes >= l.QueueBytes
}

// changed notes that the window is not what the store knows.
func (s *State) changed() {
	if s.journal != nil {
		s.journal.dirty = true
	}
}

// number gives a new item its sequence number; false for one that has it.
func (s *State) number(it *item) (fresh bool) {
	if s.journal == nil || it.seq != 0 {
		return false
	}
	it.seq = s.journal.next
	s.journal.next++
	return true
}

// take hands a new item to the store.
func (s *State) take(out *Out, it *item) {
	out.Taken = append(out.Taken, Item{
		Message: it.msg, MoreIDs: it.more, Seq: it.seq, Priority: s.limits.priority(it.msg.Topic),
		SubID: it.subID, QoS: it.qos, Retain: it.retain, Shared: it.shared,
	})
}

// finished says that the message of an item is not needed any more. One that the
// store has not heard of is no matter for it.
func (s *State) finished(out *Out, it *item, unheard bool) {
	if s.journal != nil && !unheard && it.msg != nil && it.shared {
		out.Finished = append(out.Finished, it.msg)
	}
}

// Forgot returns the inbound QoS 2 identifiers that were given up since the last
// call, for the store to forget, too.
func (s *State) Forgot() []protocol.PacketID {
	if s.journal == nil {
		return nil
	}
	ids := s.journal.forgot
	s.journal.forgot = nil
	return ids
}

// expire drops what has expired in front of a queue that is full.
func (s *State) expire(out *Out, now int64) {
	for it := s.queue.first(); it != nil && it.msg.Expired(now); it = s.queue.first() {
		gone := s.queue.pop()
		s.finished(out, &gone, false)
		s.drop(out, Expired, gone.msg)
		s.changed()
	}
	s.room()
}

// enqueueKept queues an item in a kept state. Only what nobody has been promised
// gives way at the bound.
func (s *State) enqueueKept(out *Out, it item) {
	if s.journal.full && it.qos == protocol.AtMostOnce {
		s.drop(out, QueueFull, it.msg)
		return
	}
	s.number(&it)
	keep := keepOffline
	if s.online {
		keep = keepOnline
	}
	s.queue.append(it, s.limits.priority(it.msg.Topic), keep)
	s.take(out, &it)
	s.room()
}

// Window describes the window for the store if it has changed since the last
// call. dst is used again.
func (s *State) Window(dst *Window) bool {
	j := s.journal
	if j == nil || !j.dirty || s.traffic == nil {
		return false
	}
	j.dirty = false
	dst.Next, dst.Heads, dst.Flights = j.next, dst.Heads[:0], dst.Flights[:0]
	dst.LastID = s.window.last
	for i := range s.queue.levels {
		if l := &s.queue.levels[i]; l.waiting() > 0 {
			dst.Heads = append(dst.Heads, Head{Priority: l.priority, Seq: l.head()})
		}
	}
	for i := range s.window.n {
		f := s.window.at(i)
		if f.phase == acked {
			continue
		}
		fl := Flight{ID: f.id, Phase: Phase(f.phase)}
		fl.Seq = f.seq
		if f.msg != nil {
			fl.Priority = s.limits.priority(f.msg.Topic)
		}
		dst.Flights = append(dst.Flights, fl)
	}
	return true
}

// head is the sequence number of the first item that waits.
func (l *level) head() uint64 {
	if l.ring.n > 0 {
		return l.ring.peek().seq
	}
	return l.last + 1
}

// Next is the sequence number that the next item gets.
func (s *State) Next() uint64 { return s.journal.next }

// Floor is the sequence number below which no item is alive.
func (s *State) Floor() uint64 {
	j := s.journal
	if s.traffic == nil {
		return j.next
	}
	floor := j.next
	for i := range s.queue.levels {
		if l := &s.queue.levels[i]; l.waiting() > 0 {
			floor = min(floor, l.head())
		}
	}
	for i := range s.window.n {
		if f := s.window.at(i); f.phase != acked {
			floor = min(floor, f.seq)
		}
	}
	return floor
}

// Want says which items the state needs from the store before it can go on: up
// to n of a priority from a sequence number on. ok is false if it needs none now.
func (s *State) Want(out *Out) (priority int, from uint64, n int, ok bool) {
	if s.journal == nil || s.traffic == nil || !s.online || !out.open() || !s.roomy() {
		return 0, 0, 0, false
	}
	l := s.queue.hungry()
	if l == nil {
		return 0, 0, 0, false
	}
	return l.priority, l.last + 1, min(loadLen, l.spilled), true
}

// Loaded answers Want. Fewer than wanted means that the rest is not safe yet, or,
// with final, that there is no more: what is missing is counted as lost.
func (s *State) Loaded(out *Out, priority int, items []Item, final bool) {
	l := s.queue.level(priority)
	loaded := make([]item, len(items))
	for i := range items {
		loaded[i] = items[i].item()
	}
	s.queue.loaded(l, loaded)
	if final && len(items) == 0 {
		for n := s.queue.lost(l); n > 0; n-- {
			s.drop(out, StoreLost, nil)
		}
	}
}
