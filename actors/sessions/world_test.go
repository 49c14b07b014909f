package sessions

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/registry"
	"emqttd/cluster/routes"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// world is some nodes with sessions, and the routes between them, in virtual time.
type world struct {
	t     *testing.T
	net   *clustertest.World
	nodes []*node
}

type node struct {
	*rig
	net  *clustertest.Net
	root *actor.PID
	fs   *vfs.MemFS // nil: nothing is kept
	disk *store.Disk
	dead bool
}

// options of a world.
type worldOptions struct {
	nodes  []string
	limits delivery.Limits
	kept   bool // sessions that outlive their connection are of class disk
	hold   func(from, to string)
}

func inWorld(t *testing.T, o worldOptions, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: &clustertest.World{Hold: o.hold}}
		for _, name := range o.nodes {
			w.nodes = append(w.nodes, w.start(name, &o))
		}
		defer func() { // also of a test that has failed: nothing may stay behind in the bubble
			w.net.Close()
			for _, n := range w.nodes {
				n.stop()
			}
			time.Sleep(time.Minute) // virtual: the framework's timers run out
		}()
		w.net.ConnectAll()
		f(w)
	})
}

func (w *world) start(name string, o *worldOptions) *node {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(w.t.Output(), nil)).With("node", name)
	}
	m := new(metrics.Registry)
	system := kernel.NewSystem(log, kernel.WithDeadLetters(func(_ *actor.PID, message any) {
		if d, ok := message.(*topics.Deliver); ok {
			m.Drop("session_ended", uint64(len(d.Items)))
			d.Done()
		}
	}))
	system.ProcessRegistry.Address = clustertest.Address(name)
	n := &node{rig: &rig{t: w.t, system: system, shards: kernel.NewShards("sessions", 2)}, net: w.net.Node(name)}
	limits := o.limits
	ro := topics.Options{
		Shards: 2, Ledger: &m.Ledger,
		OnGone: func(_ *topics.Subscriber, items []topics.Delivery) { m.Drop("session_ended", uint64(len(items))) },
	}
	n.rt = &Runtime{System: system, Registry: registry.New(system, "node", nil), Metrics: m, Log: log, Limits: &limits}
	var specs []kernel.ChildSpec
	if o.kept {
		n.fs = vfs.NewCrashableMem()
		var err error
		if n.disk, err = store.Open(store.Options{Dir: "store", Node: name, FS: n.fs, Log: log}); err != nil {
			w.t.Fatal(err)
		}
		ro.Begin = n.disk.Begin
		n.rt.Disk = n.disk
		n.rt.Durable = func(a *Attach) bool { return a.Expiry > 0 }
		specs = append(specs, n.disk.Spec())
	}
	n.rt.Router = topics.New(system, ro)
	r := routes.New(system, n.rt.Router, n.net, routes.Options{Parent: "node", Metrics: m})
	n.rt.Behind = r.Behind
	n.rt.Retained = retained.New(system, retained.Options{Shards: 2, Logger: log})
	n.rt.Join(n.net, n.shards)
	cluster.Post(system, n.net, "node/sessions/", "test/")
	var err error
	n.root, err = kernel.StartRoot(system, "node", append(specs,
		n.rt.Retained.Spec(), n.rt.Router.Spec(), r.Spec(), n.rt.Registry.Spec(), n.shards.Spec(),
	), func(err error) { w.t.Error(err) })
	if err != nil {
		w.t.Fatal(err)
	}
	n.slot = n.conn("test/slot")
	return n
}

// stop ends a node in good order.
func (n *node) stop() {
	if n.dead {
		return
	}
	n.dead = true
	n.rt.Closing.Store(n.disk != nil)
	if err := kernel.StopRoot(context.Background(), n.system, n.root); err != nil {
		n.t.Error(err)
	}
	if k := n.rt.Metrics.Level(metrics.Sessions); k != 0 {
		n.t.Errorf("%s: %d sessions are counted after the end", n.net.Self().Name, k)
	}
	if s := n.rt.Metrics.Ledger.Sheet(); s.Unaccounted() != 0 || s.Pending != 0 {
		n.t.Errorf("%s: the ledger does not balance after the end: %+v", n.net.Self().Name, s)
	}
	n.rt.Close()
	if n.disk != nil {
		if err := n.disk.Close(); err != nil {
			n.t.Error(err)
		}
	}
}

// say publishes a message on a node.
func (n *node) say(name, payload string, q protocol.QoS) {
	b := n.rt.Router.NewBatch()
	b.Publish(&protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), QoS: q, Arrived: time.Now().UnixMilli(),
	})
	b.Flush(true)
	b.Release()
}

// move has a new connection on a node ask for the session that is at from.
func (n *node) move(name string, m func(c *fakeConn) *Attach, from *actor.PID) *fakeConn {
	c := n.conn("test/" + name)
	a := m(c)
	a.From = from
	n.send(n.shards.For(a.Client.ClientID), &kernel.Spawn{Props: n.rt.Props(), First: a})
	return c
}

// come is an Attach of a client of MQTT 3.1.1 whose session stays.
func come(id string, generation uint64) func(c *fakeConn) *Attach {
	return func(c *fakeConn) *Attach { return hello(c, id, generation, 3600) }
}
