package mqtt

import "emqttd/protocol"

// Unsubscribe is an UNSUBSCRIBE packet (3.10).
type Unsubscribe struct {
	ID   protocol.PacketID
	User []UserProperty
	// Filters are as the client wrote them, prefixes included.
	Filters []string
}

// Decode reads the body of an UNSUBSCRIBE. It overwrites all of u, but uses the
// memory of u.Filters again; strings alias body.
func (u *Unsubscribe) Decode(h Header, body []byte, v Version) error {
	*u = Unsubscribe{Filters: u.Filters[:0]}
	if err := h.Check(v); err != nil {
		return err
	}
	r := reader{b: body}
	u.ID = protocol.PacketID(r.packetID())
	if v == V5 {
		u.User = r.user(inUnsubscribe)
	}
	for len(r.b) > 0 {
		u.Filters = append(u.Filters, r.filter())
	}
	if r.err == nil && len(u.Filters) == 0 {
		return ErrNoFilters // [MQTT-3.10.3-2]
	}
	return r.err
}

func (u *Unsubscribe) sizes(v Version) (props, remaining int) {
	n := 2
	if v == V5 {
		props = reasonSize("", u.User)
		n += varintSize(uint32(props)) + props
	}
	for _, f := range u.Filters {
		n += 2 + len(f)
	}
	return props, n
}

// Size is the length on the wire in version v, fixed header included.
func (u *Unsubscribe) Size(v Version) int {
	_, n := u.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (u *Unsubscribe) Append(dst []byte, v Version) []byte {
	props, remaining := u.sizes(v)
	dst = appendHeader(dst, UNSUBSCRIBE, reservedFlags[UNSUBSCRIBE], remaining)
	dst = append(dst, byte(u.ID>>8), byte(u.ID))
	if v == V5 {
		dst = appendReason(dst, props, "", u.User)
	}
	for _, f := range u.Filters {
		dst = appendString(dst, f)
	}
	return dst
}
