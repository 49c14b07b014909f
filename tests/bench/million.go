package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"emqttd/actors/connections/memnet"
	"emqttd/actors/node"
	"emqttd/actors/system/memory"
	"emqttd/config"
)

// millionCommand measures a node with more clients than there are file
// descriptors: the node as it ships, but for a network in memory, and its clients
// in this process:
//
//	go run ./tests/bench million -n 1000000
func millionCommand(ctx context.Context, args []string, w, progress io.Writer) error {
	f := flag.NewFlagSet("million", flag.ContinueOnError)
	n := f.Int("n", 1_000_000, "number of clients")
	length := f.Duration("for", 10*time.Second, "how long one in a hundred publishes, a message a second each")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < 100 || *n > 9_999_999 {
		return errors.New("between 100 and 9,999,999 clients")
	}
	r := &millionRun{n: *n, length: *length, progress: progress}
	err := r.run(ctx)
	r.print(w) // also what was found before it failed
	return err
}

// millionRun is one measurement and what it has found.
type millionRun struct {
	n        int
	length   time.Duration
	progress io.Writer

	peer                              float64 // bytes of a connection with its client, without a node
	empty                             reading // the node, before anybody comes
	connect                           time.Duration
	connected                         reading // all are there, at rest
	subscribe                         time.Duration
	broadcast                         [2]time.Duration // the first is the one for which everything grows
	published                         time.Duration
	delivered                         int
	latency                           []time.Duration // sorted
	after                             reading
	collect                           time.Duration // a whole collection
	connectGC, broadcastGC, publishGC pauses
}

// peers is of how many connections the cost by itself is measured.
const peers = 100_000

// measurePeers finds what a connection in memory takes with nobody behind it: what
// stands in for the socket, and the client.
func (r *millionRun) measurePeers() error {
	n := min(r.n, peers)
	network := memnet.New()
	before := heapInUse()
	c := newCrowd(network, n)
	servers := make([]net.Conn, n)
	for i := range servers {
		if err := c.dial(i); err != nil {
			return err
		}
		s, err := network.Accept()
		if err != nil {
			return err
		}
		servers[i] = s
	}
	r.peer = float64(heapInUse()-before)/float64(n) - 16 // of servers itself
	runtime.KeepAlive(servers)
	runtime.KeepAlive(c)
	return network.Close()
}

func (r *millionRun) run(ctx context.Context) (err error) {
	if err := r.measurePeers(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "emqttd-million-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	network := memnet.New()
	broker, err := startMillion(dir, network, r.n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Stop(context.Background())) }()
	r.empty = readMemory()
	c := newCrowd(network, r.n)
	if err := r.fill(ctx, c); err != nil {
		return err
	}
	if err := r.tellAll(ctx, c); err != nil {
		return err
	}
	if err := r.chatter(ctx, c); err != nil {
		return err
	}
	begun := time.Now()
	runtime.GC()
	r.collect = time.Since(begun)
	r.after = readMemory()
	return nil
}

// startMillion starts a node as it ships, but that its only listener is a network
// in memory which takes n clients.
func startMillion(dir string, network net.Listener, n int) (*node.Node, error) {
	const listener = "listener.tcp.external"
	cfg, problems := config.Load(config.Sources{Flags: map[string]string{
		"node.dist_listen": "127.0.0.1:0", "node.data_dir": dir, "mqtt.acl_file": "",
		listener: "127.0.0.1:0", listener + ".max_clients": strconv.Itoa(n),
	}})
	if cfg == nil {
		return nil, problems.Err()
	}
	return node.Start(cfg, node.Options{
		Version: "bench", Sockets: map[string]net.Listener{"tcp.external": network},
		FixedGC: os.Getenv("GOGC") != "", MemoryLimit: memory.Limit(uint64(cfg.Node.MemoryLimit)),
	})
}

// fill connects all clients, each with one subscription.
func (r *millionRun) fill(ctx context.Context, c *crowd) error {
	watch := watchPauses()
	begun := time.Now()
	go c.dialAll(ctx)
	if err := r.await(ctx, "connected", c.ready.Load, r.n, c); err != nil {
		return err
	}
	r.connect, r.connectGC = time.Since(begun), watch.since()
	r.connected = readMemory()
	return nil
}

// tellAll publishes one message that everybody gets. The clients subscribe to its
// topic beside their own.
func (r *millionRun) tellAll(ctx context.Context, c *crowd) error {
	begun := time.Now()
	c.ready.Store(0)
	c.state.Store(joining)
	go c.subscribeAll(ctx)
	if err := r.await(ctx, "subscribed to the common topic", c.ready.Load, r.n, c); err != nil {
		return err
	}
	r.subscribe = time.Since(begun)
	watch := watchPauses()
	for i := range r.broadcast {
		c.received.Store(0)
		c.state.Store(receiving)
		begun := time.Now()
		if err := c.publish(0, common); err != nil {
			return err
		}
		if err := r.await(ctx, "told", c.received.Load, r.n, c); err != nil {
			return err
		}
		r.broadcast[i] = time.Since(begun)
	}
	r.broadcastGC = watch.since()
	return nil
}

// chatter has one in a hundred publish to another client, one message a second.
func (r *millionRun) chatter(ctx context.Context, c *crowd) error {
	active := r.n / 100
	const tick = 10 * time.Millisecond
	c.received.Store(0)
	c.state.Store(receiving)
	watch := watchPauses()
	begun := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	sent := 0
	for since := time.Duration(0); since < r.length; since = time.Since(begun) {
		for due := int(since.Seconds() * float64(active)); sent < due; sent++ {
			from := sent % active * 100
			if err := c.publish(from, topicOf((from*7919+sent)%r.n)); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := r.await(ctx, "delivered", c.received.Load, sent, c); err != nil {
		return err
	}
	r.published, r.delivered, r.publishGC = time.Since(begun), sent, watch.since()
	r.latency = c.times()
	slices.Sort(r.latency)
	return nil
}

// quietTime is how long nothing may happen before a run has failed.
const quietTime = time.Minute

// await waits until count has reached n, and shows how far it is.
func (r *millionRun) await(ctx context.Context, what string, count func() int64, n int, c *crowd) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	shown, last, moved := time.Now(), int64(-1), time.Now()
	for {
		have := count()
		if err := c.failed.Load(); err != nil {
			return *err
		}
		if have >= int64(n) {
			fmt.Fprintf(r.progress, "\r%s %d of %d\n", what, have, n)
			return nil
		}
		if have != last {
			last, moved = have, time.Now()
		} else if time.Since(moved) > quietTime {
			return fmt.Errorf("%s %d of %d, and no more", what, have, n)
		}
		if time.Since(shown) > time.Second {
			shown = time.Now()
			fmt.Fprintf(r.progress, "\r%s %d of %d ", what, have, n)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// perClient is what the node keeps for one idle client with a subscription, on the
// heap: without what stands in for its socket, and without the client.
func (r *millionRun) perClient() float64 {
	return (float64(r.connected.heap)-float64(r.empty.heap))/float64(r.n) - r.peer
}

func (r *millionRun) print(w io.Writer) {
	n := float64(r.n)
	share := r.peer * n
	row := func(what, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	memory := func(m reading) string {
		return fmt.Sprintf("RSS %s, heap %s, stacks %s", megabytes(m.rss), megabytes(m.heap), megabytes(m.stacks))
	}
	fmt.Fprintf(w, "%d clients in memory on %d cores, %s\n\n| What | Figure |\n| --- | --- |\n", r.n, runtime.GOMAXPROCS(0), runtime.Version())
	row("the node, before anybody comes", "%s", memory(r.empty))
	if r.connect == 0 {
		return
	}
	row("connected with one subscription each", "in %.1f s, %.0f a second", r.connect.Seconds(), n/r.connect.Seconds())
	row("at rest", "%s, %d goroutines", memory(r.connected), r.connected.goroutines)
	row("of these, clients and what stands in for sockets", "%s: %.0f bytes each, measured without a node", megabytes(uint64(share)), r.peer)
	row("**the node's RSS without them**", "**%s**", megabytes(uint64(float64(r.connected.rss)-share)))
	row("one client", "RSS %.0f bytes, heap %.0f bytes", (float64(r.connected.rss)-float64(r.empty.rss)-share)/n, r.perClient())
	row("GC while they connect", "%s", r.connectGC)
	if r.after.rss == 0 {
		return
	}
	row("a second subscription each", "in %.1f s", r.subscribe.Seconds())
	for i, d := range r.broadcast {
		row("broadcast "+strconv.Itoa(i+1), "%.2f s, %.0f a second", d.Seconds(), n/d.Seconds())
	}
	row("GC while they are told", "%s", r.broadcastGC)
	row("1 % publish once a second", "%d in %.1f s, p50 %v, p99 %v", r.delivered, r.published.Seconds(), quantileOf(r.latency, 0.5), quantileOf(r.latency, 0.99))
	row("GC while they publish", "%s", r.publishGC)
	row("a whole collection", "%.2f s", r.collect.Seconds())
	row("afterwards, at rest", "%s", memory(r.after))
}

func quantileOf(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(time.Microsecond)
}

func megabytes(n uint64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
