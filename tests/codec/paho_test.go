package codec

import (
	"bytes"
	"fmt"

	paho "github.com/eclipse/paho.golang/packets"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// pahoDecode decodes one whole packet of MQTT 5; a panic of theirs is a refusal.
func pahoDecode(b []byte) (cp *paho.ControlPacket, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	r := bytes.NewReader(b)
	cp, err = paho.ReadPacket(r)
	if err == nil && r.Len() != 0 {
		err = errPartial
	}
	return cp, err
}

func pahoEncode(cp *paho.ControlPacket) ([]byte, error) {
	var b bytes.Buffer
	_, err := cp.Content.WriteTo(&b)
	return b.Bytes(), err
}

// fromPaho puts what paho decoded into our types.
func fromPaho(cp *paho.ControlPacket) packet {
	ack := func(id uint16, code byte, p *paho.Properties) packet {
		return &mqtt.Ack{
			Type: mqtt.PacketType(cp.Type), ID: protocol.PacketID(id), Code: protocol.ReasonCode(code),
			Reason: p.ReasonString, User: pahoUser(p),
		}
	}
	switch c := cp.Content.(type) {
	case *paho.Connect:
		return fromPahoConnect(c)
	case *paho.Connack:
		return fromPahoConnack(c)
	case *paho.Publish:
		return fromPahoPublish(c)
	case *paho.Puback:
		return ack(c.PacketID, c.ReasonCode, c.Properties)
	case *paho.Pubrec:
		return ack(c.PacketID, c.ReasonCode, c.Properties)
	case *paho.Pubrel:
		return ack(c.PacketID, c.ReasonCode, c.Properties)
	case *paho.Pubcomp:
		return ack(c.PacketID, c.ReasonCode, c.Properties)
	case *paho.Subscribe:
		return fromPahoSubscribe(c)
	case *paho.Suback:
		return &mqtt.Suback{
			ID: protocol.PacketID(c.PacketID), Codes: pahoCodes(c.Reasons),
			Reason: c.Properties.ReasonString, User: pahoUser(c.Properties),
		}
	case *paho.Unsubscribe:
		return &mqtt.Unsubscribe{ID: protocol.PacketID(c.PacketID), User: pahoUser(c.Properties), Filters: c.Topics}
	case *paho.Unsuback:
		return &mqtt.Unsuback{
			ID: protocol.PacketID(c.PacketID), Codes: pahoCodes(c.Reasons),
			Reason: c.Properties.ReasonString, User: pahoUser(c.Properties),
		}
	case *paho.Disconnect:
		return &mqtt.Disconnect{
			Code: protocol.ReasonCode(c.ReasonCode), Reason: c.Properties.ReasonString,
			ServerReference: c.Properties.ServerReference, User: pahoUser(c.Properties),
			SessionExpiry: value(c.Properties.SessionExpiryInterval), HasSessionExpiry: c.Properties.SessionExpiryInterval != nil,
		}
	case *paho.Auth:
		return &mqtt.Auth{
			Code: protocol.ReasonCode(c.ReasonCode), HasMethod: true, Method: c.Properties.AuthMethod,
			Data: c.Properties.AuthData, Reason: c.Properties.ReasonString, User: pahoUser(c.Properties),
		}
	default:
		return nil // PINGREQ, PINGRESP
	}
}

// value is what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// off tells whether a flag is present and 0.
func off(p *byte) bool { return p != nil && *p == 0 }

func pahoUser(p *paho.Properties) (user []mqtt.UserProperty) {
	for _, u := range p.User {
		user = append(user, mqtt.UserProperty{Key: u.Key, Value: u.Value})
	}
	return user
}

func pahoCodes(reasons []byte) (codes []protocol.ReasonCode) {
	for _, c := range reasons {
		codes = append(codes, protocol.ReasonCode(c))
	}
	return codes
}

func pahoMessage(p *paho.Properties) []byte {
	m := mqtt.MessageProperties{
		PayloadFormat: value(p.PayloadFormat), ContentType: p.ContentType, ResponseTopic: p.ResponseTopic,
		CorrelationData: p.CorrelationData, User: pahoUser(p),
	}
	return m.Append(nil)
}

func fromPahoConnect(c *paho.Connect) *mqtt.Connect {
	p := c.Properties
	out := &mqtt.Connect{
		Version: mqtt.Version(c.ProtocolVersion), CleanStart: c.CleanStart, KeepAlive: c.KeepAlive, ClientID: c.ClientID,
		HasUserName: c.UsernameFlag, UserName: c.Username, HasPassword: c.PasswordFlag, Password: c.Password, HasWill: c.WillFlag,
		Properties: mqtt.ConnectProperties{
			SessionExpiry: value(p.SessionExpiryInterval), MaximumPacketSize: value(p.MaximumPacketSize),
			ReceiveMaximum: value(p.ReceiveMaximum), TopicAliasMaximum: value(p.TopicAliasMaximum),
			RequestResponseInfo: value(p.RequestResponseInfo) == 1, NoProblemInfo: off(p.RequestProblemInfo),
			HasAuthMethod: p.AuthMethod != "", AuthMethod: p.AuthMethod, AuthData: p.AuthData, User: pahoUser(p),
		},
	}
	if w := c.WillProperties; c.WillFlag {
		out.Will = mqtt.Will{
			Topic: topic.Name(c.WillTopic), Payload: c.WillMessage, QoS: protocol.QoS(c.WillQOS), Retain: c.WillRetain,
			Properties: pahoMessage(w), PayloadFormat: value(w.PayloadFormat),
			MessageExpiry: value(w.MessageExpiry), HasMessageExpiry: w.MessageExpiry != nil, Delay: value(w.WillDelayInterval),
		}
	}
	return out
}

func fromPahoConnack(c *paho.Connack) *mqtt.Connack {
	p := c.Properties
	return &mqtt.Connack{
		SessionPresent: c.SessionPresent, Code: protocol.ReasonCode(c.ReasonCode),
		Properties: mqtt.ConnackProperties{
			SessionExpiry: value(p.SessionExpiryInterval), HasSessionExpiry: p.SessionExpiryInterval != nil,
			ServerKeepAlive: value(p.ServerKeepAlive), HasServerKeepAlive: p.ServerKeepAlive != nil,
			MaximumQoS: protocol.QoS(value(p.MaximumQOS)), HasMaximumQoS: p.MaximumQOS != nil,
			NoRetain: off(p.RetainAvailable), NoWildcard: off(p.WildcardSubAvailable),
			NoSubscriptionID: off(p.SubIDAvailable), NoShared: off(p.SharedSubAvailable),
			ReceiveMaximum: value(p.ReceiveMaximum), TopicAliasMaximum: value(p.TopicAliasMaximum),
			MaximumPacketSize: value(p.MaximumPacketSize), AssignedClientID: p.AssignedClientID, Reason: p.ReasonString,
			ResponseInfo: p.ResponseInfo, ServerReference: p.ServerReference, HasAuthMethod: p.AuthMethod != "",
			AuthMethod: p.AuthMethod, AuthData: p.AuthData, User: pahoUser(p),
		},
	}
}

func fromPahoPublish(c *paho.Publish) *mqtt.Publish {
	p := c.Properties
	out := &mqtt.Publish{
		Topic: topic.Name(c.Topic), Payload: c.Payload, Properties: pahoMessage(p), PayloadFormat: value(p.PayloadFormat),
		MessageExpiry: value(p.MessageExpiry), HasMessageExpiry: p.MessageExpiry != nil, TopicAlias: value(p.TopicAlias),
		PacketID: protocol.PacketID(c.PacketID), QoS: protocol.QoS(c.QoS), Retain: c.Retain, Dup: c.Duplicate,
	}
	if p.SubscriptionIdentifier != nil {
		out.SubscriptionIDs = []uint32{uint32(*p.SubscriptionIdentifier)}
	}
	return out
}

func fromPahoSubscribe(c *paho.Subscribe) *mqtt.Subscribe {
	s := &mqtt.Subscribe{
		ID: protocol.PacketID(c.PacketID), User: pahoUser(c.Properties),
		SubscriptionID: uint32(value(c.Properties.SubscriptionIdentifier)),
	}
	for _, o := range c.Subscriptions {
		s.Subscriptions = append(s.Subscriptions, mqtt.Subscription{
			Filter: o.Topic, QoS: protocol.QoS(o.QoS), NoLocal: o.NoLocal,
			RetainAsPublished: o.RetainAsPublished, RetainHandling: mqtt.RetainHandling(o.RetainHandling),
		})
	}
	return s
}
