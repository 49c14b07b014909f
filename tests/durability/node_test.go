package durability

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/node"
	"emqttd/config"
	"emqttd/tests/testkit"
)

// machine is a node in this process on a file system in memory, reachable over a
// network in memory.
type machine struct {
	node    *node.Node
	network *testkit.Network
	log     *text
	t       testing.TB
}

// text is a log.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// settings is a configuration with one listener, in memory.
func settings(t testing.TB) *config.Config {
	c := testkit.Config(t)
	c.Listeners = c.Listeners[1:2]
	return c
}

// boot starts a machine; the error is that of the node.
func boot(t testing.TB, c *config.Config, fs vfs.FS) (*machine, error) {
	t.Helper()
	m := &machine{network: testkit.NewNetwork(), log: &text{}, t: t}
	var err error
	m.node, err = node.Start(c, node.Options{
		Logger:  slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Version: "test", FS: fs, FixedGC: true,
		Sockets:  map[string]net.Listener{testkit.Memory: m.network},
		OnGiveUp: func(err error) { t.Errorf("the node gave up: %v", err) },
	})
	return m, err
}

// mustBoot starts a machine that has to start.
func mustBoot(t testing.TB, c *config.Config, fs vfs.FS) *machine {
	t.Helper()
	m, err := boot(t, c, fs)
	if err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	return m
}

// dial connects to it.
func (m *machine) dial() (net.Conn, error) { return m.network.Dial() }

// down stops the node in good order.
func (m *machine) down() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := m.node.Stop(ctx); err != nil {
		m.t.Errorf("stop: %v", err)
	}
	if s := m.node.Metrics().Ledger.Sheet(); s.Unaccounted() != 0 || s.Pending != 0 {
		m.t.Errorf("the ledger does not balance when the node has stopped: %+v", s)
	}
}
