package checker

import (
	"slices"
	"strings"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// act does one thing, as chance has it; false: there was nothing to do.
func (c *client) act() bool {
	w := c.world
	if c.conn == nil {
		return c.come()
	}
	if !c.online {
		return false
	}
	if w.draining {
		return c.acknowledge(len(c.owed)) || !c.Fickle && c.missing() >= 0 && c.resubscribe() || c.subscribeEnd()
	}
	switch n := w.rng.IntN(1000); {
	case n < 10 && c.stays():
		return false
	case n < 4: // it is lost
		c.lost()
	case n < 8: // it says good-bye
		c.will = 0
		if c.send(&mqtt.Disconnect{}) {
			c.leave()
		}
	case n < 10: // it comes from somewhere else
		c.connect()
	case n < 14 && c.Ends:
		c.clean = true
		c.lost()
	case n < 30 && c.Fickle || !c.Fickle && c.missing() >= 0:
		return c.resubscribe()
	case n < 600:
		return c.publish()
	case c.Lazy:
		return n > 960 && c.acknowledge(1+w.rng.IntN(max(1, len(c.owed))))
	default:
		return c.acknowledge(1 + w.rng.IntN(max(1, len(c.owed))))
	}
	return true
}

// stays tells whether the client has no adventures. Of who sets retained messages
// the broker may still be reading from the connection before, which would set an
// older one after a newer.
func (c *client) stays() bool { return c == c.world.ender || c.Retain }

// come connects, sooner or later.
func (c *client) come() bool {
	w := c.world
	if w.dial == nil || !w.draining && c.Absent && w.rng.IntN(60) > 0 || !w.draining && w.rng.IntN(8) > 0 {
		return false
	}
	return c.connect()
}

func (c *client) acknowledge(n int) bool {
	n = min(n, len(c.owed))
	if n == 0 {
		return false
	}
	packets := make([]packet, n)
	for i := range n {
		packets[i] = &c.owed[i]
	}
	c.world.tick()
	if c.send(packets...) {
		c.owed = c.owed[n:]
	}
	return true
}

func (c *client) publish() bool {
	w := c.world
	if len(c.Topics) == 0 || len(c.flights) >= c.Window {
		return false
	}
	m := message{client: c.index, qos: 1, retain: c.Retain}
	i := w.rng.IntN(len(c.Topics))
	m.topic = c.Topics[i]
	switch {
	case c.Clean:
	case c.Retain:
		m.qos = protocol.QoS(min(i+1, 2))
		m.clearing = w.rng.IntN(4) == 0
	default:
		m.qos = protocol.QoS(1 + w.rng.IntN(2))
	}
	return c.launch(m)
}

func (c *client) launch(m message) bool {
	f := flight{id: c.id(), number: c.world.publish(m)}
	c.world.stats.Published++
	c.flights = append(c.flights, f)
	return c.send(c.publication(&f, false))
}

// active is the index of a subscription that has not been given up, or -1.
func (c *client) active(filter string) int {
	for i := range c.subs {
		if s := &c.subs[i]; s.filter == filter && s.unsub == 0 && s.acked != 0 {
			return i
		}
	}
	return -1
}

// missing is the first of the filters without a subscription, or -1.
func (c *client) missing() int {
	return slices.IndexFunc(c.Filters, func(f string) bool { return c.active(f) < 0 })
}

// resubscribe subscribes to one of its filters, or gives it up.
func (c *client) resubscribe() bool {
	w := c.world
	if len(c.Filters) == 0 || c.pending != nil {
		return false
	}
	filter := c.Filters[w.rng.IntN(len(c.Filters))]
	if i := c.missing(); i >= 0 && !c.Fickle {
		filter = c.Filters[i]
	}
	if c.active(filter) < 0 || w.rng.IntN(4) == 0 {
		qos := c.QoS
		if qos == 0 {
			qos = protocol.QoS(1 + w.rng.IntN(2))
		}
		return c.subscribe(filter, qos)
	}
	if !c.Fickle {
		return false
	}
	now := w.tick()
	for i := range c.subs {
		if s := &c.subs[i]; s.filter == filter && s.unsub == 0 {
			s.unsub = now
		}
	}
	c.pending = &exchange{id: c.id(), filter: filter, remove: true}
	return c.send(&mqtt.Unsubscribe{ID: c.pending.id, Filters: []string{filter}})
}

func (c *client) subscribe(filter string, qos protocol.QoS) bool {
	c.subs = append(c.subs, sub{filter: filter, qos: qos, sent: c.world.tick()})
	c.pending = &exchange{id: c.id(), filter: filter, index: len(c.subs) - 1}
	return c.send(&mqtt.Subscribe{ID: c.pending.id, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: qos}}})
}

func endTopic(id string) string { return "end/" + strings.ReplaceAll(id, "/", "-") }

// subscribeEnd subscribes to the message that ends the queue.
func (c *client) subscribeEnd() bool {
	if len(c.Filters) == 0 || c.pending != nil || c.active(endTopic(c.ID)) >= 0 {
		return false
	}
	return c.subscribe(endTopic(c.ID), 1)
}
