package mqtt_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"emqttd/protocol/mqtt"
)

func TestPublishIsDecoded(t *testing.T) {
	ct := body(0x03, "txt")
	cases := []struct {
		name string
		v    mqtt.Version
		wire []byte
		want mqtt.Publish
	}{
		{"QoS 0", mqtt.V311, wire(0x30, "a/b", raw("hi")), mqtt.Publish{Topic: "a/b", Payload: raw("hi")}},
		{"QoS 1, retained", mqtt.V311, wire(0x33, "a", 1, 2, raw("hi")), mqtt.Publish{Topic: "a", QoS: 1, Retain: true, PacketID: 258, Payload: raw("hi")}},
		{"QoS 2, again", mqtt.V31, wire(0x3c, "a", 0, 7), mqtt.Publish{Topic: "a", QoS: 2, Dup: true, PacketID: 7, Payload: raw("")}},
		{"5.0 without properties", mqtt.V5, wire(0x30, "a", 0, raw("x")), mqtt.Publish{Topic: "a", Payload: raw("x")}},
		{"5.0 alias in place of the topic", mqtt.V5, wire(0x30, "", 3, 0x23, 0, 9, raw("x")), mqtt.Publish{TopicAlias: 9, Payload: raw("x")}},
		{"5.0 hop values first", mqtt.V5, wire(0x30, "a", 14, 0x23, 0, 9, 0x02, 0, 0, 0, 8, ct), mqtt.Publish{
			Topic: "a", TopicAlias: 9, MessageExpiry: 8, HasMessageExpiry: true, Properties: ct, Payload: raw(""),
		}},
		{"5.0 hop values around", mqtt.V5, wire(0x30, "a", 16, 0x23, 0, 9, ct, 0x01, 1, 0x02, 0, 0, 0, 0), mqtt.Publish{
			Topic: "a", TopicAlias: 9, HasMessageExpiry: true, PayloadFormat: 1, Properties: body(ct, 0x01, 1), Payload: raw(""),
		}},
		{"5.0 hop values between", mqtt.V5, wire(0x30, "a", 22, ct, 0x0b, 7, 0x01, 0, 0x23, 0, 9, 0x0b, 0x80, 1, 0x26, "", "v"), mqtt.Publish{
			Topic: "a", TopicAlias: 9, SubscriptionIDs: []uint32{7, 128},
			Properties: body(ct, 0x01, 0, 0x26, "", "v"), Payload: raw(""),
		}},
		{"MQTT-1.5.3-3 a byte order mark stays", mqtt.V311, wire(0x30, "\ufeffa"), mqtt.Publish{Topic: "\ufeffa", Payload: raw("")}},
		{"letters of all lengths", mqtt.V311, wire(0x30, "aéß漢😀/more/than/eight"), mqtt.Publish{Topic: "aéß漢😀/more/than/eight", Payload: raw("")}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := decode(c.wire, c.v)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.(*mqtt.Publish); !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

func TestPublishIsRefused(t *testing.T) {
	testRefused(t, []refused{
		{"MQTT-3.3.1-4 QoS 3", mqtt.V311, wire(0x36, "a", 0, 1), mqtt.ErrInvalidQoS},
		{"MQTT-3.3.1-2 DUP with QoS 0", mqtt.V311, wire(0x38, "a"), mqtt.ErrDupQoS0},
		{"MQTT-2.3.1-1 packet identifier 0", mqtt.V311, wire(0x32, "a", 0, 0), mqtt.ErrPacketIDZero},
		{"MQTT-2.2.1-3 packet identifier 0, 5.0", mqtt.V5, wire(0x32, "a", 0, 0, 0), mqtt.ErrPacketIDZero},
		{"MQTT-3.3.2-1 no topic", mqtt.V311, wire(0x30), mqtt.ErrTruncated},
		{"a topic longer than the packet", mqtt.V311, wire(0x30, 0xff, 0xff, raw("a")), mqtt.ErrTruncated},
		{"no packet identifier", mqtt.V311, wire(0x32, "a", 1), mqtt.ErrTruncated},
		{"MQTT-4.7.3-1 empty topic", mqtt.V311, wire(0x30, "", raw("x")), mqtt.ErrTopicEmpty},
		{"MQTT-3.3.2-2 #", mqtt.V311, wire(0x30, "a/#"), mqtt.ErrTopicWildcard},
		{"MQTT-3.3.2-2 + after eight letters", mqtt.V311, wire(0x30, "12345678/+/9"), mqtt.ErrTopicWildcard},
		{"MQTT-3.3.2-2 + among eight letters", mqtt.V311, wire(0x30, "123+5678"), mqtt.ErrTopicWildcard},
		{"MQTT-3.3.2-2 # beside letters outside ASCII", mqtt.V311, wire(0x30, "é#"), mqtt.ErrTopicWildcard},
		{"MQTT-4.7.3-2 NUL", mqtt.V311, wire(0x30, "a\x00"), mqtt.ErrNullCharacter},
		{"MQTT-4.7.3-2 NUL among eight letters", mqtt.V311, wire(0x30, "1234\x00678"), mqtt.ErrNullCharacter},
		{"MQTT-1.5.3-1 surrogate", mqtt.V311, wire(0x30, "\xed\xa0\x80"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.3-1 overlong NUL", mqtt.V311, wire(0x30, "\xc0\x80"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.3-1 half a letter", mqtt.V311, wire(0x30, "1234567\xc3"), mqtt.ErrInvalidUTF8},
		{"MQTT-1.5.3-1 above U+10FFFF", mqtt.V311, wire(0x30, "\xf4\x90\x80\x80"), mqtt.ErrInvalidUTF8},
		{"5.0 empty topic without an alias", mqtt.V5, wire(0x30, "", 0, raw("x")), mqtt.ErrTopicEmpty},
		{"MQTT-3.3.2-8 topic alias 0", mqtt.V5, wire(0x30, "a", 3, 0x23, 0, 0), mqtt.ErrTopicAliasZero},
		{"MQTT-3.3.2-14 wildcard in the response topic", mqtt.V5, wire(0x30, "a", 4, 0x08, "+"), mqtt.ErrResponseTopic},
		{"MQTT-3.3.2-13 response topic is not UTF-8", mqtt.V5, wire(0x30, "a", 4, 0x08, "\xff"), mqtt.ErrInvalidUTF8},
		{"5.0 payload format 2", mqtt.V5, wire(0x30, "a", 2, 0x01, 2), mqtt.ErrPropertyValue},
		{"5.0 subscription identifier 0", mqtt.V5, wire(0x30, "a", 2, 0x0b, 0), mqtt.ErrPropertyValue},
		{"5.0 two aliases", mqtt.V5, wire(0x30, "a", 6, 0x23, 0, 1, 0x23, 0, 1), mqtt.ErrPropertyTwice},
		{"5.0 properties longer than the packet", mqtt.V5, wire(0x30, "a", 9, 0x23, 0, 1), mqtt.ErrPropertyLength},
		{"5.0 no property length", mqtt.V5, wire(0x30, "a"), mqtt.ErrTruncated},
	})
}

func TestOnlyAServerSendsSubscriptionIdentifiers(t *testing.T) {
	p := mqtt.Publish{Topic: "a"}
	if err := p.CheckFromClient(); err != nil {
		t.Error(err)
	}
	p.SubscriptionIDs = []uint32{1}
	if err := p.CheckFromClient(); err != error(mqtt.ErrSubscriptionIDSent) {
		t.Errorf("MQTT-3.3.4-6: got %v", err)
	}
}

func TestPropertiesStayInPlaceUnlessHopValuesStandBetween(t *testing.T) {
	inside := func(p, b []byte) bool {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
		base := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
		return at >= base && at < base+uintptr(len(b))
	}
	ct := body(0x03, "txt")
	cases := []struct {
		name  string
		wire  []byte
		alias bool
	}{
		{"none", wire(0x30, "a", 6, ct), true},
		{"first", wire(0x30, "a", 9, 0x23, 0, 1, ct), true},
		{"last", wire(0x30, "a", 9, ct, 0x23, 0, 1), true},
		{"between", wire(0x30, "a", 11, ct, 0x23, 0, 1, 0x01, 1), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := decode(c.wire, mqtt.V5)
			if err != nil {
				t.Fatal(err)
			}
			props := p.(*mqtt.Publish).Properties
			if inside(props, c.wire) != c.alias {
				t.Errorf("part of the body: %v, want %v", !c.alias, c.alias)
			}
			if cap(props) > len(props) && c.alias {
				t.Error("an append to the properties would overwrite the payload")
			}
		})
	}
}

func TestAForwardedPublishSays3xOnlyWhat3xKnows(t *testing.T) {
	p := mqtt.Publish{
		Topic: "a", Payload: raw("x"), QoS: 1, PacketID: 3, Properties: body(0x01, 1),
		TopicAlias: 2, SubscriptionIDs: []uint32{5}, MessageExpiry: 7, HasMessageExpiry: true,
	}
	if got, want := p.Append(nil, mqtt.V311), wire(0x32, "a", 0, 3, raw("x")); !bytes.Equal(got, want) {
		t.Errorf("3.1.1: got % x, want % x", got, want)
	}
	want := wire(0x32, "a", 0, 3, 12, 0x23, 0, 2, 0x02, 0, 0, 0, 7, 0x0b, 5, 0x01, 1, raw("x"))
	if got := p.Append(nil, mqtt.V5); !bytes.Equal(got, want) {
		t.Errorf("5.0: got % x, want % x", got, want)
	}
}

func TestWhatCannotBeSaidOnTheWirePanics(t *testing.T) {
	panics := func(f func()) (yes bool) {
		defer func() { yes = recover() != nil }()
		f()
		return false
	}
	long := mqtt.Unsubscribe{ID: 1, Filters: []string{strings.Repeat("x", 65536)}}
	if !panics(func() { long.Append(nil, mqtt.V311) }) {
		t.Error("a string of 65536 bytes was written")
	}
	large := mqtt.Publish{Topic: "a", Payload: make([]byte, mqtt.MaxRemaining)}
	if !panics(func() { large.Append(nil, mqtt.V311) }) {
		t.Error("a packet of more than MaxRemaining bytes was written")
	}
}

func TestMessagePropertiesReadWhatPublishForwards(t *testing.T) {
	in := body(0x01, 1, 0x03, "ct", 0x08, "re/ply", 0x09, "id", 0x26, "k", "v")
	var m mqtt.MessageProperties
	if err := m.Decode(in); err != nil {
		t.Fatal(err)
	}
	want := mqtt.MessageProperties{
		PayloadFormat: 1, ContentType: "ct", ResponseTopic: "re/ply", CorrelationData: raw("id"),
		User: []mqtt.UserProperty{{Key: "k", Value: "v"}},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if got := m.Append(nil); !bytes.Equal(got, in) {
		t.Errorf("got % x, want % x", got, in)
	}
	for _, bad := range [][]byte{body(0x23, 0, 1), body(0x02, 0, 0, 0, 1), body(0x0b, 1), body(0x18, 0, 0, 0, 1)} {
		if err := m.Decode(bad); err != error(mqtt.ErrPropertyNotAllowed) {
			t.Errorf("% x: got %v", bad, err)
		}
	}
}
