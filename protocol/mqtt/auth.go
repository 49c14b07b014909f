package mqtt

import "emqttd/protocol"

// Auth is an AUTH packet (MQTT 5, 3.15).
type Auth struct {
	// Code is Success, ContinueAuthentication or ReAuthenticate.
	Code protocol.ReasonCode
	// HasMethod is false only in the short form, which has no contents.
	HasMethod bool
	Method    string
	// Data is nil if absent.
	Data   []byte
	Reason string
	User   []UserProperty
}

// Decode reads the body of an AUTH. It overwrites all of a, whose strings and
// slices alias body.
func (a *Auth) Decode(h Header, body []byte, v Version) error {
	*a = Auth{}
	if err := h.Check(v); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	r := reader{b: body}
	a.Code = protocol.ReasonCode(r.u8())
	switch a.Code {
	case protocol.Success, protocol.ContinueAuthentication, protocol.ReAuthenticate:
	default:
		return ErrReasonCode // [MQTT-3.15.2-1]
	}
	a.decodeProperties(&r)
	if r.err == nil && !a.HasMethod {
		return ErrAuthMethodMissing
	}
	return r.end()
}

func (a *Auth) decodeProperties(r *reader) {
	p := r.properties(inAuth)
	for p.next() {
		switch p.id {
		case propAuthMethod:
			a.Method, a.HasMethod = p.str, true
		case propAuthData:
			a.Data = p.bytes
		case propReasonString:
			a.Reason = p.str
		case propUserProperty:
			a.User = append(a.User, p.pair())
		}
	}
	p.close(r)
}

func (a *Auth) write(w *propWriter) {
	if a.HasMethod {
		w.str(propAuthMethod, a.Method)
	}
	w.binary(propAuthData, a.Data)
	w.some(propReasonString, a.Reason)
	w.user(a.User)
}

func (a *Auth) sizes() (props, remaining int) {
	w := propWriter{count: true}
	a.write(&w)
	if w.n == 0 && a.Code == protocol.Success {
		return 0, 0
	}
	return w.n, 1 + varintSize(uint32(w.n)) + w.n
}

// Size is the length on the wire, fixed header included. AUTH exists in MQTT 5
// only: the version is there for symmetry and not used.
func (a *Auth) Size(Version) int {
	_, n := a.sizes()
	return packetSize(n)
}

// Append writes the packet to the end of dst. The version is not used.
func (a *Auth) Append(dst []byte, _ Version) []byte {
	props, remaining := a.sizes()
	dst = appendHeader(dst, AUTH, 0, remaining)
	if remaining == 0 {
		return dst
	}
	dst = append(dst, byte(a.Code))
	w := propWriter{dst: appendVarint(dst, uint32(props))}
	a.write(&w)
	return w.dst
}
