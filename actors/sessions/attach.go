package sessions

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/protocol/delivery"
)

// attach binds the session to a connection; the first one also makes it.
func (s *session) attach(c actor.Context, m *Attach) {
	if m.Generation < s.lastGen {
		c.Send(m.Conn, &TakenOver{Generation: m.Generation})
		return
	}
	present := s.sub != nil
	if !present {
		s.create(m)
	}
	if old := s.link; old != nil {
		s.finish()
		s.link = nil
		s.publishWill(old)
		c.Send(old.pid, &TakenOver{Generation: old.generation})
	}
	s.lastGen = m.Generation
	s.clean, s.expiry, s.expires = m.Client.Clean, m.Expiry, 0
	s.link = &link{
		pid: m.Conn, outbox: m.Outbox, client: m.Client, will: m.Will,
		generation: m.Generation, maxPacket: m.MaxPacket,
	}
	s.sub.SetOnline(true)
	s.forgetExchanges() // their acknowledgements belonged to the old connection

	out := s.work()
	m.Connack.SessionPresent = present // [MQTT-3.2.2-2]
	out.Packets = m.Connack.Append(out.Packets, m.Client.Version)
	s.rt.Metrics.Inc(metrics.PacketsConnack)
	s.rt.Metrics.Inc(metrics.PacketsSent)
	now := unixMilli()
	s.state.Attach(out, m.Quota, now)
	s.arm(now)
	c.Send(m.Conn, &Attached{Session: s.self, Generation: m.Generation, SessionPresent: present})
}

func (s *session) create(m *Attach) {
	s.id = m.Client.ClientID
	s.created = time.Now().Unix()
	s.state = delivery.New(s.rt.Limits, s.id)
	s.sub = topics.NewSubscriber(s.id, s.self)
	s.rt.Metrics.Gauge(metrics.Sessions, 1)
}

// detach says good-bye to the connection. The session stays if it is to outlive
// it. [MQTT-3.1.2-4] [MQTT-3.1.2-6]
func (s *session) detach(c actor.Context, m *Detach) {
	if !s.current(m.Generation) {
		return
	}
	l := s.link
	s.finish()
	s.link = nil
	s.forgetExchanges()
	s.sub.SetOnline(false)
	if !m.Normal {
		s.publishWill(l)
	}
	if s.clean || s.expiry == 0 {
		s.end(c)
		return
	}
	s.state.Detach(s.work())
	now := unixMilli()
	s.expires = now + s.expiry*1000
	s.arm(now)
}

// discard ends the session because a client wants a clean one, or an operator
// wants it gone. A session that is ending already answers too.
func (s *session) discard(c actor.Context, m *Discard) {
	if l := s.link; l != nil {
		s.finish()
		s.link = nil
		s.publishWill(l)
		c.Send(l.pid, &TakenOver{Generation: l.generation})
	}
	s.replyTo = m.ReplyTo
	s.end(c)
}

// publishWill publishes the will of a connection that was not closed by
// DISCONNECT. [MQTT-3.1.2-8]
func (s *session) publishWill(l *link) {
	if l.will == nil {
		return
	}
	w := l.will.Message
	l.will = nil
	w.Arrived = unixMilli()
	s.rt.PublishOne(w)
}

func wakeAt(pid *actor.PID, ms int64) *kernel.WakeAt {
	return &kernel.WakeAt{PID: pid, At: time.UnixMilli(ms)}
}
