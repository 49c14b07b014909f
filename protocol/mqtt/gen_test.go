package mqtt_test

import (
	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// gen draws valid packets of one version.
type gen struct {
	t *rapid.T
	v mqtt.Version
}

var letters = []rune("abcXYZ019/$ -_\u0001\u007f\u0080éß漢\ufeff\uffff😀\U0010ffff")

func (g gen) bool() bool  { return rapid.Bool().Draw(g.t, "bool") }
func (g gen) u16() uint16 { return rapid.Uint16().Draw(g.t, "u16") }
func (g gen) u32() uint32 { return rapid.Uint32().Draw(g.t, "u32") }

// str draws a string with at least so many letters, none of them a wildcard.
func (g gen) str(least int) string {
	if rapid.IntRange(0, 30).Draw(g.t, "long") == 30 {
		return rapid.StringOfN(rapid.RuneFrom(letters), 100, 300, -1).Draw(g.t, "text")
	}
	return rapid.StringOfN(rapid.RuneFrom(letters), least, 20, -1).Draw(g.t, "text")
}

// bytes draws binary data that is present, if perhaps empty.
func (g gen) bytes() []byte {
	b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(g.t, "bytes")
	return append([]byte{}, b...)
}

func (g gen) id() protocol.PacketID {
	return protocol.PacketID(rapid.Uint16Min(1).Draw(g.t, "id"))
}

func (g gen) qos() protocol.QoS {
	return protocol.QoS(rapid.IntRange(0, 2).Draw(g.t, "qos"))
}

func (g gen) subscriptionID() uint32 {
	return rapid.Uint32Range(1, mqtt.MaxRemaining).Draw(g.t, "subscription id")
}

// v5 tells whether to draw something that only 5.0 has.
func (g gen) v5() bool { return g.v == mqtt.V5 && g.bool() }

func (g gen) user() (user []mqtt.UserProperty) {
	if g.v5() {
		for range rapid.IntRange(0, 3).Draw(g.t, "user") {
			user = append(user, mqtt.UserProperty{Key: g.str(0), Value: g.str(0)})
		}
	}
	return user
}

func (g gen) text() string {
	if g.v5() {
		return g.str(1)
	}
	return ""
}

func (g gen) code(of ...protocol.ReasonCode) protocol.ReasonCode {
	return rapid.SampledFrom(of).Draw(g.t, "code")
}

// code5 is code for 5.0 and Success for 3.x.
func (g gen) code5(of ...protocol.ReasonCode) protocol.ReasonCode {
	if g.v != mqtt.V5 {
		return protocol.Success
	}
	return g.code(of...)
}

// message draws properties that travel with a message, in wire form.
func (g gen) message() (wire []byte, format byte) {
	if !g.v5() {
		return nil, 0
	}
	m := mqtt.MessageProperties{ContentType: g.text(), ResponseTopic: g.text(), User: g.user()}
	if g.bool() {
		m.PayloadFormat = 1
	}
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
	switch t := rapid.SampledFrom(types).Draw(g.t, "type"); t {
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
		filters := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom(letters), 1, 9, -1), 1, 4).Draw(g.t, "filters")
		return &mqtt.Unsubscribe{ID: g.id(), User: g.user(), Filters: filters}
	case mqtt.UNSUBACK:
		u := &mqtt.Unsuback{ID: g.id(), Reason: g.text(), User: g.user()}
		if g.v == mqtt.V5 {
			u.Codes = g.codes(0, 0x11, 0x87)
		}
		return u
	case mqtt.DISCONNECT:
		return g.disconnect()
	case mqtt.AUTH:
		return g.auth()
	case mqtt.PUBREL, mqtt.PUBCOMP:
		return &mqtt.Ack{Type: t, ID: g.id(), Code: g.code5(0, 0x92), Reason: g.text(), User: g.user()}
	default:
		return &mqtt.Ack{Type: t, ID: g.id(), Code: g.code5(0, 0x10, 0x97), Reason: g.text(), User: g.user()}
	}
}

func (g gen) connect() *mqtt.Connect {
	c := &mqtt.Connect{
		Version: g.v, Bridge: g.v != mqtt.V5 && g.bool(), CleanStart: g.bool(), KeepAlive: g.u16(), ClientID: g.str(0),
		HasUserName: g.bool(), HasWill: g.bool(),
	}
	if c.HasUserName {
		c.UserName = g.str(0)
	}
	if c.HasPassword = (c.HasUserName || g.v == mqtt.V5) && g.bool(); c.HasPassword {
		c.Password = g.bytes()
	}
	if c.HasWill {
		c.Will = mqtt.Will{Topic: topic.Name(g.str(1)), Payload: g.bytes(), QoS: g.qos(), Retain: g.bool()}
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
		c.Properties.HasAuthMethod, c.Properties.AuthMethod, c.Properties.AuthData = true, g.str(0), g.bytes()
	}
	return c
}

func (g gen) connack() *mqtt.Connack {
	if g.v != mqtt.V5 {
		return &mqtt.Connack{Code: g.code(0, 0x84, 0x85, 0x86, 0x87, 0x88)}
	}
	c := &mqtt.Connack{Code: g.code(0, 0x80, 0x8a, 0x8c, 0x9f)}
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
	if p.HasMaximumQoS = g.bool(); p.HasMaximumQoS && g.bool() {
		p.MaximumQoS = protocol.AtLeastOnce
	}
	if p.HasAuthMethod = g.bool(); p.HasAuthMethod {
		p.AuthMethod, p.AuthData = g.str(0), g.bytes()
	}
	if g.bool() {
		p.NoRetain, p.NoWildcard, p.NoSubscriptionID, p.NoShared = g.bool(), g.bool(), g.bool(), g.bool()
		p.ReceiveMaximum, p.TopicAliasMaximum, p.MaximumPacketSize = g.u16(), g.u16(), g.u32()
	}
	return c
}

func (g gen) publish() *mqtt.Publish {
	p := &mqtt.Publish{Topic: topic.Name(g.str(1)), Payload: g.bytes(), QoS: g.qos(), Retain: g.bool()}
	if p.QoS != protocol.AtMostOnce {
		p.PacketID, p.Dup = g.id(), g.bool()
	}
	p.Properties, p.PayloadFormat = g.message()
	if g.v5() {
		p.TopicAlias = rapid.Uint16Min(1).Draw(g.t, "alias")
		if g.bool() {
			p.Topic = ""
		}
	}
	if g.v5() {
		p.MessageExpiry, p.HasMessageExpiry = g.u32(), true
	}
	if g.v5() {
		for range rapid.IntRange(0, 3).Draw(g.t, "ids") {
			p.SubscriptionIDs = append(p.SubscriptionIDs, g.subscriptionID())
		}
	}
	return p
}

func (g gen) subscribe() *mqtt.Subscribe {
	s := &mqtt.Subscribe{ID: g.id(), User: g.user()}
	if g.v5() {
		s.SubscriptionID = g.subscriptionID()
	}
	for range rapid.IntRange(1, 4).Draw(g.t, "n") {
		sub := mqtt.Subscription{Filter: g.str(1), QoS: g.qos()}
		if g.v5() {
			sub.NoLocal, sub.RetainAsPublished = g.bool(), g.bool()
			sub.RetainHandling = mqtt.RetainHandling(rapid.IntRange(0, 2).Draw(g.t, "handling"))
		}
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	return s
}

func (g gen) codes(of ...protocol.ReasonCode) []protocol.ReasonCode {
	return rapid.SliceOfN(rapid.SampledFrom(of), 1, 5).Draw(g.t, "codes")
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

func (g gen) auth() *mqtt.Auth {
	if g.bool() {
		return &mqtt.Auth{}
	}
	return &mqtt.Auth{
		Code: g.code(0, 0x18, 0x19), HasMethod: true, Method: g.str(0), Data: g.bytes(), Reason: g.text(), User: g.user(),
	}
}
