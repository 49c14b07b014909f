package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what it hears.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("heard %q, %v; want %q", b, err, want)
	}
}

func ends(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want the end", n, err)
	}
}

func TestProxyPassesOn(t *testing.T) {
	p := New(t, echo(t))
	c := dial(t, p.Addr)
	say(t, c, "hello")
	hear(t, c, "hello")
	p.Set(Fault{Delay: time.Millisecond})
	say(t, c, "slow")
	hear(t, c, "slow")
	p.Set(Fault{Drip: time.Millisecond})
	say(t, c, "drop by drop")
	hear(t, c, "drop by drop")
	if n := p.Taken(); n != 1 {
		t.Fatalf("%d connections, want 1", n)
	}
}

func TestStalledProxyKeepsTheConnectionAndSaysNothingUntilItIsGoodAgain(t *testing.T) {
	p := New(t, echo(t))
	p.Set(Fault{Stall: true})
	c := dial(t, p.Addr)
	say(t, c, "hello")
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want nothing for the time", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p.Set(Fault{})
	hear(t, c, "hello")
}

func TestProxyLies(t *testing.T) {
	p := New(t, echo(t))
	p.Set(Fault{Garbage: []byte("\x00\xff")})
	c := dial(t, p.Addr)
	say(t, c, "hello")
	hear(t, c, "\x00\xff")
}

func TestProxyCuts(t *testing.T) {
	p := New(t, echo(t))
	c := dial(t, p.Addr)
	say(t, c, "hello")
	hear(t, c, "hello")
	p.Cut()
	ends(t, c)

	p.Set(Fault{CutAfter: 3})
	c = dial(t, p.Addr)
	say(t, c, "hello")
	if b, err := io.ReadAll(c); !bytes.Equal(b, []byte("hel")) {
		t.Fatalf("heard %q, %v; want the first three bytes", b, err)
	}

	p.Set(Fault{Refuse: true})
	ends(t, dial(t, p.Addr))
}

func TestClosedProxyHasNoConnections(t *testing.T) {
	p := New(t, echo(t))
	p.Set(Fault{Stall: true})
	c := dial(t, p.Addr)
	say(t, c, "hello")
	p.Close()
	ends(t, c)
	p.Close()
}
