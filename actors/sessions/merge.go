package sessions

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// Two nodes that have lost each other may both make a session of one client. When
// they meet again the newer claim wins, and the session that has lost its place
// hands over what waits in it (Merge); the client has its subscriptions from the
// winner.
//
// What may have reached the client already is not sent anew at QoS 2: messages in
// flight end there, counted as dropped(session_merged). At QoS 1 they are.

// mergedReason is the reason for which those are dropped.
const mergedReason = "session_merged"

// merging is what a session knows of another one whose queue it takes in.
type merging struct {
	unpacker
	from *actor.PID
	n    uint32 // of the next piece
}

// onOutlived gives way.
func (s *session) onOutlived(m *registry.Outlived) {
	if m.ClientID != s.id || m.Winner == nil {
		s.nonsense(m)
		return
	}
	s.surrender(m.Winner)
}

// surrender ends the session in favour of another one, which gets what waits here.
func (s *session) surrender(winner *actor.PID) {
	if winner.Equal(s.self) || s.arriving() != nil || s.ending {
		return
	}
	if x := s.leaving(); x != nil {
		if x.merge && x.to.Equal(winner) {
			return
		}
		s.remain(&TakenOver{Generation: x.generation})
	}
	s.rt.Log.Info("session has lost its place", "client_id", s.id, "to", winner)
	s.part()
	s.will = nil // its client is there [MQTT-3.1.3-9]
	if s.moves != nil && winner.Equal(s.moves.given) || s.keep != nil && s.keep.copied {
		s.merged() // it has all of it
		return
	}
	x := &export{to: winner, merge: true}
	for _, f := range s.filters() {
		x.gone = append(x.gone, f)
		x.giveUp++
		s.rt.Router.Unsubscribe(&topics.Unsubscribe{Subscriber: s.sub, Subscription: f, Token: departToken, ReplyTo: s.self})
	}
	s.hand(x)
}

// hand begins to hand over what waits. Of what is in flight, only QoS 1 does.
func (s *session) hand(x *export) {
	b := s.state.Baggage()
	for i := range b.Flights {
		switch f := &b.Flights[i]; f.Phase {
		case delivery.AwaitPuback:
			x.head = append(x.head, record{Item: itemToRecord(&f.Item)})
		case delivery.AwaitPubrec:
			x.dropped++
		}
	}
	s.begin(x)
}

// part lets go of the connection, if there is one.
func (s *session) part() {
	s.finish()
	s.replace()
	s.sub.SetOnline(false)
	s.forgetExchanges()
	s.state.Detach(s.work())
}

// gaveUp is the answer of a topic shard to what begins a move or a merge.
func (s *session) gaveUp() {
	if x := s.leaving(); x != nil && x.giveUp > 0 {
		x.giveUp--
		s.becalm(x)
	}
}

// merged ends the session: what it had is with the one that outlived it.
func (s *session) merged() {
	s.affairs().moved = true
	s.ending = true
	s.rt.System.Root.Stop(s.self)
}

// onMerge takes in what waits in a session that has lost its place to this one.
func (s *session) onMerge(c actor.Context, m *Merge) {
	from, x := c.Sender(), s.leaving()
	if x != nil && x.stage > settling {
		return // it comes too late to move along: the other finds the one that goes on
	}
	if from == nil || m.ClientID != s.id || len(m.Data) > chunkSize || s.arriving() != nil {
		s.nonsense(m)
		return
	}
	a := s.affairs()
	if g := a.merge; g == nil || m.N == 0 && !g.from.Equal(from) {
		a.merge = &merging{from: from}
	}
	g := a.merge
	if !g.from.Equal(from) || m.N != g.n || g.each(m.Data, s.takeIn) != nil {
		s.nonsense(m)
		a.merge = nil
		s.settled()
		return
	}
	g.n++
	s.state.Fill(s.work(), unixMilli())
	root := s.rt.System.Root // without a sender: if the other has ended, that is no matter for this one
	s.whenSafe(func() { root.Send(from, &Merged{N: m.N}) })
	if m.Last {
		a.merge = nil
		s.settled()
	}
}

// onMerged goes on with the pieces.
func (s *session) onMerged(m *Merged) {
	if x := s.leaving(); x != nil && x.merge {
		s.onTaken(x.to, m.N, m)
	}
}

func (s *session) takeIn(r *record) error {
	if r.Item == nil {
		return nil // of a later version
	}
	it, err := r.Item.item()
	if err != nil || it.Message == nil {
		return errRecordValue
	}
	s.accept(1)
	s.state.Arrive(s.work(), &it)
	s.enter(nil)
	return nil
}

// assure sees to it that the registry knows this session, or that it gives way to
// the one that it knows.
func (s *session) assure() {
	s.rt.System.Root.Send(s.rt.Registry.Slot(s.id), &registry.WhereQuery{ClientID: s.id, ReplyTo: s.self})
}

func (s *session) onWhere(m *registry.WhereResult) {
	switch {
	case s.ending, s.leaving() != nil, s.arriving() != nil, m.Session != nil && m.Session.Equal(s.self):
	case m.Session == nil:
		s.rt.System.Root.Send(s.rt.Registry.Slot(s.id), &registry.Claim{ClientID: s.id, By: s.self, Stored: max(s.created, 1)})
	default:
		s.surrender(m.Session)
	}
}

// assured is that a session which exists may take its place in the registry, or
// that there is another one.
func (s *session) assured(c actor.Context, m *registry.Granted) {
	slot := s.rt.Registry.Slot(m.ClientID)
	if m.Session != nil && !m.Session.Equal(s.self) || s.arriving() != nil || s.ending {
		c.Send(slot, &registry.Abort{ClientID: m.ClientID, Generation: m.Generation, By: s.self})
		if m.Session != nil {
			s.surrender(m.Session)
		}
		return
	}
	c.Send(slot, &registry.Commit{ClientID: m.ClientID, Generation: m.Generation, By: s.self, Session: s.self})
}

// yield ends a session that was found in the store, because the client has another
// one, which gets what waits.
func (s *session) yield(c actor.Context, r *store.Recovered, to *actor.PID) {
	s.id, s.keep.id = r.Session.ClientID, r.Session.ID
	if r.Session.Moving { // it is, or was, a copy of the other
		s.giveUp(c)
		return
	}
	s.created, s.clean, s.expiry, s.expires = r.Session.Created, r.Session.Clean, r.Session.Expiry, r.Session.Expires
	s.own(r.Session.Owner)
	s.revive(r)
	x := &export{to: to, merge: true}
	for i := range r.Subscriptions {
		u := &r.Subscriptions[i]
		q, err := stored(u)
		if err != nil {
			continue // it is logged where it would have to be used
		}
		if s.subs.put(q.Text, q.Options) {
			s.census().subscriptions.Add(1)
		}
		x.gone = append(x.gone, q.Subscription)
	}
	s.restored()
	s.hand(x)
}

// Evict has a session of this node that has no client move to another node, whose
// address is to, if it can be reached. Whoever drains a node calls it for one
// session after the other; there is no answer.
func (rt *Runtime) Evict(session *actor.PID, to string) {
	rt.System.Root.Send(session, &evict{to})
}

type evict struct{ to string }

func (*evict) IgnoreDeadLetterLogging() {}

func (s *session) evict(m *evict) {
	if s.link != nil || s.rt.Net == nil || s.leaving() != nil || s.arriving() != nil {
		return
	}
	if p := s.rt.Net.PeerAt(m.to); p != nil {
		p.Send(&Invite{ClientID: s.id, Session: s.self.Id, Kept: s.keep != nil})
	}
}

// invited is the first message of an actor that is to take over a session which
// has no client.
type invited struct {
	ClientID protocol.ClientID
	from     *actor.PID
	kept     bool
}

// invited claims the client identifier, as a connection does.
func (s *session) invited(c actor.Context, m *invited) {
	s.affairs().guest = m
	c.Send(s.rt.Registry.Slot(m.ClientID), &registry.Claim{ClientID: m.ClientID, By: s.self})
}

// admitted begins to fetch the session, if it is still that one.
func (s *session) admitted(c actor.Context, m *registry.Granted) {
	g := s.moves.guest
	s.moves.guest = nil
	kept := g.kept && s.rt.Disk != nil
	if !g.from.Equal(m.Session) || kept && s.rt.Disk.Refusing() || s.rt.orphans.has(g.ClientID) {
		c.Send(s.rt.Registry.Slot(m.ClientID), &registry.Abort{ClientID: m.ClientID, Generation: m.Generation, By: s.self})
		s.ending = true
		c.Stop(s.self)
		return
	}
	s.id = g.ClientID
	s.make(kept)
	s.fetch(&arrival{from: g.from, generation: m.Generation}, &Export{ClientID: s.id, Generation: m.Generation})
}

// resumeFilter takes part in a subscription again.
func (s *session) resumeFilter(f topic.Subscription) {
	for _, u := range s.subs.list {
		g, err := topic.ParseSubscription(u.text)
		if err != nil || g != f {
			continue
		}
		m := s.subscription(&Request{Text: u.text, Subscription: f, Options: u.options}, departToken)
		m.ReplyTo = nil
		s.rt.Router.Subscribe(m)
	}
}
