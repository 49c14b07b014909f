package wasm

import (
	"encoding/binary"

	"emqttd/actors/hooks"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// A record is what a module is told of a call: the point (one byte), QoS, flags (1:
// retain), a zero, and then client identifier, user name, address, topic or filter,
// payload and reason, each behind its length in four bytes, little-endian. A
// changed message comes back in the same form; of it topic, payload, QoS and
// retain count.

const fields = 6

// recordSize is the length of a record.
func recordSize(c *hooks.Client, m *protocol.Message, reason string) int {
	n := 4 + 4*fields + len(c.ID) + len(c.Username) + len(c.Peer) + len(reason)
	if m != nil {
		n += len(m.Topic) + len(m.Payload)
	}
	return n
}

// appendRecord appends a record. m may be nil.
func appendRecord(b []byte, at hooks.Point, c *hooks.Client, m *protocol.Message, reason string) []byte {
	var qos, flags byte
	var name string
	var payload []byte
	if m != nil {
		qos, name, payload = byte(m.QoS), string(m.Topic), m.Payload
		if m.Retain {
			flags = 1
		}
	}
	b = append(b, byte(at), qos, flags, 0)
	for _, s := range [...]string{c.ID, c.Username, c.Peer, name} {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(payload))), payload...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(reason))), reason...)
}

// changed makes a message of a record and the one that it was about; nil if it is
// none that may be published. It shares nothing with b.
func changed(b []byte, m *protocol.Message) *protocol.Message {
	if len(b) < 4 || b[1] > 2 {
		return nil
	}
	next := *m
	next.QoS, next.Retain = protocol.QoS(b[1]), b[2]&1 != 0
	b = b[4:]
	for i := range fields {
		if len(b) < 4 {
			return nil
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return nil
		}
		switch i {
		case 3:
			next.Topic = topic.Name(b[:n])
		case 4:
			next.Payload = append(make([]byte, 0, n), b[:n]...)
		}
		b = b[n:]
	}
	if topic.CheckName(string(next.Topic)) != nil {
		return nil
	}
	next.StoreID = 0
	return &next
}

// filterOf makes a subscription look like a message.
func filterOf(s *hooks.Subscription) *protocol.Message {
	return &protocol.Message{Topic: topic.Name(s.Text), QoS: s.QoS}
}

// tell asks about something that is not changed.
func (h *host) tell(at hooks.Point, c *hooks.Client, m *protocol.Message, reason string) hooks.Verdict {
	i := h.ask(at, c, m, reason)
	if i == nil {
		return hooks.Continue
	}
	defer h.give(i)
	if i.verdict == verdictStop {
		return hooks.Stop
	}
	return hooks.Continue
}

// publish asks about a message.
func (h *host) publish(c *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	i := h.ask(hooks.MessagePublish, c, m, "")
	if i == nil {
		return m, hooks.Continue
	}
	defer h.give(i)
	switch i.verdict {
	case verdictStop:
		return m, hooks.Stop
	case verdictChanged:
		if next := changed(i.changed, m); next != nil {
			return next, hooks.Continue
		}
		h.log.Warn("the module made something of a message that is none; it goes on as it was", "topic", string(m.Topic))
	}
	return m, hooks.Continue
}
