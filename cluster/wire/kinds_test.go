package wire

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestFrameSurvivesProtobufAndReset(t *testing.T) {
	in, err := Encode(kindNote, &note{Text: "räksmörgås"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(in.(*Frame))
	if err != nil {
		t.Fatal(err)
	}
	var out Frame
	for range 2 { // the second round decodes into a frame that was reset
		out.Reset()
		if err := proto.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		m, err := out.Deserialize()
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(*note).Text; got != "räksmörgås" {
			t.Errorf("text %q", got)
		}
	}
	if kind, ok := frameKind(b); !ok || kind != kindNote {
		t.Errorf("frameKind says %d %v", kind, ok)
	}
}

func TestWhatCannotBeReadBecomesUnreadable(t *testing.T) {
	for name, f := range map[string]*Frame{
		"unknown kind":     {Kind: 0xfffe, Data: []byte{Version, 0x80}},
		"empty body":       {Kind: kindNote},
		"other version":    {Kind: kindNote, Data: []byte{Version + 1, 0x80}},
		"truncated":        {Kind: kindNote, Data: []byte{Version, 0x81, 0xa4, 'T', 'e'}},
		"lying length":     {Kind: kindNote, Data: []byte{Version, 0x81, 0xa4, 'T', 'e', 'x', 't', 0xdb, 0xff, 0xff, 0xff, 0xff}},
		"nested too deep":  {Kind: kindNote, Data: append([]byte{Version, 0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x91}, MaxBody-4)...)},
		"not even a value": {Kind: kindNote, Data: []byte{Version, 0xc1}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := f.Deserialize()
			if err != nil {
				t.Fatalf("an error would end the stream: %v", err)
			}
			u, ok := m.(*Unreadable)
			if !ok || u.Kind != f.Kind || u.Err == nil {
				t.Fatalf("got %T %v", m, m)
			}
			if _, err := u.Serialize(); err == nil {
				t.Error("an unreadable message was passed on")
			}
		})
	}
}

func TestBodyAboveTheLimitIsNotSent(t *testing.T) {
	if _, err := Encode(kindNote, &note{Text: strings.Repeat("x", MaxBody)}); err == nil {
		t.Error("no error")
	}
}

func TestKindNumberUsedTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Register(kindNote, func() any { return new(note) })
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(kindNote, &note{Text: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}
