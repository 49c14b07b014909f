package mqtt_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol/mqtt"
)

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// eachVersion runs a property for each version as a subtest.
func eachVersion(t *testing.T, f func(t *rapid.T, g gen)) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { f(t, gen{t: t, v: v}) })
		})
	}
}

func TestDecodingWhatWasEncodedGivesTheSamePacket(t *testing.T) {
	eachVersion(t, func(t *rapid.T, g gen) {
		want := g.packet()
		b := want.Append(nil, g.v)
		got, _, err := decode(b, g.v)
		if err != nil {
			t.Fatalf("decode % x: %v", b, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v\nwire % x", got, want, b)
		}
	})
}

func TestSizeIsTheLengthOfWhatIsAppended(t *testing.T) {
	eachVersion(t, func(t *rapid.T, g gen) {
		p := g.packet()
		before := []byte("before")
		b := p.Append(before, g.v)
		if len(b)-len(before) != p.Size(g.v) || string(b[:len(before)]) != "before" {
			t.Fatalf("%d bytes appended to %q, size %d", len(b)-len(before), b[:len(before)], p.Size(g.v))
		}
	})
}

func TestEveryStrictPrefixNeedsMoreBytes(t *testing.T) {
	eachVersion(t, func(t *rapid.T, g gen) {
		b := g.packet().Append(nil, g.v)
		for i := range b {
			h, n, err := mqtt.ParseHeader(b[:i], 0)
			if err != nil {
				t.Fatalf("first %d of % x: %v", i, b, err)
			}
			if n != 0 && i >= n+h.Remaining {
				t.Fatalf("the first %d of % x are a whole packet", i, b)
			}
		}
	})
}

// A body that is cut short is refused, except where the rest is free: a payload,
// a list, or fields that may be left out.
func TestABodyCutShortNeverPanicsAndNeverReadsBeyond(t *testing.T) {
	eachVersion(t, func(t *rapid.T, g gen) {
		b := g.packet().Append(nil, g.v)
		h, n, _ := mqtt.ParseHeader(b, 0)
		for i := range h.Remaining {
			p := newPacket(h.Type)
			cut := append([]byte(nil), b[n:n+i]...)
			if err := p.Decode(h, cut[:i:i], g.v); err == nil && p.Size(g.v) > len(b) {
				t.Fatalf("%d of %d bytes became a larger packet: %+v", i, h.Remaining, p)
			}
		}
	})
}

func TestDecodeOverwritesWhatTheStructHeld(t *testing.T) {
	eachVersion(t, func(t *rapid.T, g gen) {
		first, want := g.publish(), g.publish()
		for _, pair := range [][2]packet{{first, want}, {g.subscribe(), g.subscribe()}, {g.connect(), g.connect()}} {
			used, want := pair[0], pair[1]
			b := want.Append(nil, g.v)
			h, n, _ := mqtt.ParseHeader(b, 0)
			if err := used.Decode(h, b[n:], g.v); err != nil {
				t.Fatal(err)
			}
			if got := used.Append(nil, g.v); string(got) != string(b) {
				t.Fatalf("got % x, want % x", got, b)
			}
		}
	})
}

func TestTheTopicCheckAgreesWithALetterByLetterCheck(t *testing.T) {
	alphabet := []byte{'a', '/', '+', '#', 0, 0x01, 0x2a, 0x2c, 0x22, 0x24, 0x7f, 0x80, 0xbf, 0xc3, 0xa9, 0xff}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SliceOfN(rapid.SampledFrom(alphabet), 1, 40).Draw(t, "name")
		var want error
		switch s := string(name); {
		case containsByte(s, 0):
			want = mqtt.ErrNullCharacter
		case !validUTF8(s):
			want = mqtt.ErrInvalidUTF8
		case containsByte(s, '+') || containsByte(s, '#'):
			want = mqtt.ErrTopicWildcard
		}
		if _, _, err := decode(wire(0x30, string(name)), mqtt.V311); err != want {
			t.Fatalf("%q: got %v, want %v", name, err, want)
		}
		if want == mqtt.ErrTopicWildcard {
			want = nil
		}
		if _, _, err := decode(wire(0xa2, 0, 1, string(name)), mqtt.V311); err != want {
			t.Fatalf("filter %q: got %v, want %v", name, err, want)
		}
	})
}

func containsByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}

// validUTF8 decodes the long way: ranging over a string yields U+FFFD with a
// width of one byte for what is not a letter.
func validUTF8(s string) bool {
	for i, r := range s {
		if r == '\ufffd' && (len(s)-i < 3 || s[i:i+3] != "\ufffd") {
			return false
		}
	}
	return true
}
