// Package routes carries messages to where they are wanted: it tells each peer
// what this node subscribes to, and forwards to it what it wants.
//
//	            topics/<n> ── Tale ──▶ conversation ──── control lane ────▶ Apply
//	   Subscribed ◀── (fence) ◀── Heard ◀──────────────────────────────────
//	publisher ── Deliver ──▶ routes/<peer> ── frames ──── data lane ──▶ Publish, Flush
//	   PUBACK ◀── Part ◀── Accepted ◀──────────────────────────────────────
//
// A peer is a subscriber (topics.Router.NewPeer): its routes are rows in the tables
// of this node, so that one match finds sessions and peers alike, and what bounds a
// slow session bounds a slow peer. A new conversation has a new subscriber; the one
// of a conversation that has ended is masked at once and swept in the background.
//
// The actors are the children of the supervisor "routes", one for each conversation
// (forwarder). They accept topics.Deliver and what the peer has said of messages
// that were forwarded to it. Their mailboxes are bounded by what may be on the way
// to a subscriber (topics.Options.PeerBytes). A crash costs the message that was
// handled: what waits belongs to the conversation.
package routes

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// Options are the settings of Routes.
type Options struct {
	// Frames is how many frames of up to 256 KB may be on their way to a peer. 8 by
	// default: some ten milliseconds of a fast link. More costs memory while a peer
	// is stopped, less makes fast links wait.
	Frames int
	// Stall is after which time without progress a peer counts as stalled, so that
	// nobody waits for it with QoS 0. 250 ms by default.
	Stall time.Duration
	// Audit is how often peers compare what they know of each other's routes. 5 s by
	// default.
	Audit time.Duration
	// Metrics count what is dropped: "peer_down" with a peer that has gone, and
	// "no_subscriber" when a shared group has no members any more. nil: nobody
	// looks.
	Metrics *metrics.Registry
	// Logger; nil: silent.
	Logger *slog.Logger
	// Parent is the supervisor of Spec. "node/cluster" by default.
	Parent string
}

// Routes is this node's side of all conversations.
type Routes struct {
	system  *actor.ActorSystem
	router  *topics.Router
	net     cluster.Net
	options Options
	self    cluster.Member
	log     *slog.Logger

	mu            sync.Mutex
	conversations map[cluster.Peer]*conversation
	began         uint64 // number of the last one, for the names of actors

	mismatches, unreadable atomic.Uint64
}

// New makes the routes of a node and registers them with net, which must not have
// started, nor router's shards.
func New(system *actor.ActorSystem, router *topics.Router, net cluster.Net, o Options) *Routes {
	if o.Frames <= 0 {
		o.Frames = 8
	}
	if o.Stall <= 0 {
		o.Stall = 250 * time.Millisecond
	}
	if o.Audit <= 0 {
		o.Audit = 5 * time.Second
	}
	if o.Metrics == nil {
		o.Metrics = new(metrics.Registry)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Parent == "" {
		o.Parent = cluster.Root + "cluster"
	}
	r := &Routes{
		system: system, router: router, net: net, options: o, self: net.Self(), log: o.Logger,
		conversations: make(map[cluster.Peer]*conversation),
	}
	router.Cluster(r.self.Name, r.self.Incarnation)
	net.Handle(kindTale, r.onTale)
	net.Handle(kindHeard, r.onHeard)
	net.Handle(kindAccepted, r.onAccepted)
	net.Handle(kindFailed, r.onAccepted)
	net.Handle(kindRepeat, r.onRepeat)
	net.HandleData(kindMessages, r.onMessages)
	net.OnView(r.onView)
	net.Add(r)
	return r
}

// Spec is the supervisor of the forwarders. It starts before the net does.
func (r *Routes) Spec() kernel.ChildSpec {
	return kernel.ChildSpec{Name: "routes", Props: kernel.Supervisor(nil), Restart: kernel.Permanent}
}

func (r *Routes) supervisor() *actor.PID { return r.system.NewLocalPID(r.options.Parent + "/routes") }

// Begin implements cluster.Service.
func (r *Routes) Begin(p cluster.Peer, ready func()) {
	c := r.conversation(p)
	c.begin(ready)
}

// End implements cluster.Service. What was to be forwarded is dropped.
func (r *Routes) End(p cluster.Peer) {
	r.conversation(p).end()
}

// conversation finds that with p: what p sends may be here before Begin. Ended
// ones stay, so that nothing late makes them anew, until there is another one with
// the same node.
func (r *Routes) conversation(p cluster.Peer) *conversation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.conversations[p]; c != nil {
		return c
	}
	name := p.Member().Name
	for q, c := range r.conversations {
		if c.name == name && c.over() {
			delete(r.conversations, q)
		}
	}
	r.began++
	c := newConversation(r, p, name, r.began)
	r.conversations[p] = c
	return c
}

// onView takes note of who is silent: nobody waits for those.
func (r *Routes) onView(v *cluster.View) {
	r.mu.Lock()
	all := make([]*conversation, 0, len(r.conversations))
	for _, c := range r.conversations {
		all = append(all, c)
	}
	r.mu.Unlock()
	for _, c := range all {
		if m, ok := v.Member(c.name); ok {
			c.suspect(m.State == cluster.Suspect)
		}
	}
}

func (r *Routes) onTale(p cluster.Peer, m wire.Message) {
	c := r.conversation(p)
	t, ok := m.(*tale)
	if !ok || t.Shard < 0 || t.Shards > maxShards || t.Shard >= t.Shards {
		r.unread(p, "routes", m)
		return
	}
	c.onTale(t)
}

func (r *Routes) onHeard(p cluster.Peer, m wire.Message) {
	if h, ok := m.(*heard); ok {
		r.router.Heard(r.conversation(p), h.Shard, h.Number)
		return
	}
	r.unread(p, "routes", m)
}

func (r *Routes) onAccepted(p cluster.Peer, m wire.Message) {
	switch m.(type) {
	case *accepted, *failed:
		r.conversation(p).tell(m)
	default:
		r.unread(p, "acceptance", m)
	}
}

func (r *Routes) onRepeat(p cluster.Peer, m wire.Message) {
	if _, ok := m.(*repeat); ok {
		r.router.Repeat(r.conversation(p))
		return
	}
	r.unread(p, "request", m)
}

// unread counts what a peer has sent and this node cannot read: it is of another
// version, or broken.
func (r *Routes) unread(p cluster.Peer, what string, why any) {
	r.unreadable.Add(1)
	r.log.Error("a peer sent what cannot be read", "node", p.Member().Name, "what", what, "reason", why)
}

// Counts say what has gone wrong since the start.
type Counts struct {
	Mismatches uint64 // digests of routes that differed; they were told again
	Unreadable uint64 // messages that could not be read
}

// Counts returns them.
func (r *Routes) Counts() Counts {
	return Counts{Mismatches: r.mismatches.Load(), Unreadable: r.unreadable.Load()}
}
