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
	j := jobs.Get().(*job)
	j.record = appendRecord(j.record[:0], at, c, m, reason)
	verdict, mine := h.call(j)
	if mine {
		jobs.Put(j)
	}
	if verdict == verdictStop {
		return hooks.Stop
	}
	return hooks.Continue
}

// publish asks about a message.
func (h *host) publish(c *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	j := jobs.Get().(*job)
	j.record = appendRecord(j.record[:0], hooks.MessagePublish, c, m, "")
	verdict, mine := h.call(j)
	next := m
	if verdict == verdictChanged {
		if next = changed(j.record, m); next == nil {
			h.log.Warn("the module made something of a message that is none; it goes on as it was", "topic", string(m.Topic))
			next = m
		}
	}
	if mine {
		jobs.Put(j)
	}
	if verdict == verdictStop {
		return m, hooks.Stop
	}
	return next, hooks.Continue
}
