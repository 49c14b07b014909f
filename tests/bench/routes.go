package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/routes"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// routesCommand measures the route tables of a cluster in this process, with
// everything but the bytes on a wire:
//
//	go run ./tests/bench routes -n 10000000 -nodes 3
func routesCommand(args []string, w io.Writer) error {
	f := flag.NewFlagSet("routes", flag.ContinueOnError)
	n := f.Int("n", 10_000_000, "routes of all nodes together")
	count := f.Int("nodes", 3, "number of nodes")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < *count || *count < 2 {
		return errors.New("two nodes at least, and a route for each")
	}
	return measureRoutes(*n, *count, w)
}

// routeNode is a node with route tables and nothing else.
type routeNode struct {
	system *actor.ActorSystem
	router *topics.Router
	net    *clustertest.Net
	root   *actor.PID
	left   chan struct{} // closed when all subscriptions are confirmed
	wait   int
}

// SendUserMessage implements actor.Process: the shards' answers. Each comes from one
// of them at a time, for there is one.
func (r *routeNode) SendUserMessage(_ *actor.PID, m any) {
	if _, ok := m.(*topics.Subscribed); ok {
		if r.wait--; r.wait == 0 {
			close(r.left)
		}
	}
}

// SendSystemMessage implements actor.Process.
func (r *routeNode) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (r *routeNode) Stop(*actor.PID) {}

func newRouteNode(w *clustertest.World, name string) (*routeNode, error) {
	r := &routeNode{system: kernel.NewSystem(slog.New(slog.DiscardHandler)), net: w.Node(name), left: make(chan struct{})}
	r.router = topics.New(r.system, topics.Options{Shards: 1})
	rs := routes.New(r.system, r.router, r.net, routes.Options{})
	var err error
	r.root, err = kernel.StartRoot(r.system, "node", []kernel.ChildSpec{
		r.router.Spec(), {Name: "cluster", Props: kernel.Supervisor([]kernel.ChildSpec{rs.Spec()})},
	}, func(error) {})
	return r, err
}

// filterOf is one of a million shapes of devices, every tenth of which has a
// wildcard.
func filterOf(i int) topic.Filter {
	if i%10 == 0 {
		return topic.Filter(fmt.Sprintf("device/%d/+/cmd", i))
	}
	return topic.Filter(fmt.Sprintf("device/%d/t/cmd", i))
}

// fill subscribes to every count-th filter.
func (r *routeNode) fill(first, n, count int) error {
	pid, ok := r.system.ProcessRegistry.Add(r, "subscriber")
	if !ok {
		return errors.New("the name of the subscriber is taken")
	}
	s := topics.NewSubscriber("subscriber", pid)
	r.wait = (n - first + count - 1) / count
	for i := first; i < n; i += count {
		r.router.Subscribe(&topics.Subscribe{Subscriber: s, Subscription: topic.Subscription{Filter: filterOf(i)}, QoS: 1, ReplyTo: pid})
	}
	<-r.left
	return nil
}

func measureRoutes(n, count int, w io.Writer) error {
	world := new(clustertest.World)
	var nodes []*routeNode
	empty := heapInUse()
	begun := time.Now()
	for i := range count {
		r, err := newRouteNode(world, fmt.Sprintf("n%d", i))
		if err != nil {
			return err
		}
		nodes = append(nodes, r)
		if err := r.fill(i, n, count); err != nil {
			return err
		}
	}
	filled := time.Since(begun)
	own := heapInUse()
	begun = time.Now()
	world.ConnectAll()
	joined := time.Since(begun)
	all := heapInUse()
	for i, r := range nodes {
		c := r.router.Counts()
		if have := c.Subscriptions + c.PeerRoutes; have != n {
			return fmt.Errorf("node %d knows %d routes of %d", i, have, n)
		}
	}
	match := nodes[0].match(n)
	gc := time.Now()
	runtime.GC()
	collected := time.Since(gc)
	copied := n * (count - 1)
	fmt.Fprintf(w, "%d routes, %d nodes in one process on %d cores\n", n, count, runtime.GOMAXPROCS(0))
	fmt.Fprintf(w, "subscribe            %8.2f s    %6.0f B a route\n", filled.Seconds(), float64(own-empty)/float64(n))
	fmt.Fprintf(w, "replicate, all ways  %8.2f s    %6.0f B a route   %6.2f µs a route\n",
		joined.Seconds(), (float64(all)-float64(own))/float64(copied), joined.Seconds()*1e6/float64(copied))
	fmt.Fprintf(w, "match                %8.0f ns\n", float64(match.Nanoseconds()))
	fmt.Fprintf(w, "collect garbage      %8.0f ms   heap %d MB\n", collected.Seconds()*1e3, all>>20)
	world.Close()
	for _, r := range nodes {
		if err := kernel.StopRoot(context.Background(), r.system, r.root); err != nil {
			return err
		}
	}
	return nil
}

// match is how long it takes to find who wants a message, and to look at them.
func (r *routeNode) match(n int) time.Duration {
	const rounds = 1 << 20
	names := make([]topic.Name, 1<<16)
	for i := range names {
		names[i] = topic.Name(fmt.Sprintf("device/%d/t/cmd", rand.IntN(n)))
	}
	m := protocol.Message{QoS: protocol.AtLeastOnce}
	b := r.router.NewBatch()
	begun := time.Now()
	for i := range rounds {
		m.Topic = names[i&(len(names)-1)]
		b.Held(&m)
	}
	d := time.Since(begun) / rounds
	b.Release()
	return d
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
