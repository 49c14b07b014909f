package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

// frame is a client's frame, masked.
func frame(first byte, payload string) []byte {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range payload {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

const final = 0x80

// feed gives the input to a parser in pieces of size bytes, each behind a
// prefix as a connection does it, and returns the payload and control frames.
func feed(p *Parser, input []byte, size int) (data []byte, controls []Control, err error) {
	for piece := range slices.Chunk(input, size) {
		b := append([]byte("prefix"), piece...)
		w, r := 6, 6
		for r < len(b) && err == nil {
			var c *Control
			if w, r, c, err = p.Parse(b, w, r); c != nil {
				controls = append(controls, *c)
			}
		}
		if string(b[:6]) != "prefix" {
			return nil, nil, errors.New("the prefix was overwritten")
		}
		if data = append(data, b[6:w]...); err != nil {
			return data, controls, err
		}
	}
	return data, controls, nil
}

func TestPayloadOfFramesIsJoinedHoweverItIsCut(t *testing.T) {
	long, huge := string(bytes.Repeat([]byte("0123456789"), 30)), string(bytes.Repeat([]byte("abcdefg"), 10_000))
	input := slices.Concat(
		frame(final|byte(Binary), "one"),
		frame(byte(Binary), "two "), frame(final|byte(Ping), "are you there"),
		frame(byte(Continuation), ""), frame(final|byte(Continuation), "parts"),
		frame(final|byte(Binary), long), frame(final|byte(Pong), ""), frame(final|byte(Binary), huge),
		frame(final|byte(Close), "\x03\xe8bye"))
	for _, size := range []int{1, 2, 3, 7, 13, 4096, len(input)} {
		data, controls, err := feed(new(Parser), input, size)
		if err != nil {
			t.Fatal(err)
		}
		if want := "onetwo parts" + long + huge; string(data) != want {
			t.Errorf("in pieces of %d: %d bytes, want %d", size, len(data), len(want))
		}
		want := []Control{{Ping, []byte("are you there")}, {Pong, nil}, {Close, []byte("\x03\xe8bye")}}
		if !slices.EqualFunc(controls, want, func(a, b Control) bool {
			return a.Opcode == b.Opcode && bytes.Equal(a.Payload, b.Payload)
		}) {
			t.Errorf("in pieces of %d: control frames %q", size, controls)
		}
	}
}

func TestViolationsAreRefused(t *testing.T) {
	unmasked := []byte{final | byte(Binary), 1, 'x'}
	long := func(b ...byte) []byte { return append([]byte{final | byte(Binary)}, b...) }
	for _, c := range []struct {
		name  string
		input []byte
		want  *Error
	}{
		{"text", frame(final|byte(Text), "x"), ErrText},
		{"no mask", unmasked, ErrUnmasked},
		{"reserved bits", frame(final|0x40|byte(Binary), "x"), ErrReserved},
		{"unknown opcode", frame(final|0x3, "x"), ErrOpcode},
		{"unknown control opcode", frame(final|0xb, "x"), ErrOpcode},
		{"continuation of nothing", frame(final|byte(Continuation), "x"), ErrSequence},
		{"message within a message", append(frame(byte(Binary), "x"), frame(final|byte(Binary), "y")...), ErrSequence},
		{"fragmented ping", frame(byte(Ping), "x"), ErrControl},
		{"long ping", frame(final|byte(Ping), string(make([]byte, 126))), ErrControl},
		{"length longer than needed", long(0x80|126, 0, 125, 0, 0, 0, 0), ErrLength},
		{"64-bit length longer than needed", long(0x80|127, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0), ErrLength},
		{"negative length", long(0x80|127, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), ErrLength},
		{"too large", frame(final|byte(Binary), string(make([]byte, 1001))), ErrTooBig},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, len(c.input)} {
				if _, _, err := feed(&Parser{MaxFrame: 1000}, c.input, size); !errors.Is(err, c.want) {
					t.Errorf("in pieces of %d: got %v", size, err)
				}
			}
		})
	}
}

func TestPayloadBeforeAViolationIsGood(t *testing.T) {
	data, _, err := feed(new(Parser), append(frame(final|byte(Binary), "good"), frame(final|byte(Text), "bad")...), 1000)
	if string(data) != "good" || !errors.Is(err, ErrText) {
		t.Errorf("got %q %v", data, err)
	}
}

func TestServersFramesHaveTheShortestLength(t *testing.T) {
	for n, want := range map[int][]byte{
		0: {0x82, 0}, 125: {0x82, 125}, 126: {0x82, 126, 0, 126},
		65535: {0x82, 126, 255, 255}, 65536: {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0},
	} {
		if got := AppendHeader(nil, Binary, n); !bytes.Equal(got, want) {
			t.Errorf("%d: % x", n, got)
		}
	}
	if got := AppendClose(nil, UnsupportedData); !bytes.Equal(got, []byte{0x88, 2, 0x03, 0xeb}) {
		t.Errorf("close: % x", got)
	}
	if got := AppendControl(nil, Pong, make([]byte, 200)); len(got) != 2+MaxControl {
		t.Errorf("a pong of %d bytes", len(got))
	}
}

// FuzzParse: however the bytes are cut, the outcome is the same, and no more
// payload comes out than went in.
func FuzzParse(f *testing.F) {
	f.Add(frame(final|byte(Binary), "hello"), uint8(1))
	f.Add(slices.Concat(frame(byte(Binary), "a"), frame(final|byte(Ping), "p"), frame(final, "b")), uint8(3))
	f.Add(frame(final|byte(Binary), string(make([]byte, 300))), uint8(5))
	f.Add(frame(final|byte(Close), "\x03\xe8"), uint8(2))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		whole, controls, err := feed(&Parser{MaxFrame: 1 << 16}, input, max(1, len(input)))
		cut, others, again := feed(&Parser{MaxFrame: 1 << 16}, input, max(1, int(size)))
		if !bytes.Equal(whole, cut) || !errors.Is(again, err) || len(controls) != len(others) {
			t.Fatalf("whole %q %v, in pieces of %d %q %v", whole, err, size, cut, again)
		}
		if len(whole) > len(input) {
			t.Fatalf("%d bytes out of %d", len(whole), len(input))
		}
	})
}

func BenchmarkParseSmallFrames(b *testing.B) {
	one := bytes.Repeat(frame(final|byte(Binary), "0123456789abcdef0123456789abcdef01234567"), 500)
	buf := make([]byte, len(one))
	var p Parser
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, one)
		if _, _, _, err := p.Parse(buf, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}
