package routes

import (
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/actors/topics"
	"emqttd/cluster"
)

// maxShards is what a peer may say that it has.
const maxShards = 4096

// conversation is what this node knows of a peer for as long as they talk.
type conversation struct {
	routes *Routes
	peer   cluster.Peer
	name   string // of the peer
	actor  string // name of the forwarder
	stop   chan struct{}
	out    outbound // the forwarder's

	order   sync.Mutex         // what the peer tells is applied in its order; taken before mu
	sub     *topics.Subscriber // the peer as a subscriber; nil until the forwarder runs
	backlog []func()           // waits for that

	mu     sync.Mutex
	pid    *actor.PID // of the forwarder; nil until it runs
	ready  func()     // nil before Begin and after it was called
	synced int        // shards whose routes the peer has
	whole  int        // its shards whose routes this node has
	shards []inbox    // by shard of the peer
	repair *repair    // nil as a rule
	silent bool
	ended  bool
	timer  *time.Timer

	in intake // the data lane's
}

func newConversation(r *Routes, p cluster.Peer, name string, number uint64) *conversation {
	c := &conversation{
		routes: r, peer: p, name: name, actor: fmt.Sprintf("%s#%d", name, number),
		stop: make(chan struct{}),
	}
	c.out.conversation = c
	c.out.receipts = make(map[uint64]*store.Receipt)
	return c
}

// begin starts the forwarder and has the shards tell the peer what is wanted here.
func (c *conversation) begin(ready func()) {
	r := c.routes
	c.mu.Lock()
	c.ready = ready
	c.timer = time.AfterFunc(r.options.Audit, c.audit)
	c.mu.Unlock()
	r.system.Root.Send(r.supervisor(), &kernel.AddChild{Spec: c.spec(), Reply: c.spawned})
	r.router.Meet(c)
}

// spawned makes the peer a subscriber.
func (c *conversation) spawned(pid *actor.PID, err error) {
	if err != nil {
		c.routes.log.Error("there is nobody to forward messages to a peer", "node", c.name, "error", err)
		return
	}
	c.order.Lock()
	defer c.order.Unlock()
	if c.over() {
		c.dismiss()
		return
	}
	c.sub = c.routes.router.NewPeer(c.name, pid)
	c.mu.Lock()
	c.pid = pid
	c.sub.SetStalled(c.silent)
	c.mu.Unlock()
	for _, f := range c.backlog {
		f()
	}
	c.backlog = nil
}

// dismiss ends the forwarder.
func (c *conversation) dismiss() {
	c.routes.system.Root.Send(c.routes.supervisor(), &kernel.RemoveChild{Name: c.actor})
}

// end forgets the peer: at once for publishers, in the background in the tables.
func (c *conversation) end() {
	r := c.routes
	c.order.Lock()
	defer c.order.Unlock()
	if !c.close() {
		return
	}
	c.backlog = nil
	if c.sub != nil {
		r.router.Unregister(c.sub)
		c.dismiss()
	}
	r.router.Leave(c)
	if c.sub != nil {
		r.router.Forget(c.sub)
	}
}

// close says that the conversation has ended; false: it was said before.
func (c *conversation) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.ended, c.ready = true, nil
	close(c.stop)
	if c.timer != nil {
		c.timer.Stop()
	}
	return true
}

func (c *conversation) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// suspect takes note of whether the peer is silent.
func (c *conversation) suspect(yes bool) {
	c.mu.Lock()
	changed := c.silent != yes && !c.ended
	c.silent = yes
	if changed && yes && c.pid != nil {
		c.sub.SetStalled(true) // at once; the forwarder takes it back
	}
	c.mu.Unlock()
	if changed {
		c.routes.router.Mind(c, !yes)
		c.tell(&silence{yes})
	}
}

// tell sends a message to the forwarder. Before it runs it has nothing to hear.
func (c *conversation) tell(m any) {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	if pid != nil {
		c.routes.system.Root.Send(pid, m)
	}
}

// audit has the peer compare what it knows with what there is.
func (c *conversation) audit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.routes.router.Audit(c)
		c.timer.Reset(c.routes.options.Audit)
	}
}

// Tell implements topics.Neighbour.
func (c *conversation) Tell(t topics.Tale) {
	for _, m := range tales(&t, c.routes.router.Shards()) {
		c.peer.Send(m)
	}
}

// Synced implements topics.Neighbour.
func (c *conversation) Synced(int) {
	c.mu.Lock()
	c.synced++
	c.mu.Unlock()
	c.announce()
}

// announce says once that both sides know each other's routes.
func (c *conversation) announce() {
	c.mu.Lock()
	ready := c.ready
	if ready == nil || c.synced < c.routes.router.Shards() || len(c.shards) == 0 || c.whole < len(c.shards) {
		c.mu.Unlock()
		return
	}
	c.ready = nil
	c.mu.Unlock()
	ready()
}
