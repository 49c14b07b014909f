package sessions

import (
	"emqttd/actors/hooks"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// hooked is the session's client as plugins see it.
func (s *session) hooked() *hooks.Client {
	c := &hooks.Client{ID: s.id}
	if s.link != nil {
		c.Username, c.Peer = s.link.client.Username, s.link.client.Peer
	} else if s.owner != nil {
		c.Username = *s.owner
	}
	return c
}

func (s *session) tellCreated() {
	if h := s.rt.Hooks; h.Used(hooks.SessionCreated) {
		h.Created(s.hooked())
	}
}

func (s *session) tellTerminated(reason string) {
	if h := s.rt.Hooks; h.Used(hooks.SessionTerminated) {
		h.Terminated(s.hooked(), reason)
	}
}

// tellFilter tells plugins of a filter that is in effect, or no longer is.
func (s *session) tellFilter(r *Request, gone bool) {
	h, at := s.rt.Hooks, hooks.SessionSubscribed
	if gone {
		at = hooks.SessionUnsubscribed
	}
	if !h.Used(at) {
		return
	}
	f := &hooks.Subscription{Text: r.Text, Filter: r.Subscription.Filter, QoS: r.Options.QoS}
	if gone {
		h.Unsubscribed(s.hooked(), f)
	} else {
		h.Subscribed(s.hooked(), f)
	}
}

// tellMessages tells plugins what this turn has sent, and what its client has
// acknowledged. What the broker says of itself is not among it.
func (s *session) tellMessages(out *delivery.Out) {
	if len(out.Went) == 0 && len(out.Came) == 0 {
		return
	}
	c := s.hooked()
	tell := func(list []*protocol.Message, f func(*hooks.Client, *protocol.Message)) {
		for _, m := range list {
			if !m.Sys {
				f(c, m)
			}
		}
	}
	tell(out.Went, s.rt.Hooks.Delivered)
	tell(out.Came, s.rt.Hooks.Acked)
}

// publisher is hooked, if a plugin looks at what is published.
func (s *session) publisher() *hooks.Client {
	if !s.rt.Hooks.Used(hooks.MessagePublish) {
		return nil
	}
	return s.hooked()
}
