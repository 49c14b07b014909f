package sessions

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// keeping is what a session has that is kept in the store: of durability class
// disk. What a turn changes is collected and committed at its end; packets that
// promise it go when it is safe.
type keeping struct {
	restoring *Restore // until it has become a session
	id        store.SessionID
	dropped   uint64           // items below it are deleted
	ops       *store.Ops       // of this turn; nil while there are none
	copied    bool             // somebody else may have all of it: see store.Session.Moving
	loading   bool             // waits for what it has entered to become readable
	safe      uint64           // items below it can be read
	past      *store.Session   // what it was, until all sessions are restored
	wills     []*store.Receipt // of wills that were published and may not be safe yet
}

var (
	opsPool    = sync.Pool{New: func() any { return new(store.Ops) }}
	windowPool = sync.Pool{New: func() any { return new(windowScratch) }}
)

type windowScratch struct {
	from delivery.Window
	to   store.Window
}

// ops are the changes of this turn, to which the caller adds.
func (s *session) ops() *store.Ops {
	if s.keep.ops == nil {
		s.keep.ops = opsPool.Get().(*store.Ops)
	}
	return s.keep.ops
}

// enter hands what the state has taken to the store: with the publisher's
// receipt, or, where nobody waits, with the changes of this turn.
func (s *session) enter(r *store.Receipt) {
	out := s.out
	if len(out.Taken) == 0 {
		return
	}
	s.remember(out.Taken)
	if r != nil && s.keep != nil {
		s.join(r)
	}
	for i := range out.Taken {
		if s.keep == nil { // it is only noted
			break
		}
		it := storeItem(&out.Taken[i])
		if r != nil {
			r.Enter(s.keep.id, &it)
		} else {
			s.ops().PutItem(s.keep.id, &it)
		}
	}
	clear(out.Taken)
	out.Taken = out.Taken[:0]
}

// receipts are those that a session has a part in and that may not be safe yet.
type receipts struct {
	list      []*store.Receipt
	published *store.Receipt // of what the client published last with QoS 2; it is in the list
}

// join notes a receipt that this session has a part in. Until it is safe, nothing
// that promises anything may leave.
func (s *session) join(r *store.Receipt) {
	if s.open == nil {
		s.open = new(receipts)
	}
	list := s.open.list
	if n := len(list); n > 0 && list[n-1] == r {
		return
	}
	if len(list) >= 8 {
		list = slices.DeleteFunc(list, (*store.Receipt).Safe)
	}
	s.open.list = append(list, r)
}

// disjoin drops the receipts of which it is known what has become of them: the
// connection that was to be told has ended.
func (s *session) disjoin() {
	if s.open == nil {
		return
	}
	s.open.list = slices.DeleteFunc(s.open.list, (*store.Receipt).Settled)
	if len(s.open.list) == 0 {
		s.open = nil
	}
}

// pending are the receipts that are not safe yet.
func (s *session) pending() []*store.Receipt {
	if s.open == nil {
		return nil
	}
	s.open.list = slices.DeleteFunc(s.open.list, (*store.Receipt).Safe)
	if len(s.open.list) == 0 {
		s.open = nil
		return nil
	}
	return s.open.list
}

// takeOps takes the changes of this turn, which the caller commits.
func (s *session) takeOps() *store.Ops {
	if s.keep == nil {
		return nil
	}
	o := s.keep.ops
	s.keep.ops = nil
	return o
}

func (s *session) commit(o *store.Ops, done func(error)) {
	s.rt.Disk.Commit(o, done)
	if o != nil {
		o.Reset()
		opsPool.Put(o)
	}
}

// record adds to the changes what this turn has done to queue and window.
func (s *session) record() {
	for _, id := range s.state.Forgot() {
		s.ops().DropAwaiting(s.keep.id, id)
	}
	w := windowPool.Get().(*windowScratch)
	if s.state.Window(&w.from) {
		w.convert()
		s.ops().PutWindow(s.keep.id, &w.to)
		s.sweep()
	}
	windowPool.Put(w)
	s.rt.Router.SetFull(s.sub, s.state.Full())
}

// Dead items are deleted when there are sweepLen of them, or sweepIdle and
// nothing is left alive.
const (
	sweepLen  = 256
	sweepIdle = 32
)

func (s *session) sweep() {
	floor := s.state.Floor()
	dead := floor - s.keep.dropped
	if dead < sweepIdle || dead < sweepLen && s.state.Busy() {
		return
	}
	for _, p := range s.rt.limits().Levels() {
		s.ops().DropItems(s.keep.id, int16(p), s.keep.dropped, floor)
	}
	s.keep.dropped = floor
}

// forget gives up messages that the state is done with: when the window that says
// so has been committed, never before.
func (s *session) forget(out *delivery.Out) {
	if len(out.Finished) > 0 {
		s.rt.Disk.Release(out.Finished)
		clear(out.Finished)
		out.Finished = out.Finished[:0]
	}
}

// settle ends a turn: it commits what has changed and lets the packets go, at
// once if they promise nothing.
func (s *session) settle(out *delivery.Out) {
	s.enter(nil)
	if s.keep != nil {
		s.record()
		defer s.forget(out)
	}
	promise, then := out.Promise, out.Then
	l := s.link
	if l == nil || len(out.Packets) == 0 && then == nil {
		if o := s.takeOps(); o != nil {
			s.commit(o, nil)
		}
		return
	}
	var open []*store.Receipt
	if promise {
		open = s.pending()
	}
	if !promise || s.keep == nil && len(open) == 0 {
		if o := s.takeOps(); o != nil {
			s.commit(o, nil)
		}
		if out.Room = l.send(out.Packets); then != nil {
			then()
		}
		return
	}
	s.hold(out, open, then)
}

// hold lets the packets go when the changes of this turn, and everything else
// that this session has a part in, is safe.
func (s *session) hold(out *delivery.Out, open []*store.Receipt, then func()) {
	l, n := s.link, len(open)
	if s.keep != nil {
		n++
	}
	if l.line == nil {
		l.line = s.newLine(l)
	}
	ready := l.line.Hold(out.Packets, n, then)
	if s.keep != nil {
		s.commit(s.takeOps(), ready)
	}
	for _, r := range open {
		r.After(ready)
	}
	out.Room = l.room()
}

// newLine is the line into the outbox of a connection.
func (s *session) newLine(l *link) *Line {
	root, self, conn, generation := s.rt.System.Root, s.self, l.pid, l.generation
	return NewLine(l.outbox,
		func(err error) {
			s.rt.Log.Error("what a client was to be promised is not safe; its connection closes",
				"client_id", l.client.ClientID, "error", err)
			root.Send(conn, &Violation{Generation: generation, Code: protocol.ImplementationSpecificError, Reason: "store_failed"})
		},
		func() { root.Send(self, &Drained{Generation: generation}) })
}

// send lets packets go that promise nothing, behind those that are held.
func (l *link) send(packets []byte) (room int) {
	if l.line == nil {
		return l.outbox.Send(packets)
	}
	l.line.Send(packets)
	return l.line.Room()
}

func (l *link) room() int {
	if l.line == nil {
		return l.outbox.Room()
	}
	return l.line.Room()
}

// unlink lets go of the connection, and drops what was held for it.
func (s *session) unlink() {
	if l := s.link; l != nil && l.line != nil {
		l.line.Close()
	}
	if s.link != nil {
		s.census().online.Add(-1)
	}
	s.link = nil
	s.disjoin()
}

// putSession adds the session's own record to the changes.
func (s *session) putSession() {
	if s.keep == nil {
		return
	}
	r := &store.Session{
		ID: s.keep.id, ClientID: s.id, Owner: s.owned(), Created: s.created, Clean: s.clean,
		Connected: s.link != nil, Moving: s.keep.copied, Expiry: s.expiry, Expires: s.expires,
	}
	will := s.will
	if s.link != nil {
		will = s.link.will
	}
	if will != nil {
		r.Will = &store.Will{Message: will.Message, Delay: will.Delay, Expiry: will.Expiry, Due: will.due}
	}
	s.commitSession(r)
}

// request tells the connection something on behalf of the session, from whichever
// goroutine; if the connection has ended, the dead letter comes back.
func (s *session) request(to *actor.PID, m any) func() {
	root, self := s.rt.System.Root, s.self
	return func() { root.RequestWithCustomSender(to, m, self) }
}

// convert makes the store's record of the state's window.
func (w *windowScratch) convert() {
	f, t := &w.from, &w.to
	t.LastID, t.NextSeq, t.Heads, t.Flights = f.LastID, f.Next, t.Heads[:0], t.Flights[:0]
	for _, h := range f.Heads {
		t.Heads = append(t.Heads, store.Head{Priority: int16(h.Priority), Seq: h.Seq})
	}
	for i := range f.Flights {
		x := &f.Flights[i]
		t.Flights = append(t.Flights, store.Flight{ID: x.ID, Priority: int16(x.Priority), Seq: x.Seq, Phase: uint8(x.Phase)})
	}
}

func storeItem(it *delivery.Item) store.Item {
	x := store.Item{
		Seq: it.Seq, Priority: int16(it.Priority), Message: it.Message, QoS: it.QoS,
		Retain: it.Retain, Shared: it.Shared, SubID: it.SubID,
	}
	if it.MoreIDs != nil {
		x.MoreIDs = *it.MoreIDs
	}
	return x
}

func deliveryItems(items []store.Item) []delivery.Item {
	to := make([]delivery.Item, len(items))
	for i := range items {
		to[i] = deliveryItem(&items[i])
	}
	return to
}

func deliveryItem(it *store.Item) delivery.Item {
	x := delivery.Item{
		Message: it.Message, Seq: it.Seq, Priority: int(it.Priority), SubID: it.SubID,
		QoS: it.QoS, Retain: it.Retain, Shared: it.Shared,
	}
	if len(it.MoreIDs) > 0 {
		x.MoreIDs = &it.MoreIDs
	}
	return x
}
