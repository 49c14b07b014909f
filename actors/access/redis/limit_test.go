package redis

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func taken(t *testing.T, r io.Reader) bool {
	t.Helper()
	var s state
	b := make([]byte, 512)
	for {
		n, err := r.Read(b)
		if !s.take(b[:n]) {
			return false
		}
		if err == io.EOF {
			if s.skip != 0 || len(s.line) != 0 || len(s.open) != 0 {
				t.Errorf("at the end it waits for more: %+v", s)
			}
			return true
		}
	}
}

func TestAnswersOfRedisAreWithinLimits(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"words", "+OK\r\n-ERR no\r\n:1\r\n_\r\n#t\r\n,1.5\r\n(12345\r\n", true},
		{"texts", "$5\r\nhello\r\n$0\r\n\r\n$-1\r\n=8\r\ntxt:abcd\r\n", true},
		{"a text like a length", "$15\r\n$999999999999\r\n\r\n+OK\r\n", true},
		{"lists", "*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n*-1\r\n", true},
		{"a hash", "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*1\r\n:2\r\n", true},
		{"attributes", "|1\r\n+k\r\n+v\r\n:1\r\n+OK\r\n", true},
		{"many answers", strings.Repeat("*2\r\n*1\r\n:1\r\n$1\r\na\r\n", 5000), true},
		{"a long text", "$999999999999\r\n", false},
		{"a longer number", "$99999999999999999999999\r\n", false},
		{"a long list", "*999999999\r\n", false},
		{"a long hash", "%999999999\r\n", false},
		{"a length that is none", "$x\r\n", false},
		{"lists without end", strings.Repeat("*1\r\n", 1000), false},
		{"lists within lists", strings.Repeat("*2\r\n:1\r\n", 1000), false},
		{"a line without end", strings.Repeat("+", maxLine+1), false},
		{"nothing", "\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := taken(t, strings.NewReader(c.text)); got != c.ok {
				t.Errorf("at once: %t", got)
			}
			if got := taken(t, iotest.OneByteReader(strings.NewReader(c.text))); got != c.ok {
				t.Errorf("byte by byte: %t", got)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n:1\r\n"))
	f.Add([]byte("%1\r\n|1\r\n+k\r\n+v\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, split state
		want, got := whole.take(b), true
		for i := range b {
			got = got && split.take(b[i:i+1])
		}
		if got != want {
			t.Fatalf("at once %t, byte by byte %t", want, got)
		}
	})
}
