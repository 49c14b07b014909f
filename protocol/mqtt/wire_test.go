package mqtt_test

import (
	"testing"

	"emqttd/protocol/mqtt"
)

// packet is what all Control Packets with contents have in common.
type packet interface {
	Decode(h mqtt.Header, body []byte, v mqtt.Version) error
	Append(dst []byte, v mqtt.Version) []byte
	Size(v mqtt.Version) int
}

// newPacket is an empty packet of type t; nil for PINGREQ and PINGRESP.
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

// body builds bytes: an int is one byte, a string is preceded by its length in
// two bytes, and []byte is taken as it is.
func body(parts ...any) []byte {
	b := []byte{}
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, byte(len(p)>>8), byte(len(p)))
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			panic("body: int, string or []byte")
		}
	}
	return b
}

// raw is a string without a length before it.
func raw(s string) []byte { return []byte(s) }

// wire builds a packet of less than 128 bytes after its fixed header.
func wire(first int, parts ...any) []byte {
	b := body(parts...)
	if len(b) > 127 {
		panic("wire: too long")
	}
	return append([]byte{byte(first), byte(len(b))}, b...)
}

// decode reads one whole packet from b.
func decode(b []byte, v mqtt.Version) (packet, mqtt.Header, error) {
	h, n, err := mqtt.ParseHeader(b, 0)
	if err != nil {
		return nil, h, err
	}
	p := newPacket(h.Type)
	if p == nil {
		return nil, h, h.Check(v)
	}
	return p, h, p.Decode(h, b[n:n+h.Remaining], v)
}

// refused is a packet that Decode must refuse.
type refused struct {
	name    string
	version mqtt.Version
	wire    []byte
	want    *mqtt.Error
}

func testRefused(t *testing.T, cases []refused) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decode(c.wire, c.version)
			if err != error(c.want) {
				t.Errorf("decode % x as %v: got %v, want %v", c.wire, c.version, err, c.want)
			}
		})
	}
}
