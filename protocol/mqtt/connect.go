package mqtt

import (
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Connect is a CONNECT packet (3.1).
type Connect struct {
	// Version is what the client speaks. After a failed Decode it says in which
	// form a CONNACK would be understood, and is 0 if in none: then the Network
	// Connection is just closed.
	Version Version
	// Bridge is set if the protocol level of 3.x has its highest bit set, as
	// mosquitto does in its bridges: it wants the RETAIN flag as published. 5.0
	// has subscription options for that.
	Bridge bool
	// CleanStart is called Clean Session in 3.x.
	CleanStart bool
	// KeepAlive is in seconds, 0 for off.
	KeepAlive   uint16
	ClientID    protocol.ClientID
	HasUserName bool
	HasPassword bool
	UserName    string
	Password    []byte
	HasWill     bool
	Will        Will
	Properties  ConnectProperties
}

// Will is the Will Message of a CONNECT, to be published when the Network
// Connection ends otherwise than by DISCONNECT.
type Will struct {
	Topic   topic.Name
	Payload []byte
	// Properties are those that travel with the message, as in
	// Publish.Properties.
	Properties []byte
	// MessageExpiry is in seconds and counts if HasMessageExpiry.
	MessageExpiry    uint32
	HasMessageExpiry bool
	// Delay is the Will Delay Interval in seconds.
	Delay  uint32
	QoS    protocol.QoS
	Retain bool
	// PayloadFormat is what Properties say: 1 if the payload is UTF-8. Append
	// does not look at it.
	PayloadFormat byte
}

// ConnectProperties are the MQTT 5 properties of a CONNECT. The zero value is
// what 3.x clients have: every default of the specification.
type ConnectProperties struct {
	// SessionExpiry is in seconds; 0xFFFFFFFF is never.
	SessionExpiry uint32
	// MaximumPacketSize is the largest packet that the client takes, 0 for any.
	MaximumPacketSize uint32
	// ReceiveMaximum bounds our unacknowledged QoS 1 and 2 messages; 0 is the
	// default, 65535.
	ReceiveMaximum uint16
	// TopicAliasMaximum is the highest alias that we may send; 0 is none.
	TopicAliasMaximum uint16
	// RequestResponseInfo is the Request Response Information flag.
	RequestResponseInfo bool
	// NoProblemInfo is Request Problem Information = 0: no Reason String and no
	// User Property but in CONNACK, PUBLISH and DISCONNECT. [MQTT-3.1.2-29]
	NoProblemInfo bool
	// HasAuthMethod says that extended authentication is wanted.
	HasAuthMethod bool
	AuthMethod    string
	// AuthData is nil if absent.
	AuthData []byte
	User     []UserProperty
}

// Connect Flags (3.1.2.3).
const (
	flagReserved   = 0x01
	flagCleanStart = 0x02
	flagWill       = 0x04
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUserName   = 0x80
	willQoSShift   = 3

	bridgeBit = 0x80 // of the protocol level; no part of any specification
)

// Decode reads the body of a CONNECT. It overwrites all of c, whose strings and
// slices alias body. The version comes from the packet: v is not used.
func (c *Connect) Decode(h Header, body []byte, _ Version) error {
	*c = Connect{}
	r := reader{b: body}
	if err := c.decodeVersion(&r); err != nil {
		return err
	}
	if err := h.Check(c.Version); err != nil {
		return err
	}
	flags := r.u8()
	c.KeepAlive = r.u16()
	if r.err != nil {
		return r.err
	}
	if err := c.decodeFlags(flags); err != nil {
		return err
	}
	if c.Version == V5 {
		c.Properties.decode(&r)
	}
	c.ClientID = r.str()
	if c.HasWill {
		c.Will.decode(&r, c.Version)
	}
	c.decodeCredentials(&r)
	return r.end()
}

// decodeVersion reads the protocol name and level. An unknown level is answered
// in the form of 3.1.1, the first which has an answer. [MQTT-3.1.2-2]
func (c *Connect) decodeVersion(r *reader) error {
	name := r.binary()
	level := r.u8()
	if r.err != nil {
		return r.err
	}
	v := Version(level &^ bridgeBit)
	switch {
	case string(name) == "MQTT" && v == V311, string(name) == "MQIsdp" && v == V31:
		c.Version, c.Bridge = v, level != byte(v)
		return nil
	case string(name) == "MQTT" && level == byte(V5):
		c.Version = V5
		return nil
	case string(name) == "MQTT", string(name) == "MQIsdp":
		c.Version = V311
		return ErrProtocolLevel
	default:
		return ErrProtocolName // [MQTT-3.1.2-1]
	}
}

// decodeFlags takes the Connect Flags apart. 3.1 leaves unspecified or
// disregards what later versions reserve.
func (c *Connect) decodeFlags(f byte) error {
	c.CleanStart = f&flagCleanStart != 0
	c.HasWill = f&flagWill != 0
	c.HasUserName = f&flagUserName != 0
	c.HasPassword = f&flagPassword != 0
	qos := protocol.QoS(f >> willQoSShift & 3)
	switch {
	case f&flagReserved != 0 && c.Version != V31:
		return ErrConnectReservedFlag // [MQTT-3.1.2-3]
	case c.HasWill && !qos.Valid():
		return ErrWillQoS // [MQTT-3.1.2-14]
	case c.HasWill:
		c.Will.QoS, c.Will.Retain = qos, f&flagWillRetain != 0
	case f&(flagWillRetain|3<<willQoSShift) != 0 && c.Version != V31:
		return ErrWillFlags // [MQTT-3.1.2-13] [MQTT-3.1.2-15]
	}
	if c.HasPassword && !c.HasUserName && c.Version != V5 {
		return ErrPasswordOnly // [MQTT-3.1.2-22]
	}
	return nil
}

// decodeCredentials reads user name and password. In 3.1 the Remaining Length
// takes precedence over the flags: they may be missing (3.1, section 3.1).
func (c *Connect) decodeCredentials(r *reader) {
	if c.HasUserName && c.Version == V31 && len(r.b) == 0 {
		c.HasUserName = false
	}
	if c.HasUserName {
		c.UserName = r.str()
	}
	if c.HasPassword && c.Version == V31 && len(r.b) == 0 {
		c.HasPassword = false
	}
	if c.HasPassword {
		c.Password = r.binary()
	}
}

func (w *Will) decode(r *reader, v Version) {
	if v == V5 {
		var x hop
		x.decode(r, inWill)
		w.Properties, w.MessageExpiry, w.HasMessageExpiry = x.rest, x.expiry, x.hasExpiry
		w.Delay, w.PayloadFormat = x.delay, x.format
	}
	w.Topic = topic.Name(r.topicName())
	w.Payload = r.binary()
	if r.err == nil && w.Topic == "" {
		r.fail(ErrTopicEmpty) // [MQTT-4.7.3-1]
	}
}

func (c *ConnectProperties) decode(r *reader) {
	p := r.properties(inConnect)
	for p.next() {
		switch p.id {
		case propSessionExpiry:
			c.SessionExpiry = p.num
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(p.num)
		case propMaximumPacketSize:
			c.MaximumPacketSize = p.num
		case propTopicAliasMaximum:
			c.TopicAliasMaximum = uint16(p.num)
		case propRequestResponse:
			c.RequestResponseInfo = p.num == 1
		case propRequestProblemInfo:
			c.NoProblemInfo = p.num == 0
		case propAuthMethod:
			c.AuthMethod, c.HasAuthMethod = p.str, true
		case propAuthData:
			c.AuthData = p.bytes
		case propUserProperty:
			c.User = append(c.User, p.pair())
		}
	}
	p.close(r)
	if c.AuthData != nil && !c.HasAuthMethod {
		r.fail(ErrAuthMethodMissing)
	}
}

// write writes the properties that differ from their defaults.
func (c *ConnectProperties) write(w *propWriter) {
	if c.SessionExpiry != 0 {
		w.u32(propSessionExpiry, c.SessionExpiry)
	}
	if c.ReceiveMaximum != 0 {
		w.u16(propReceiveMaximum, c.ReceiveMaximum)
	}
	if c.MaximumPacketSize != 0 {
		w.u32(propMaximumPacketSize, c.MaximumPacketSize)
	}
	if c.TopicAliasMaximum != 0 {
		w.u16(propTopicAliasMaximum, c.TopicAliasMaximum)
	}
	if c.RequestResponseInfo {
		w.bool(propRequestResponse, true)
	}
	if c.NoProblemInfo {
		w.bool(propRequestProblemInfo, false)
	}
	if c.HasAuthMethod {
		w.str(propAuthMethod, c.AuthMethod)
	}
	w.binary(propAuthData, c.AuthData)
	w.user(c.User)
}

func (w *Will) write(p *propWriter) {
	if w.Delay != 0 {
		p.u32(propWillDelay, w.Delay)
	}
	if w.HasMessageExpiry {
		p.u32(propMessageExpiry, w.MessageExpiry)
	}
	p.raw(w.Properties)
}

// sizes are the two Property Lengths and the Remaining Length.
func (c *Connect) sizes(v Version) (props, will, remaining int) {
	n := 2 + len(protocolName(v)) + 4 + 2 + len(c.ClientID)
	if v == V5 {
		w := propWriter{count: true}
		c.Properties.write(&w)
		props = w.n
		n += varintSize(uint32(props)) + props
	}
	if c.HasWill {
		n += 4 + len(c.Will.Topic) + len(c.Will.Payload)
		if v == V5 {
			w := propWriter{count: true}
			c.Will.write(&w)
			will = w.n
			n += varintSize(uint32(will)) + will
		}
	}
	if c.HasUserName {
		n += 2 + len(c.UserName)
	}
	if c.HasPassword {
		n += 2 + len(c.Password)
	}
	return props, will, n
}

// Size is the length on the wire in version v, fixed header included.
func (c *Connect) Size(v Version) int {
	_, _, n := c.sizes(v)
	return packetSize(n)
}

// Append writes the packet to the end of dst in version v, whatever c.Version
// says.
func (c *Connect) Append(dst []byte, v Version) []byte {
	props, will, remaining := c.sizes(v)
	level := byte(v)
	if c.Bridge && v != V5 {
		level |= bridgeBit
	}
	dst = appendHeader(dst, CONNECT, 0, remaining)
	dst = appendString(dst, protocolName(v))
	dst = append(dst, level, c.flags(), byte(c.KeepAlive>>8), byte(c.KeepAlive))
	if v == V5 {
		w := propWriter{dst: appendVarint(dst, uint32(props))}
		c.Properties.write(&w)
		dst = w.dst
	}
	dst = appendString(dst, c.ClientID)
	if c.HasWill {
		if v == V5 {
			w := propWriter{dst: appendVarint(dst, uint32(will))}
			c.Will.write(&w)
			dst = w.dst
		}
		dst = appendString(appendString(dst, c.Will.Topic), c.Will.Payload)
	}
	if c.HasUserName {
		dst = appendString(dst, c.UserName)
	}
	if c.HasPassword {
		dst = appendString(dst, c.Password)
	}
	return dst
}

func (c *Connect) flags() byte {
	var f byte
	if c.CleanStart {
		f |= flagCleanStart
	}
	if c.HasWill {
		f |= flagWill | byte(c.Will.QoS&3)<<willQoSShift
		if c.Will.Retain {
			f |= flagWillRetain
		}
	}
	if c.HasUserName {
		f |= flagUserName
	}
	if c.HasPassword {
		f |= flagPassword
	}
	return f
}

func protocolName(v Version) string {
	if v == V31 {
		return "MQIsdp"
	}
	return "MQTT"
}
