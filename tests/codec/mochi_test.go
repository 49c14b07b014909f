package codec

import (
	"bytes"
	"fmt"

	mochi "github.com/mochi-mqtt/server/v2/packets"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// mochiDecode decodes one whole packet; a panic of theirs is a refusal.
func mochiDecode(b []byte, v mqtt.Version) (pk *mochi.Packet, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	pk = &mochi.Packet{ProtocolVersion: byte(v), Mods: mochi.Mods{AllowResponseInfo: true}}
	if err := pk.FixedHeader.Decode(b[0]); err != nil {
		return nil, err
	}
	n, size, err := mochi.DecodeLength(bytes.NewReader(b[1:]))
	if err != nil || len(b) != 1+size+n {
		return nil, errPartial
	}
	pk.FixedHeader.Remaining = n
	return pk, mochiBody(pk, bytes.Clone(b[1+size:]))
}

func mochiBody(pk *mochi.Packet, body []byte) error {
	switch pk.FixedHeader.Type {
	case mochi.Connect:
		return pk.ConnectDecode(body)
	case mochi.Connack:
		return pk.ConnackDecode(body)
	case mochi.Publish:
		return pk.PublishDecode(body)
	case mochi.Puback:
		return pk.PubackDecode(body)
	case mochi.Pubrec:
		return pk.PubrecDecode(body)
	case mochi.Pubrel:
		return pk.PubrelDecode(body)
	case mochi.Pubcomp:
		return pk.PubcompDecode(body)
	case mochi.Subscribe:
		return pk.SubscribeDecode(body)
	case mochi.Suback:
		return pk.SubackDecode(body)
	case mochi.Unsubscribe:
		return pk.UnsubscribeDecode(body)
	case mochi.Unsuback:
		return pk.UnsubackDecode(body)
	case mochi.Disconnect:
		return pk.DisconnectDecode(body)
	case mochi.Auth:
		return pk.AuthDecode(body)
	default:
		return nil // PINGREQ, PINGRESP
	}
}

// mochiValidate is what a mochi server checks after decoding.
func mochiValidate(pk *mochi.Packet) error {
	code := mochi.CodeSuccess
	switch pk.FixedHeader.Type {
	case mochi.Connect:
		code = pk.ConnectValidate()
	case mochi.Publish:
		code = pk.PublishValidate(65535)
	case mochi.Subscribe:
		code = pk.SubscribeValidate()
	case mochi.Unsubscribe:
		code = pk.UnsubscribeValidate()
	case mochi.Auth:
		code = pk.AuthValidate()
	}
	if code != mochi.CodeSuccess {
		return code
	}
	return nil
}

func mochiEncode(pk *mochi.Packet) ([]byte, error) {
	var b bytes.Buffer
	encode := map[byte]func(*bytes.Buffer) error{
		mochi.Connect: pk.ConnectEncode, mochi.Connack: pk.ConnackEncode, mochi.Publish: pk.PublishEncode,
		mochi.Puback: pk.PubackEncode, mochi.Pubrec: pk.PubrecEncode, mochi.Pubrel: pk.PubrelEncode,
		mochi.Pubcomp: pk.PubcompEncode, mochi.Subscribe: pk.SubscribeEncode, mochi.Suback: pk.SubackEncode,
		mochi.Unsubscribe: pk.UnsubscribeEncode, mochi.Unsuback: pk.UnsubackEncode,
		mochi.Disconnect: pk.DisconnectEncode, mochi.Auth: pk.AuthEncode,
	}[pk.FixedHeader.Type]
	err := encode(&b)
	return b.Bytes(), err
}

// fromMochi puts what mochi decoded into our types.
func fromMochi(pk *mochi.Packet) packet {
	p := &pk.Properties
	id, code := protocol.PacketID(pk.PacketID), protocol.ReasonCode(pk.ReasonCode)
	switch t := mqtt.PacketType(pk.FixedHeader.Type); t {
	case mqtt.CONNECT:
		return fromMochiConnect(pk)
	case mqtt.CONNACK:
		return fromMochiConnack(pk)
	case mqtt.PUBLISH:
		return fromMochiPublish(pk)
	case mqtt.SUBSCRIBE:
		return fromMochiSubscribe(pk)
	case mqtt.SUBACK:
		return &mqtt.Suback{ID: id, Codes: mochiCodes(pk), Reason: p.ReasonString, User: mochiUser(p)}
	case mqtt.UNSUBSCRIBE:
		u := &mqtt.Unsubscribe{ID: id, User: mochiUser(p)}
		for _, f := range pk.Filters {
			u.Filters = append(u.Filters, f.Filter)
		}
		return u
	case mqtt.UNSUBACK:
		return &mqtt.Unsuback{ID: id, Codes: mochiCodes(pk), Reason: p.ReasonString, User: mochiUser(p)}
	case mqtt.DISCONNECT:
		return &mqtt.Disconnect{
			Code: code, Reason: p.ReasonString, ServerReference: p.ServerReference, User: mochiUser(p),
			SessionExpiry: p.SessionExpiryInterval, HasSessionExpiry: p.SessionExpiryIntervalFlag,
		}
	case mqtt.AUTH:
		return &mqtt.Auth{
			Code: code, HasMethod: true, Method: p.AuthenticationMethod, Data: p.AuthenticationData,
			Reason: p.ReasonString, User: mochiUser(p),
		}
	default:
		return &mqtt.Ack{Type: t, ID: id, Code: code, Reason: p.ReasonString, User: mochiUser(p)}
	}
}

func mochiUser(p *mochi.Properties) (user []mqtt.UserProperty) {
	for _, u := range p.User {
		user = append(user, mqtt.UserProperty{Key: u.Key, Value: u.Val})
	}
	return user
}

func mochiCodes(pk *mochi.Packet) (codes []protocol.ReasonCode) {
	for _, c := range pk.ReasonCodes {
		codes = append(codes, protocol.ReasonCode(c))
	}
	return codes
}

func mochiMessage(p *mochi.Properties) []byte {
	m := mqtt.MessageProperties{
		PayloadFormat: p.PayloadFormat, ContentType: p.ContentType, ResponseTopic: p.ResponseTopic,
		CorrelationData: p.CorrelationData, User: mochiUser(p),
	}
	return m.Append(nil)
}

func fromMochiConnect(pk *mochi.Packet) *mqtt.Connect {
	p, w := &pk.Properties, &pk.Connect.WillProperties
	c := &mqtt.Connect{
		Version: mqtt.Version(pk.ProtocolVersion), CleanStart: pk.Connect.Clean, KeepAlive: pk.Connect.Keepalive,
		ClientID: pk.Connect.ClientIdentifier, HasUserName: pk.Connect.UsernameFlag, UserName: string(pk.Connect.Username),
		HasPassword: pk.Connect.PasswordFlag, Password: pk.Connect.Password, HasWill: pk.Connect.WillFlag,
		Properties: mqtt.ConnectProperties{
			SessionExpiry: p.SessionExpiryInterval, MaximumPacketSize: p.MaximumPacketSize,
			ReceiveMaximum: p.ReceiveMaximum, TopicAliasMaximum: p.TopicAliasMaximum,
			RequestResponseInfo: p.RequestResponseInfo == 1,
			NoProblemInfo:       p.RequestProblemInfoFlag && p.RequestProblemInfo == 0,
			HasAuthMethod:       p.AuthenticationMethod != "", AuthMethod: p.AuthenticationMethod,
			AuthData: p.AuthenticationData, User: mochiUser(p),
		},
	}
	if c.HasWill {
		c.Will = mqtt.Will{
			Topic: topic.Name(pk.Connect.WillTopic), Payload: pk.Connect.WillPayload, QoS: protocol.QoS(pk.Connect.WillQos),
			Retain: pk.Connect.WillRetain, Properties: mochiMessage(w), PayloadFormat: w.PayloadFormat,
			MessageExpiry: w.MessageExpiryInterval, HasMessageExpiry: w.MessageExpiryInterval != 0, Delay: w.WillDelayInterval,
		}
	}
	return c
}

func fromMochiConnack(pk *mochi.Packet) *mqtt.Connack {
	p := &pk.Properties
	c := &mqtt.Connack{SessionPresent: pk.SessionPresent, Code: protocol.ReasonCode(pk.ReasonCode)}
	if mqtt.Version(pk.ProtocolVersion) != mqtt.V5 {
		c.Code, _ = protocol.ReturnCode(pk.ReasonCode).ReasonCode()
	}
	c.Properties = mqtt.ConnackProperties{
		SessionExpiry: p.SessionExpiryInterval, HasSessionExpiry: p.SessionExpiryIntervalFlag,
		ServerKeepAlive: p.ServerKeepAlive, HasServerKeepAlive: p.ServerKeepAliveFlag,
		MaximumQoS: protocol.QoS(p.MaximumQos), HasMaximumQoS: p.MaximumQosFlag,
		NoRetain:         p.RetainAvailableFlag && p.RetainAvailable == 0,
		NoWildcard:       p.WildcardSubAvailableFlag && p.WildcardSubAvailable == 0,
		NoSubscriptionID: p.SubIDAvailableFlag && p.SubIDAvailable == 0,
		NoShared:         p.SharedSubAvailableFlag && p.SharedSubAvailable == 0,
		ReceiveMaximum:   p.ReceiveMaximum, TopicAliasMaximum: p.TopicAliasMaximum, MaximumPacketSize: p.MaximumPacketSize,
		AssignedClientID: p.AssignedClientID, Reason: p.ReasonString, ResponseInfo: p.ResponseInfo,
		ServerReference: p.ServerReference, HasAuthMethod: p.AuthenticationMethod != "",
		AuthMethod: p.AuthenticationMethod, AuthData: p.AuthenticationData, User: mochiUser(p),
	}
	return c
}

func fromMochiPublish(pk *mochi.Packet) *mqtt.Publish {
	p := &pk.Properties
	out := &mqtt.Publish{
		Topic: topic.Name(pk.TopicName), Payload: pk.Payload, Properties: mochiMessage(p), PayloadFormat: p.PayloadFormat,
		MessageExpiry: p.MessageExpiryInterval, HasMessageExpiry: p.MessageExpiryInterval != 0, TopicAlias: p.TopicAlias,
		PacketID: protocol.PacketID(pk.PacketID), QoS: protocol.QoS(pk.FixedHeader.Qos),
		Retain: pk.FixedHeader.Retain, Dup: pk.FixedHeader.Dup,
	}
	for _, id := range p.SubscriptionIdentifier {
		out.SubscriptionIDs = append(out.SubscriptionIDs, uint32(id))
	}
	return out
}

func fromMochiSubscribe(pk *mochi.Packet) *mqtt.Subscribe {
	s := &mqtt.Subscribe{ID: protocol.PacketID(pk.PacketID), User: mochiUser(&pk.Properties)}
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
		s.SubscriptionID = uint32(ids[0])
	}
	for _, f := range pk.Filters {
		s.Subscriptions = append(s.Subscriptions, mqtt.Subscription{
			Filter: f.Filter, QoS: protocol.QoS(f.Qos), NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished, RetainHandling: mqtt.RetainHandling(f.RetainHandling),
		})
	}
	return s
}
