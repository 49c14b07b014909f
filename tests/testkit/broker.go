package testkit

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emqttd/actors/node"
	"emqttd/actors/plugins"
	"emqttd/actors/system/logging"
	"emqttd/config"
)

// Names of the listeners of a Broker.
const (
	TCP    = "tcp.test"
	Memory = "tcp.memory"
	API    = "api.test"
)

// Broker is a node in this process.
type Broker struct {
	*node.Node
	Config  *config.Config
	Network *Network // of the listener Memory
	GaveUp  chan error
	File    string // its emq.conf, of StartFrom
	t       testing.TB
	log     *syncBuffer
}

// Start starts a node on ports that the system chooses, with the defaults of
// emq.conf as change alters them, and stops it when the test ends. It fails the
// test if the node gives up, or cannot stop.
func Start(t testing.TB, change ...func(*config.Config)) *Broker {
	t.Helper()
	return StartWith(t, nil, change...)
}

// StartWith is Start for a node that knows more plugins.
func StartWith(t testing.TB, more []*plugins.Plugin, change ...func(*config.Config)) *Broker {
	t.Helper()
	b := &Broker{Config: Config(t), Network: NewNetwork(), GaveUp: make(chan error, 1), t: t}
	for _, f := range change {
		f(b.Config)
	}
	b.log = &syncBuffer{}
	b.start(node.Options{Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelWarn})), Plugins: more})
	return b
}

// StartFrom starts a node from an emq.conf with these lines, in a home of its own,
// so that its configuration can be changed while it runs. It has the listeners of
// Start, and the log of the real program.
func StartFrom(t testing.TB, more []*plugins.Plugin, lines ...string) *Broker {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "etc", "emq.conf")
	text := "node.dist_listen = 127.0.0.1:0\nnode.dist_advertise = 127.0.0.1:0\n"
	for _, l := range []string{TCP, Memory, API} {
		text += "listener." + l + " = 127.0.0.1:0\n"
	}
	text += strings.Join(lines, "\n") + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	loaded, problems := config.Read(config.Sources{File: file})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	b := &Broker{Config: loaded.Config, Network: NewNetwork(), GaveUp: make(chan error, 1), File: file, t: t, log: &syncBuffer{}}
	log, err := logging.Open(b.Config, b.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	b.start(node.Options{Logger: log.Logger, Conf: loaded, Plugins: more})
	return b
}

func (b *Broker) start(o node.Options) {
	b.t.Helper()
	o.Version, o.Sockets = "test", map[string]net.Listener{Memory: b.Network}
	o.OnGiveUp = func(err error) {
		select {
		case b.GaveUp <- err:
		default:
		}
	}
	n, err := node.Start(b.Config, o)
	if err != nil {
		b.t.Fatalf("start a node: %v", err)
	}
	b.Node = n
	b.t.Cleanup(func() { b.stop(b.log) })
}

// Config is the configuration that Start starts from. EMQTTD_TEST_READER=epoll in
// the environment has every such node read its clients that way.
func Config(t testing.TB) *config.Config {
	c := config.Default()
	c.Node.Home = t.TempDir()
	c.Node.DistListen, c.Node.DistAdvertise = "127.0.0.1:0", "127.0.0.1:0"
	c.Node.Reader = cmp.Or(os.Getenv("EMQTTD_TEST_READER"), c.Node.Reader)
	tcp := config.Listener{
		Type: config.ListenerTCP, Name: "test", Address: "127.0.0.1:0", Acceptors: 4, MaxClients: 1 << 20,
		Backlog: 1024, SendTimeout: 15 * time.Second, SendTimeoutClose: true, NoDelay: true, ReuseAddr: true,
	}
	memory, api := tcp, tcp
	memory.Name = "memory"
	api.Type = config.ListenerAPI
	c.Listeners = []config.Listener{tcp, memory, api}
	return c
}

// Log is what the node has logged so far: warnings and errors.
func (b *Broker) Log() string { return b.log.String() }

func (b *Broker) stop(log *syncBuffer) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		b.t.Error(err)
	}
	if s := b.Metrics().Ledger.Sheet(); s.Unaccounted() != 0 || s.Pending != 0 {
		b.t.Errorf("the ledger does not balance when the node has stopped: %d unaccounted, %d pending: %+v", s.Unaccounted(), s.Pending, s)
	}
	select {
	case err := <-b.GaveUp:
		b.t.Errorf("the node gave up: %v", err)
	default:
	}
	if b.t.Failed() {
		b.t.Logf("log of the node:\n%s", log.tail())
	}
}

// Dial connects over TCP, without a CONNECT.
func (b *Broker) Dial(t testing.TB) *Client {
	t.Helper()
	return Dial(t, b.Addr(TCP))
}

// DialMemory connects over the network in memory.
func (b *Broker) DialMemory(t testing.TB) *Client {
	t.Helper()
	conn, err := b.Network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, conn)
}
