package mqtt_test

import (
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestParseHeaderReadsTypeFlagsAndRemainingLength(t *testing.T) {
	cases := []struct {
		name string
		in   []byte
		want mqtt.Header
		n    int
	}{
		{"one length byte", []byte{0x40, 2}, mqtt.Header{Type: mqtt.PUBACK, Remaining: 2}, 2},
		{"largest of one byte", []byte{0x30, 0x7f}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: 127}, 2},
		{"smallest of two bytes", []byte{0x30, 0x80, 1}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: 128}, 3},
		{"smallest of three bytes", []byte{0x30, 0x80, 0x80, 1}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: 16384}, 4},
		{"smallest of four bytes", []byte{0x30, 0x80, 0x80, 0x80, 1}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: 2097152}, 5},
		{"largest of all", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: mqtt.MaxRemaining}, 5},
		{"all flags of PUBLISH", []byte{0x3d, 4}, mqtt.Header{Type: mqtt.PUBLISH, Flags: 0xd, Remaining: 4}, 2},
		{"more bytes than needed", []byte{0x30, 0x84, 0x80, 0}, mqtt.Header{Type: mqtt.PUBLISH, Remaining: 4, Padded: true}, 4},
		{"what follows is not looked at", []byte{0xc0, 0, 0xff}, mqtt.Header{Type: mqtt.PINGREQ}, 2},
		{"3.1 resends SUBSCRIBE with DUP", []byte{0x8a, 5}, mqtt.Header{Type: mqtt.SUBSCRIBE, Flags: 0xa, Remaining: 5}, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, n, err := mqtt.ParseHeader(c.in, 0)
			if err != nil || n != c.n || h != c.want {
				t.Errorf("got %+v, %d, %v; want %+v, %d", h, n, err, c.want, c.n)
			}
			for i := range c.n {
				if _, n, err := mqtt.ParseHeader(c.in[:i], 0); n != 0 || err != nil {
					t.Errorf("first %d bytes: got n=%d, %v; want need more", i, n, err)
				}
			}
		})
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	cases := []struct {
		name string
		in   []byte
		max  int
		want *mqtt.Error
	}{
		{"MQTT 2.2.1 type 0 at its first byte", []byte{0x00}, 0, mqtt.ErrReservedType},
		{"MQTT-2.2.2-2 CONNECT flags", []byte{0x11}, 0, mqtt.ErrReservedFlags},
		{"MQTT-2.2.2-2 PUBACK flags", []byte{0x42, 2}, 0, mqtt.ErrReservedFlags},
		{"MQTT-3.6.1-1 PUBREL flags", []byte{0x60, 2}, 0, mqtt.ErrReservedFlags},
		{"MQTT-3.8.1-1 SUBSCRIBE flags", []byte{0x80, 5}, 0, mqtt.ErrReservedFlags},
		{"MQTT-3.10.1-1 UNSUBSCRIBE flags", []byte{0xa3, 5}, 0, mqtt.ErrReservedFlags},
		{"MQTT-3.14.1-1 DISCONNECT flags", []byte{0xe1, 0}, 0, mqtt.ErrReservedFlags},
		{"MQTT-3.15.1-1 AUTH flags", []byte{0xf8, 0}, 0, mqtt.ErrReservedFlags},
		{"MQTT 2.2.3 fifth length byte", []byte{0x30, 0x80, 0x80, 0x80, 0x80}, 0, mqtt.ErrMalformedRemainingLength},
		{"one byte too large", []byte{0x30, 101}, 100, mqtt.ErrFrameTooLarge},
		{"too large before any byte of it", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 65536, mqtt.ErrFrameTooLarge},
		{"PINGREQ with contents", []byte{0xc0, 1}, 0, mqtt.ErrTrailingBytes},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, n, err := mqtt.ParseHeader(c.in, c.max)
			if err != error(c.want) || n != 0 {
				t.Errorf("got n=%d, %v; want %v", n, err, c.want)
			}
		})
	}
	if _, n, err := mqtt.ParseHeader([]byte{0x30, 100}, 100); n != 2 || err != nil {
		t.Errorf("a packet of exactly the limit: got n=%d, %v", n, err)
	}
}

func TestHeaderCheckAppliesTheRulesOfTheVersion(t *testing.T) {
	dup := mqtt.Header{Type: mqtt.PUBREL, Flags: 0b1010}
	auth := mqtt.Header{Type: mqtt.AUTH}
	padded := mqtt.Header{Type: mqtt.PINGREQ, Padded: true}
	cases := []struct {
		name string
		h    mqtt.Header
		v    mqtt.Version
		want error
	}{
		{"3.1 allows DUP on PUBREL", dup, mqtt.V31, nil},
		{"MQTT-3.6.1-1 3.1.1 does not", dup, mqtt.V311, mqtt.ErrReservedFlags},
		{"MQTT-3.6.1-1 5.0 does not", dup, mqtt.V5, mqtt.ErrReservedFlags},
		{"3.1 has no AUTH", auth, mqtt.V31, mqtt.ErrReservedType},
		{"3.1.1 has no AUTH", auth, mqtt.V311, mqtt.ErrReservedType},
		{"5.0 has AUTH", auth, mqtt.V5, nil},
		{"3.1.1 does not forbid a padded length", padded, mqtt.V311, nil},
		{"MQTT-1.5.5-1 5.0 does", padded, mqtt.V5, mqtt.ErrMalformedRemainingLength},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.h.Check(c.v); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestEveryErrorHasItsOwnSnakeCaseLabelAndAnErrorCode(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range mqtt.Errors() {
		if seen[e.Reason] {
			t.Errorf("%s is used twice", e.Reason)
		}
		seen[e.Reason] = true
		for _, c := range e.Reason {
			if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				t.Errorf("%s is not snake_case", e.Reason)
				break
			}
		}
		if !e.Code.IsError() {
			t.Errorf("%s has code %v", e.Reason, e.Code)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d errors listed", len(seen))
	}
	if got := mqtt.ErrTruncated.Error(); got != "mqtt: truncated_packet" {
		t.Errorf("got %q", got)
	}
	if got := mqtt.ErrDupQoS0.Error(); got != "mqtt: dup_with_qos0 [MQTT-3.3.1-2]" {
		t.Errorf("got %q", got)
	}
	if mqtt.ErrFrameTooLarge.Code != protocol.PacketTooLarge {
		t.Errorf("frame_too_large has code %v", mqtt.ErrFrameTooLarge.Code)
	}
}
