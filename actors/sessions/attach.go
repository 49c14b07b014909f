package sessions

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// attach binds the session to a connection; the first one also makes it.
func (s *session) attach(c actor.Context, m *Attach) {
	if m.Generation < s.lastGen {
		c.Send(m.Conn, &TakenOver{Generation: m.Generation})
		return
	}
	present := s.sub != nil
	if !present && m.From != nil {
		s.arrive(c, m)
		return
	}
	if s.barred(m.Owner) {
		s.refusedTo(c, m.Conn, m.Generation)
		return
	}
	if s.needsJudging(m) {
		s.rejudge(m.Judge, m.Generation, m)
		return
	}
	if present && s.expiry == 0 { // it ends with its connection [MQTT-3.1.2-6]
		s.discard(c, &Discard{ReplyTo: m.Conn})
		return
	}
	if !present && !s.create(c, m) {
		return
	}
	if s.owner == nil { // what was nobody's is now his
		s.own(m.Owner)
	}
	s.stay()
	s.finish()
	s.replace()
	s.lastGen = m.Generation
	s.clean, s.expiry, s.expires, s.will = m.Client.Clean, m.Expiry, 0, nil // [MQTT-3.1.3-9]
	s.link = &link{
		pid: m.Conn, outbox: m.Outbox, client: m.Client, will: m.Will, judge: m.Judge,
		generation: m.Generation, aliases: delivery.NewAliases(m.Aliases),
	}
	s.first = !present
	s.setOnline(true)
	s.census().online.Add(1)
	s.forgetExchanges() // their acknowledgements belonged to the old connection

	out := s.work()
	m.Connack.SessionPresent = present // [MQTT-3.2.2-2]
	out.Packets = m.Connack.Append(out.Packets, m.Client.Version)
	out.Promise = true
	s.putSession()
	s.rt.Metrics.Inc(metrics.PacketsConnack)
	s.rt.Metrics.Inc(metrics.PacketsSent)
	now := unixMilli()
	s.state.Adopt(s.rt.limits())
	s.state.Attach(out, m.Quota, now)
	s.arm(now)
	// Nothing that the reader answers may overtake CONNACK, so that the connection
	// hears of us when it has gone. [MQTT-3.2.0-1]
	out.Then = s.request(m.Conn, &Attached{Session: s.self, Generation: m.Generation, SessionPresent: present})
	s.flush()
}

// stay ends what was to become of the session: its client is here.
func (s *session) stay() {
	if x := s.leaving(); x != nil {
		s.remain(&TakenOver{Generation: x.generation})
	}
	if s.keep != nil {
		s.keep.copied = false
	}
	if s.moves != nil {
		s.moves.given = nil
		s.settled()
	}
}

// unheard handles that the connection ended before it heard of Attached. The one
// that made the session cannot say good-bye to it, for it never learned of it,
// and nobody else knows it. Any other does say good-bye.
//
// The session on the other end of a move may have ended, too. A dead letter that
// another node has sent back names that node and no more: one of a move before, to
// another node than this one's, says nothing.
func (s *session) unheard(c actor.Context, m *actor.DeadLetterResponse) {
	about := func(other *actor.PID) bool { return m.Target == nil || m.Target.Address == other.Address }
	a, x, l := s.arriving(), s.leaving(), s.link
	switch {
	case a != nil:
		if about(a.from) {
			s.gone(c)
		}
	case x != nil:
		if about(x.to) {
			s.remain(nil)
		}
	case l != nil && s.first && about(l.pid):
		s.detach(c, &Detach{Generation: l.generation, End: true})
	}
}

// unsure tells whether the registry may not have heard of the session: it has moved
// here, and its connection was to say so.
func (s *session) unsure() bool { return s.moves != nil && s.moves.unsure }

// replace lets go of the connection that another one takes the place of. Its
// will is published, unless it was to wait for just this. [MQTT-3.1.3-9]
func (s *session) replace() {
	l := s.link
	if l == nil {
		return
	}
	s.unlink()
	if l.will != nil && l.will.Delay == 0 {
		s.publishWill(l.will)
	}
	s.rt.System.Root.Send(l.pid, &TakenOver{Generation: l.generation})
}

// create makes the session; false if it may not be.
func (s *session) create(c actor.Context, m *Attach) bool {
	s.id = m.Client.ClientID
	if s.rt.orphans.has(s.id) { // it crashed and is on its way back
		s.refuse(c, m, protocol.ServerBusy)
		return false
	}
	s.created = time.Now().Unix()
	kept := s.rt.Durable != nil && s.rt.Durable(m)
	if kept && s.rt.Disk.Refusing() {
		s.refuse(c, m, protocol.QuotaExceeded)
		return false
	}
	s.make(kept)
	return true
}

// make makes an empty session.
func (s *session) make(kept bool) {
	if kept {
		s.keep = &keeping{id: s.rt.Disk.NewSessionID(), dropped: 1}
		s.state = delivery.NewKept(s.rt.limits())
	} else {
		s.state = delivery.New(s.rt.limits())
	}
	s.register()
	s.tellCreated()
}

// refuse ends an actor that cannot become a session.
func (s *session) refuse(c actor.Context, m *Attach, code protocol.ReasonCode) {
	c.Send(m.Conn, &Refused{Generation: m.Generation, Code: code})
	s.id = "" // nobody knows it
	s.ending = true
	c.Stop(s.self)
}

func (s *session) register() {
	s.sub = topics.NewSubscriber(s.id, s.self)
	if s.keep != nil {
		s.sub.SetKept()
	}
	s.rt.Metrics.Gauge(metrics.Sessions, 1)
	s.census().sessions.Add(1)
}

// detach says good-bye to the connection. The session stays if it is to outlive
// it. [MQTT-3.1.2-4] [MQTT-3.1.2-6]
func (s *session) detach(c actor.Context, m *Detach) {
	if a := s.arriving(); a != nil && a.attach != nil && a.generation == m.Generation {
		s.forsake(c, nil) // who was to have it has gone
		return
	}
	if !s.current(m.Generation) {
		return
	}
	if s.unsure() {
		s.moves.unsure = false
		s.settled()
		s.assure()
	}
	l := s.link
	s.finish()
	s.unlink()
	s.forgetExchanges()
	s.setOnline(false)
	if m.HasExpiry {
		s.expiry = m.Expiry
	}
	now := unixMilli()
	if !m.Normal && l.will != nil {
		s.lose(l.will, now)
	}
	if s.expiry == 0 || m.End {
		s.end(c)
		return
	}
	s.state.Detach(s.work())
	if s.expiry != Never {
		s.expires = now + s.expiry*1000
	}
	s.putSession()
	s.arm(now)
}

// lose publishes the will of a client that is lost, or makes it wait for the
// client to come back; not longer than the session lives. [MQTT-3.1.3-9]
func (s *session) lose(w *Will, now int64) {
	if w.Delay == 0 {
		s.publishWill(w)
		return
	}
	w.due = now + min(w.Delay, s.expiry)*1000
	s.will = w
}

// discard ends the session because a client wants a clean one, or an operator
// wants it gone. A session that is ending already answers too.
func (s *session) discard(c actor.Context, m *Discard) {
	if m.Owned && s.barred(m.Owner) {
		s.refusedTo(c, m.ReplyTo, m.Generation)
		return
	}
	if l := s.link; l != nil {
		s.finish()
		s.unlink()
		s.publishWill(l.will)
		c.Send(l.pid, &TakenOver{Generation: l.generation})
	}
	if x := s.leaving(); x != nil {
		c.Send(x.to, &TakenOver{Generation: x.generation})
	}
	if m.ReplyTo != nil {
		s.affairs().replyTo = m.ReplyTo
	}
	s.end(c)
}

func wakeAt(pid *actor.PID, ms int64) *kernel.WakeAt {
	return &kernel.WakeAt{PID: pid, At: time.UnixMilli(ms)}
}
