package hooks

import "emqttd/protocol"

// Connected calls the functions of client.connected.
func (h *Hooks) Connected(c *Client, code protocol.ReasonCode) {
	each(h, &h.clientConnected, ClientConnected, func(f OnClient) Verdict { return f(c, code) })
}

// Disconnected calls those of client.disconnected.
func (h *Hooks) Disconnected(c *Client, reason string) {
	each(h, &h.clientDisconnected, ClientDisconnected, func(f OnGone) Verdict { return f(c, reason) })
}

// Subscribe calls those of client.subscribe, which may change the list.
func (h *Hooks) Subscribe(c *Client, list []Subscription) {
	each(h, &h.clientSubscribe, ClientSubscribe, func(f OnFilters) Verdict { return f(c, list) })
}

// Unsubscribe calls those of client.unsubscribe, which may change the list.
func (h *Hooks) Unsubscribe(c *Client, list []Subscription) {
	each(h, &h.clientUnsubscribe, ClientUnsubscribe, func(f OnFilters) Verdict { return f(c, list) })
}

// Created calls those of session.created.
func (h *Hooks) Created(c *Client) {
	each(h, &h.sessionCreated, SessionCreated, func(f OnSession) Verdict { return f(c) })
}

// Subscribed calls those of session.subscribed.
func (h *Hooks) Subscribed(c *Client, s *Subscription) {
	each(h, &h.sessionSubscribed, SessionSubscribed, func(f OnFilter) Verdict { return f(c, s) })
}

// Unsubscribed calls those of session.unsubscribed.
func (h *Hooks) Unsubscribed(c *Client, s *Subscription) {
	each(h, &h.sessionUnsubscribed, SessionUnsubscribed, func(f OnFilter) Verdict { return f(c, s) })
}

// Terminated calls those of session.terminated.
func (h *Hooks) Terminated(c *Client, reason string) {
	each(h, &h.sessionTerminated, SessionTerminated, func(f OnGone) Verdict { return f(c, reason) })
}

// Delivered calls those of message.delivered.
func (h *Hooks) Delivered(c *Client, m *protocol.Message) {
	each(h, &h.messageDelivered, MessageDelivered, func(f OnMessage) Verdict { return f(c, m) })
}

// Acked calls those of message.acked: the client has sent PUBACK, or PUBREC.
func (h *Hooks) Acked(c *Client, m *protocol.Message) {
	each(h, &h.messageAcked, MessageAcked, func(f OnMessage) Verdict { return f(c, m) })
}

// Publish calls the functions of message.publish and returns the message to go on
// with, nil if it is not to be published.
func (h *Hooks) Publish(c *Client, m *protocol.Message) *protocol.Message {
	list := h.messagePublish.load()
	for i := range list {
		next, verdict := h.publish(list[i], c, m)
		if verdict == Stop {
			return nil
		}
		m = next
	}
	return m
}

func (h *Hooks) publish(e *entry[OnPublish], c *Client, m *protocol.Message) (next *protocol.Message, v Verdict) {
	under := e.calls.enter()
	defer func() {
		under.Add(-1)
		if p := recover(); p != nil {
			h.panicked(e.owner, MessagePublish, p)
			next, v = m, Continue
		}
	}()
	if next, v = e.f(c, m); next == nil {
		next = m
	}
	return next, v
}

// each calls the functions of a chain until one stops it.
func each[F any](h *Hooks, c *chain[F], at Point, call func(F) Verdict) {
	list := c.load()
	for i := range list {
		if one(h, list[i], at, call) == Stop {
			return
		}
	}
}

func one[F any](h *Hooks, e *entry[F], at Point, call func(F) Verdict) (v Verdict) {
	under := e.calls.enter()
	defer func() {
		under.Add(-1)
		if p := recover(); p != nil {
			h.panicked(e.owner, at, p)
			v = Continue
		}
	}()
	return call(e.f)
}

func (h *Hooks) panicked(owner string, at Point, reason any) {
	if h.OnPanic != nil {
		h.OnPanic(owner, at, reason)
	}
}
