package codec

import (
	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// packet is what all Control Packets with contents have in common.
type packet interface {
	Decode(h mqtt.Header, body []byte, v mqtt.Version) error
	Append(dst []byte, v mqtt.Version) []byte
}

// gen draws packets that all three codecs can say. Where the others drop a value
// that differs from absence (empty binary data, an expiry of 0), it is not drawn:
// our own tests do.
type gen struct {
	t *rapid.T
	v mqtt.Version
}

func pick[T any](g gen, of ...T) T { return rapid.SampledFrom(of).Draw(g.t, "pick") }

func (g gen) bool() bool        { return rapid.Bool().Draw(g.t, "bool") }
func (g gen) u16() uint16       { return rapid.Uint16Min(1).Draw(g.t, "u16") }
func (g gen) u32() uint32       { return rapid.Uint32Min(1).Draw(g.t, "u32") }
func (g gen) n(lo, hi int) int  { return rapid.IntRange(lo, hi).Draw(g.t, "n") }
func (g gen) qos() protocol.QoS { return protocol.QoS(g.n(0, 2)) }
func (g gen) varint() uint32    { return rapid.Uint32Range(1, mqtt.MaxRemaining).Draw(g.t, "varint") }

func (g gen) id() protocol.PacketID { return protocol.PacketID(g.u16()) }

func (g gen) bytes() []byte {
	return rapid.SliceOfN(rapid.Byte(), 1, 150).Draw(g.t, "bytes")
}

func (g gen) str() string {
	letters := []rune("abcXYZ019/$ é漢\ufeff😀")
	return rapid.StringOfN(rapid.RuneFrom(letters), 1, 12, -1).Draw(g.t, "str")
}

// v5 tells whether to draw something that only 5.0 has.
func (g gen) v5() bool { return g.v == mqtt.V5 && g.bool() }

func (g gen) text() string {
	if g.v5() {
		return g.str()
	}
	return ""
}

func (g gen) user() (user []mqtt.UserProperty) {
	if g.v5() {
		for range g.n(1, 3) {
			user = append(user, mqtt.UserProperty{Key: g.str(), Value: g.str()})
		}
	}
	return user
}

func (g gen) code(of ...protocol.ReasonCode) protocol.ReasonCode {
	if g.v != mqtt.V5 {
		return protocol.Success
	}
	return pick(g, of...)
}

func (g gen) codes(of ...protocol.ReasonCode) []protocol.ReasonCode {
	return rapid.SliceOfN(rapid.SampledFrom(of), 1, 5).Draw(g.t, "codes")
}

func (g gen) message() (wire []byte, format byte) {
	if !g.v5() {
		return nil, 0
	}
	m := mqtt.MessageProperties{ContentType: g.text(), ResponseTopic: g.text(), User: g.user(), PayloadFormat: byte(g.n(0, 1))}
	if g.bool() {
		m.CorrelationData = g.bytes()
	}
	return m.Append(nil), m.PayloadFormat
}

func (g gen) packet() packet {
	types := []mqtt.PacketType{
		mqtt.CONNECT, mqtt.CONNACK, mqtt.PUBLISH, mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP,
		mqtt.SUBSCRIBE, mqtt.SUBACK, mqtt.UNSUBSCRIBE, mqtt.UNSUBACK, mqtt.DISCONNECT,
	}
	if g.v == mqtt.V5 {
		types = append(types, mqtt.AUTH)
	}
	switch t := pick(g, types...); t {
	case mqtt.CONNECT:
		return g.connect()
	case mqtt.CONNACK:
		return g.connack()
	case mqtt.PUBLISH:
		return g.publish()
	case mqtt.SUBSCRIBE:
		return g.subscribe()
	case mqtt.SUBACK:
		return &mqtt.Suback{ID: g.id(), Codes: g.codes(0, 1, 2, 0x80), Reason: g.text(), User: g.user()}
	case mqtt.UNSUBSCRIBE:
		return &mqtt.Unsubscribe{ID: g.id(), User: g.user(), Filters: []string{g.str(), g.str()}[:g.n(1, 2)]}
	case mqtt.UNSUBACK:
		u := &mqtt.Unsuback{ID: g.id(), Reason: g.text(), User: g.user()}
		if g.v == mqtt.V5 {
			u.Codes = g.codes(0, 0x11, 0x87)
		}
		return u
	case mqtt.DISCONNECT:
		return g.disconnect()
	case mqtt.AUTH:
		return &mqtt.Auth{
			Code: g.code(0, 0x18, 0x19), HasMethod: true, Method: g.str(), Data: g.bytes(), Reason: g.text(), User: g.user(),
		}
	case mqtt.PUBREL, mqtt.PUBCOMP:
		return &mqtt.Ack{Type: t, ID: g.id(), Code: g.code(0, 0x92), Reason: g.text(), User: g.user()}
	default:
		return &mqtt.Ack{Type: t, ID: g.id(), Code: g.code(0, 0x80, 0x97), Reason: g.text(), User: g.user()}
	}
}

func (g gen) connect() *mqtt.Connect {
	c := &mqtt.Connect{
		Version: g.v, CleanStart: g.bool(), KeepAlive: g.u16(), ClientID: g.str(),
		HasUserName: g.bool(), HasWill: g.bool(),
	}
	if c.HasUserName {
		c.UserName = g.str()
	}
	if c.HasPassword = (c.HasUserName || g.v == mqtt.V5) && g.bool(); c.HasPassword {
		c.Password = g.bytes()
	}
	if c.HasWill {
		c.Will = mqtt.Will{Topic: topic.Name(g.str()), Payload: g.bytes(), QoS: g.qos(), Retain: g.bool()}
		c.Will.Properties, c.Will.PayloadFormat = g.message()
		if g.v5() {
			c.Will.MessageExpiry, c.Will.HasMessageExpiry, c.Will.Delay = g.u32(), true, g.u32()
		}
	}
	if g.v5() {
		c.Properties = mqtt.ConnectProperties{
			SessionExpiry: g.u32(), MaximumPacketSize: g.u32(), ReceiveMaximum: g.u16(), TopicAliasMaximum: g.u16(),
			RequestResponseInfo: g.bool(), NoProblemInfo: g.bool(), User: g.user(),
		}
	}
	if g.v5() {
		c.Properties.HasAuthMethod, c.Properties.AuthMethod, c.Properties.AuthData = true, g.str(), g.bytes()
	}
	return c
}

func (g gen) connack() *mqtt.Connack {
	if g.v != mqtt.V5 {
		return &mqtt.Connack{Code: pick[protocol.ReasonCode](g, 0, 0x84, 0x85, 0x86, 0x87, 0x88)}
	}
	c := &mqtt.Connack{Code: g.code(0, 0x80, 0x8c, 0x9f)}
	c.SessionPresent = c.Code == protocol.Success && g.bool()
	p := &c.Properties
	p.Reason, p.ResponseInfo, p.ServerReference, p.AssignedClientID = g.text(), g.text(), g.text(), g.text()
	p.User = g.user()
	if p.HasSessionExpiry = g.bool(); p.HasSessionExpiry {
		p.SessionExpiry = g.u32()
	}
	if p.HasServerKeepAlive = g.bool(); p.HasServerKeepAlive {
		p.ServerKeepAlive = g.u16()
	}
	if p.HasMaximumQoS = g.bool(); p.HasMaximumQoS {
		p.MaximumQoS = protocol.QoS(g.n(0, 1))
	}
	if p.HasAuthMethod = g.bool(); p.HasAuthMethod {
		p.AuthMethod, p.AuthData = g.str(), g.bytes()
	}
	if g.bool() {
		p.NoRetain, p.NoWildcard, p.NoSubscriptionID, p.NoShared = g.bool(), g.bool(), g.bool(), g.bool()
		p.ReceiveMaximum, p.TopicAliasMaximum, p.MaximumPacketSize = g.u16(), g.u16(), g.u32()
	}
	return c
}

func (g gen) publish() *mqtt.Publish {
	p := &mqtt.Publish{Topic: topic.Name(g.str()), Payload: g.bytes(), QoS: g.qos(), Retain: g.bool()}
	if p.QoS != protocol.AtMostOnce {
		p.PacketID, p.Dup = g.id(), g.bool()
	}
	p.Properties, p.PayloadFormat = g.message()
	if g.v5() {
		p.TopicAlias = g.u16()
	}
	if g.v5() {
		p.MessageExpiry, p.HasMessageExpiry = g.u32(), true
	}
	if g.v5() {
		for range g.n(1, 3) {
			p.SubscriptionIDs = append(p.SubscriptionIDs, g.varint())
		}
	}
	return p
}

func (g gen) subscribe() *mqtt.Subscribe {
	s := &mqtt.Subscribe{ID: g.id(), User: g.user()}
	if g.v5() {
		s.SubscriptionID = g.varint()
	}
	for range g.n(1, 4) {
		sub := mqtt.Subscription{Filter: g.str(), QoS: g.qos()}
		if g.v5() {
			sub.RetainAsPublished, sub.RetainHandling = g.bool(), mqtt.RetainHandling(g.n(0, 2))
			sub.NoLocal = sub.Filter[0] != '$' && g.bool()
		}
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	return s
}

func (g gen) disconnect() *mqtt.Disconnect {
	if g.v != mqtt.V5 {
		return &mqtt.Disconnect{}
	}
	d := &mqtt.Disconnect{Code: g.code(0, 0x04, 0x81, 0x8e, 0xa2), Reason: g.text(), ServerReference: g.text(), User: g.user()}
	if d.HasSessionExpiry = g.bool(); d.HasSessionExpiry {
		d.SessionExpiry = g.u32()
	}
	return d
}
