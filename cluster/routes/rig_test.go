package routes

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// node is a node of a test: topic shards and routes, and nothing else.
type node struct {
	t       testing.TB
	name    string
	system  *actor.ActorSystem
	router  *topics.Router
	net     *clustertest.Net
	routes  *Routes
	metrics metrics.Registry
	joined  atomic.Int64
}

type setup struct {
	topics topics.Options
	routes Options
}

// start makes a node of a world.
func start(t testing.TB, w *clustertest.World, name string, s setup) *node {
	t.Helper()
	n := &node{t: t, name: name, system: kernel.NewSystem(slog.New(slog.DiscardHandler))}
	n.net = w.Node(name)
	if s.topics.Shards == 0 {
		s.topics.Shards = 2
	}
	s.topics.Ledger, s.routes.Metrics = &n.metrics.Ledger, &n.metrics
	n.router = topics.New(n.system, s.topics)
	n.routes = New(n.system, n.router, n.net, s.routes)
	root, err := kernel.StartRoot(n.system, "node", []kernel.ChildSpec{
		n.router.Spec(), {Name: "cluster", Props: kernel.Supervisor([]kernel.ChildSpec{n.routes.Spec()})},
	}, func(err error) { t.Errorf("the tree of %s gave up: %v", name, err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kernel.StopRoot(context.Background(), n.system, root); err != nil {
			t.Error(err)
		}
		n.system.Shutdown()
	})
	return n
}

// trio starts nodes a, b, c … and connects them.
func trio(t testing.TB, count int, s setup) (*clustertest.World, []*node) {
	t.Helper()
	w := new(clustertest.World)
	var nodes []*node
	for i := range count {
		nodes = append(nodes, start(t, w, string(rune('a'+i)), s))
	}
	w.ConnectAll()
	t.Cleanup(w.Close)
	return w, nodes
}

// client is a process that stands for a session.
type client struct {
	node    *node
	sub     *topics.Subscriber
	pid     *actor.PID
	answers chan *topics.Subscribed
	fn      func(*topics.Deliver)

	mu   sync.Mutex
	got  []topics.Delivery
	more chan struct{}
}

func (c *client) SendUserMessage(_ *actor.PID, message any) {
	switch m := message.(type) {
	case *topics.Subscribed:
		c.answers <- m
	case *topics.Deliver:
		if c.fn != nil {
			c.fn(m)
			return
		}
		c.mu.Lock()
		c.got = append(c.got, m.Items...)
		c.mu.Unlock()
		c.node.metrics.Ledger.End(ledger.Delivered, len(m.Items))
		m.Done()
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}
func (c *client) SendSystemMessage(*actor.PID, any) {}
func (c *client) Stop(*actor.PID)                   {}

// join makes a client of a node that is connected.
func (n *node) join(fn func(*topics.Deliver)) *client {
	n.t.Helper()

	c := &client{node: n, fn: fn, answers: make(chan *topics.Subscribed, 1024), more: make(chan struct{}, 1)}
	id := fmt.Sprintf("%s/%d", n.name, n.joined.Add(1))
	pid, ok := n.system.ProcessRegistry.Add(c, "client/"+id)
	if !ok {
		n.t.Fatalf("%s joined twice", id)
	}
	c.pid, c.sub = pid, topics.NewSubscriber(id, pid)
	c.sub.SetOnline(true)
	return c
}

func parse(text string) topic.Subscription {
	s, err := topic.ParseSubscription(text)
	if err != nil {
		panic(err)
	}
	return s
}

// subscribe returns when the subscription is in effect everywhere.
func (c *client) subscribe(texts ...string) *client {
	c.node.t.Helper()
	for _, text := range texts {
		c.ask(text)
	}
	for range texts {
		c.confirmed()
	}
	return c
}

func (c *client) ask(text string) {
	c.node.router.Subscribe(&topics.Subscribe{Subscriber: c.sub, Subscription: parse(text), QoS: 1, ReplyTo: c.pid})
}

func (c *client) confirmed() {
	c.node.t.Helper()
	select {
	case <-c.answers:
	case <-time.After(patience):
		c.node.t.Fatal("no answer to Subscribe")
	}
}

func (c *client) unsubscribe(text string) {
	c.node.router.Unsubscribe(&topics.Unsubscribe{Subscriber: c.sub, Subscription: parse(text)})
}

// take returns the next n messages.
func (c *client) take(n int) []topics.Delivery {
	c.node.t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		if len(c.got) >= n {
			items := c.got[:n:n]
			c.got = c.got[n:]
			c.mu.Unlock()
			return items
		}
		have := len(c.got)
		c.mu.Unlock()
		select {
		case <-c.more:
		case <-limit:
			c.node.t.Fatalf("%s got %d messages, want %d", c.sub.ClientID(), have, n)
		}
	}
}

// left is how many messages have come and were not taken.
func (c *client) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func message(name string, qos protocol.QoS) *protocol.Message {
	return &protocol.Message{Topic: topic.Name(name), QoS: qos, From: "publisher", Payload: []byte(name)}
}

// publish publishes one message and returns its deliveries.
func (n *node) publish(name string, qos protocol.QoS) int {
	b := n.router.NewBatch()
	defer b.Release()
	k := b.Publish(message(name, qos))
	b.Flush(true)
	return k
}

// eventually waits until a condition holds that nobody announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("it does not happen: %s", what)
		}
	}
}

// signal is a process that tells a channel of each message.
type signal struct{ got chan struct{} }

func (s *signal) SendUserMessage(*actor.PID, any)   { s.got <- struct{}{} }
func (s *signal) SendSystemMessage(*actor.PID, any) {}
func (s *signal) Stop(*actor.PID)                   {}
