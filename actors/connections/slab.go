package connections

import (
	"unsafe"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// slab makes messages out of what stands in a read buffer, which is used again
// right after. Messages of QoS 0 of one read share two allocations: they are
// written to sockets and gone, and whoever keeps one takes a Clone. Those of
// QoS 1 and 2 may wait in queues for long and stand by themselves.
type slab struct {
	bytes    []byte
	messages []protocol.Message
}

// maxSlab bounds the messages of one allocation, should one large read begin
// with a tiny packet.
const maxSlab = 256

// message copies a PUBLISH. left is how many bytes of the read are still to be
// handled, this packet included.
func (s *slab) message(p *mqtt.Publish, left int) *protocol.Message {
	size := len(p.Topic) + len(p.Payload) + len(p.Properties)
	if p.QoS != protocol.AtMostOnce {
		m, b := alone(size)
		fill(m, p, b)
		return m
	}
	if cap(s.bytes)-len(s.bytes) < size {
		s.bytes = make([]byte, 0, max(size, left))
	}
	if len(s.messages) == cap(s.messages) {
		s.messages = make([]protocol.Message, 0, min(maxSlab, 1+left/(size+4)))
	}
	s.messages = s.messages[:len(s.messages)+1]
	m := &s.messages[len(s.messages)-1]
	s.bytes = fill(m, p, s.bytes)
	return m
}

// alone makes a message that stands by itself, and room for its content: in one
// allocation if that is small, which is most of what there is.
func alone(size int) (*protocol.Message, []byte) {
	switch {
	case size <= 32:
		x := new(struct {
			m protocol.Message
			b [32]byte
		})
		return &x.m, x.b[:0]
	case size <= 64:
		x := new(struct {
			m protocol.Message
			b [64]byte
		})
		return &x.m, x.b[:0]
	case size <= 96:
		x := new(struct {
			m protocol.Message
			b [96]byte
		})
		return &x.m, x.b[:0]
	case size <= 128:
		x := new(struct {
			m protocol.Message
			b [128]byte
		})
		return &x.m, x.b[:0]
	default:
		return new(protocol.Message), make([]byte, 0, size)
	}
}

// fill appends the content of p to b and makes m refer to it there.
func fill(m *protocol.Message, p *mqtt.Publish, b []byte) []byte {
	m.QoS, m.Retain = p.QoS, p.Retain
	at := len(b)
	b = append(b, p.Topic...)
	t := b[at:]
	m.Topic = topic.Name(unsafe.String(unsafe.SliceData(t), len(t))) // never written to again
	if at = len(b); len(p.Payload) > 0 {
		b = append(b, p.Payload...)
		m.Payload = b[at:len(b):len(b)]
	}
	if at = len(b); len(p.Properties) > 0 {
		b = append(b, p.Properties...)
		m.Properties = b[at:len(b):len(b)]
	}
	return b
}
