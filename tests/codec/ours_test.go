package codec

import (
	"errors"

	"emqttd/protocol/mqtt"
)

var errPartial = errors.New("not one whole packet")

func newPacket(t mqtt.PacketType) packet {
	switch t {
	case mqtt.CONNECT:
		return new(mqtt.Connect)
	case mqtt.CONNACK:
		return new(mqtt.Connack)
	case mqtt.PUBLISH:
		return new(mqtt.Publish)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		return new(mqtt.Ack)
	case mqtt.SUBSCRIBE:
		return new(mqtt.Subscribe)
	case mqtt.SUBACK:
		return new(mqtt.Suback)
	case mqtt.UNSUBSCRIBE:
		return new(mqtt.Unsubscribe)
	case mqtt.UNSUBACK:
		return new(mqtt.Unsuback)
	case mqtt.DISCONNECT:
		return new(mqtt.Disconnect)
	case mqtt.AUTH:
		return new(mqtt.Auth)
	default:
		return nil
	}
}

// ours decodes one whole packet with our codec. A PINGREQ or PINGRESP is nil
// without an error.
func ours(b []byte, v mqtt.Version) (packet, error) {
	h, n, err := mqtt.ParseHeader(b, 0)
	if err != nil {
		return nil, err
	}
	if n == 0 || len(b) != n+h.Remaining {
		return nil, errPartial
	}
	p := newPacket(h.Type)
	if p == nil {
		return nil, h.Check(v)
	}
	if err := p.Decode(h, b[n:], v); err != nil {
		return nil, err
	}
	return p, nil
}

// canonical brings values that mean the same into the same form: properties of a
// message in one order, empty slices nil.
func canonical(p packet) packet {
	switch p := p.(type) {
	case *mqtt.Connect:
		p.Password = some(p.Password)
		p.Will.Payload = some(p.Will.Payload)
		p.Will.Properties = ordered(p.Will.Properties)
	case *mqtt.Publish:
		p.Payload = some(p.Payload)
		p.Properties = ordered(p.Properties)
		p.SubscriptionIDs = some(p.SubscriptionIDs)
	case *mqtt.Suback:
		p.Codes = some(p.Codes)
	case *mqtt.Unsuback:
		p.Codes = some(p.Codes)
	}
	return p
}

func some[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func ordered(wire []byte) []byte {
	var m mqtt.MessageProperties
	if err := m.Decode(wire); err != nil {
		panic(err) // Publish.Properties hold nothing else
	}
	return some(m.Append(nil))
}
