package mqtt

import (
	"strings"

	"emqttd/protocol"
)

// Subscribe is a SUBSCRIBE packet (3.8).
type Subscribe struct {
	ID protocol.PacketID
	// SubscriptionID is 0 if there is none.
	SubscriptionID uint32
	User           []UserProperty
	Subscriptions  []Subscription
}

// Subscription is one Topic Filter of a SUBSCRIBE with its Subscription Options.
type Subscription struct {
	// Filter is as the client wrote it, prefixes included: UTF-8 and not empty.
	// Whether its syntax is right, package topic knows.
	Filter string
	QoS    protocol.QoS
	// The rest is MQTT 5.
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    RetainHandling
}

// RetainHandling says when retained messages are sent (MQTT 5, 3.8.3.1).
type RetainHandling uint8

// All values of Retain Handling.
const (
	SendRetained      RetainHandling = 0
	SendRetainedIfNew RetainHandling = 1
	SendNoRetained    RetainHandling = 2
)

// Subscription Options (3.8.3.1).
const (
	optQoS               = 0b0000_0011
	optNoLocal           = 0b0000_0100
	optRetainAsPublished = 0b0000_1000
	optReserved          = 0b1100_0000 // in MQTT 5; in 3.x all but optQoS
	retainHandlingShift  = 4
)

// sharePrefix begins a Shared Subscription of MQTT 5 (4.8.2).
const sharePrefix = "$share/"

// Decode reads the body of a SUBSCRIBE. It overwrites all of s, but uses the
// memory of s.Subscriptions again; strings alias body.
func (s *Subscribe) Decode(h Header, body []byte, v Version) error {
	*s = Subscribe{Subscriptions: s.Subscriptions[:0]}
	if err := h.Check(v); err != nil {
		return err
	}
	r := reader{b: body}
	s.ID = protocol.PacketID(r.packetID())
	if v == V5 {
		s.decodeProperties(&r)
	}
	for len(r.b) > 0 {
		sub := Subscription{Filter: r.filter()}
		sub.decodeOptions(&r, v)
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	if r.err == nil && len(s.Subscriptions) == 0 {
		return ErrNoFilters // [MQTT-3.8.3-3]
	}
	return r.err
}

func (s *Subscribe) decodeProperties(r *reader) {
	p := r.properties(inSubscribe)
	for p.next() {
		if p.id == propSubscriptionID {
			s.SubscriptionID = p.num
		} else {
			s.User = append(s.User, p.pair())
		}
	}
	p.close(r)
}

// filter reads a Topic Filter. [MQTT-3.8.3-1] [MQTT-3.10.3-1]
func (r *reader) filter() string {
	f := r.str()
	if f == "" {
		r.fail(ErrFilterEmpty) // [MQTT-4.7.3-1]
	}
	return f
}

func (s *Subscription) decodeOptions(r *reader, v Version) {
	o := r.u8()
	s.QoS = protocol.QoS(o & optQoS)
	reserved := byte(optReserved)
	if v != V5 {
		reserved = ^byte(optQoS)
	}
	if o&reserved != 0 {
		r.fail(ErrSubscriptionOptions) // [MQTT-3-8.3-4] [MQTT-3.8.3-5]
	}
	if !s.QoS.Valid() {
		r.fail(ErrSubscriptionQoS)
	}
	s.NoLocal = o&optNoLocal != 0
	s.RetainAsPublished = o&optRetainAsPublished != 0
	s.RetainHandling = RetainHandling(o >> retainHandlingShift & 3)
	if v == V5 && s.RetainHandling > SendNoRetained {
		r.fail(ErrRetainHandling)
	}
	if s.NoLocal && strings.HasPrefix(s.Filter, sharePrefix) {
		r.fail(ErrNoLocalShared) // [MQTT-3.8.3-4]
	}
}

func (s *Subscription) options(v Version) byte {
	o := byte(s.QoS & optQoS)
	if v != V5 {
		return o
	}
	if s.NoLocal {
		o |= optNoLocal
	}
	if s.RetainAsPublished {
		o |= optRetainAsPublished
	}
	return o | byte(s.RetainHandling&3)<<retainHandlingShift
}

func (s *Subscribe) write(w *propWriter) {
	if s.SubscriptionID != 0 {
		w.varint(propSubscriptionID, s.SubscriptionID)
	}
	w.user(s.User)
}

func (s *Subscribe) sizes(v Version) (props, remaining int) {
	n := 2
	if v == V5 {
		w := propWriter{count: true}
		s.write(&w)
		props = w.n
		n += varintSize(uint32(props)) + props
	}
	for i := range s.Subscriptions {
		n += 3 + len(s.Subscriptions[i].Filter)
	}
	return props, n
}

// Size is the length on the wire in version v, fixed header included.
func (s *Subscribe) Size(v Version) int {
	_, n := s.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (s *Subscribe) Append(dst []byte, v Version) []byte {
	props, remaining := s.sizes(v)
	dst = appendHeader(dst, SUBSCRIBE, reservedFlags[SUBSCRIBE], remaining)
	dst = append(dst, byte(s.ID>>8), byte(s.ID))
	if v == V5 {
		w := propWriter{dst: appendVarint(dst, uint32(props))}
		s.write(&w)
		dst = w.dst
	}
	for i := range s.Subscriptions {
		sub := &s.Subscriptions[i]
		dst = append(appendString(dst, sub.Filter), sub.options(v))
	}
	return dst
}
