package listeners

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"emqttd/actors/access"
	"emqttd/actors/connections"
	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; only failures take it.
const patience = 20 * time.Second

// open starts a listener whose connections refuse everybody.
func open(t *testing.T, o Options) (*Listener, func(kill bool)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	rt := &connections.Runtime{
		Access: access.New(false, false, nil), Metrics: new(metrics.Registry), Log: log,
	}
	rt.Set(&connections.Settings{MaxPacket: 1024, MaxClientID: 100, IdleTimeout: patience})
	o.Name, o.Address = "tcp.test", "127.0.0.1:0"
	l := New(o, rt)
	system := kernel.NewSystem(log)
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{l.Spec()}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	stop := func(kill bool) {
		if kill {
			system.Root.Send(system.NewLocalPID("node/tcp.test"), &kernel.Kill{})
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, system, root); err != nil {
			t.Error(err)
		}
		rt.Close()
	}
	t.Cleanup(func() { stop(false) })
	return l, stop
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// closed waits until the other end closes c.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
		t.Errorf("read %x, %v", b, err)
	}
}

func TestConnectionsAboveTheLimitAreClosedAndCounted(t *testing.T) {
	l, _ := open(t, Options{MaxClients: 1})
	first := dial(t, l)
	closed(t, dial(t, l))
	if n := l.ShutdownCount()["maxlimit"]; n != 1 {
		t.Errorf("%d are counted", n)
	}
	if n := l.Current(); n != 1 {
		t.Errorf("%d are open", n)
	}
	_, _ = first.Write([]byte{0xC0, 0})
	closed(t, first)
}

func TestAKilledListenerOpensAgain(t *testing.T) {
	l, stop := open(t, Options{ReuseAddr: true, Acceptors: 4})
	before := l.Addr()
	stop(true)
	deadline := time.Now().Add(patience)
	for l.Addr() == before { // port 0: it gets another one
		if time.Now().After(deadline) {
			t.Fatal("it did not open again")
		}
	}
	c := dial(t, l)
	_, _ = c.Write([]byte{0xC0, 0})
	closed(t, c)
}

func TestAStoppedListenerTakesNobody(t *testing.T) {
	l, stop := open(t, Options{})
	waiting := dial(t, l)
	for deadline := time.Now().Add(patience); l.Current() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("it does not accept")
		}
	}
	stop(false)
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		_ = c.Close()
		t.Error("somebody was accepted")
	}
	closed(t, waiting)
}

func TestAPortInUseIsSaidInOneLine(t *testing.T) {
	l, _ := open(t, Options{})
	second := New(Options{Name: "tcp.second", Address: l.Addr()}, l.rt)
	system := kernel.NewSystem(slog.New(slog.DiscardHandler))
	_, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{second.Spec()}, func(error) {})
	if err == nil {
		t.Fatal("it opened")
	}
	if s := err.Error(); !strings.Contains(s, "tcp.second") || !strings.Contains(s, l.Addr()) || strings.Contains(s, "\n") {
		t.Errorf("it says %q", s)
	}
}
