package mqtt

import "emqttd/protocol"

// Connack is a CONNACK packet (3.2).
type Connack struct {
	SessionPresent bool
	// Code is translated for 3.x by ReasonCode.ReturnCode.
	Code       protocol.ReasonCode
	Properties ConnackProperties
}

// ConnackProperties are the MQTT 5 properties of a CONNACK. The zero value is a
// server without any limit.
type ConnackProperties struct {
	// SessionExpiry, in seconds, counts if HasSessionExpiry: the server chose
	// another than the client asked for.
	SessionExpiry    uint32
	HasSessionExpiry bool
	// ServerKeepAlive, in seconds, counts if HasServerKeepAlive: the client must
	// use it instead of its own. [MQTT-3.2.2-21]
	ServerKeepAlive    uint16
	HasServerKeepAlive bool
	// MaximumQoS counts if HasMaximumQoS and is 0 or 1 then.
	MaximumQoS    protocol.QoS
	HasMaximumQoS bool
	// What the server does not offer; false is the default, it does.
	NoRetain, NoWildcard, NoSubscriptionID, NoShared bool
	// ReceiveMaximum bounds the client's unacknowledged messages; 0 is the
	// default, 65535.
	ReceiveMaximum uint16
	// TopicAliasMaximum is the highest alias that the client may send.
	TopicAliasMaximum uint16
	// MaximumPacketSize is the largest packet that the server takes, 0 for any.
	MaximumPacketSize uint32
	// The strings are empty if absent.
	AssignedClientID string
	Reason           string
	ResponseInfo     string
	ServerReference  string
	// AuthMethod counts if HasAuthMethod; AuthData is nil if absent.
	HasAuthMethod bool
	AuthMethod    string
	AuthData      []byte
	User          []UserProperty
}

// Decode reads the body of a CONNACK. It overwrites all of c, whose strings and
// slices alias body.
func (c *Connack) Decode(h Header, body []byte, v Version) error {
	*c = Connack{}
	if err := h.Check(v); err != nil {
		return err
	}
	r := reader{b: body}
	flags, code := r.u8(), r.u8()
	if r.err != nil {
		return r.err
	}
	if v == V31 {
		flags = 0 // reserved without a value (3.1, 3.2)
	}
	c.SessionPresent = flags == 1
	if flags > 1 || c.SessionPresent && code != 0 {
		return ErrConnackFlags // [MQTT-3.2.2-4]
	}
	if v != V5 {
		rc, ok := protocol.ReturnCode(code).ReasonCode()
		if !ok {
			return ErrReturnCode
		}
		c.Code = rc
		return r.end()
	}
	c.Code = protocol.ReasonCode(code)
	if !c.validCode() {
		return ErrReasonCode
	}
	c.Properties.decode(&r)
	return r.end()
}

// validCode tells whether the Reason Code is one of table 3-1. [MQTT-3.2.2-8]
func (c *Connack) validCode() bool {
	switch c.Code {
	case protocol.Success, protocol.TopicNameInvalid, protocol.PacketTooLarge, protocol.QuotaExceeded,
		protocol.PayloadFormatInvalid, protocol.RetainNotSupported, protocol.QoSNotSupported,
		protocol.UseAnotherServer, protocol.ServerMoved, protocol.ConnectionRateExceeded:
		return true
	default:
		return c.Code >= protocol.UnspecifiedError && c.Code <= protocol.BadAuthenticationMethod &&
			c.Code != protocol.ServerShuttingDown
	}
}

func (c *ConnackProperties) decode(r *reader) {
	p := r.properties(inConnack)
	for p.next() {
		switch p.id {
		case propSessionExpiry:
			c.SessionExpiry, c.HasSessionExpiry = p.num, true
		case propServerKeepAlive:
			c.ServerKeepAlive, c.HasServerKeepAlive = uint16(p.num), true
		case propMaximumQoS:
			c.MaximumQoS, c.HasMaximumQoS = protocol.QoS(p.num), true
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(p.num)
		case propTopicAliasMaximum:
			c.TopicAliasMaximum = uint16(p.num)
		case propMaximumPacketSize:
			c.MaximumPacketSize = p.num
		case propRetainAvailable:
			c.NoRetain = p.num == 0
		case propWildcardAvailable:
			c.NoWildcard = p.num == 0
		case propSubIDAvailable:
			c.NoSubscriptionID = p.num == 0
		case propSharedAvailable:
			c.NoShared = p.num == 0
		default:
			c.decodeText(&p)
		}
	}
	p.close(r)
	if c.AuthData != nil && !c.HasAuthMethod {
		r.fail(ErrAuthMethodMissing)
	}
}

// decodeText stores the properties that are not numbers.
func (c *ConnackProperties) decodeText(p *propReader) {
	switch p.id {
	case propAssignedClientID:
		c.AssignedClientID = p.str
	case propReasonString:
		c.Reason = p.str
	case propResponseInfo:
		c.ResponseInfo = p.str
	case propServerReference:
		c.ServerReference = p.str
	case propAuthMethod:
		c.AuthMethod, c.HasAuthMethod = p.str, true
	case propAuthData:
		c.AuthData = p.bytes
	case propUserProperty:
		c.User = append(c.User, p.pair())
	}
}

// write writes the properties that differ from their defaults.
func (c *ConnackProperties) write(w *propWriter) {
	if c.HasSessionExpiry {
		w.u32(propSessionExpiry, c.SessionExpiry)
	}
	if c.ReceiveMaximum != 0 {
		w.u16(propReceiveMaximum, c.ReceiveMaximum)
	}
	if c.HasMaximumQoS {
		w.byte(propMaximumQoS, byte(c.MaximumQoS))
	}
	if c.NoRetain {
		w.bool(propRetainAvailable, false)
	}
	if c.MaximumPacketSize != 0 {
		w.u32(propMaximumPacketSize, c.MaximumPacketSize)
	}
	w.some(propAssignedClientID, c.AssignedClientID)
	if c.TopicAliasMaximum != 0 {
		w.u16(propTopicAliasMaximum, c.TopicAliasMaximum)
	}
	w.some(propReasonString, c.Reason)
	if c.NoWildcard {
		w.bool(propWildcardAvailable, false)
	}
	if c.NoSubscriptionID {
		w.bool(propSubIDAvailable, false)
	}
	if c.NoShared {
		w.bool(propSharedAvailable, false)
	}
	if c.HasServerKeepAlive {
		w.u16(propServerKeepAlive, c.ServerKeepAlive)
	}
	w.some(propResponseInfo, c.ResponseInfo)
	w.some(propServerReference, c.ServerReference)
	if c.HasAuthMethod {
		w.str(propAuthMethod, c.AuthMethod)
	}
	w.binary(propAuthData, c.AuthData)
	w.user(c.User)
}

func (c *Connack) sizes(v Version) (props, remaining int) {
	if v != V5 {
		return 0, 2
	}
	w := propWriter{count: true}
	c.Properties.write(&w)
	return w.n, 2 + varintSize(uint32(w.n)) + w.n
}

// Size is the length on the wire in version v, fixed header included.
func (c *Connack) Size(v Version) int {
	_, n := c.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst. A Code for which 3.x has no return
// code is written as "server unavailable"; the caller better closes without a
// CONNACK. SessionPresent is written with Success only [MQTT-3.2.2-4] and not to
// 3.1, which does not know it.
func (c *Connack) Append(dst []byte, v Version) []byte {
	props, remaining := c.sizes(v)
	var flags byte
	if c.SessionPresent && c.Code == protocol.Success && v != V31 {
		flags = 1
	}
	dst = appendHeader(dst, CONNACK, 0, remaining)
	if v != V5 {
		rc, ok := c.Code.ReturnCode()
		if !ok {
			rc = protocol.RefusedServerUnavailable
		}
		return append(dst, flags, byte(rc))
	}
	dst = append(dst, flags, byte(c.Code))
	w := propWriter{dst: appendVarint(dst, uint32(props))}
	c.Properties.write(&w)
	return w.dst
}
