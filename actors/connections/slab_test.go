package connections

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

func TestMessagesOutliveTheBufferTheyWereReadInto(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type input struct{ topic, payload, properties string }
		draw := rapid.Custom(func(t *rapid.T) input {
			s := rapid.StringN(0, 40, 200)
			return input{"t" + s.Draw(t, "topic"), s.Draw(t, "payload"), s.Draw(t, "properties")}
		})
		ins := rapid.SliceOfN(draw, 1, 600).Draw(t, "packets")
		left := rapid.IntRange(1, bufferSize).Draw(t, "left")
		var s slab
		var got []*protocol.Message
		buf := make([]byte, 0, 1024)
		for i, in := range ins {
			buf = fmt.Appendf(buf[:0], "%s%s%s", in.topic, in.payload, in.properties)
			n, m := len(in.topic), len(in.topic)+len(in.payload)
			q := protocol.QoS(i % 3)
			got = append(got, s.message(&mqtt.Publish{
				Topic: topic.Name(buf[:n]), Payload: buf[n:m], Properties: buf[m:], QoS: q, Retain: i%5 == 0,
			}, left))
			for j := range buf {
				buf[j] = '!'
			}
		}
		for i, in := range ins {
			m := got[i]
			if string(m.Topic) != in.topic || string(m.Payload) != in.payload || string(m.Properties) != in.properties {
				t.Fatalf("message %d is %q %q %q, want %+v", i, m.Topic, m.Payload, m.Properties, in)
			}
			if m.QoS != protocol.QoS(i%3) || m.Retain != (i%5 == 0) {
				t.Fatalf("message %d has QoS %d, retain %t", i, m.QoS, m.Retain)
			}
			if len(m.Payload) != cap(m.Payload) {
				t.Fatalf("appending to the payload of message %d would write into another", i)
			}
		}
	})
}

func TestASmallMessageThatStandsByItselfIsOneAllocation(t *testing.T) {
	var s slab
	for _, size := range []int{0, 16, 54, 86, 118} {
		p := &mqtt.Publish{Topic: "some/topic", Payload: make([]byte, size), QoS: protocol.AtLeastOnce}
		if got := testing.AllocsPerRun(10, func() { s.message(p, 1000) }); got != 1 {
			t.Errorf("%v allocations for %d bytes", got, size+len(p.Topic))
		}
	}
}

func TestMessagesOfOneReadShareTwoAllocations(t *testing.T) {
	p := &mqtt.Publish{Topic: "some/topic", Payload: bytes.Repeat([]byte("x"), 64)}
	const n, size = 100, 80
	got := testing.AllocsPerRun(10, func() {
		var s slab
		for i := range n {
			s.message(p, (n-i)*size)
		}
	})
	if got > 2 {
		t.Errorf("%d messages of QoS 0 took %v allocations", n, got)
	}
}
