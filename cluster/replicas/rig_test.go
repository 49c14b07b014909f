package replicas_test

import (
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/cluster"
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
	specs := []kernel.ChildSpec{n.stores.Spec()}
	if o.Disk != nil {
		specs = []kernel.ChildSpec{o.Disk.Spec(), n.stores.Spec()}
	}
	n.root, err = kernel.StartRoot(n.system, "node", specs, func(err error) { panic(err) })
	if err != nil {
		t.Fatal(err)
	}
	if o.Disk != nil {
		n.restore(t, o.Disk)
	}
	return n
}

func (n *node) restore(t failer, d *store.Disk) {
	t.Helper()
	var pending sync.WaitGroup
	if _, err := d.Retained(func(r store.Retained) {
		pending.Add(1)
		n.stores.Restore(r, pending.Done)
	}); err != nil {
		t.Fatal(err)
	}
	pending.Wait()
}

// openDisk opens the disk store of a node.
func openDisk(t failer, fs vfs.FS) *store.Disk {
	t.Helper()
	d, err := store.Open(store.Options{Dir: "data", Node: "n", FS: fs, Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	return d
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

// tick lets others run.
func tick() { runtime.Gosched() }

func stopAll(t failer, w *clustertest.World, nodes ...*node) {
	w.Close()
	for _, n := range nodes {
		n.stop(t)
	}
}

// nobody takes frames and does not answer.
func nobody(cluster.Peer, []byte) {}

// entryOf is a chunk of one message.
func entryOf(t failer, name string, stamp uint64) []byte {
	t.Helper()
	var got []byte
	var w clustertest.World
	n := newNode(t, &w, "x", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, n)
	n.store(name, "from the future")
	all := n.settle().Used()
	done := make(chan struct{})
	n.stores.Scan(all, nil, func(chunk []byte, next func()) {
		got = append(got, chunk...)
		next()
	}, func() { close(done) })
	<-done
	var out []byte
	if err := lww.ReadEntries(got, func(e lww.Entry) {
		out = lww.AppendEntry(out, e.Key, lww.Version{Stamp: stamp, Origin: 1}, func(b []byte) []byte { return append(b, e.Value...) })
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
