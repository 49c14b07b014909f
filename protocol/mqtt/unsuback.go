package mqtt

import "emqttd/protocol"

// Unsuback is an UNSUBACK packet (3.11).
type Unsuback struct {
	ID protocol.PacketID
	// Codes answer the Topic Filters of the UNSUBSCRIBE in order; 3.x has none.
	Codes  []protocol.ReasonCode
	Reason string
	User   []UserProperty
}

// Decode reads the body of an UNSUBACK. It overwrites all of u, but uses the
// memory of u.Codes again; strings alias body.
func (u *Unsuback) Decode(h Header, body []byte, v Version) error {
	*u = Unsuback{Codes: u.Codes[:0]}
	if err := h.Check(v); err != nil {
		return err
	}
	r := reader{b: body}
	u.ID = protocol.PacketID(r.packetID())
	if v != V5 {
		return r.end()
	}
	u.Reason, u.User = r.reason(inUnsuback)
	for _, c := range r.b {
		if !validUnsubackCode(protocol.ReasonCode(c)) {
			return ErrReasonCode // [MQTT-3.11.3-2]
		}
		u.Codes = append(u.Codes, protocol.ReasonCode(c))
	}
	if r.err == nil && len(u.Codes) == 0 {
		return ErrNoReasonCodes
	}
	return r.err
}

func validUnsubackCode(c protocol.ReasonCode) bool {
	switch c {
	case protocol.Success, protocol.NoSubscriptionExisted, protocol.UnspecifiedError,
		protocol.ImplementationSpecificError, protocol.NotAuthorized, protocol.TopicFilterInvalid,
		protocol.PacketIdentifierInUse:
		return true
	default:
		return false
	}
}

func (u *Unsuback) sizes(v Version) (props, remaining int) {
	if v != V5 {
		return 0, 2
	}
	props = reasonSize(u.Reason, u.User)
	return props, 2 + varintSize(uint32(props)) + props + len(u.Codes)
}

// Size is the length on the wire in version v, fixed header included.
func (u *Unsuback) Size(v Version) int {
	_, n := u.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (u *Unsuback) Append(dst []byte, v Version) []byte {
	props, remaining := u.sizes(v)
	dst = appendHeader(dst, UNSUBACK, 0, remaining)
	dst = append(dst, byte(u.ID>>8), byte(u.ID))
	if v != V5 {
		return dst
	}
	dst = appendReason(dst, props, u.Reason, u.User)
	for _, c := range u.Codes {
		dst = append(dst, byte(c))
	}
	return dst
}
