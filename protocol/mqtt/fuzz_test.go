package mqtt_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol/mqtt"
)

// FuzzDecode feeds any bytes to the decoders of all versions. They must not
// panic, must explain every refusal, and what they accept must survive being
// encoded: the second decoding gives the same bytes again.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := mqtt.ParseHeader(b, 0)
		if err != nil || n == 0 {
			explained(t, err)
			return
		}
		p := newPacket(h.Type)
		if p == nil || len(b)-n < h.Remaining {
			return
		}
		packet := b[n : n+h.Remaining : n+h.Remaining]
		for _, v := range versions {
			before := bytes.Clone(packet)
			if err := p.Decode(h, packet, v); err != nil {
				explained(t, err)
				continue
			}
			if !bytes.Equal(before, packet) {
				t.Fatalf("Decode changed the body of % x", b)
			}
			stable(t, p, v)
		}
	})
}

// explained checks that an error has what the peer and the metrics are told.
func explained(t *testing.T, err error) {
	if err == nil {
		return
	}
	if e, ok := err.(*mqtt.Error); !ok || !e.Code.IsError() || e.Reason == "" {
		t.Fatalf("unexplained: %#v", err)
	}
}

func stable(t *testing.T, p packet, v mqtt.Version) {
	if c, ok := p.(*mqtt.Connect); ok {
		v = c.Version
	}
	first := p.Append(nil, v)
	if len(first) != p.Size(v) {
		t.Fatalf("size %d, but % x", p.Size(v), first)
	}
	again, _, err := decode(first, v)
	if err != nil {
		t.Fatalf("%v: refused what it wrote, % x: %v", v, first, err)
	}
	if second := again.Append(nil, v); !bytes.Equal(first, second) {
		t.Fatalf("%v: not stable:\n% x\n% x", v, first, second)
	}
}

// seeds has packets of every type and version, always the same ones.
func seeds() (all [][]byte) {
	for i, v := range versions {
		g := rapid.Custom(func(t *rapid.T) []byte { return gen{t: t, v: v}.packet().Append(nil, v) })
		for n := range 60 {
			all = append(all, g.Example(100*i+n))
		}
	}
	return append(all, mqtt.AppendPingreq(nil), mqtt.AppendPingresp(nil))
}

func TestSeedsHaveEveryPacketType(t *testing.T) {
	seen := map[byte]bool{}
	for _, b := range seeds() {
		seen[b[0]>>4] = true
	}
	if len(seen) != 15 {
		t.Errorf("%d of 15 packet types", len(seen))
	}
}
