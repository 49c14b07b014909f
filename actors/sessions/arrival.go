package sessions

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/actors/system/ledger"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// arrival is a session of another node on its way here: see export.go for the
// whole dialogue. Until it is complete nobody is told of it: what it has of the
// session is a copy, and messages that reach it are held back.
type arrival struct {
	unpacker
	attach     *Attach // who waits for it; nil if nobody is connected
	from       *actor.PID
	generation uint64
	n          uint32 // of the next chunk
	seen       int64  // when the other side gave a sign of life last
	facts      *factsRecord
	baggage    *delivery.Baggage // until all of it is here
	fenced     bool              // everything published from now on is heard here
	complete   bool              // all chunks are here
	final      bool              // and as safe as they are kept
	lost       bool              // the other side cannot be reached any more
	live       []held
	echoes     map[identity]struct{} // what the other side got after it began to note it
}

// identity tells a message from all others of the cluster.
type identity struct{ origin, serial uint64 }

func identityOf(m *protocol.Message) identity { return identity{m.Origin, m.Serial} }

// held is a delivery that waits until it is known what came before it. receipt is
// kept open for it, nil if nobody waits.
type held struct {
	message *protocol.Message
	receipt *store.Receipt
	grant   delivery.Grant
}

// echoes are messages that a session has already and that may reach it once more,
// by the way that was longer.
type echoes struct{ m map[identity]struct{} }

// Moving tells a connection that its session is on its way here from another node:
// Session will be the one, and is told if the connection ends before. It is told
// again whenever the move has made progress.
type Moving struct {
	Session    *actor.PID
	Generation uint64
}

// IgnoreDeadLetterLogging: the connection may end at any time.
func (*Moving) IgnoreDeadLetterLogging() {}

func (s *session) arriving() *arrival {
	if s.moves == nil {
		return nil
	}
	return s.moves.in
}

// arrive begins to fetch the session that the client has on another node.
func (s *session) arrive(c actor.Context, m *Attach) {
	if !s.create(c, m) {
		return
	}
	s.fetch(&arrival{attach: m, from: m.From, generation: m.Generation}, &Export{
		ClientID: s.id, Generation: m.Generation, Client: true, Owner: m.Owner,
	})
}

func (s *session) fetch(a *arrival, m *Export) {
	a.seen, a.baggage = unixMilli(), &delivery.Baggage{}
	s.affairs().in = a
	s.rt.travellers.add(s.self, a.from.Address)
	s.watch()
	if a.attach != nil { // a connection that has not heard of this session cannot tell it good-bye
		s.request(a.attach.Conn, &Moving{Session: s.self, Generation: a.generation})()
	}
	s.request(a.from, m)()
}

// progress keeps who waits patient.
func (s *session) progress(a *arrival) {
	a.seen = unixMilli()
	if a.attach != nil {
		s.rt.System.Root.Send(a.attach.Conn, &Moving{Session: s.self, Generation: a.generation})
	}
}

// onChunk takes a piece in.
func (s *session) onChunk(c actor.Context, m *Chunk) {
	a := s.arriving()
	if a == nil || !a.from.Equal(c.Sender()) || m.Generation != a.generation {
		return // of a move that is over
	}
	if m.N != a.n || len(m.Data) > chunkSize || a.complete || m.CaughtUp && a.echoes != nil || m.Last && !a.fenced {
		s.nonsense(m)
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.UnspecifiedError})
		return
	}
	a.n++
	if err := s.unpack(a, m.Data); err != nil {
		s.rt.Log.Error("what another node sent of a session cannot be read", "client_id", s.id, "error", err)
		s.nonsense(m)
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.UnspecifiedError})
		return
	}
	if a.facts == nil && (m.CaughtUp || m.Last) {
		s.nonsense(m)
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.UnspecifiedError})
		return
	}
	s.progress(a)
	if m.Last {
		a.complete = true
		s.closeUp(c, a)
		return
	}
	s.whenSafe(s.request(a.from, &Taken{Generation: a.generation, N: m.N}))
	if m.CaughtUp {
		a.echoes = make(map[identity]struct{})
		s.unpackBaggage(a)
		s.calmDown(a)
	}
}

// whenSafe calls tell when what this turn has done is as safe as this session keeps
// it.
func (s *session) whenSafe(tell func()) {
	s.work()
	s.finish()
	if s.keep == nil {
		tell()
		return
	}
	s.rt.Disk.Commit(nil, func(err error) {
		if err == nil { // else the store says so, and the other side times out
			tell()
		}
	})
}

var errFacts = errors.New("the first record must be the facts of this session, and no other")

func (s *session) unpack(a *arrival, data []byte) error {
	return a.each(data, func(r *record) error {
		switch {
		case (r.Facts != nil) != (a.facts == nil):
			return errFacts
		case r.Facts != nil:
			return s.unpackFacts(a, r.Facts)
		case r.Sub != nil:
			return s.unpackSubscription(r.Sub)
		case r.Awaiting != nil:
			return a.unpackAwaiting(r.Awaiting)
		case r.Item != nil:
			return s.unpackItem(a, r.Item)
		default:
			return nil // of a later version
		}
	})
}

func (s *session) unpackFacts(a *arrival, f *factsRecord) error {
	if f.ClientID != s.id || f.Expiry < 0 || f.Expiry > Never {
		return errFacts
	}
	a.facts = f
	a.baggage.LastID, a.baggage.Dropped, a.baggage.Enqueued = protocol.PacketID(f.LastID), f.Dropped, f.Enqueued
	s.created, s.sent, s.clean, s.expiry = f.Created, f.Sent, f.Clean, f.Expiry
	s.own(f.Owner)
	if f.Will != nil && a.attach == nil {
		m, err := f.Will.message()
		if err != nil {
			return err
		}
		s.will = &Will{Message: m, Delay: f.Delay, Expiry: f.WillExpiry, due: f.Due}
	}
	return nil
}

func (s *session) unpackSubscription(u *subscriptionRecord) error {
	o := Options{ID: u.ID, QoS: protocol.QoS(u.QoS), NoLocal: u.NoLocal, RetainAsPublished: u.Retain}
	if _, err := topic.ParseSubscription(u.Text); err != nil {
		return fmt.Errorf("a subscription of a session: %w", err)
	}
	if !o.QoS.Valid() || o.ID >= 1<<28 {
		return errRecordValue
	}
	if s.subs.put(u.Text, o) {
		s.census().subscriptions.Add(1)
	}
	return nil
}

func (a *arrival) unpackAwaiting(r *awaitingRecord) error {
	if r.ID == 0 {
		return errRecordValue
	}
	if a.baggage.Awaiting == nil {
		a.baggage.Awaiting = make(map[protocol.PacketID]int64)
	}
	a.baggage.Awaiting[protocol.PacketID(r.ID)] = r.At
	return nil
}

func (s *session) unpackItem(a *arrival, r *itemRecord) error {
	it, err := r.item()
	if err != nil {
		return err
	}
	if r.Flight != 0 {
		if a.baggage == nil || len(a.baggage.Flights) >= 65535 {
			return errRecordValue
		}
		a.baggage.Flights = append(a.baggage.Flights, delivery.Flight{
			Item: it, ID: protocol.PacketID(r.Flight), Phase: delivery.Phase(r.Phase),
		})
		return nil
	}
	s.unpackBaggage(a)
	if a.echoes != nil && it.Message.Serial != 0 {
		a.echoes[identityOf(it.Message)] = struct{}{}
	}
	s.accept(1)
	s.state.Arrive(s.work(), &it)
	return nil
}

// unpackBaggage makes the window, which is complete when the queue begins.
func (s *session) unpackBaggage(a *arrival) {
	b := a.baggage
	if b == nil {
		return
	}
	a.baggage = nil
	s.state.Unpack(s.work(), b)
	s.accept(s.state.Pending())
	if s.keep != nil {
		for id, at := range b.Awaiting {
			s.ops().PutAwaiting(s.keep.id, id, at)
		}
	}
}

// calmDown waits until whatever was published before is on this node. What comes later
// was published after the other side had begun to note what it gets; and what it had
// before that must not come here again by a longer way.
func (s *session) calmDown(a *arrival) {
	root, self := s.rt.System.Root, s.self
	m := &calm{a}
	s.rt.barrier(func() { root.Send(self, m) })
}

// calm says that whatever was published before a moment is on this node.
type calm struct{ a *arrival }

func (*calm) IgnoreDeadLetterLogging() {}

// onCalm subscribes; that is done when whatever is published reaches this session.
func (s *session) onCalm(m *calm) {
	a := m.a
	if a != s.arriving() {
		return
	}
	s.progress(a)
	if !s.resubscribe(s.storedSubscriptions(), func() { s.fenced(a) }) {
		s.fenced(a)
	}
}

// storedSubscriptions are the session's, as the store keeps them.
func (s *session) storedSubscriptions() []store.Subscription {
	list := make([]store.Subscription, s.subs.len())
	for i, u := range s.subs.list {
		list[i] = *storeOf(u.text, u.options)
	}
	return list
}

func (s *session) fenced(a *arrival) {
	if a != s.arriving() {
		return
	}
	a.fenced = true
	s.progress(a)
	s.request(a.from, &Ready{Generation: a.generation})()
}

// holdBack keeps what arrives before it is known what came before it.
func (s *session) holdBack(a *arrival, d *topics.Deliver) {
	r := d.Receipt()
	for i := range d.Items {
		h := held{message: d.Items[i].Message, grant: s.grant(&d.Items[i], r)}
		if h.message.QoS == protocol.AtMostOnce {
			h.message = h.message.Clone() // it shares the memory of its read
		}
		if r != nil {
			r.Expect()
			h.receipt = r
		}
		a.live = append(a.live, h)
	}
	d.Done()
	if most := s.rt.limits().QueueLength; s.keep == nil && most > 0 && len(a.live) > most {
		n := len(a.live) - most
		s.rt.Metrics.Drop(delivery.QueueFull.String(), uint64(n))
		for i := range a.live[:n] {
			a.live[i].done()
		}
		a.live = a.live[n:]
	}
}

func (h *held) done() {
	if h.receipt != nil {
		h.receipt.Part()
	}
	*h = held{}
}

// letIn queues what was held back, but for what the other side has got, too.
func (s *session) letIn(a *arrival) {
	now := unixMilli()
	for i := range a.live {
		h := &a.live[i]
		s.owed++
		if _, known := a.echoes[identityOf(h.message)]; known && h.message.Serial != 0 {
			s.echo()
		} else {
			s.state.Deliver(s.work(), h.message, h.grant, now)
			s.enter(h.receipt)
		}
		h.done()
	}
	a.live = nil
}

// echo ends a message that is here already.
func (s *session) echo() {
	s.rt.Metrics.Ledger.End(ledger.Forwarded, 1)
	s.owed--
}

// closeUp makes the session one that can be kept, and notes that there may be another
// one of it still.
func (s *session) closeUp(c actor.Context, a *arrival) {
	if a.facts == nil || !a.done() {
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.UnspecifiedError})
		return
	}
	s.letIn(a)
	if len(a.echoes) > 0 {
		s.expectEchoes(a.echoes)
	}
	if a.attach == nil {
		s.expires = a.facts.Expires
	}
	if s.keep == nil {
		s.onFinal(c, &final{a: a})
		return
	}
	for _, u := range s.storedSubscriptions() {
		s.ops().PutSubscription(s.keep.id, &u)
	}
	s.keep.copied = true
	s.putSession()
	s.work()
	s.finish()
	root, self := s.rt.System.Root, s.self
	m := &final{a: a}
	all := s.rt.Disk.Begin() // what publishers wait for is among it
	for _, r := range s.pending() {
		all.Expect()
		r.After(func(error) { all.Part() })
	}
	all.Barrier()
	all.After(func(err error) {
		m.err = err
		root.Send(self, m)
	})
	all.Part()
}

// final says that everything is as safe as it is kept.
type final struct {
	a   *arrival
	err error // set before it is sent
}

func (*final) IgnoreDeadLetterLogging() {}

func (s *session) onFinal(c actor.Context, m *final) {
	a := s.arriving()
	if a != m.a {
		return
	}
	if m.err != nil {
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.UnspecifiedError})
		return
	}
	a.final = true
	if a.lost {
		s.arrived(c, a)
		return
	}
	s.progress(a)
	s.request(a.from, &Imported{Generation: a.generation})()
}

// expectEchoes keeps in mind what may reach this session once more, until whatever
// has been published up to now is here.
func (s *session) expectEchoes(m map[identity]struct{}) {
	e := &echoes{m}
	s.affairs().known = e
	root, self := s.rt.System.Root, s.self
	faded := &faded{e}
	s.rt.barrier(func() { root.Send(self, faded) })
}

// faded says that no echo can come any more. It waits behind all of them.
type faded struct{ e *echoes }

func (*faded) IgnoreDeadLetterLogging()   {}
func (*faded) MailboxClass() kernel.Class { return kernel.Deliver }

func (s *session) onFaded(m *faded) {
	if s.moves != nil && s.moves.known == m.e {
		s.moves.known = nil
		s.settled()
	}
}

// isEcho tells whether a message is here already.
func (s *session) isEcho(m *protocol.Message) bool {
	if s.moves == nil || s.moves.known == nil || m.Serial == 0 {
		return false
	}
	_, yes := s.moves.known.m[identityOf(m)]
	return yes
}

// gone is that the other side has ended, or cannot be reached any more. If all of
// the session is here, it goes on here; else the client gets a new one.
func (s *session) gone(c actor.Context) {
	a := s.arriving()
	switch {
	case a == nil:
	case a.final:
		s.arrived(c, a)
	case a.complete:
		a.lost = true
	case a.attach != nil:
		s.forsake(c, &Ended{ClientID: s.id})
	default:
		s.forsake(c, nil)
	}
}

// arrived makes the session that which it was elsewhere.
func (s *session) arrived(c actor.Context, a *arrival) {
	s.rt.travellers.remove(s.self)
	s.moves.in = nil
	s.wake = 0
	s.rt.Log.Debug("session has moved here", "client_id", s.id, "from", a.from.Address)
	if a.attach != nil {
		s.moves.unsure = true // until its connection has said so to the registry
		m := *a.attach
		m.From = nil
		s.attach(c, &m)
		return
	}
	s.settled()
	if s.keep != nil {
		s.keep.copied = false
	}
	s.putSession()
	s.work()
	c.Send(s.rt.Registry.Slot(s.id), &registry.Commit{
		ClientID: s.id, Generation: a.generation, By: s.self, Session: s.self,
	})
	s.arm(unixMilli())
}

// forsake gives up what has come so far, tells the other side, and the connection m
// if it is not nil. The actor ends.
func (s *session) forsake(c actor.Context, m any) {
	a := s.arriving()
	if a == nil {
		return
	}
	s.rt.Log.Info("session was not moved here", "client_id", s.id, "from", a.from.Address, "chunks", a.n)
	c.Send(a.from, &Forgo{Generation: a.generation})
	if a.attach != nil && m != nil {
		c.Send(a.attach.Conn, m)
	}
	if a.attach == nil {
		c.Send(s.rt.Registry.Slot(s.id), &registry.Abort{ClientID: s.id, Generation: a.generation, By: s.self})
	}
	s.end(c)
}

// drop lets go of what was held back: the other side has all of it.
func (s *session) drop() {
	a := s.arriving()
	if a == nil {
		return
	}
	s.rt.travellers.remove(s.self)
	s.rt.Metrics.Ledger.End(ledger.Forwarded, len(a.live))
	for i := range a.live {
		a.live[i].done()
	}
	a.live = nil
}

// storeOf is a subscription for the store.
func storeOf(text string, o Options) *store.Subscription {
	return &store.Subscription{
		Text: text, QoS: o.QoS, NoLocal: o.NoLocal, RetainAsPublished: o.RetainAsPublished, ID: o.ID,
	}
}
