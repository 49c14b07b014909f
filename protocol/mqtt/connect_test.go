package mqtt_test

import (
	"reflect"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestConnectIsDecoded(t *testing.T) {
	cases := []struct {
		name string
		wire []byte
		want mqtt.Connect
	}{
		{"3.1", wire(0x10, "MQIsdp", 3, 0x02, 0, 60, "c"), mqtt.Connect{Version: mqtt.V31, CleanStart: true, KeepAlive: 60, ClientID: "c"}},
		{"3.1.1", wire(0x10, "MQTT", 4, 0x02, 1, 2, "c"), mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 258, ClientID: "c"}},
		{"5.0", wire(0x10, "MQTT", 5, 0, 0, 0, 0, ""), mqtt.Connect{Version: mqtt.V5}},
		{"a mosquitto bridge, 3.1", wire(0x10, "MQIsdp", 0x83, 0, 0, 0, "b"), mqtt.Connect{Version: mqtt.V31, Bridge: true, ClientID: "b"}},
		{"a mosquitto bridge, 3.1.1", wire(0x10, "MQTT", 0x84, 0, 0, 0, "b"), mqtt.Connect{Version: mqtt.V311, Bridge: true, ClientID: "b"}},
		{"MQTT-3.1.3-1 fields in order", wire(0x10, "MQTT", 4, 0xee, 0, 1, "c", "w/t", "bye", "u", "p"), mqtt.Connect{
			Version: mqtt.V311, CleanStart: true, KeepAlive: 1, ClientID: "c",
			HasWill: true, Will: mqtt.Will{Topic: "w/t", Payload: raw("bye"), QoS: 1, Retain: true},
			HasUserName: true, UserName: "u", HasPassword: true, Password: raw("p"),
		}},
		{"empty will payload and password are present", wire(0x10, "MQTT", 4, 0xc4, 0, 0, "c", "w", "", "", ""), mqtt.Connect{
			Version: mqtt.V311, ClientID: "c", HasWill: true, Will: mqtt.Will{Topic: "w", Payload: raw("")},
			HasUserName: true, HasPassword: true, Password: raw(""),
		}},
		{"5.0 allows a password alone", wire(0x10, "MQTT", 5, 0x40, 0, 0, 0, "c", "p"), mqtt.Connect{
			Version: mqtt.V5, ClientID: "c", HasPassword: true, Password: raw("p"),
		}},
		{
			"all properties of 5.0", wire(0x10, "MQTT", 5, 0x02, 0, 0, 42,
				0x11, 0, 0, 0, 9, 0x21, 0, 8, 0x27, 0, 0, 0, 7, 0x22, 0, 6, 0x19, 1, 0x17, 0,
				0x15, "m", 0x16, "d", 0x26, "k", "v", 0x26, "k", "w", "c"),
			mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "c", Properties: mqtt.ConnectProperties{
				SessionExpiry: 9, ReceiveMaximum: 8, MaximumPacketSize: 7, TopicAliasMaximum: 6,
				RequestResponseInfo: true, NoProblemInfo: true, HasAuthMethod: true, AuthMethod: "m", AuthData: raw("d"),
				User: []mqtt.UserProperty{{Key: "k", Value: "v"}, {Key: "k", Value: "w"}},
			}},
		},
		{
			"will properties of 5.0", wire(0x10, "MQTT", 5, 0x04, 0, 0, 0, "c", 18,
				0x01, 1, 0x18, 0, 0, 0, 5, 0x02, 0, 0, 0, 6, 0x03, "txt", "w", "x"),
			mqtt.Connect{Version: mqtt.V5, ClientID: "c", HasWill: true, Will: mqtt.Will{
				Topic: "w", Payload: raw("x"), Delay: 5, MessageExpiry: 6, HasMessageExpiry: true,
				PayloadFormat: 1, Properties: body(0x01, 1, 0x03, "txt"),
			}},
		},
		{"3.1 lets the length win over the user name flag", wire(0x10, "MQIsdp", 3, 0xc0, 0, 0, "c"), mqtt.Connect{Version: mqtt.V31, ClientID: "c"}},
		{"3.1 lets the length win over the password flag", wire(0x10, "MQIsdp", 3, 0xc0, 0, 0, "c", "u"), mqtt.Connect{
			Version: mqtt.V31, ClientID: "c", HasUserName: true, UserName: "u",
		}},
		{"3.1 disregards will flags without a will", wire(0x10, "MQIsdp", 3, 0x38, 0, 0, "c"), mqtt.Connect{Version: mqtt.V31, ClientID: "c"}},
		{"3.1 does not use bit 0 of the flags", wire(0x10, "MQIsdp", 3, 0x01, 0, 0, "c"), mqtt.Connect{Version: mqtt.V31, ClientID: "c"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := decode(c.wire, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.(*mqtt.Connect); !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

func TestConnectIsRefused(t *testing.T) {
	v3 := func(flags int, rest ...any) []byte {
		return wire(0x10, append([]any{"MQTT", 4, flags, 0, 0}, rest...)...)
	}
	v5 := func(flags int, rest ...any) []byte {
		return wire(0x10, append([]any{"MQTT", 5, flags, 0, 0}, rest...)...)
	}
	testRefused(t, []refused{
		{"MQTT-3.1.2-1 another protocol name", 0, wire(0x10, "HTTP", 4, 2, 0, 0, "c"), mqtt.ErrProtocolName},
		{"MQTT-3.1.2-1 name in the wrong case", 0, wire(0x10, "mqtt", 4, 2, 0, 0, "c"), mqtt.ErrProtocolName},
		{"MQTT-3.1.2-2 level 6", 0, wire(0x10, "MQTT", 6, 2, 0, 0, "c"), mqtt.ErrProtocolLevel},
		{"MQTT-3.1.2-2 level 5 with the bit of a bridge", 0, wire(0x10, "MQTT", 0x85, 2, 0, 0, 0, "c"), mqtt.ErrProtocolLevel},
		{"MQTT-3.1.2-2 level 3 under the name of level 4", 0, wire(0x10, "MQTT", 3, 2, 0, 0, "c"), mqtt.ErrProtocolLevel},
		{"MQTT-3.1.2-2 level 4 under the name of level 3", 0, wire(0x10, "MQIsdp", 4, 2, 0, 0, "c"), mqtt.ErrProtocolLevel},
		{"MQTT-3.1.2-3 reserved flag", 0, v3(0x03, "c"), mqtt.ErrConnectReservedFlag},
		{"MQTT-3.1.2-3 reserved flag, 5.0", 0, v5(0x03, 0, "c"), mqtt.ErrConnectReservedFlag},
		{"MQTT-3.1.2-13 will QoS without a will", 0, v3(0x08, "c"), mqtt.ErrWillFlags},
		{"MQTT-3.1.2-15 will retain without a will", 0, v3(0x20, "c"), mqtt.ErrWillFlags},
		{"MQTT-3.1.2-14 will QoS 3", 0, v3(0x1c, "c", "w", "x"), mqtt.ErrWillQoS},
		{"MQTT-3.1.2-22 password without user name", 0, v3(0x40, "c", "p"), mqtt.ErrPasswordOnly},
		{"MQTT-3.1.2-9 will flag but no will", 0, v3(0x04, "c"), mqtt.ErrTruncated},
		{"MQTT-3.1.2-19 user name flag but no user name", 0, v3(0x80, "c"), mqtt.ErrTruncated},
		{"MQTT-3.1.2-18 user name but no flag", 0, v3(0x00, "c", "u"), mqtt.ErrTrailingBytes},
		{"MQTT-3.1.3-3 no client identifier", 0, v3(0x00), mqtt.ErrTruncated},
		{"MQTT-3.1.3-4 client identifier is not UTF-8", 0, v3(0x02, "c\xff"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.3-2 NUL in the client identifier", 0, v3(0x02, "c\x00"), mqtt.ErrNullCharacter},
		{"MQTT-3.1.3-10 will topic is not UTF-8", 0, v3(0x04, "c", "\xed\xa0\x80", "x"), mqtt.ErrInvalidUTF8},
		{"MQTT-3.1.3-11 user name is not UTF-8", 0, v3(0x80, "c", "\xc0\x80"), mqtt.ErrInvalidUTF8},
		{"MQTT-4.7.3-1 empty will topic", 0, v3(0x04, "c", "", "x"), mqtt.ErrTopicEmpty},
		{"MQTT-3.3.2-2 wildcard in the will topic", 0, v3(0x04, "c", "a/#", "x"), mqtt.ErrTopicWildcard},
		{"5.0 no property length", 0, v5(0x02), mqtt.ErrTruncated},
		{"5.0 Receive Maximum 0", 0, v5(0x02, 3, 0x21, 0, 0, "c"), mqtt.ErrPropertyValue},
		{"5.0 Maximum Packet Size 0", 0, v5(0x02, 5, 0x27, 0, 0, 0, 0, "c"), mqtt.ErrPropertyValue},
		{"5.0 Request Problem Information 2", 0, v5(0x02, 2, 0x17, 2, "c"), mqtt.ErrPropertyValue},
		{"5.0 Authentication Data without a method", 0, v5(0x02, 4, 0x16, "d", "c"), mqtt.ErrAuthMethodMissing},
		{"5.0 Will Delay outside of the will", 0, v5(0x02, 5, 0x18, 0, 0, 0, 1, "c"), mqtt.ErrPropertyNotAllowed},
		{"5.0 Topic Alias in the will", 0, v5(0x04, 0, "c", 3, 0x23, 0, 1, "w", "x"), mqtt.ErrPropertyNotAllowed},
		{"MQTT-1.5.5-1 5.0 padded Remaining Length", 0, body(0x10, 0x8d, 0, "MQTT", 5, 2, 0, 0, 0, ""), mqtt.ErrMalformedRemainingLength},
	})
}

func TestAFailedConnectSaysInWhichFormToAnswer(t *testing.T) {
	cases := []struct {
		name string
		wire []byte
		want mqtt.Version
		code protocol.ReasonCode
	}{
		{"5.0 is known before the error", wire(0x10, "MQTT", 5, 0x03, 0, 0, 0, "c"), mqtt.V5, protocol.MalformedPacket},
		{"3.1 is known before the error", wire(0x10, "MQIsdp", 3, 0x1c, 0, 0, "c"), mqtt.V31, protocol.MalformedPacket},
		{"an unknown level gets the answer of 3.1.1", wire(0x10, "MQTT", 9, 0, 0, 0, "c"), mqtt.V311, protocol.UnsupportedProtocolVersion},
		{"another protocol gets none", wire(0x10, "HTTP", 4, 0, 0, 0, "c"), 0, protocol.UnsupportedProtocolVersion},
		{"half a name gets none", wire(0x10, 0, 4, raw("MQ")), 0, protocol.MalformedPacket},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := decode(c.wire, 0)
			e, ok := err.(*mqtt.Error)
			if !ok || e.Code != c.code || p.(*mqtt.Connect).Version != c.want {
				t.Errorf("got %v in form %v, want %v in form %v", err, p.(*mqtt.Connect).Version, c.code, c.want)
			}
		})
	}
}

func TestConnackIsRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT 3.2.2.1 reserved acknowledge flag", mqtt.V311, wire(0x20, 2, 0), mqtt.ErrConnackFlags},
		{"MQTT-3.2.2-4 session present with an error", mqtt.V311, wire(0x20, 1, 5), mqtt.ErrConnackFlags},
		{"MQTT-3.2.2-6 session present with an error, 5.0", mqtt.V5, wire(0x20, 1, 0x87, 0), mqtt.ErrConnackFlags},
		{"MQTT 3.2.2.3 return code 6", mqtt.V311, wire(0x20, 0, 6), mqtt.ErrReturnCode},
		{"MQTT-3.2.2-8 reason code of another packet", mqtt.V5, wire(0x20, 0, 0x8e, 0), mqtt.ErrReasonCode},
		{"3.1.1 trailing byte", mqtt.V311, wire(0x20, 0, 0, 0), mqtt.ErrTrailingBytes},
		{"5.0 no property length", mqtt.V5, wire(0x20, 0, 0), mqtt.ErrTruncated},
		{"5.0 Maximum QoS 2", mqtt.V5, wire(0x20, 0, 0, 2, 0x24, 2), mqtt.ErrPropertyValue},
		{"5.0 Will Delay", mqtt.V5, wire(0x20, 0, 0, 5, 0x18, 0, 0, 0, 0), mqtt.ErrPropertyNotAllowed},
	})
}

func TestConnackSaysWhatTheVersionCan(t *testing.T) {
	cases := []struct {
		name string
		v    mqtt.Version
		in   mqtt.Connack
		want []byte
	}{
		{"3.1 has no session present", mqtt.V31, mqtt.Connack{SessionPresent: true}, wire(0x20, 0, 0)},
		{"MQTT-3.2.2-2 3.1.1 has", mqtt.V311, mqtt.Connack{SessionPresent: true}, wire(0x20, 1, 0)},
		{"MQTT-3.2.2-4 not with an error", mqtt.V311, mqtt.Connack{SessionPresent: true, Code: protocol.NotAuthorized}, wire(0x20, 0, 5)},
		{"an error without a return code", mqtt.V311, mqtt.Connack{Code: protocol.ProtocolError}, wire(0x20, 0, 3)},
		{"5.0", mqtt.V5, mqtt.Connack{Code: protocol.ServerBusy, Properties: mqtt.ConnackProperties{Reason: "x"}}, wire(0x20, 0, 0x89, 4, 0x1f, "x")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.in.Append(nil, c.v); string(got) != string(c.want) {
				t.Errorf("got % x, want % x", got, c.want)
			}
		})
	}
}
