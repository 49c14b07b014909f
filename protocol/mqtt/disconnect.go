package mqtt

import "emqttd/protocol"

// Disconnect is a DISCONNECT packet (3.14). In 3.x it has no contents and only
// the client sends it.
type Disconnect struct {
	Code protocol.ReasonCode
	// SessionExpiry, in seconds, counts if HasSessionExpiry. A server must not
	// send it. [MQTT-3.14.2-2]
	SessionExpiry    uint32
	HasSessionExpiry bool
	// The strings are empty if absent.
	Reason          string
	ServerReference string
	User            []UserProperty
}

// Decode reads the body of a DISCONNECT. It overwrites all of d, whose strings
// alias body.
func (d *Disconnect) Decode(h Header, body []byte, v Version) error {
	*d = Disconnect{}
	if err := h.Check(v); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	if v != V5 {
		return ErrTrailingBytes // [MQTT-3.14.1-1]
	}
	r := reader{b: body}
	d.Code = protocol.ReasonCode(r.u8())
	if !d.validCode() {
		return ErrReasonCode // [MQTT-3.14.2-1]
	}
	if len(r.b) > 0 {
		d.decodeProperties(&r)
	}
	return r.end()
}

// validCode tells whether the Reason Code is one of table 3-10.
func (d *Disconnect) validCode() bool {
	switch c := d.Code; c {
	case protocol.NormalDisconnection, protocol.DisconnectWithWillMessage:
		return true
	case protocol.UnsupportedProtocolVersion, protocol.ClientIdentifierNotValid, protocol.BadUserNameOrPassword,
		protocol.ServerUnavailable, protocol.Banned, protocol.PacketIdentifierInUse, protocol.PacketIdentifierNotFound:
		return false
	default:
		return c >= protocol.UnspecifiedError && c <= protocol.WildcardSubscriptionsNotSupported
	}
}

func (d *Disconnect) decodeProperties(r *reader) {
	p := r.properties(inDisconnect)
	for p.next() {
		switch p.id {
		case propSessionExpiry:
			d.SessionExpiry, d.HasSessionExpiry = p.num, true
		case propReasonString:
			d.Reason = p.str
		case propServerReference:
			d.ServerReference = p.str
		case propUserProperty:
			d.User = append(d.User, p.pair())
		}
	}
	p.close(r)
}

func (d *Disconnect) write(w *propWriter) {
	if d.HasSessionExpiry {
		w.u32(propSessionExpiry, d.SessionExpiry)
	}
	w.some(propReasonString, d.Reason)
	w.user(d.User)
	w.some(propServerReference, d.ServerReference)
}

// sizes leaves out the properties if there are none, and the Reason Code as well
// if it is that of a normal end.
func (d *Disconnect) sizes(v Version) (props, remaining int) {
	if v != V5 {
		return 0, 0
	}
	w := propWriter{count: true}
	d.write(&w)
	switch {
	case w.n > 0:
		return w.n, 1 + varintSize(uint32(w.n)) + w.n
	case d.Code != protocol.NormalDisconnection:
		return 0, 1
	default:
		return 0, 0
	}
}

// Size is the length on the wire in version v, fixed header included.
func (d *Disconnect) Size(v Version) int {
	_, n := d.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst.
func (d *Disconnect) Append(dst []byte, v Version) []byte {
	props, remaining := d.sizes(v)
	dst = appendHeader(dst, DISCONNECT, 0, remaining)
	if remaining > 0 {
		dst = append(dst, byte(d.Code))
	}
	if props == 0 {
		return dst
	}
	w := propWriter{dst: appendVarint(dst, uint32(props))}
	d.write(&w)
	return w.dst
}
