package fault

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

const patience = 30 * time.Second

// echo is a node that answers what it hears.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// pair is a network of "a", which is this process, and "b", an echo.
func pair(t *testing.T) (*Network, string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("who dials is known on Linux only")
	}
	n := New()
	t.Cleanup(n.Close)
	for name, pid := range map[string]int{"a": os.Getpid(), "b": 1 << 30} {
		if _, err := n.Add(name, echo(t)); err != nil {
			t.Fatal(err)
		}
		if err := n.Up(name, pid); err != nil {
			t.Fatal(err)
		}
	}
	return n, n.nodes["b"].address
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

func silence(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !os.IsTimeout(err) {
		t.Fatalf("heard %d bytes, %v", n, err)
	}
}

func TestACutInEitherDirectionIsSilenceAndIsMadeUpFor(t *testing.T) {
	for _, way := range [][2]string{{"a", "b"}, {"b", "a"}} {
		n, address := pair(t)
		c := dial(t, address)
		say(t, c, "one")
		hear(t, c, "one")
		n.Set(way[0], way[1], Fault{Cut: true})
		say(t, c, "two")
		silence(t, c)
		n.Heal()
		hear(t, c, "two")
	}
}

func TestTheOtherDirectionOfACutWorks(t *testing.T) {
	n, address := pair(t)
	c := dial(t, address)
	say(t, c, "one")
	hear(t, c, "one")
	n.Set("b", "a", Fault{Cut: true})
	say(t, c, "two")
	silence(t, c)
	n.Set("a", "b", Fault{Cut: true})
	n.Set("b", "a", Fault{})
	hear(t, c, "two") // it had come through
}

func TestADelayIsWaitedFor(t *testing.T) {
	n, address := pair(t)
	n.Between("a", "b", Fault{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.5})
	c := dial(t, address)
	began := time.Now()
	for range 3 {
		say(t, c, "text")
		hear(t, c, "text")
	}
	if d := time.Since(began); d < 6*50*time.Millisecond {
		t.Errorf("three round trips took %v", d)
	}
}

func TestANodeThatIsDownRefusesAndIsBackAtItsAddress(t *testing.T) {
	n, address := pair(t)
	c := dial(t, address)
	say(t, c, "one")
	hear(t, c, "one")
	n.Down("b")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection is still there: %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("a node that is down takes connections")
	}
	if err := n.Up("b", 1<<30); err != nil {
		t.Fatal(err)
	}
	c = dial(t, address)
	say(t, c, "two")
	hear(t, c, "two")
}

func TestACloseIsPassedOnBehindWhatWasSaid(t *testing.T) {
	n, address := pair(t)
	n.Between("a", "b", Fault{Delay: 20 * time.Millisecond})
	c := dial(t, address)
	say(t, c, "last words")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "last words" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestIslandsDoNotReachEachOther(t *testing.T) {
	n := New()
	n.Split([]string{"a", "b"}, []string{"c"}, []string{"d"})
	for pair, cut := range map[way]bool{
		{"a", "b"}: false, {"b", "a"}: false, {"a", "c"}: true, {"c", "b"}: true, {"d", "c"}: true, {"b", "d"}: true,
	} {
		if f, _, _ := n.fault(pair); f.Cut != cut {
			t.Errorf("%v: cut %v", pair, f.Cut)
		}
	}
	if n.Heal(); len(n.faults) != 0 {
		t.Errorf("faults are left: %v", n.faults)
	}
}
