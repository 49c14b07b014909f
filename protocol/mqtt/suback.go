package mqtt

import "emqttd/protocol"

// Suback is a SUBACK packet (3.9).
type Suback struct {
	ID protocol.PacketID
	// Codes answer the Topic Filters of the SUBSCRIBE in order: the granted QoS
	// or an error. 3.x knows one error, 0x80, which stands for all there.
	// [MQTT-3.8.4-5]
	Codes  []protocol.ReasonCode
	Reason string
	User   []UserProperty
}

// Decode reads the body of a SUBACK. It overwrites all of s, but uses the memory
// of s.Codes again; strings alias body.
func (s *Suback) Decode(h Header, body []byte, v Version) error {
	*s = Suback{Codes: s.Codes[:0]}
	if err := h.Check(v); err != nil {
		return err
	}
	r := reader{b: body}
	s.ID = protocol.PacketID(r.packetID())
	if v == V5 {
		s.Reason, s.User = r.reason(inSuback)
	}
	for _, c := range r.b {
		if e := checkSubackCode(protocol.ReasonCode(c), v); e != nil {
			return e
		}
		s.Codes = append(s.Codes, protocol.ReasonCode(c))
	}
	if r.err == nil && len(s.Codes) == 0 {
		return ErrNoReasonCodes
	}
	return r.err
}

func checkSubackCode(c protocol.ReasonCode, v Version) *Error {
	switch c {
	case protocol.GrantedQoS0, protocol.GrantedQoS1, protocol.GrantedQoS2, protocol.UnspecifiedError:
		return nil
	}
	if v != V5 {
		return ErrSubackReservedReturn // [MQTT-3.9.3-2]
	}
	switch c {
	case protocol.ImplementationSpecificError, protocol.NotAuthorized, protocol.TopicFilterInvalid,
		protocol.PacketIdentifierInUse, protocol.QuotaExceeded, protocol.SharedSubscriptionsNotSupported,
		protocol.SubscriptionIdentifiersNotSupported, protocol.WildcardSubscriptionsNotSupported:
		return nil
	default:
		return ErrReasonCode
	}
}

func (s *Suback) sizes(v Version) (props, remaining int) {
	n := 2 + len(s.Codes)
	if v == V5 {
		props = reasonSize(s.Reason, s.User)
		n += varintSize(uint32(props)) + props
	}
	return props, n
}

// Size is the length on the wire in version v, fixed header included.
func (s *Suback) Size(v Version) int {
	_, n := s.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (s *Suback) Append(dst []byte, v Version) []byte {
	props, remaining := s.sizes(v)
	dst = appendHeader(dst, SUBACK, 0, remaining)
	dst = append(dst, byte(s.ID>>8), byte(s.ID))
	if v == V5 {
		dst = appendReason(dst, props, s.Reason, s.User)
	}
	for _, c := range s.Codes {
		if v != V5 && c.IsError() {
			c = protocol.UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return dst
}
