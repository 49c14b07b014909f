package mqtt_test

import (
	"bytes"
	"fmt"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// hot is a step of the hot path: none of them may allocate.
type hot struct {
	name string
	run  func()
}

// sink keeps the compiler from dropping what a benchmark does.
var sink struct {
	err error
	b   []byte
}

func hotPath() []hot {
	dst := make([]byte, 0, 4096)
	ack := []byte{0x40, 2, 0, 1}
	ack5 := []byte{0x40, 4, 0, 1, 0x10, 0}
	steps := []hot{
		{"op=parse_header", func() { _, _, sink.err = mqtt.ParseHeader(ack, 0) }},
		{"op=pingreq", func() { sink.b = mqtt.AppendPingreq(dst) }},
		{"op=pingresp", func() { sink.b = mqtt.AppendPingresp(dst) }},
		{"op=append/packet=ack/v=4", func() { sink.b = mqtt.AppendAck(dst, mqtt.PUBACK, mqtt.V311, 1, protocol.Success) }},
		{"op=append/packet=ack/v=5", func() {
			sink.b = mqtt.AppendAck(dst, mqtt.PUBREC, mqtt.V5, 1, protocol.QuotaExceeded)
		}},
	}
	var a mqtt.Ack
	steps = append(
		steps,
		hot{"op=decode/packet=ack/v=4", func() { sink.err = decodeInto(&a, ack, mqtt.V311) }},
		hot{"op=decode/packet=ack/v=5", func() { sink.err = decodeInto(&a, ack5, mqtt.V5) }},
		hot{"op=decode/packet=garbage", func() { sink.err = (&mqtt.Publish{}).Decode(mqtt.Header{Type: mqtt.PUBLISH}, ack, mqtt.V5) }},
	)
	for _, c := range []struct {
		name  string
		v     mqtt.Version
		props []byte
		alias uint16
	}{
		{"v=4", mqtt.V311, nil, 0},
		{"v=5", mqtt.V5, nil, 0},
		{"v=5/props=30", mqtt.V5, body(0x01, 1, 0x03, "text/plain", 0x26, "key", "value"), 7},
	} {
		p := &mqtt.Publish{
			Topic: "sensors/building-7/floor-3/temperature", QoS: 1, PacketID: 9,
			Payload: bytes.Repeat([]byte("x"), 64), Properties: c.props, TopicAlias: c.alias,
		}
		b := p.Append(nil, c.v)
		var got mqtt.Publish
		steps = append(
			steps,
			hot{"op=append/packet=publish/" + c.name, func() { sink.b = mqtt.AppendPublish(dst, c.v, p) }},
			hot{"op=decode/packet=publish/" + c.name, func() { sink.err = decodeInto(&got, b, c.v) }},
		)
	}
	return append(steps, subscribeSteps(dst)...)
}

// subscribeSteps are not hot, but a client that resubscribes after a reconnect
// comes with a million others.
func subscribeSteps(dst []byte) []hot {
	s := &mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a/+/#", QoS: 1}}}
	b := s.Append(nil, mqtt.V311)
	c := &mqtt.Connect{
		Version: mqtt.V311, CleanStart: true, KeepAlive: 60, ClientID: "device-000001",
		HasUserName: true, UserName: "u", HasPassword: true, Password: []byte("p"),
	}
	cb := c.Append(nil, mqtt.V311)
	var got mqtt.Subscribe
	var conn mqtt.Connect
	ok := &mqtt.Suback{ID: 1, Codes: []protocol.ReasonCode{1}}
	return []hot{
		{"op=decode/packet=subscribe/v=4", func() { sink.err = decodeInto(&got, b, mqtt.V311) }},
		{"op=append/packet=suback/v=4", func() { sink.b = ok.Append(dst, mqtt.V311) }},
		{"op=decode/packet=connect/v=4", func() { sink.err = decodeInto(&conn, cb, 0) }},
		{"op=append/packet=connack/v=4", func() { sink.b = (&mqtt.Connack{}).Append(dst, mqtt.V311) }},
	}
}

// decodeInto is what a connection does with each packet.
func decodeInto[P packet](p P, b []byte, v mqtt.Version) error {
	h, n, err := mqtt.ParseHeader(b, 65536)
	if err != nil {
		return err
	}
	return p.Decode(h, b[n:n+h.Remaining], v)
}

func TestTheHotPathDoesNotAllocate(t *testing.T) {
	for _, s := range hotPath() {
		t.Run(s.name, func(t *testing.T) {
			sink.err = nil
			s.run() // lists grow once
			if n := testing.AllocsPerRun(100, s.run); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if garbage := s.name == "op=decode/packet=garbage"; garbage != (sink.err != nil) {
				t.Errorf("got error %v", sink.err)
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, s := range hotPath() {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
		})
	}
}

// BenchmarkPublishPayload shows that decoding does not depend on the payload and
// that appending costs one copy of it.
func BenchmarkPublishPayload(b *testing.B) {
	for _, size := range []int{0, 64, 1024, 65536} {
		p := &mqtt.Publish{Topic: "a/b/c", Payload: make([]byte, size)}
		wire := p.Append(nil, mqtt.V311)
		dst := make([]byte, 0, len(wire))
		b.Run(fmt.Sprintf("op=append/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink.b = mqtt.AppendPublish(dst, mqtt.V311, p)
			}
		})
		b.Run(fmt.Sprintf("op=decode/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			var got mqtt.Publish
			for b.Loop() {
				sink.err = decodeInto(&got, wire, mqtt.V311)
			}
		})
	}
}
