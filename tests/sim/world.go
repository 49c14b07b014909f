// Package sim runs several whole nodes in one process and in virtual time
// (testing/synctest): the very program but for the bytes between nodes, which go through
// memory, the sockets of clients, and the disk. A seed decides what goes wrong when:
// nodes are killed and started again, links are cut in both directions or one, broken,
// slow, nodes are alone. Meanwhile clients publish and subscribe, and whatever the
// cluster promises is checked.
//
// The same seed does the same things at the same times. What the goroutines of the
// nodes make of it can differ a little, so that a failure may need some runs to show
// itself again.
package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/node"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/wire"
	"emqttd/config"
	"emqttd/tests/testkit"
)

// world is some nodes of one seed and the network between them.
type world struct {
	t       *testing.T
	seed    uint64
	begin   time.Time
	log     *journal
	network *clustertest.Network
	places  []*place
	dying   sync.WaitGroup // nodes that were killed: nobody hears of them any more

	mu       sync.Mutex
	delay    time.Duration // the longest a message is on its way
	delayRNG *rand.Rand
}

// place is where a node is, or was, or will be.
type place struct {
	world   *world
	name    string
	address string
	home    string

	mu     sync.Mutex
	live   *instance // nil: killed
	starts int
}

// instance is one life of a node.
type instance struct {
	*node.Node
	place   *place
	host    *clustertest.Host
	clients *testkit.Network
	dead    chan struct{} // closed when it is killed
}

func newWorld(t *testing.T, seed uint64, nodes int, homes string) *world {
	w := &world{
		t: t, seed: seed, begin: time.Now(), log: new(journal), network: clustertest.NewNetwork(),
		delay: 2 * time.Millisecond,
	}
	w.delayRNG = w.rng("delay")
	w.network.Delay = func(string, string) time.Duration {
		w.mu.Lock()
		defer w.mu.Unlock()
		return time.Duration(w.delayRNG.Int64N(int64(w.delay)))
	}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		w.places = append(w.places, &place{world: w, name: name, address: name + ":1", home: filepath.Join(homes, name)})
	}
	return w
}

// rng makes the source of randomness of one part of the world. The same seed and part
// have the same numbers.
func (w *world) rng(part string) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, cluster.Hash(part)))
}

// note writes into the journal, which is printed when the seed fails.
func (w *world) note(format string, args ...any) { w.log.add(time.Since(w.begin), format, args...) }

// fail says that an invariant does not hold.
func (w *world) fail(format string, args ...any) {
	w.log.fail(time.Since(w.begin), format, args...)
}

// start brings the node of a place to life.
func (p *place) start() {
	w := p.world
	p.mu.Lock()
	p.starts++
	starts := p.starts
	p.mu.Unlock()
	i := &instance{place: p, host: w.network.Host(p.address), clients: testkit.NewNetwork(), dead: make(chan struct{})}
	n, err := node.Start(p.config(), node.Options{
		Logger:   slog.New(&logger{w, p.name}),
		Version:  "sim",
		Sockets:  map[string]net.Listener{testkit.Memory: i.clients},
		Remoting: &remoting{i.host, p.address},
		FS:       vfs.NewMem(), FixedGC: true,
		OnGiveUp: func(err error) { w.fail("%s gave up: %v", p.name, err) },
	})
	if err != nil {
		w.t.Fatalf("start %s: %v", p.name, err)
	}
	i.Node = n
	w.note("%s is started for the %d. time", p.name, starts)
	p.mu.Lock()
	p.live = i
	p.mu.Unlock()
}

func (p *place) config() *config.Config {
	c := config.Default()
	c.Node.Home, c.Node.Name = p.home, p.name
	c.Node.DistListen, c.Node.DistAdvertise = "127.0.0.1:0", "127.0.0.1:0"
	c.Listeners = []config.Listener{{
		Type: config.ListenerTCP, Name: "memory", Address: "127.0.0.1:0", Acceptors: 1, MaxClients: 1000,
		Backlog: 128, SendTimeout: 15 * time.Second, SendTimeoutClose: true,
	}}
	c.Cluster.Discovery = config.Static
	for _, other := range p.world.places {
		c.Cluster.Seeds = append(c.Cluster.Seeds, other.address)
	}
	c.DurabilityDisk = false
	c.MQTT.TopicShards = 2
	return c
}

// now is the life of the node there is, nil if it is dead.
func (p *place) now() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// kill ends a node as kill -9 does: nobody hears of it any more.
func (p *place) kill() {
	p.mu.Lock()
	i := p.live
	p.live = nil
	p.mu.Unlock()
	if i == nil {
		return
	}
	p.world.note("%s is killed", p.name)
	i.host.Kill()
	close(i.dead)
	p.world.dying.Go(i.bury)
}

// bury stops what is left of a node.
func (i *instance) bury() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := i.Stop(ctx); err != nil {
		i.place.world.fail("%s does not stop: %v", i.place.name, err)
	}
	_ = i.clients.Close()
}

// end stops everything.
func (w *world) end() {
	for _, p := range w.places {
		if i := p.now(); i != nil {
			i.host.Listen(nil)
			i.bury()
		}
	}
	w.dying.Wait()
	time.Sleep(time.Minute) // timers of the dead
}

// conversation names the one that two lives of nodes have: nil if there is none, or
// they do not agree that both are members.
func conversation(a, b *instance) any {
	if a == b {
		return a
	}
	there, here := a.sees(b), b.sees(a)
	if there.IsZero() || here.IsZero() {
		return nil
	}
	return [2]time.Time{there, here}
}

// sees is since when a node has had another one in its view.
func (i *instance) sees(other *instance) time.Time {
	for _, info := range i.Net().Info() {
		if info.Name == other.place.name && info.State != cluster.Down && info.Incarnation == other.Net().Self().Incarnation {
			return info.Since
		}
	}
	return time.Time{}
}

// remoting is the port of a node for the others.
type remoting struct {
	*clustertest.Host
	address string
}

func (r *remoting) Open(accept func(wire.Stream)) string {
	r.Listen(accept)
	return r.address
}

func (r *remoting) Address() string { return r.address }
func (r *remoting) Stop()           { r.Kill() }

// journal is what happened, for when a seed fails.
type journal struct {
	mu       sync.Mutex
	lines    []string
	failures []string // what is in lines of them
}

func (j *journal) add(at time.Duration, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%10.3fs ", at.Seconds())+fmt.Sprintf(format, args...))
}

func (j *journal) fail(at time.Duration, format string, args ...any) {
	j.add(at, "FAILED: "+format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failures = append(j.failures, fmt.Sprintf("after %v: %s", at, fmt.Sprintf(format, args...)))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// logger writes what nodes log into the journal.
type logger struct {
	world *world
	name  string
}

func (l *logger) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *logger) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	l.world.note("%s %s: %s%s", l.name, r.Level, r.Message, b.String())
	return nil
}

func (l *logger) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logger) WithGroup(string) slog.Handler      { return l }
