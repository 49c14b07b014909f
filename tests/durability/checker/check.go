package checker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// matches tells whether a filter, which may be a shared one, is about a topic.
func matches(filter, name string) bool {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return topic.Match(topic.Filter(filter), topic.Name(name))
}

func group(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// may tells whether a message may come to the client: it was sent while a
// subscription of this session may have existed.
func (c *client) may(n int) bool {
	m := &c.world.messages[n]
	for i := range c.subs {
		s := &c.subs[i]
		if s.sent > c.began && (s.ended == 0 || s.ended > m.sent) && matches(s.filter, m.topic) {
			return true
		}
	}
	return false
}

// must tells whether a message has to come to the client: the broker has
// acknowledged it, and all the time from its being sent to that moment a
// subscription existed which the broker had acknowledged. It returns its filter.
func (c *client) must(n int) (filter string, yes bool) {
	m := &c.world.messages[n]
	if m.acked == 0 || m.refused || c.Clean || c.brief {
		return "", false
	}
	for i := range c.subs {
		s := &c.subs[i]
		if s.sent > c.began && s.acked != 0 && s.acked < m.sent && (s.unsub == 0 || s.unsub > m.acked) && matches(s.filter, m.topic) {
			return s.filter, true
		}
	}
	return "", false
}

// covered tells whether a message has an order at the client: a subscription of
// its own was there when it was sent for the first time. One that came with a
// later attempt of its publisher may come behind those that were sent meanwhile.
func (c *client) covered(n int) bool {
	m := &c.world.messages[n]
	for i := range c.subs {
		s := &c.subs[i]
		if s.sent > c.began && s.acked != 0 && s.acked < m.sent && s.unsub == 0 && !group(s.filter) && matches(s.filter, m.topic) {
			return true
		}
	}
	return false
}

// Drain brings everybody back, lets them finish what they have begun, and takes
// what is in their queues. It returns the promises that the broker has broken
// since the world began; nil for none. Afterwards the world can go on.
func (w *World) Drain(limit time.Duration) []string {
	stop := make(chan struct{})
	timer := time.AfterFunc(limit, func() { close(stop) })
	defer timer.Stop()
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.draining = false
		w.mu.Unlock()
	}()

	w.drive(stop, w.finished)
	reader := w.join()
	w.drive(stop, func() bool { return reader.online && reader.missing() < 0 && reader.active(endTopic(reader.ID)) >= 0 })
	w.mu.Lock()
	first := len(w.messages)
	w.mu.Unlock()
	w.ends(stop)
	w.drive(stop, func() bool { return w.finished() && w.ended(first) && w.complete(reader) })

	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.finished() || !w.ended(first) {
		w.fault(&w.stats.Other, "%s", w.stuck(limit, first))
	}
	w.losses()
	w.retained(reader)
	w.clients = slices.DeleteFunc(w.clients, func(c *client) bool { return c == reader })
	reader.leave()
	return slices.Clone(w.faults)
}

// finished tells whether everybody is there and all that was published is
// acknowledged.
func (w *World) finished() bool {
	for _, c := range w.clients {
		if !c.online || len(c.flights) > 0 || len(c.Filters) > 0 && c.active(endTopic(c.ID)) < 0 {
			return false
		}
	}
	return true
}

// join adds a client that reads the retained messages.
func (w *World) join() *client {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := newClient(w, len(w.clients), Profile{ID: "reader", Version: mqtt.V311, Clean: true, Filters: []string{"r/#"}, QoS: 1})
	w.clients = append(w.clients, c)
	return c
}

// ends publishes the messages behind which nothing waits.
func (w *World) ends(stop <-chan struct{}) {
	for i := 1; i < len(w.clients); i++ {
		c := w.clients[i]
		if len(c.Filters) == 0 {
			continue
		}
		w.drive(stop, func() bool {
			return w.ender.online && w.ender.launch(message{client: w.ender.index, topic: endTopic(c.ID), qos: 1})
		})
	}
}

// ended tells whether everybody has got the message that ends the queue.
func (w *World) ended(first int) bool {
	have := 0
	for n := first; n < len(w.messages); n++ {
		for _, c := range w.clients {
			if c.got[n] > 0 && w.messages[n].topic == endTopic(c.ID) {
				have++
			}
		}
	}
	want := 0
	for _, c := range w.clients {
		if len(c.Filters) > 0 {
			want++
		}
	}
	return have >= want
}

// stuck describes what keeps the world from finishing.
func (w *World) stuck(limit time.Duration, first int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "not finished after %v:", limit)
	for _, c := range w.clients {
		switch {
		case c.conn == nil:
			fmt.Fprintf(&b, " %s is not connected (%s);", c.ID, c.answer)
		case !c.online:
			fmt.Fprintf(&b, " %s has got no CONNACK;", c.ID)
		case len(c.flights) > 0:
			f := c.flights[0]
			fmt.Fprintf(&b, " %s waits for %d acknowledgements, first of message %d (released %v);", c.ID, len(c.flights), f.number, f.released)
		case len(c.Filters) > 0 && c.active(endTopic(c.ID)) < 0:
			fmt.Fprintf(&b, " %s has got no SUBACK (%s);", c.ID, c.answer)
		default:
			fmt.Fprintf(&b, " %s is there;", c.ID)
		}
	}
	fmt.Fprintf(&b, " ends from message %d to %d", first, len(w.messages)-1)
	return b.String()
}

// losses finds the messages that have not come to whom they had to. Of a shared
// group it is enough that one of it has got them, and at QoS 2 only one may.
func (w *World) losses() {
	for n := 1; n < len(w.messages); n++ {
		m := &w.messages[n]
		owed, got, exact := map[string]*client{}, map[string]bool{}, map[string]int{}
		for _, c := range w.clients {
			for _, f := range c.Filters {
				if group(f) && matches(f, m.topic) {
					got[f] = got[f] || c.got[n] > 0
					exact[f] += c.exact[n]
				}
			}
			filter, yes := c.must(n)
			if yes && group(filter) {
				owed[filter] = c
			} else if yes && c.got[n] == 0 {
				w.lost(c, n)
			}
		}
		for f, c := range owed {
			if !got[f] {
				w.lost(c, n)
			}
			if exact[f] > 1 {
				w.fault(&w.stats.Twice, "%s: message %d came %d times at QoS 2", f, n, exact[f])
			}
		}
	}
}

func (w *World) lost(c *client, n int) {
	m := &w.messages[n]
	w.fault(&w.stats.Lost, "%s: message %d of %s to %s is lost (QoS %d, will %v, sent %d, acknowledged %d, power cut %d, now %d)",
		c.ID, n, w.clients[m.client].ID, m.topic, m.qos, m.will, m.sent, m.acked, w.cut, w.clock)
	m.refused = true // it is told once
}

// lastRetained are the messages by which each topic was set or cleared last.
func (w *World) lastRetained() map[string]int {
	last := map[string]int{}
	for n := range w.messages {
		if m := &w.messages[n]; m.retain && m.acked != 0 {
			last[m.topic] = n
		}
	}
	return last
}

// complete tells whether the reader has all retained messages; they may come
// later than what is published meanwhile.
func (w *World) complete(reader *client) bool {
	for _, n := range w.lastRetained() {
		if reader.got[n] == 0 && !w.messages[n].clearing {
			return false
		}
	}
	return true
}

// retained compares the retained messages with what was acknowledged last.
func (w *World) retained(reader *client) {
	for name, n := range w.lastRetained() {
		want := !w.messages[n].clearing
		if want && reader.got[n] == 0 {
			w.fault(&w.stats.Lost, "retained message %d of %s is lost", n, name)
		}
		for k := range reader.got {
			if w.messages[k].topic == name && (k != n || !want) {
				w.fault(&w.stats.Other, "retained message %d of %s is there; the last is %d (cleared %v, acknowledged %d, power cut %d)",
					k, name, n, !want, w.messages[n].acked, w.cut)
			}
		}
	}
}
