package replicas_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/replicas"
	"emqttd/cluster/replicas/lww"
	"emqttd/cluster/wire"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one with retained stores.
type node struct {
	name   string
	net    *clustertest.Net
	system *actor.ActorSystem
	root   *actor.PID
	stores *retained.Stores
	table  *replicas.Table
}

type failer interface {
	Fatal(...any)
	Fatalf(string, ...any)
	Helper()
}

var silent = slog.New(slog.DiscardHandler)

func newNode(t failer, w *clustertest.World, name string, o retained.Options, ro replicas.Options) *node {
	t.Helper()
	n := &node{name: name, net: w.Node(name), system: kernel.NewSystem(silent)}
	o.Node, o.Clock, o.Logger = name, n.net.Clock(), silent
	if o.Tombstones == 0 {
		o.Tombstones = time.Hour
	}
	if o.Shards == 0 {
		o.Shards = 3
	}
	n.stores = retained.New(n.system, o)
	ro.Kind = wire.KindRetained
	n.table = replicas.New(n.net, n.stores, ro)
	n.stores.Replicate(n.table)
	var err error
	n.root, err = kernel.StartRoot(n.system, "node", []kernel.ChildSpec{n.stores.Spec()}, func(err error) { panic(err) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) stop(t failer) {
	t.Helper()
	if err := kernel.StopRoot(testContext, n.system, n.root); err != nil {
		t.Fatal(err)
	}
	n.system.Shutdown()
}

func (n *node) store(name, payload string) {
	n.stores.Store(&protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), From: "c", QoS: 1, Arrived: time.Now().UnixMilli(),
	}, nil)
	n.settle()
}

// settle returns when the shards have handled what they were told before.
func (n *node) settle() *lww.Digest {
	done := make(chan *lww.Digest, 1)
	n.stores.Digest(func(d *lww.Digest) { done <- d })
	return <-done
}

// all are the payloads of a node by topic.
func (n *node) all(t failer, filter string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range n.lookup(t, filter) {
		found[string(m.Topic)] = string(m.Payload)
	}
	return found
}

func (n *node) lookup(t failer, filter string) (all []*protocol.Message) {
	t.Helper()
	got := &catcher{make(chan any, 1<<12)}
	pid, ok := n.system.ProcessRegistry.Add(got, "catcher/"+n.system.ProcessRegistry.NextId())
	if !ok {
		t.Fatal("the name is taken")
	}
	defer n.system.ProcessRegistry.Remove(pid)
	n.stores.Lookup(&retained.Lookup{Filter: topic.Filter(filter), ReplyTo: pid})
	for {
		m := (<-got.c).(*retained.Found)
		all = append(all, m.Messages...)
		if m.Last {
			return all
		}
	}
}

type catcher struct{ c chan any }

func (c *catcher) SendUserMessage(_ *actor.PID, message any) { c.c <- message }
func (c *catcher) SendSystemMessage(*actor.PID, any)         {}
func (c *catcher) Stop(*actor.PID)                           {}

// until waits for something that comes by itself.
func until(t failer, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after a minute", what)
		}
		tick()
	}
}

// same waits until two nodes have the same.
func same(t failer, a, b *node) {
	t.Helper()
	until(t, a.name+" and "+b.name+" are the same", func() bool { return *a.settle() == *b.settle() })
	if x, y := a.all(t, "#"), b.all(t, "#"); !maps.Equal(x, y) {
		t.Fatalf("digests are equal, but %v has %v and %v has %v", a.name, x, b.name, y)
	}
}

func TestAChangeComesToAllNodes(t *testing.T) {
	var w clustertest.World
	a, b, c := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{Shards: 5}, replicas.Options{}), newNode(t, &w, "c", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b, c)
	w.ConnectAll()
	a.store("x/y", "from a")
	b.store("x/z", "from b")
	same(t, a, b)
	same(t, a, c)
	m := c.lookup(t, "x/y")
	if len(m) != 1 || string(m[0].Payload) != "from a" || m[0].QoS != 1 || m[0].From != "c" || !m[0].Retain || m[0].Arrived == 0 {
		t.Errorf("got %+v", m)
	}
	c.store("x/y", "")
	same(t, a, c)
	if got := a.all(t, "#"); !maps.Equal(got, map[string]string{"x/z": "from b"}) {
		t.Errorf("left: %v", got)
	}
}

func stopAll(t failer, w *clustertest.World, nodes ...*node) {
	w.Close()
	for _, n := range nodes {
		n.stop(t)
	}
}

func TestANodeThatJoinsHasAllBeforeItIsUp(t *testing.T) {
	var w clustertest.World
	a, b := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	const n = 20_000
	for i := range n {
		a.stores.Store(&protocol.Message{Topic: topic.Name(fmt.Sprint("t/", i)), Payload: []byte("0123456789"), Arrived: time.Now().UnixMilli()}, nil)
	}
	b.store("only/b", "x")
	w.Connect(a.net, b.net)
	if got := b.stores.Count(); got != n+1 {
		t.Errorf("b is up with %d messages", got)
	}
	if got := a.stores.Count(); got != n+1 {
		t.Errorf("a has %d messages", got)
	}
	same(t, a, b)
}

func TestARemovalHoldsWhenANodeComesBackThatWasNotThere(t *testing.T) {
	var w clustertest.World
	a, b := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	a.store("gone", "x")
	a.store("stays", "x")
	w.Connect(a.net, b.net)
	w.Cut(a.net, b.net)
	a.store("gone", "")
	if n := a.stores.Tombstones(); n != 1 {
		t.Errorf("%d tombstones", n)
	}
	b.store("new", "y")
	w.Connect(a.net, b.net)
	want := map[string]string{"stays": "x", "new": "y"}
	if x, y := a.all(t, "#"), b.all(t, "#"); !maps.Equal(x, want) || !maps.Equal(y, want) {
		t.Errorf("a has %v, b has %v", x, y)
	}
}

// TestReplicasConverge: whatever is written where, and whoever sees whom, when all
// see each other again all have what was written last.
func TestReplicasConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w clustertest.World
		var nodes []*node
		for i := range rapid.IntRange(2, 3).Draw(t, "nodes") {
			nodes = append(nodes, newNode(t, &w, fmt.Sprint("n", i), retained.Options{Shards: i + 1}, replicas.Options{Backlog: 1 << rapid.IntRange(5, 12).Draw(t, "backlog")}))
		}
		defer stopAll(t, &w, nodes...)
		connected := map[[2]int]bool{}
		last := map[string]string{}
		pick := func(t *rapid.T, label string) int { return rapid.IntRange(0, len(nodes)-1).Draw(t, label) }
		// The clock of a node that writes has to know of what was written before, as it
		// would if somebody had told: then "last" has a meaning.
		ordered := func(n *node) {
			for _, o := range nodes {
				n.net.Clock().Seen(o.net.Clock().Now())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				n := nodes[pick(t, "node")]
				ordered(n)
				name := fmt.Sprint("t/", rapid.IntRange(0, 9).Draw(t, "topic"))
				payload := rapid.SampledFrom([]string{"", "one", "two", "three"}).Draw(t, "payload")
				n.store(name, payload)
				if last[name] = payload; payload == "" {
					delete(last, name)
				}
			},
			"clean": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					t.Skip()
				}
				n := nodes[pick(t, "node")]
				ordered(n)
				n.stores.Clean(&retained.Clean{})
				n.settle()
				// What this node did not know may have been written before as well: it goes too.
				clear(last)
			},
			"connect or cut": func(t *rapid.T) {
				i, j := pick(t, "a"), pick(t, "b")
				if i >= j {
					t.Skip()
				}
				if connected[[2]int{i, j}] {
					w.Cut(nodes[i].net, nodes[j].net)
				} else {
					w.Connect(nodes[i].net, nodes[j].net)
				}
				connected[[2]int{i, j}] = !connected[[2]int{i, j}]
			},
		})
		for i := range nodes {
			for j := i + 1; j < len(nodes); j++ {
				if !connected[[2]int{i, j}] {
					w.Connect(nodes[i].net, nodes[j].net)
				}
			}
		}
		for _, n := range nodes[1:] {
			same(t, nodes[0], n)
		}
		if got := nodes[0].all(t, "#"); !maps.Equal(got, last) {
			t.Fatalf("got %v, want %v", got, last)
		}
	})
}

var testContext = context.Background()

// tick lets others run.
func tick() { runtime.Gosched() }
