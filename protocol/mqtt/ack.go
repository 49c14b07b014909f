package mqtt

import "emqttd/protocol"

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet (3.4 to 3.7), which differ
// in nothing but their type.
type Ack struct {
	Type PacketType
	ID   protocol.PacketID
	// Code is Success for 3.x, which has no other.
	Code protocol.ReasonCode
	// Reason is the Reason String of MQTT 5, empty for none.
	Reason string
	User   []UserProperty
}

// Decode reads the body of one of the four. It overwrites all of a, whose
// strings alias body.
func (a *Ack) Decode(h Header, body []byte, v Version) error {
	*a = Ack{Type: h.Type}
	if err := h.Check(v); err != nil {
		return err
	}
	if len(body) < 2 {
		return ErrTruncated
	}
	a.ID = protocol.PacketID(uint16(body[0])<<8 | uint16(body[1]))
	if a.ID == 0 {
		return ErrPacketIDZero // [MQTT-2.3.1-1]
	}
	if len(body) == 2 {
		return nil
	}
	if v != V5 {
		return ErrTrailingBytes
	}
	return a.decodeReason(body[2:])
}

// decodeReason reads what MQTT 5 may leave out: the Reason Code, and after it
// the properties.
func (a *Ack) decodeReason(body []byte) error {
	r := reader{b: body}
	a.Code = protocol.ReasonCode(r.u8())
	if !a.validCode() {
		return ErrReasonCode
	}
	if len(r.b) > 0 {
		a.Reason, a.User = r.reason(1 << a.Type)
	}
	return r.end()
}

// validCode tells whether the Reason Code is one of those for the type.
// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
func (a *Ack) validCode() bool {
	if a.Type == PUBREL || a.Type == PUBCOMP {
		return a.Code == protocol.Success || a.Code == protocol.PacketIdentifierNotFound
	}
	switch a.Code {
	case protocol.Success, protocol.NoMatchingSubscribers, protocol.UnspecifiedError,
		protocol.ImplementationSpecificError, protocol.NotAuthorized, protocol.TopicNameInvalid,
		protocol.PacketIdentifierInUse, protocol.QuotaExceeded, protocol.PayloadFormatInvalid:
		return true
	default:
		return false
	}
}

// sizes are the Property Length and the Remaining Length. Without properties
// their length is left out, with Success the Reason Code as well.
func (a *Ack) sizes(v Version) (props, remaining int) {
	if v != V5 {
		return 0, 2
	}
	props = reasonSize(a.Reason, a.User)
	switch {
	case props > 0:
		return props, 3 + varintSize(uint32(props)) + props
	case a.Code != protocol.Success:
		return 0, 3
	default:
		return 0, 2
	}
}

// Size is the length on the wire in version v, fixed header included.
func (a *Ack) Size(v Version) int {
	_, n := a.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (a *Ack) Append(dst []byte, v Version) []byte {
	props, remaining := a.sizes(v)
	if props == 0 {
		return AppendAck(dst, a.Type, v, a.ID, a.Code)
	}
	dst = appendHeader(dst, a.Type, reservedFlags[a.Type], remaining)
	dst = append(dst, byte(a.ID>>8), byte(a.ID), byte(a.Code))
	return appendReason(dst, props, a.Reason, a.User)
}

// AppendAck writes a PUBACK, PUBREC, PUBREL or PUBCOMP without properties. It
// does not allocate if dst has room. 3.x has no Reason Code: rc is not sent.
func AppendAck(dst []byte, typ PacketType, v Version, id protocol.PacketID, rc protocol.ReasonCode) []byte {
	first := byte(typ)<<4 | reservedFlags[typ&0x0f]
	if v == V5 && rc != protocol.Success {
		return append(dst, first, 3, byte(id>>8), byte(id), byte(rc))
	}
	return append(dst, first, 2, byte(id>>8), byte(id))
}
