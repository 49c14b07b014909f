package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"emqttd/actors/system/metrics"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// badInput is what a client must not send.
type badInput struct {
	name   string
	bytes  string // what it sends: \x escapes
	reason string // under which the closed connection is counted
	answer *mqtt.Connack
}

// bystander is a client that must not notice anything.
type bystander struct {
	*testkit.Client
	n int
}

func newBystander(t *testing.T, b *testkit.Broker) *bystander {
	c := b.Dial(t)
	c.Connect(testkit.Hello("bystander"))
	c.Subscribe(1, "calm/#")
	return &bystander{c, 0}
}

func (b *bystander) check() {
	b.n++
	payload := fmt.Sprint(b.n)
	b.Publish("calm/sea", payload, 0, 0)
	b.ExpectPublish("calm/sea", payload)
}

// connect3 is the beginning of a CONNECT of MQTT 3.1.1 up to the Remaining
// Length, which is n.
func connect3(rest string) string { return "\x10" + string(rune(len(rest))) + rest }

const mqtt4 = "\x00\x04MQTT\x04"

func TestConnectionThatBeginsBadlyIsAnsweredAndClosed(t *testing.T) {
	b := testkit.Start(t)
	calm := newBystander(t, b)
	code := func(c protocol.ReasonCode) *mqtt.Connack { return &mqtt.Connack{Code: c} }
	for _, tc := range []badInput{
		{"MQTT-3.1.0-1 first packet is PINGREQ", "\xc0\x00", "first_packet_not_connect", nil},
		{"MQTT-3.1.0-1 first packet is PUBLISH", "\x30\x03\x00\x01a", "first_packet_not_connect", nil},
		{"MQTT-3.1.2-2 unknown protocol level", connect3("\x00\x04MQTT\x09\x02\x00\x00\x00\x01c"), "unsupported_protocol_level", code(protocol.UnsupportedProtocolVersion)},
		{"MQTT-3.1.2-1 wrong protocol name", connect3("\x00\x04MQTQ\x04\x02\x00\x00\x00\x01c"), "bad_protocol_name", nil},
		{"MQTT-3.1.2-3 reserved flag", connect3(mqtt4 + "\x03\x00\x00\x00\x01c"), "connect_reserved_flag", nil},
		{"MQTT-3.1.2-14 will QoS 3", connect3(mqtt4 + "\x1e\x00\x00\x00\x01c\x00\x01w\x00\x01p"), "invalid_will_qos", nil},
		{"MQTT-3.1.2-13 will QoS without will", connect3(mqtt4 + "\x0a\x00\x00\x00\x01c"), "will_flags_without_will", nil},
		{"MQTT-3.1.2-22 password without user name", connect3(mqtt4 + "\x42\x00\x00\x00\x01c\x00\x01p"), "password_without_user_name", nil},
		{"MQTT-3.1.3-8 no client identifier for a persistent session", connect3(mqtt4 + "\x00\x00\x00\x00\x00"), "client_id_empty", code(protocol.ClientIdentifierNotValid)},
		{"MQTT-1.5.3-1 client identifier is not UTF-8", connect3(mqtt4 + "\x02\x00\x00\x00\x02\xc3\x28"), "invalid_utf8", nil},
		{"MQTT-1.5.3-2 client identifier with a null character", connect3(mqtt4 + "\x02\x00\x00\x00\x02a\x00"), "null_character", nil},
		{"truncated CONNECT", connect3(mqtt4 + "\x02\x00\x00\x00\x09c"), "truncated_packet", nil},
		{"bytes behind the CONNECT", connect3(mqtt4 + "\x02\x00\x00\x00\x01cXX"), "trailing_bytes", nil},
		{"larger than mqtt.max_packet_size", "\x10\xff\xff\xff\x7f", "frame_too_large", nil},
		{"endless Remaining Length", "\x10\xff\xff\xff\xff\xff", "malformed_remaining_length", nil},
		{"a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "reserved_flags", nil},
		{"a TLS client", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "reserved_flags", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := b.Ended(tc.reason)
			c := b.Dial(t)
			c.SendBytes([]byte(tc.bytes))
			if tc.answer != nil {
				if got := c.ExpectConnack(); got.Code != tc.answer.Code {
					t.Errorf("CONNACK %v, want %v", got.Code, tc.answer.Code)
				}
			}
			c.ExpectClosed()
			c.Close() // else the broker waits a while for what may still come
			testkit.Eventually(t, "counted as "+tc.reason, func() bool { return b.Ended(tc.reason) == before+1 })
			calm.check()
		})
	}
}

func TestClientIdentifierThatIsTooLongIsRefused(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	c.Send(testkit.Hello(strings.Repeat("x", b.Config.MQTT.MaxClientIDLen+1)))
	if got := c.ExpectConnack(); got.Code != protocol.ClientIdentifierNotValid {
		t.Errorf("CONNACK %v", got.Code)
	}
	c.ExpectClosed()
}

func TestWithoutAnonymousAccessAClientIsNotAuthorised(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.AllowAnonymous = false })
	c := b.Dial(t)
	c.Send(testkit.Hello("stranger"))
	if got := c.ExpectConnack(); got.Code != protocol.NotAuthorized {
		t.Errorf("CONNACK %v", got.Code)
	}
	c.ExpectClosed()
}

// violations are packets that a client must not send once it is connected, with
// the code that MQTT 5 names for each.
var violations = []struct {
	badInput
	code protocol.ReasonCode
}{
	{badInput{"MQTT-3.1.0-2 second CONNECT", connect3(mqtt4 + "\x02\x00\x00\x00\x01c"), "second_connect", nil}, protocol.ProtocolError},
	{badInput{"reserved packet type 0", "\x00\x00", "reserved_packet_type", nil}, protocol.MalformedPacket},
	{badInput{"MQTT-2.2.2-2 SUBSCRIBE with wrong flags", "\x80\x06\x00\x01\x00\x01a\x00", "reserved_flags", nil}, protocol.MalformedPacket},
	{badInput{"MQTT-2.2.2-2 PUBREL with wrong flags", "\x60\x02\x00\x01", "reserved_flags", nil}, protocol.MalformedPacket},
	{badInput{"MQTT-2.2.3 endless Remaining Length", "\x30\xff\xff\xff\xff\x01", "malformed_remaining_length", nil}, protocol.MalformedPacket},
	{badInput{"larger than mqtt.max_packet_size", "\x30\xff\xff\x7f", "frame_too_large", nil}, protocol.PacketTooLarge},
	{badInput{"topic longer than the PUBLISH", "\x30\x03\x00\x05a", "truncated_packet", nil}, protocol.MalformedPacket},
	{badInput{"MQTT-3.3.1-4 PUBLISH of QoS 3", "\x36\x05\x00\x01a\x00\x01", "invalid_qos", nil}, protocol.MalformedPacket},
	{badInput{"PUBACK of one byte", "\x40\x01\x00", "truncated_packet", nil}, protocol.MalformedPacket},
	{badInput{"MQTT-4.8.0-1 CONNACK from a client", "\x20\x02\x00\x00", "packet_not_from_client", nil}, protocol.ProtocolError},
	{badInput{"MQTT-4.8.0-1 PINGRESP from a client", "\xd0\x00", "packet_not_from_client", nil}, protocol.ProtocolError},
	{badInput{"MQTT-2.3.1-1 PUBACK with packet identifier 0", "\x40\x02\x00\x00", "packet_id_zero", nil}, protocol.ProtocolError},
}

// violations311 have another form in MQTT 5.
var violations311 = []badInput{
	{"MQTT-1.5.3-1 topic is not UTF-8", "\x30\x05\x00\x02\xc3\x28x", "invalid_utf8", nil},
	{"MQTT-1.5.3-2 topic with a null character", "\x30\x05\x00\x02a\x00x", "null_character", nil},
	{"MQTT-3.3.2-2 PUBLISH to a wildcard", "\x30\x05\x00\x03a/#", "topic_name_wildcard", nil},
	{"MQTT-3.3.2-2 PUBLISH to a plus", "\x30\x05\x00\x03+/a", "topic_name_wildcard", nil},
	{"MQTT-4.7.3-1 PUBLISH to an empty topic", "\x30\x03\x00\x00x", "topic_name_empty", nil},
	{"MQTT-2.3.1-1 PUBLISH with packet identifier 0", "\x32\x05\x00\x01a\x00\x00", "packet_id_zero", nil},
	{"MQTT-2.3.1-1 SUBSCRIBE with packet identifier 0", "\x82\x06\x00\x00\x00\x01a\x00", "packet_id_zero", nil},
	{"MQTT-2.3.1-1 UNSUBSCRIBE with packet identifier 0", "\xa2\x05\x00\x00\x00\x01a", "packet_id_zero", nil},
	{"MQTT-3.3.1-2 DUP with QoS 0", "\x38\x03\x00\x01a", "dup_with_qos0", nil},
	{"MQTT-3.8.3-3 SUBSCRIBE to nothing", "\x82\x02\x00\x01", "no_topic_filters", nil},
	{"MQTT-3.10.3-2 UNSUBSCRIBE from nothing", "\xa2\x02\x00\x01", "no_topic_filters", nil},
	{"MQTT-4.7.1-2 SUBSCRIBE to a/#/b", "\x82\x0a\x00\x01\x00\x05a/#/b\x00", "topic_filter_invalid", nil},
	{"MQTT-4.7.1-3 SUBSCRIBE to a+", "\x82\x07\x00\x01\x00\x02a+\x00", "topic_filter_invalid", nil},
	{"MQTT-4.7.3-1 SUBSCRIBE to an empty filter", "\x82\x05\x00\x01\x00\x00\x00", "topic_filter_empty", nil},
	{"MQTT-3-8.3-4 SUBSCRIBE with QoS 3", "\x82\x06\x00\x01\x00\x01a\x03", "invalid_subscription_qos", nil},
	{"MQTT-3-8.3-4 SUBSCRIBE with reserved bits", "\x82\x06\x00\x01\x00\x01a\x81", "reserved_subscription_options", nil},
	{"bytes behind a PUBACK", "\x40\x03\x00\x01\x00", "trailing_bytes", nil},
	{"AUTH, which MQTT 3.1.1 does not know", "\xf0\x00", "packet_not_from_client", nil},
}

func TestViolationClosesThatConnectionAndNoOther(t *testing.T) {
	b := testkit.Start(t)
	calm := newBystander(t, b)
	all := violations311
	for _, v := range violations {
		all = append(all, v.badInput)
	}
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			before := b.Ended(tc.reason)
			c := b.Dial(t)
			c.Connect(testkit.Hello("offender"))
			c.SendBytes([]byte(tc.bytes))
			c.ExpectClosed()
			c.Close() // else the broker waits a while for what may still come
			testkit.Eventually(t, "counted as "+tc.reason, func() bool { return b.Ended(tc.reason) == before+1 })
			calm.check()
		})
	}
}

func TestViolationOfMQTT5IsAnsweredWithItsReason(t *testing.T) {
	b := testkit.Start(t)
	calm := newBystander(t, b)
	for _, tc := range violations {
		t.Run(tc.name, func(t *testing.T) {
			c := b.Dial(t)
			hello := testkit.Hello("offender")
			hello.Version = mqtt.V5
			c.Connect(hello)
			c.SendBytes([]byte(tc.bytes))
			if got := c.ExpectDisconnect(); got.Code != tc.code {
				t.Errorf("DISCONNECT %v, want %v", got.Code, tc.code)
			}
			c.ExpectClosed()
			calm.check()
		})
	}
}

// TestAcknowledgementOfNothingIsNoViolation: after a crash of either side such
// packets are on their way, so they are answered and counted.
func TestAcknowledgementOfNothingIsNoViolation(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	c.Connect(testkit.Hello("late"))
	c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: 7}, &mqtt.Ack{Type: mqtt.PUBREC, ID: 8}, &mqtt.Ack{Type: mqtt.PUBCOMP, ID: 9})
	c.Send(&mqtt.Ack{Type: mqtt.PUBREL, ID: 10})
	for {
		h, _, err := c.TryRead()
		if err != nil {
			t.Fatal(err)
		}
		if h.Type == mqtt.PUBCOMP { // a PUBREL may come before it, for the PUBREC
			break
		}
	}
	c.Ping()
	for _, m := range []metrics.Metric{
		metrics.PacketsPubackMissed, metrics.PacketsPubrecMissed, metrics.PacketsPubrelMissed, metrics.PacketsPubcompMissed,
	} {
		if n := b.Metrics().Get(m); n != 1 {
			t.Errorf("%s is %d", m, n)
		}
	}
}

func TestSlowLorisIsClosedWhenItsTimeIsOver(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.IdleTimeout = 200 * time.Millisecond })
	calm := newBystander(t, b)
	for name, begin := range map[string]func(c *testkit.Client){
		"sends nothing":                  func(*testkit.Client) {},
		"sends the beginning of CONNECT": func(c *testkit.Client) { c.SendBytes([]byte("\x10\x0d\x00\x04MQ")) },
		"sends the beginning of a packet": func(c *testkit.Client) {
			c.Connect(testkit.Hello("loris"))
			c.SendBytes([]byte("\x30\x7f\x00\x01a"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.Ended("idle_timeout")
			c := b.Dial(t)
			begin(c)
			c.ExpectClosed()
			c.Close() // else the broker waits a while for what may still come
			testkit.Eventually(t, "counted", func() bool { return b.Ended("idle_timeout") == before+1 })
			calm.check()
		})
	}
}

// TestSlowLorisThatDripsIsClosedToo: a byte now and then does not buy time.
func TestSlowLorisThatDripsIsClosedToo(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.IdleTimeout = 200 * time.Millisecond })
	c := b.Dial(t)
	c.Connect(testkit.Hello("drip"))
	end := make(chan struct{})
	go func() {
		defer close(end)
		drip := time.NewTicker(20 * time.Millisecond)
		defer drip.Stop()
		for _, x := range append([]byte("\x30\xff\x01\x00\x01a"), make([]byte, 250)...) {
			if _, err := c.Conn.Write([]byte{x}); err != nil {
				return
			}
			<-drip.C
		}
	}()
	c.ExpectClosed()
	c.Close()
	<-end
}

func TestClientThatIsSilentBeyondItsKeepAliveIsClosed(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	hello := testkit.Hello("silent")
	hello.KeepAlive = 1 // [MQTT-3.1.2-24]
	c.Connect(hello)
	c.ExpectClosed()
	testkit.Eventually(t, "counted", func() bool { return b.Ended("keepalive_timeout") == 1 })
}
