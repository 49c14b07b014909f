package checker

import (
	"slices"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// packet handles what the broker has sent.
func (c *client) packet(h mqtt.Header, body []byte) {
	var err error
	switch h.Type {
	case mqtt.CONNACK:
		var p mqtt.Connack
		if err = p.Decode(h, body, c.Version); err == nil {
			c.connack(&p)
		}
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err = p.Decode(h, body, c.Version); err == nil {
			c.receive(&p)
		}
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var p mqtt.Ack
		if err = p.Decode(h, body, c.Version); err == nil {
			c.ack(&p)
		}
	case mqtt.SUBACK:
		var p mqtt.Suback
		if err = p.Decode(h, body, c.Version); err == nil {
			c.suback(&p)
		}
	case mqtt.UNSUBACK:
		var p mqtt.Unsuback
		if err = p.Decode(h, body, c.Version); err == nil {
			c.unsuback(&p)
		}
	case mqtt.DISCONNECT:
		var p mqtt.Disconnect
		if err = p.Decode(h, body, c.Version); err == nil {
			c.answer = p.Code.String()
			c.lost()
		}
	default:
		c.world.fault(&c.world.stats.Other, "%s: got %v", c.ID, h.Type)
	}
	if err != nil {
		c.world.fault(&c.world.stats.Other, "%s: bad %v: %v", c.ID, h.Type, err)
	}
}

func (c *client) connack(p *mqtt.Connack) {
	w := c.world
	if p.Code != 0 {
		c.answer = p.Code.String()
		c.lost()
		return
	}
	asked := c.Clean || c.clean
	switch {
	case (asked || c.empty) && p.SessionPresent:
		w.fault(&w.stats.Other, "%s: a session is present although a clean one was asked for", c.ID)
	case !asked && c.promised && !p.SessionPresent:
		w.fault(&w.stats.Sessions, "%s: the session is lost that was promised", c.ID)
	}
	now := w.tick()
	if !p.SessionPresent {
		for i := range c.subs {
			s := &c.subs[i]
			if s.unsub == 0 {
				s.unsub = now
			}
			if s.ended == 0 {
				s.ended = now
			}
		}
		clear(c.received)
		if !c.Clean {
			c.flights = nil
		}
		c.fresh = now
	}
	c.brief = c.clean && !c.Clean && c.Version != mqtt.V5
	c.clean, c.promised, c.online, c.answer = false, !c.Clean && !c.brief, true, ""
	if c.previous != nil {
		_ = c.previous.Close()
		c.previous = nil
	}
	c.resend()
}

// receive takes a PUBLISH. [MQTT-4.3.3-8]
func (c *client) receive(p *mqtt.Publish) {
	w := c.world
	n := number(p.Payload)
	if n <= 0 || n >= len(w.messages) || w.messages[n].topic != string(p.Topic) {
		w.fault(&w.stats.Other, "%s: got a message that nobody has sent: %s %q", c.ID, p.Topic, p.Payload)
		return
	}
	switch p.QoS {
	case protocol.AtMostOnce:
		w.fault(&w.stats.Other, "%s: got message %d with QoS 0", c.ID, n)
		return
	case protocol.ExactlyOnce:
		c.owed = append(c.owed, mqtt.Ack{Type: mqtt.PUBREC, ID: p.PacketID})
		if old, again := c.received[p.PacketID]; again {
			if old != n {
				w.fault(&w.stats.Other, "%s: packet identifier %d is used for message %d while it belongs to %d", c.ID, p.PacketID, n, old)
			}
			w.stats.Again++
			return
		}
		c.received[p.PacketID] = n
		if c.exact[n]++; c.exact[n] > 1 {
			w.fault(&w.stats.Twice, "%s: message %d to %s came twice at QoS 2 (packet identifier %d, DUP %v)", c.ID, n, p.Topic, p.PacketID, p.Dup)
		}
	default:
		c.owed = append(c.owed, mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
	}
	c.note(n, p.QoS)
}

// note remembers a delivery and holds it to what may come.
func (c *client) note(n int, qos protocol.QoS) {
	w := c.world
	m := &w.messages[n]
	if !c.may(n) {
		w.fault(&w.stats.Other, "%s: message %d to %s belongs to no subscription of the session", c.ID, n, m.topic)
	}
	if c.got[n]++; c.got[n] > 1 {
		w.stats.Again++
		return
	}
	w.stats.Received++
	if m.will {
		return
	}
	l := lane{client: m.client, topic: m.topic, qos: m.qos, got: qos}
	if last := c.last[l]; last > n && c.covered(n) {
		w.fault(&w.stats.Disorder, "%s: message %d of %s to %s (QoS %d) came after %d", c.ID, n, w.clients[m.client].ID, m.topic, m.qos, last)
	}
	c.last[l] = max(c.last[l], n)
}

// ack takes an acknowledgement of something published, or PUBREL.
func (c *client) ack(p *mqtt.Ack) {
	w := c.world
	if p.Type == mqtt.PUBREL {
		delete(c.received, p.ID)
		c.owed = append(c.owed, mqtt.Ack{Type: mqtt.PUBCOMP, ID: p.ID})
		return
	}
	i := slices.IndexFunc(c.flights, func(f flight) bool { return f.id == p.ID })
	if i < 0 {
		w.fault(&w.stats.Other, "%s: %v of packet identifier %d, which is not in use", c.ID, p.Type, p.ID)
		return
	}
	f := &c.flights[i]
	m := &w.messages[f.number]
	switch {
	case p.Code.IsError() && p.Type != mqtt.PUBCOMP:
		m.refused = true
		c.answer = p.Code.String()
		w.stats.Refused++
		c.flights = slices.Delete(c.flights, i, i+1)
	case p.Type == mqtt.PUBACK && m.qos == 1 || p.Type == mqtt.PUBCOMP && f.released:
		c.accept(m)
		c.flights = slices.Delete(c.flights, i, i+1)
	case p.Type == mqtt.PUBREC && m.qos == 2:
		c.accept(m)
		f.released = true
		c.send(&mqtt.Ack{Type: mqtt.PUBREL, ID: p.ID})
	default:
		w.fault(&w.stats.Other, "%s: %v for message %d of QoS %d (released %v)", c.ID, p.Type, f.number, m.qos, f.released)
	}
}

func (c *client) accept(m *message) {
	if m.acked == 0 {
		m.acked = c.world.tick()
		c.world.stats.Acknowledged++
	}
}

func (c *client) suback(p *mqtt.Suback) {
	x := c.pending
	if x == nil || x.remove || x.id != p.ID || len(p.Codes) != 1 {
		c.world.fault(&c.world.stats.Other, "%s: SUBACK %d for nothing", c.ID, p.ID)
		return
	}
	c.pending = nil
	s := &c.subs[x.index]
	if p.Codes[0].IsError() {
		c.answer = p.Codes[0].String()
		s.unsub, s.ended = s.sent, c.world.tick()
		return
	}
	s.acked = c.world.tick()
}

func (c *client) unsuback(p *mqtt.Unsuback) {
	x := c.pending
	if x == nil || !x.remove || x.id != p.ID {
		c.world.fault(&c.world.stats.Other, "%s: UNSUBACK %d for nothing", c.ID, p.ID)
		return
	}
	c.pending = nil
	now := c.world.tick()
	for i := range c.subs {
		if s := &c.subs[i]; s.filter == x.filter && s.ended == 0 {
			s.ended = now
		}
	}
}
