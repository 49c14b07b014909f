package mqtt

import (
	"bytes"
	"strings"
)

// hop is what one pass over the properties of a PUBLISH or Will Message yields:
// the values that concern this hop, and the rest in wire form.
type hop struct {
	rest      []byte
	ids       []uint32
	expiry    uint32
	delay     uint32
	alias     uint16
	hasExpiry bool
	format    byte
}

// decode reads a list. rest stays a part of the body as long as what is kept is
// in one piece, which is so if the values of this hop come first or last.
func (h *hop) decode(r *reader, in place) {
	p := r.properties(in)
	list := p.b
	lo, hi, copied := 0, 0, false
	for start := 0; p.next(); start = len(list) - len(p.b) {
		if !h.keep(&p) {
			continue
		}
		end := len(list) - len(p.b)
		switch {
		case copied:
			h.rest = append(h.rest, list[start:end]...)
		case lo == hi:
			lo, hi = start, end
		case start == hi:
			hi = end
		default:
			h.rest = make([]byte, 0, hi-lo+len(list)-start)
			h.rest = append(append(h.rest, list[lo:hi]...), list[start:end]...)
			copied = true
		}
	}
	if !copied && lo < hi {
		h.rest = list[lo:hi:hi]
	}
	p.close(r)
}

// keep stores the current property; false if it ends with this hop.
func (h *hop) keep(p *propReader) bool {
	switch p.id {
	case propTopicAlias:
		h.alias = uint16(p.num)
	case propMessageExpiry:
		h.expiry, h.hasExpiry = p.num, true
	case propSubscriptionID:
		h.ids = append(h.ids, p.num)
	case propWillDelay:
		h.delay = p.num
	case propPayloadFormat:
		h.format = byte(p.num)
		return true
	case propResponseTopic:
		if strings.ContainsAny(p.str, wildcards) {
			p.fail(ErrResponseTopic) // [MQTT-3.3.2-14]
		}
		return true
	default:
		return true
	}
	return false
}

// MessageProperties are the properties that travel with an Application Message
// from publisher to subscriber, in readable form. The broker forwards them as
// they came, as bytes (Publish.Properties); this is for those who look inside or
// make a message of their own: HTTP API, rules, gateways.
type MessageProperties struct {
	ContentType   string
	ResponseTopic string
	// CorrelationData is nil if absent.
	CorrelationData []byte
	User            []UserProperty
	// PayloadFormat is 1 if the payload is UTF-8, 0 if unspecified.
	PayloadFormat byte
}

// Decode reads properties in wire form without their length, as in
// Publish.Properties. The result aliases b. A property that does not travel with
// the message is an error.
func (m *MessageProperties) Decode(b []byte) error {
	*m = MessageProperties{}
	p := propReader{reader: reader{b: b}, in: inMessage}
	for p.next() {
		switch p.id {
		case propPayloadFormat:
			m.PayloadFormat = byte(p.num)
		case propContentType:
			m.ContentType = p.str
		case propResponseTopic:
			m.ResponseTopic = p.str
		case propCorrelationData:
			m.CorrelationData = p.bytes
		case propUserProperty:
			m.User = append(m.User, p.pair())
		default:
			p.fail(ErrPropertyNotAllowed)
		}
	}
	return p.err
}

// FindUser looks for User Properties of a name in properties in wire form without
// their length, as in Publish.Properties. It returns the value of the last one,
// which aliases b, and how many there are. It allocates nothing.
func FindUser(b []byte, name string) (value string, count int) {
	p := propReader{reader: reader{b: b}, in: inMessage}
	for p.next() {
		if p.id == propUserProperty && p.key == name {
			value, count = p.str, count+1
		}
	}
	return value, count
}

// Append writes the properties in the form of Publish.Properties.
func (m *MessageProperties) Append(dst []byte) []byte {
	w := propWriter{dst: dst}
	if m.PayloadFormat != 0 {
		w.byte(propPayloadFormat, m.PayloadFormat)
	}
	w.some(propContentType, m.ContentType)
	w.some(propResponseTopic, m.ResponseTopic)
	w.binary(propCorrelationData, m.CorrelationData)
	w.user(m.User)
	return w.dst
}

// Equal tells whether two sets of properties say the same.
func (m *MessageProperties) Equal(o *MessageProperties) bool {
	if len(m.User) != len(o.User) {
		return false
	}
	for i := range m.User {
		if m.User[i] != o.User[i] {
			return false
		}
	}
	return m.PayloadFormat == o.PayloadFormat && m.ContentType == o.ContentType &&
		m.ResponseTopic == o.ResponseTopic && bytes.Equal(m.CorrelationData, o.CorrelationData)
}
