package codec

import (
	"flag"
	"os"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol/mqtt"
)

// TestMain asks for more cases than rapid's hundred; -rapid.checks still wins.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "5000"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestNobodyRefusesWhatWeAcceptWithoutAReason(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := mutated(gen{t: t, v: v})
				p, err := ours(b, v)
				if err != nil {
					return
				}
				if c, ok := p.(*mqtt.Connect); ok && c.Version != v {
					return // the version comes from the packet
				}
				if refusedBy, others := verdict(b, v); others != nil && exception(b, p, v) == nil {
					t.Fatalf("we accept % x as %v, %+v, but %s says %v", b, v, p, refusedBy, others)
				}
			})
		})
	}
}

func TestWhatMochiAcceptsTooMeansTheSame(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := mutated(gen{t: t, v: v})
				p, err := ours(b, v)
				if err != nil || p == nil {
					return
				}
				pk, err := mochiDecode(b, v)
				if err != nil || mochiValidate(pk) != nil || misread(p, v) {
					return
				}
				if got, want := canonical(fromMochi(pk)), canonical(p); !reflect.DeepEqual(got, want) {
					t.Fatalf("% x\nmochi %+v\nours  %+v", b, got, want)
				}
			})
		})
	}
}

// verdict is the refusal on which all others agree; nil if one of them accepts.
// paho knows MQTT 5 only.
func verdict(b []byte, v mqtt.Version) (who string, err error) {
	pk, err := mochiDecode(b, v)
	if err == nil {
		err = mochiValidate(pk)
	}
	if err == nil || v != mqtt.V5 {
		return "mochi", err
	}
	if _, also := pahoDecode(b); also == nil {
		return "", nil
	}
	return "mochi as paho", err
}

// mutated is a valid packet of which a few bytes were changed, inserted, removed
// or repeated, in a frame of the right length.
func mutated(g gen) []byte {
	b := g.packet().Append(nil, g.v)
	_, n, err := mqtt.ParseHeader(b, 0)
	if err != nil {
		panic(err)
	}
	first, body := b[0], append([]byte(nil), b[n:]...)
	if g.n(0, 9) == 0 {
		first ^= 1 << g.n(0, 7)
	}
	for range g.n(0, 3) {
		at := g.n(0, len(body))
		switch g.n(0, 4) {
		case 0: // change
			if at < len(body) {
				body[at] = g.octet()
			}
		case 1: // insert
			body = append(body[:at], append([]byte{g.octet()}, body[at:]...)...)
		case 2: // remove
			if at < len(body) {
				body = append(body[:at], body[at+1:]...)
			}
		case 3: // cut off
			body = body[:at]
		case 4: // a bit
			if at < len(body) {
				body[at] ^= 1 << g.n(0, 7)
			}
		}
	}
	return append(frame(first, len(body)), body...)
}

// frame is a fixed header.
func frame(first byte, remaining int) []byte {
	b := []byte{first}
	for remaining >= 0x80 {
		b = append(b, byte(remaining)|0x80)
		remaining >>= 7
	}
	return append(b, byte(remaining))
}

// octet prefers bytes that mean something.
func (g gen) octet() byte {
	if g.bool() {
		return pick[byte](g, 0, 1, 2, 3, 4, 5, 0x0b, 0x11, 0x1f, 0x23, 0x26, '+', '#', '$', 0x7f, 0x80, 0xc3, 0xff)
	}
	return rapid.Byte().Draw(g.t, "octet")
}
