package sessions

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// A session moves to another node when its client comes back there. The old one
// (here) is read, and stays whole and subscribed until the new one (arrival.go)
// has all of it, so that either can be lost at any moment.
//
//	new                                  old
//	 ── Export ───────────────────────────▶ lets go of its connection, goes on queueing
//	 ◀──────────── Chunk … ── Taken … ────── facts, subscriptions, window, queue
//	 ◀──────────────── Chunk{CaughtUp} ───── notes from here on what comes in (recent)
//	 subscribes: a fence
//	 ── Ready ────────────────────────────▶ waits for what was published before (barrier)
//	 ◀──────────── Chunk … {Last} ────────── recent
//	 drops what it has got itself already
//	 ── Imported ─────────────────────────▶ ends
//	 ◀─────────────────────────── Ended ────
//	 sends CONNACK
//
// Whatever is published after the fence reaches the new one, and what was published
// before has reached the old one at the barrier: nothing is lost. What both have
// got has the same Origin and Serial: nothing is doubled. The old one's part goes
// first, so that what a publisher sent keeps its order.
const (
	// chunkSize bounds a Chunk, so that heartbeats are not held up behind it.
	chunkSize = 256 << 10
	// chunkWindow is how many may be on their way, so that neither side piles up a
	// queue in memory.
	chunkWindow = 4
	// readItems is how many items are read from the store at once.
	readItems = 512
	// closeBy is how many items may be missing when the old session begins to note
	// what comes in; more would have to be in memory meanwhile.
	closeBy = 4096
	// moveTimeout is how long one side waits for a sign of the other: much longer
	// than a peer takes to be found dead.
	moveTimeout = 30 * time.Second
)

// moves are the rare affairs of a session; nil for nearly all.
type moves struct {
	replyTo *actor.PID // who waits for Ended
	out     *export    // it moves away, or what it has goes to the one that outlived it
	in      *arrival   // it is on its way here
	known   *echoes    // what may still come that it has already
	merge   *merging   // takes in the queue of one that has lost its place
	given   *actor.PID // has got a copy of all, and may or may not go on with it
	moved   bool       // another one goes on with everything
	unsure  bool       // it may be that nobody can find it
	guest   *invited   // it waits for the registry
}

func (s *session) affairs() *moves {
	if s.moves == nil {
		s.moves = new(moves)
	}
	return s.moves
}

// settled lets go of the memory when no affair is left.
func (s *session) settled() {
	if s.moves != nil && *s.moves == (moves{}) {
		s.moves = nil
	}
}

// leaving is the export under way, nil if there is none.
func (s *session) leaving() *export {
	if s.moves == nil {
		return nil
	}
	return s.moves.out
}

// export is what a session that moves away knows of it.
type export struct {
	packer
	to         *actor.PID
	generation uint64
	merge      bool // it has lost its place: only its messages go
	stage      stage
	n, taken   uint32 // chunks sent, and of those: taken
	seen       int64  // when the other side gave a sign of life last

	head    []record
	at      uint64               // in memory: the item read last
	levels  []delivery.Head      // in the store: where to read on
	limit   uint64               // in the store: items from here on are in recent; 0: not noted yet
	recent  []delivery.Item      // what has come in since
	giveUp  int                  // subscriptions that are being given up
	gone    []topic.Subscription // those
	dropped int                  // messages in flight that a merge ends
}

// stage is how far an export is.
type stage uint8

const (
	packing  stage = iota // what there was
	caughtUp              // waits for Ready
	settling              // waits for what was published before
	ending                // the rest
	sealing               // it is being noted that a copy is out
	waiting               // waits for Imported
)

// export begins to move to the sender.
func (s *session) export(c actor.Context, m *Export) {
	to := c.Sender()
	if to == nil || m.ClientID != s.id || s.rt.Net == nil {
		s.nonsense(m)
		return
	}
	switch {
	case m.Generation < s.lastGen:
		c.Send(to, &TakenOver{Generation: m.Generation})
		return
	case s.arriving() != nil, !m.Client && s.link != nil:
		c.Send(to, &Forgo{Generation: m.Generation})
		return
	case m.Client && s.barred(m.Owner):
		s.refusedTo(c, to, m.Generation)
		return
	case s.expiry == 0: // it ends with its connection [MQTT-3.1.2-6]
		s.discard(c, &Discard{ReplyTo: to})
		return
	}
	if x := s.leaving(); x != nil {
		s.remain(&TakenOver{Generation: x.generation})
	}
	s.rt.Log.Debug("session moves", "client_id", s.id, "to", to.Address)
	s.lastGen = m.Generation
	s.depart()
	s.begin(&export{to: to, generation: m.Generation, head: s.describe()})
}

// depart lets go of the connection and stops delivering.
func (s *session) depart() {
	if l := s.link; l != nil {
		now := unixMilli()
		// A will that is to wait waits on, in case the move fails.
		if l.will != nil && l.will.Delay > 0 {
			s.lose(l.will, now)
		}
		if s.expiry != Never {
			s.expires = now + s.expiry*1000
		}
	}
	s.part()
	s.putSession()
}

// begin starts to read out the session, which has no client.
func (s *session) begin(x *export) {
	s.finish()
	s.state.Depart()
	if s.keep != nil {
		x.levels = s.state.Heads()
	}
	x.seen = unixMilli()
	s.affairs().out = x
	s.rt.travellers.add(s.self, x.to.Address)
	s.watch()
	s.pump()
}

// describe is everything but the queue, as records.
func (s *session) describe() []record {
	b := s.state.Baggage()
	f := &factsRecord{
		ClientID: s.id, Owner: s.owned(), Created: s.created, Expiry: s.expiry, Expires: s.expires,
		Clean: s.clean, Sent: s.sent, LastID: uint16(b.LastID), Dropped: b.Dropped, Enqueued: b.Enqueued,
	}
	if w := s.will; w != nil {
		f.Will, f.Delay, f.WillExpiry, f.Due = messageToRecord(w.Message), w.Delay, w.Expiry, w.due
	}
	head := make([]record, 0, 1+s.subs.len()+len(b.Awaiting)+len(b.Flights))
	head = append(head, record{Facts: f})
	for _, u := range s.subs.list {
		head = append(head, record{Sub: &subscriptionRecord{
			Text: u.text, ID: u.options.ID, QoS: uint8(u.options.QoS),
			NoLocal: u.options.NoLocal, Retain: u.options.RetainAsPublished,
		}})
	}
	for id, at := range b.Awaiting {
		head = append(head, record{Awaiting: &awaitingRecord{ID: uint16(id), At: at}})
	}
	for i := range b.Flights {
		head = append(head, record{Item: flightToRecord(&b.Flights[i])})
	}
	return head
}

// pump sends as many chunks as may be on their way.
func (s *session) pump() {
	x := s.leaving()
	for x != nil && x.n-x.taken < chunkWindow {
		more, err := s.pack(x)
		if err != nil {
			s.rt.Log.Error("a session cannot be moved", "client_id", s.id, "error", err)
			s.remain(&Refused{Generation: x.generation, Code: protocol.UnspecifiedError})
			return
		}
		rest := x.buf.Len() > chunkSize
		switch {
		case rest, more && x.buf.Len() > 0:
			s.ship(x, &Chunk{})
		case more: // there is more to come, but not now
			return
		case x.stage == packing && x.merge:
			x.stage = settling
			s.becalm(x)
			return
		case x.stage == packing:
			x.stage = caughtUp
			s.ship(x, &Chunk{CaughtUp: true})
		case x.stage == ending && x.merge:
			x.stage = waiting
			s.ship(x, &Chunk{Last: true})
		case x.stage == ending:
			x.stage = sealing
			s.seal(x)
			return
		default:
			return
		}
	}
}

// ship sends the next chunk.
func (s *session) ship(x *export, m *Chunk) {
	m.Generation, m.N, m.Data = x.generation, x.n, x.take()
	x.n++
	var msg any = m
	if x.merge {
		msg = &Merge{ClientID: s.id, N: m.N, Data: m.Data, Last: m.Last}
	}
	s.rt.System.Root.RequestWithCustomSender(x.to, msg, s.self)
}

// pack fills the packer; more says that something is left for this stage.
func (s *session) pack(x *export) (more bool, err error) {
	for !x.full() {
		switch {
		case len(x.head) > 0:
			r := x.head[0]
			x.head[0] = record{}
			if x.head = x.head[1:]; len(x.head) == 0 {
				x.head = nil
			}
			if err := x.add(&r); err != nil {
				return false, err
			}
		case x.stage == packing:
			n, more, err := s.packQueue(x)
			if n == 0 || err != nil {
				return more, err
			}
		case x.stage == ending && len(x.recent) > 0:
			if err := x.addItem(&x.recent[0]); err != nil {
				return false, err
			}
			x.recent[0] = delivery.Item{}
			x.recent = x.recent[1:]
		default:
			return false, nil
		}
	}
	return true, nil
}

func (x *export) addItem(it *delivery.Item) error {
	return x.add(&record{Item: itemToRecord(it)})
}

// packQueue packs some of the queue. Without any, more says whether there will be
// some later.
func (s *session) packQueue(x *export) (n int, more bool, err error) {
	if s.keep != nil {
		return s.packStored(x)
	}
	items := s.state.Queued(nil, x.at, 64)
	for i := range items {
		x.at = items[i].Seq
		if err := x.addItem(&items[i]); err != nil {
			return 0, false, err
		}
	}
	return len(items), false, nil
}

// packStored packs what can be read from the store. What comes in is noted in
// memory from when there is little left to read, so that the reading ends.
func (s *session) packStored(x *export) (n int, more bool, err error) {
	if s.keep.loading {
		return 0, true, nil
	}
	for i := range x.levels {
		l := &x.levels[i]
		items, err := s.readable(int16(l.Priority), l.Seq, readItems)
		if err != nil {
			return 0, false, err
		}
		for j := range items {
			it := deliveryItem(&items[j])
			if x.limit > 0 && it.Seq >= x.limit {
				break
			}
			l.Seq = it.Seq + 1
			if err := x.addItem(&it); err != nil {
				return 0, false, err
			}
			n++
		}
		if n > 0 {
			return n, true, nil
		}
	}
	next := s.state.Next()
	if x.limit == 0 && next-min(next, s.keep.safe) <= closeBy {
		x.limit = next
	}
	if x.limit > 0 && s.keep.safe >= x.limit {
		return 0, false, nil
	}
	s.work()
	s.loadLater()
	return 0, true, nil
}

// remember keeps what came in, for the rest of an export.
func (s *session) remember(items []delivery.Item) {
	x := s.leaving()
	if x == nil || x.stage > settling || s.keep != nil && x.limit == 0 {
		return
	}
	for i := range items {
		if items[i].Seq < x.limit {
			continue
		}
		x.recent = append(x.recent, items[i])
	}
	if most := s.rt.limits().QueueLength; s.keep == nil && most > 0 && len(x.recent) > most {
		n := len(x.recent) - most // the queue has dropped as many
		clear(x.recent[:n])
		x.recent = x.recent[n:]
	}
}

// over answers what came for an export that has ended, in case the other side does not
// know: it would wait until its patience ends, and all who claim the identifier with it.
func (s *session) over(to *actor.PID, generation uint64) {
	if to != nil {
		s.rt.System.Root.Send(to, &Forgo{Generation: generation})
	}
}

// onTaken goes on with the chunks.
func (s *session) onTaken(from *actor.PID, n uint32, m any) {
	x := s.leaving()
	if x == nil || !x.to.Equal(from) {
		if t, ok := m.(*Taken); ok {
			s.over(from, t.Generation)
		}
		return
	}
	if n != x.taken || n >= x.n {
		s.nonsense(m)
		return
	}
	x.taken++
	x.seen = unixMilli()
	if x.merge && x.stage == waiting && x.taken == x.n {
		s.merged()
		return
	}
	s.pump()
}

// onReady is that everything reaches the new session. Shared groups go on without
// this one: what it is picked for would not reach the other.
func (s *session) onReady(c actor.Context, m *Ready) {
	x := s.leaving()
	if x == nil || !x.to.Equal(c.Sender()) || m.Generation != x.generation || x.merge {
		s.over(c.Sender(), m.Generation)
		return
	}
	if x.stage != caughtUp {
		s.nonsense(m)
		return
	}
	x.seen, x.stage = unixMilli(), settling
	for _, f := range s.filters() {
		if f.Group == "" {
			continue
		}
		x.giveUp++
		x.gone = append(x.gone, f)
		s.rt.Router.Unsubscribe(&topics.Unsubscribe{Subscriber: s.sub, Subscription: f, Token: departToken, ReplyTo: s.self})
	}
	s.becalm(x)
}

// departToken is a token that no exchange of a client has.
const departToken = ^uint64(0)

// becalm waits for what was published before, when what is to be given up is.
func (s *session) becalm(x *export) {
	if x.giveUp > 0 || x.stage != settling {
		return
	}
	root, self := s.rt.System.Root, s.self
	m := &cut{x}
	s.rt.barrier(func() { root.Send(self, m) })
}

// cut says that everything has come in that only this session gets. It waits behind
// all of that.
type cut struct{ x *export }

func (*cut) IgnoreDeadLetterLogging()   {}
func (*cut) MailboxClass() kernel.Class { return kernel.Deliver }

func (s *session) onCut(m *cut) {
	if x := s.leaving(); x == m.x && x.stage == settling {
		x.stage = ending
		s.pump()
	}
}

// seal notes in the store that there is a complete copy from now on, then sends the
// last chunk: if both come back from the dead, only one may live.
func (s *session) seal(x *export) {
	root, self := s.rt.System.Root, s.self
	s.affairs().given = x.to
	m := &sealed{x: x}
	if s.keep == nil {
		s.onSealed(m)
		return
	}
	s.keep.copied = true
	s.putSession()
	s.work()
	s.finish()
	s.rt.Disk.Commit(nil, func(err error) {
		m.err = err
		root.Send(self, m)
	})
}

type sealed struct {
	x   *export
	err error // set before it is sent
}

func (*sealed) IgnoreDeadLetterLogging() {}

func (s *session) onSealed(m *sealed) {
	x := s.leaving()
	if x != m.x || x.stage != sealing {
		return
	}
	if m.err != nil {
		s.remain(&Refused{Generation: x.generation, Code: protocol.UnspecifiedError})
		return
	}
	x.stage = waiting
	s.ship(x, &Chunk{Last: true})
}

// onImported ends the session: another one goes on with all it has.
func (s *session) onImported(c actor.Context, m *Imported) {
	x := s.leaving()
	if x == nil || !x.to.Equal(c.Sender()) || m.Generation != x.generation || x.stage != waiting {
		if c.Sender() != nil { // it came too late: somebody else has the session
			c.Send(c.Sender(), &TakenOver{Generation: m.Generation})
		}
		return
	}
	a := s.affairs()
	a.moved, a.replyTo = true, c.Sender()
	s.end(c)
}

// remain gives up an export and tells the other side m, if not nil. The session goes
// on as one whose client is away.
func (s *session) remain(m any) {
	x := s.leaving()
	if x == nil {
		return
	}
	s.rt.travellers.remove(s.self)
	if m != nil {
		s.rt.System.Root.Send(x.to, m)
	}
	s.moves.out = nil
	s.state.Remain()
	for _, f := range x.gone {
		s.resumeFilter(f)
	}
	s.rt.Log.Info("session did not move", "client_id", s.id, "to", x.to.Address, "stage", int(x.stage))
	s.assure()
	s.arm(unixMilli())
}

// watch has the session woken to see whether the other side is still there.
func (s *session) watch() {
	at := unixMilli() + moveTimeout.Milliseconds()
	s.wake = at
	s.rt.System.Root.Send(s.shard, wakeAt(s.self, at))
}

// overdue looks after a move; false if there is none.
func (s *session) overdue(c actor.Context, now int64) bool {
	var seen int64
	switch a := s.moves; {
	case a != nil && a.out != nil:
		seen = a.out.seen
	case a != nil && a.in != nil:
		seen = a.in.seen
	default:
		return false
	}
	if now-seen < moveTimeout.Milliseconds() {
		s.watch()
		return true
	}
	if x := s.leaving(); x != nil {
		s.remain(&Forgo{Generation: x.generation})
	} else {
		s.forsake(c, &Refused{Generation: s.arriving().generation, Code: protocol.ServerUnavailable})
	}
	return true
}
