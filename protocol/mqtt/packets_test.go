package mqtt_test

import (
	"bytes"
	"reflect"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestPacketsAreDecodedAndEncodedToTheSameBytes(t *testing.T) {
	user := []mqtt.UserProperty{{Key: "k", Value: "v"}}
	cases := []struct {
		name string
		v    mqtt.Version
		wire []byte
		want packet
	}{
		{"PUBACK", mqtt.V311, wire(0x40, 0, 1), &mqtt.Ack{Type: mqtt.PUBACK, ID: 1}},
		{"PUBREC", mqtt.V31, wire(0x50, 1, 0), &mqtt.Ack{Type: mqtt.PUBREC, ID: 256}},
		{"PUBREL", mqtt.V5, wire(0x62, 0, 1), &mqtt.Ack{Type: mqtt.PUBREL, ID: 1}},
		{"PUBCOMP, reason", mqtt.V5, wire(0x70, 0, 1, 0x92), &mqtt.Ack{Type: mqtt.PUBCOMP, ID: 1, Code: 0x92}},
		{"PUBACK, properties", mqtt.V5, wire(0x40, 0, 1, 0x10, 11, 0x1f, "r", 0x26, "k", "v"), &mqtt.Ack{
			Type: mqtt.PUBACK, ID: 1, Code: protocol.NoMatchingSubscribers, Reason: "r", User: user,
		}},
		{"SUBSCRIBE", mqtt.V311, wire(0x82, 0, 1, "a/#", 0, "$share/g/b", 2), &mqtt.Subscribe{
			ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a/#"}, {Filter: "$share/g/b", QoS: 2}},
		}},
		{"SUBSCRIBE, options", mqtt.V5, wire(0x82, 0, 1, 10, 0x0b, 0x80, 1, 0x26, "k", "v", "a", 0x2d, "b", 0x12), &mqtt.Subscribe{
			ID: 1, SubscriptionID: 128, User: user, Subscriptions: []mqtt.Subscription{
				{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: mqtt.SendNoRetained},
				{Filter: "b", QoS: 2, RetainHandling: mqtt.SendRetainedIfNew},
			},
		}},
		{"SUBACK", mqtt.V311, wire(0x90, 0, 1, 0, 1, 2, 0x80), &mqtt.Suback{ID: 1, Codes: []protocol.ReasonCode{0, 1, 2, 0x80}}},
		{"SUBACK, reason", mqtt.V5, wire(0x90, 0, 1, 4, 0x1f, "r", 0x87), &mqtt.Suback{ID: 1, Reason: "r", Codes: []protocol.ReasonCode{0x87}}},
		{"UNSUBSCRIBE", mqtt.V311, wire(0xa2, 0, 1, "a", "b"), &mqtt.Unsubscribe{ID: 1, Filters: []string{"a", "b"}}},
		{"UNSUBSCRIBE, property", mqtt.V5, wire(0xa2, 0, 1, 7, 0x26, "k", "v", "a"), &mqtt.Unsubscribe{ID: 1, User: user, Filters: []string{"a"}}},
		{"UNSUBACK", mqtt.V311, wire(0xb0, 0, 1), &mqtt.Unsuback{ID: 1}},
		{"UNSUBACK, codes", mqtt.V5, wire(0xb0, 0, 1, 0, 0, 0x11), &mqtt.Unsuback{ID: 1, Codes: []protocol.ReasonCode{0, 0x11}}},
		{"DISCONNECT", mqtt.V311, wire(0xe0), &mqtt.Disconnect{}},
		{"DISCONNECT, short", mqtt.V5, wire(0xe0), &mqtt.Disconnect{}},
		{"DISCONNECT, code", mqtt.V5, wire(0xe0, 0x04), &mqtt.Disconnect{Code: protocol.DisconnectWithWillMessage}},
		{"DISCONNECT, properties", mqtt.V5, wire(0xe0, 0x9d, 20, 0x11, 0, 0, 0, 0, 0x1f, "r", 0x26, "k", "v", 0x1c, "s"), &mqtt.Disconnect{
			Code: protocol.ServerMoved, HasSessionExpiry: true, Reason: "r", ServerReference: "s", User: user,
		}},
		{"AUTH, short", mqtt.V5, wire(0xf0), &mqtt.Auth{}},
		{"AUTH", mqtt.V5, wire(0xf0, 0x18, 19, 0x15, "m", 0x16, "d", 0x1f, "r", 0x26, "k", "v"), &mqtt.Auth{
			Code: protocol.ContinueAuthentication, HasMethod: true, Method: "m", Data: raw("d"), Reason: "r", User: user,
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := decode(c.wire, c.v)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p, c.want) {
				t.Errorf("got %+v, want %+v", p, c.want)
			}
			if got := p.Append(nil, c.v); !bytes.Equal(got, c.wire) {
				t.Errorf("encoded % x, want % x", got, c.wire)
			}
		})
	}
}

func TestAcksAreRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT-2.3.1-1 PUBACK of packet identifier 0", mqtt.V311, wire(0x40, 0, 0), mqtt.ErrPacketIDZero},
		{"PUBREC of one byte", mqtt.V311, wire(0x50, 0), mqtt.ErrTruncated},
		{"3.1.1 PUBCOMP with a reason code", mqtt.V311, wire(0x70, 0, 1, 0), mqtt.ErrTrailingBytes},
		{"MQTT-3.4.2-1 PUBACK with the code of PUBREL", mqtt.V5, wire(0x40, 0, 1, 0x92), mqtt.ErrReasonCode},
		{"MQTT-3.5.2-1 PUBREC with an undefined code", mqtt.V5, wire(0x50, 0, 1, 0x03), mqtt.ErrReasonCode},
		{"MQTT-3.6.2-1 PUBREL with the code of PUBACK", mqtt.V5, wire(0x62, 0, 1, 0x97), mqtt.ErrReasonCode},
		{"MQTT-3.7.2-1 PUBCOMP with the code of PUBACK", mqtt.V5, wire(0x70, 0, 1, 0x10), mqtt.ErrReasonCode},
		{"MQTT-3.6.1-1 3.1.1 PUBREL with DUP", mqtt.V311, wire(0x6a, 0, 1), mqtt.ErrReservedFlags},
		{"5.0 PUBACK with bytes after the properties", mqtt.V5, wire(0x40, 0, 1, 0, 0, 0), mqtt.ErrTrailingBytes},
		{"5.0 PUBACK with two reasons", mqtt.V5, wire(0x40, 0, 1, 0, 8, 0x1f, "a", 0x1f, "b"), mqtt.ErrPropertyTwice},
		{"5.0 PUBACK with a session expiry", mqtt.V5, wire(0x40, 0, 1, 0, 5, 0x11, 0, 0, 0, 1), mqtt.ErrPropertyNotAllowed},
	})
}

func TestSubscribeAndItsAnswerAreRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT-3.8.3-3 no filter", mqtt.V311, wire(0x82, 0, 1), mqtt.ErrNoFilters},
		{"MQTT-3.8.3-2 no filter, 5.0", mqtt.V5, wire(0x82, 0, 1, 0), mqtt.ErrNoFilters},
		{"MQTT-2.3.1-1 packet identifier 0", mqtt.V311, wire(0x82, 0, 0, "a", 0), mqtt.ErrPacketIDZero},
		{"MQTT-3-8.3-4 QoS 3", mqtt.V311, wire(0x82, 0, 1, "a", 3), mqtt.ErrSubscriptionQoS},
		{"MQTT-3-8.3-4 reserved bits", mqtt.V311, wire(0x82, 0, 1, "a", 4), mqtt.ErrSubscriptionOptions},
		{"MQTT-3.8.3-5 reserved bits, 5.0", mqtt.V5, wire(0x82, 0, 1, 0, "a", 0x40), mqtt.ErrSubscriptionOptions},
		{"5.0 retain handling 3", mqtt.V5, wire(0x82, 0, 1, 0, "a", 0x30), mqtt.ErrRetainHandling},
		{"MQTT-3.8.3-4 no local on a shared subscription", mqtt.V5, wire(0x82, 0, 1, 0, "$share/g/a", 4), mqtt.ErrNoLocalShared},
		{"MQTT-4.7.3-1 empty filter", mqtt.V311, wire(0x82, 0, 1, "", 0), mqtt.ErrFilterEmpty},
		{"MQTT-3.8.3-1 filter is not UTF-8", mqtt.V311, wire(0x82, 0, 1, "\xff", 0), mqtt.ErrInvalidUTF8},
		{"no options", mqtt.V311, wire(0x82, 0, 1, "a"), mqtt.ErrTruncated},
		{"5.0 two subscription identifiers", mqtt.V5, wire(0x82, 0, 1, 4, 0x0b, 1, 0x0b, 2, "a", 0), mqtt.ErrPropertyTwice},
		{"5.0 subscription identifier 0", mqtt.V5, wire(0x82, 0, 1, 2, 0x0b, 0, "a", 0), mqtt.ErrPropertyValue},
		{"MQTT-1.5.5-1 5.0 padded subscription identifier", mqtt.V5, wire(0x82, 0, 1, 3, 0x0b, 0x81, 0, "a", 0), mqtt.ErrMalformedVarint},
		{"MQTT-3.8.1-1 3.1.1 with DUP", mqtt.V311, wire(0x8a, 0, 1, "a", 0), mqtt.ErrReservedFlags},
		{"MQTT-3.9.3-2 SUBACK with 3", mqtt.V311, wire(0x90, 0, 1, 3), mqtt.ErrSubackReservedReturn},
		{"MQTT-3.9.3-2 SUBACK with the code of UNSUBACK, 5.0", mqtt.V5, wire(0x90, 0, 1, 0, 0x11), mqtt.ErrReasonCode},
		{"SUBACK without codes", mqtt.V311, wire(0x90, 0, 1), mqtt.ErrNoReasonCodes},
	})
}

func TestUnsubscribeAndItsAnswerAreRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT-3.10.3-2 no filter", mqtt.V311, wire(0xa2, 0, 1), mqtt.ErrNoFilters},
		{"MQTT-2.3.1-1 packet identifier 0", mqtt.V311, wire(0xa2, 0, 0, "a"), mqtt.ErrPacketIDZero},
		{"MQTT-3.10.3-1 filter is not UTF-8", mqtt.V311, wire(0xa2, 0, 1, "\xf5"), mqtt.ErrInvalidUTF8},
		{"MQTT-4.7.3-1 empty filter", mqtt.V311, wire(0xa2, 0, 1, ""), mqtt.ErrFilterEmpty},
		{"MQTT-3.10.1-1 3.1.1 with DUP", mqtt.V311, wire(0xaa, 0, 1, "a"), mqtt.ErrReservedFlags},
		{"5.0 reason string", mqtt.V5, wire(0xa2, 0, 1, 4, 0x1f, "r", "a"), mqtt.ErrPropertyNotAllowed},
		{"3.1.1 UNSUBACK with codes", mqtt.V311, wire(0xb0, 0, 1, 0), mqtt.ErrTrailingBytes},
		{"5.0 UNSUBACK without codes", mqtt.V5, wire(0xb0, 0, 1, 0), mqtt.ErrNoReasonCodes},
		{"MQTT-3.11.3-2 UNSUBACK with a code of SUBACK", mqtt.V5, wire(0xb0, 0, 1, 0, 1), mqtt.ErrReasonCode},
	})
}

func TestDisconnectAndAuthAreRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT-3.14.1-1 3.1.1 DISCONNECT with contents", mqtt.V311, wire(0xe0, 0), mqtt.ErrTrailingBytes},
		{"MQTT-3.14.2-1 DISCONNECT with a code of CONNACK", mqtt.V5, wire(0xe0, 0x86), mqtt.ErrReasonCode},
		{"5.0 DISCONNECT with bytes after the properties", mqtt.V5, wire(0xe0, 0, 0, 0), mqtt.ErrTrailingBytes},
		{"3.1.1 AUTH", mqtt.V311, wire(0xf0), mqtt.ErrReservedType},
		{"MQTT-3.15.2-1 AUTH with another code", mqtt.V5, wire(0xf0, 0x80, 4, 0x15, "m"), mqtt.ErrReasonCode},
		{"5.0 AUTH without a method", mqtt.V5, wire(0xf0, 0x18, 0), mqtt.ErrAuthMethodMissing},
		{"5.0 AUTH without a property length", mqtt.V5, wire(0xf0, 0x18), mqtt.ErrTruncated},
	})
}

func TestPropertiesAreRefused(t *testing.T) {
	ack := func(props ...any) []byte {
		b := body(props...)
		return wire(0x40, 0, 1, 0, len(b), b)
	}
	testRefused(t, []refused{
		{"2.2.2.2 identifier 0", mqtt.V5, ack(0), mqtt.ErrPropertyUnknown},
		{"2.2.2.2 a gap in the table", mqtt.V5, ack(0x04, 0), mqtt.ErrPropertyUnknown},
		{"2.2.2.2 above the table", mqtt.V5, ack(0x2b, 0), mqtt.ErrPropertyUnknown},
		{"2.2.2.2 identifier in two bytes", mqtt.V5, ack(0x9f, 0, "r"), mqtt.ErrPropertyUnknown},
		{"2.2.2.2 not for this packet", mqtt.V5, ack(0x01, 1), mqtt.ErrPropertyNotAllowed},
		{"no value", mqtt.V5, ack(0x1f), mqtt.ErrTruncated},
		{"string longer than the list", mqtt.V5, ack(0x1f, 0, 2, raw("r")), mqtt.ErrTruncated},
		{"MQTT-1.5.7-1 name of a pair is not UTF-8", mqtt.V5, ack(0x26, "\xff", "v"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.7-1 value of a pair is not UTF-8", mqtt.V5, ack(0x26, "k", "\xff"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.4-2 NUL in a reason", mqtt.V5, ack(0x1f, "\x00"), mqtt.ErrNullCharacter},
		{"MQTT-1.5.5-1 padded length", mqtt.V5, wire(0x40, 0, 1, 0, 0x80, 0), mqtt.ErrMalformedVarint},
		{"MQTT-1.5.5-1 length of five bytes", mqtt.V5, wire(0x40, 0, 1, 0, 0x80, 0x80, 0x80, 0x80, 1), mqtt.ErrMalformedVarint},
		{"length cut off", mqtt.V5, wire(0x40, 0, 1, 0, 0x80), mqtt.ErrTruncated},
		{"length above what follows", mqtt.V5, wire(0x40, 0, 1, 0, 5, 0x1f, 0, 1), mqtt.ErrPropertyLength},
	})
}
