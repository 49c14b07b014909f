package scenario

import (
	"testing"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// publish5 is a PUBLISH to "a" with properties in wire form, which need not be
// right.
func publish5(properties string) string {
	return string((&mqtt.Publish{Topic: "a", Payload: []byte("x"), Properties: []byte(properties)}).Append(nil, mqtt.V5))
}

// framed puts a fixed header before a short body.
func framed(first byte, body string) string { return string([]byte{first, byte(len(body))}) + body }

// subscribe5 is a SUBSCRIBE to one filter.
func subscribe5(properties, filter string, options byte) string {
	return framed(0x82, "\x00\x01"+string(rune(len(properties)))+properties+"\x00"+string(rune(len(filter)))+filter+string(rune(options)))
}

func TestViolationOfMQTT5AfterConnect(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.MaxTopicAlias = 3 })
	calm := newBystander(t, b)
	const (
		malformed = protocol.MalformedPacket
		wrong     = protocol.ProtocolError
		alias     = protocol.TopicAliasInvalid
	)
	for _, tc := range []struct {
		name, bytes string
		code        protocol.ReasonCode
	}{
		{"MQTT-3.3.2-8 topic alias 0", publish5("\x23\x00\x00"), alias},
		{"MQTT-3.3.2-9 topic alias above the maximum", publish5("\x23\x00\x04"), alias},
		{"MQTT-3.3.2-7 unknown topic alias", "\x30\x06\x00\x00\x03\x23\x00\x01", wrong},
		{"no topic and no alias", "\x30\x03\x00\x00\x00", wrong},
		{"payload format twice", publish5("\x01\x00\x01\x00"), wrong},
		{"message expiry twice", publish5("\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01"), wrong},
		{"topic alias twice", publish5("\x23\x00\x01\x23\x00\x01"), wrong},
		{"response topic twice", publish5("\x08\x00\x01b\x08\x00\x01b"), wrong},
		{"correlation data twice", publish5("\x09\x00\x01b\x09\x00\x01b"), wrong},
		{"content type twice", publish5("\x03\x00\x01b\x03\x00\x01b"), wrong},
		{"payload format 2", publish5("\x01\x02"), wrong},
		{"MQTT-3.3.4-6 subscription identifier from a client", publish5("\x0b\x01"), wrong},
		{"MQTT-3.3.2-14 wildcard in the response topic", publish5("\x08\x00\x02b#"), wrong},
		{"property of another packet", publish5("\x21\x00\x01"), malformed},
		{"unknown property", publish5("\x7e\x00"), malformed},
		{"properties longer than the packet", "\x30\x05\x00\x01a\x7fx", malformed},
		{"user property that is not UTF-8", publish5("\x26\x00\x01\xc3\x00\x01v"), malformed},
		{"subscription identifier 0", subscribe5("\x0b\x00", "a", 0), wrong},
		{"two subscription identifiers", subscribe5("\x0b\x01\x0b\x02", "a", 0), wrong},
		{"MQTT-3.8.3-4 no local on a shared subscription", subscribe5("", "$share/g/a", 4), wrong},
		{"retain handling 3", subscribe5("", "a", 0x30), wrong},
		{"MQTT-3.8.3-5 reserved option", subscribe5("", "a", 0x40), malformed},
		{"MQTT-3.14.2-2 session expiry raised from 0", "\xe0\x07\x00\x05\x11\x00\x00\x00\x3c", wrong},
		{"session expiry twice", "\xe0\x0c\x00\x0a\x11\x00\x00\x00\x00\x11\x00\x00\x00\x00", wrong},
		{"MQTT-4.12.0-7 AUTH without a method in CONNECT", "\xf0\x00", wrong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := b.Dial(t)
			c.Connect(hello5("offender"))
			c.SendBytes([]byte(tc.bytes))
			if got := c.ExpectDisconnect(); got.Code != tc.code {
				t.Errorf("DISCONNECT %v, want %v", got.Code, tc.code)
			}
			c.ExpectClosed()
			calm.check()
		})
	}
}

func TestViolationOfMQTT5InConnect(t *testing.T) {
	b := testkit.Start(t)
	for _, tc := range []struct {
		name, properties string
		code             protocol.ReasonCode
	}{
		{"receive maximum 0", "\x21\x00\x00", protocol.ProtocolError},
		{"maximum packet size 0", "\x27\x00\x00\x00\x00", protocol.ProtocolError},
		{"session expiry twice", "\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", protocol.ProtocolError},
		{"receive maximum twice", "\x21\x00\x01\x21\x00\x01", protocol.ProtocolError},
		{"maximum packet size twice", "\x27\x00\x00\x00\xff\x27\x00\x00\x00\xff", protocol.ProtocolError},
		{"topic alias maximum twice", "\x22\x00\x01\x22\x00\x01", protocol.ProtocolError},
		{"request response information 2", "\x19\x02", protocol.ProtocolError},
		{"request problem information 2", "\x17\x02", protocol.ProtocolError},
		{"authentication data without a method", "\x16\x00\x01x", protocol.ProtocolError},
		{"authentication method twice", "\x15\x00\x01x\x15\x00\x01x", protocol.ProtocolError},
		{"will delay outside the will", "\x18\x00\x00\x00\x01", protocol.MalformedPacket},
		{"assigned client identifier of a client", "\x12\x00\x01x", protocol.MalformedPacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := b.Dial(t)
			c.Version = mqtt.V5
			c.SendBytes([]byte(framed(0x10, "\x00\x04MQTT\x05\x02\x00\x00"+string(rune(len(tc.properties)))+tc.properties+"\x00\x01c")))
			if got := c.ExpectConnack(); got.Code != tc.code {
				t.Errorf("CONNACK %v, want %v", got.Code, tc.code)
			}
			c.ExpectClosed()
		})
	}
}

func TestDisconnectThatIsAnErrorPublishesTheWill(t *testing.T) { // [MQTT-3.14.2-2]
	b := testkit.Start(t)
	watcher := speak(t, b, "watcher", nil, "will")
	c := b.Dial(t)
	c.Connect(hello5("raiser", willing(mqtt.Will{Topic: "will", Payload: []byte("gone")})))
	c.Send(&mqtt.Disconnect{SessionExpiry: 60, HasSessionExpiry: true})
	if got := c.ExpectDisconnect(); got.Code != protocol.ProtocolError {
		t.Errorf("DISCONNECT %v", got.Code)
	}
	c.ExpectClosed()
	watcher.ExpectPublish("will", "gone")
	if ack := b.Dial(t).Connect(hello5("raiser", lasting)); ack.SessionPresent {
		t.Error("the session has outlived its connection")
	}
}
