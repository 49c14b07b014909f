package connections

import (
	"emqttd/actors/hooks"
	"emqttd/actors/sessions"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// hooked is the client as plugins see it.
func hooked(c *sessions.Client) *hooks.Client {
	return &hooks.Client{ID: c.ClientID, Username: c.Username, Peer: c.Peer}
}

// publisher is hooked, if a plugin looks at what is published. It is made once for
// each read.
func (in *intake) publisher() *hooks.Client {
	if in.by == nil && in.r.c.rt.Sessions.Hooks.Used(hooks.MessagePublish) {
		in.by = hooked(in.r.c.client)
	}
	return in.by
}

func (rt *Runtime) hookConnected(c *sessions.Client, code protocol.ReasonCode) {
	if h := rt.Sessions.Hooks; h.Used(hooks.ClientConnected) {
		h.Connected(hooked(c), code)
	}
}

func (rt *Runtime) hookDisconnected(c *sessions.Client, reason string) {
	if h := rt.Sessions.Hooks; h.Used(hooks.ClientDisconnected) {
		h.Disconnected(hooked(c), reason)
	}
}

// filters lets plugins change the filters of a SUBSCRIBE or UNSUBSCRIBE, or refuse
// them, and puts the mount point before what is left.
func (c *connection) filters(at hooks.Point, list []sessions.Request) {
	if h := c.rt.Sessions.Hooks; h.Used(at) {
		subs := make([]hooks.Subscription, len(list))
		for i := range list {
			subs[i] = hooks.Subscription{Text: list[i].Text, Filter: list[i].Subscription.Filter, QoS: list[i].Options.QoS}
		}
		if at == hooks.ClientSubscribe {
			h.Subscribe(hooked(c.client), subs)
		} else {
			h.Unsubscribe(hooked(c.client), subs)
		}
		for i := range list {
			rehook(&list[i], &subs[i])
		}
	}
	for i := range list {
		mount(&list[i], c.client.Mount)
	}
}

// rehook takes over what became of a filter.
func rehook(q *sessions.Request, s *hooks.Subscription) {
	switch {
	case q.Denied.IsError():
	case s.Refused:
		q.Denied = protocol.NotAuthorized
	case s.Text != q.Text:
		parsed, err := topic.ParseSubscription(s.Text)
		if err != nil {
			q.Denied = protocol.TopicFilterInvalid
			return
		}
		q.Text, q.Subscription = s.Text, parsed
	}
	q.Options.QoS = min(s.QoS, protocol.ExactlyOnce)
}
