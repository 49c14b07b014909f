package link

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// Transport opens streams of bytes to other nodes. *wire.Dialer is one.
type Transport interface {
	// Dial opens a stream to a node's Accept. Errors that wrap wire.ErrRefused say
	// that the node does not run, those that wrap wire.ErrCookie that it refuses us.
	Dial(ctx context.Context, address string) (wire.Stream, error)
}

// Options say who a node is and how it reaches the others.
type Options struct {
	// Self is this node. An empty Address is the actor system's when the net starts;
	// an Incarnation of 0 is the time of New.
	Self      cluster.Member
	Cluster   string // name of the cluster: nodes of others are refused
	Cookie    string // the secret that all nodes share
	Transport Transport
	Logger    *slog.Logger // nil = silent
	// OnKnown is told by the members actor whenever Known is another list, which nobody
	// changes any more; nil = nobody asks. It must not block.
	OnKnown func([]cluster.Candidate)
	// Parent is the id of the actor under which Specs are started; "" = node/cluster.
	Parent string
}

// Net implements cluster.Net. Make it with New, give it handlers, services and
// listeners, then start its Specs.
type Net struct {
	system   *actor.ActorSystem
	options  Options
	log      *slog.Logger
	clock    cluster.Clock
	born     time.Time
	handlers map[uint32]func(cluster.Peer, wire.Message)
	data     map[uint32]func(cluster.Peer, []byte)
	services []cluster.Service
	onView   []func(*cluster.View)
	counts   counters
	members  *actor.PID
	roster   *roster

	self atomic.Pointer[cluster.Member]
	seen atomic.Pointer[sight]
	// candidates are the targets of members, for Known.
	candidates atomic.Pointer[[]cluster.Candidate]
	life       context.Context // ends when the members actor does
	close      context.CancelFunc

	mu      sync.Mutex
	open    bool             // the members actor runs
	running sync.WaitGroup   // goroutines of streams and conversations
	peers   map[string]*Peer // all conversations, by address
	told    map[string]bool  // refusals that are in the log
}

var _ cluster.Net = (*Net)(nil)

// sight is a view and the conversations with those in it.
type sight struct {
	view  *cluster.View
	peers []cluster.Peer
}

// New makes the net of a node that knows nobody.
func New(system *actor.ActorSystem, o Options) *Net {
	if o.Parent == "" {
		o.Parent = cluster.Root + "cluster"
	}
	if o.Self.Incarnation == 0 {
		o.Self.Incarnation = uint64(time.Now().UnixNano())
	}
	n := &Net{
		system: system, options: o, log: o.Logger, born: time.Now(),
		handlers: map[uint32]func(cluster.Peer, wire.Message){}, data: map[uint32]func(cluster.Peer, []byte){},
		members: system.NewLocalPID(o.Parent + "/members"),
		peers:   map[string]*Peer{}, told: map[string]bool{},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.life, n.close = context.WithCancel(context.Background())
	n.roster = newRoster()
	n.candidates.Store(new([]cluster.Candidate))
	n.setSelf(o.Self)
	return n
}

func (n *Net) setSelf(m cluster.Member) {
	m.State = cluster.Up
	n.self.Store(&m)
	epoch := uint64(1)
	if s := n.seen.Load(); s != nil {
		epoch = s.view.Epoch + 1
	}
	n.seen.Store(&sight{view: cluster.NewView(epoch, m, nil)})
}

// Specs are the actors: the supervisor of the links, then members. They belong under
// Options.Parent, in this order.
func (n *Net) Specs() []kernel.ChildSpec {
	return []kernel.ChildSpec{
		{Name: "link", Props: kernel.Supervisor(nil)},
		{Name: "members", Props: kernel.NewProps(func() actor.Actor { return &members{net: n, roster: n.roster} })},
	}
}

// Self implements cluster.Net.
func (n *Net) Self() cluster.Member { return *n.self.Load() }

// View implements cluster.Net.
func (n *Net) View() *cluster.View { return n.seen.Load().view }

// Peers implements cluster.Net. It leaves out a conversation from its end on, though the
// view is told of that only after the services: whoever asks all peers for an answer
// must not wait for one of whose end he has been told.
func (n *Net) Peers() []cluster.Peer {
	peers := n.seen.Load().peers
	past := func(p cluster.Peer) bool { return p.(*Peer).past.Load() }
	if !slices.ContainsFunc(peers, past) {
		return peers
	}
	return slices.DeleteFunc(slices.Clone(peers), past)
}

// PeerAt implements cluster.Net.
func (n *Net) PeerAt(address string) cluster.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[address]; p != nil {
		return p
	}
	return nil
}

// Handle implements cluster.Net.
func (n *Net) Handle(kind uint32, f func(cluster.Peer, wire.Message)) { n.handlers[kind] = f }

// HandleData implements cluster.Net.
func (n *Net) HandleData(kind uint32, f func(cluster.Peer, []byte)) { n.data[kind] = f }

// Add implements cluster.Net.
func (n *Net) Add(s cluster.Service) { n.services = append(n.services, s) }

// OnView implements cluster.Net.
func (n *Net) OnView(f func(*cluster.View)) { n.onView = append(n.onView, f) }

// Clock implements cluster.Net.
func (n *Net) Clock() *cluster.Clock { return &n.clock }

// Discovered says which nodes there are, in place of what it said before. They are
// dialled until they answer, and again when they are lost, for ever.
func (n *Net) Discovered(list []cluster.Candidate) {
	n.tellMembers(&discovered{slices.Clone(list)})
}

// Join has a node dialled until it answers, and again when it is lost. It undoes Leave.
func (n *Net) Join(address string) { n.tellMembers(&joinAddress{address}) }

// Remembered says which nodes this one has met in an earlier life. They are dialled, and
// forgotten when they do not answer for a day.
func (n *Net) Remembered(list []cluster.Candidate) {
	m := &learnt{nodes: make([]contact, len(list))}
	for i, c := range list {
		m.nodes[i] = contact{c.Name, c.Address}
	}
	n.tellMembers(m)
}

// Leave says good-bye to everybody, forgets all who were found, and takes nobody in until
// Join.
func (n *Net) Leave() { n.tellMembers(&leave{}) }

// ForceLeave makes a node leave: if it lives it is told so, and it is forgotten. One
// that was not reached comes back when it can.
func (n *Net) ForceLeave(name string) { n.tellMembers(&forceLeave{name}) }

// Wait returns when nothing of the net runs any more, after its actors have been
// stopped, or when ctx has ended.
func (n *Net) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		n.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("links: %w", context.Cause(ctx))
	}
}

func (n *Net) tellMembers(m any) { n.system.Root.Send(n.members, m) }

func (n *Net) linkName(name string) string { return url.PathEscape(name) }

func (n *Net) tellLink(name string, m any) {
	n.system.Root.Send(n.system.NewLocalPID(n.options.Parent+"/link/"+n.linkName(name)), m)
}

// start is called by members when it starts for the first time.
func (n *Net) start() {
	if self := n.Self(); self.Address == "" {
		self.Address = n.system.Address()
		n.setSelf(self)
	}
	n.mu.Lock()
	n.open = true
	n.mu.Unlock()
}

// stop is called by members when it has been told to stop: nobody comes in any more.
func (n *Net) stop() {
	n.mu.Lock()
	n.open = false
	n.mu.Unlock()
	n.close()
}

// enter counts a goroutine in, unless the net has not started or is stopping.
func (n *Net) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open {
		n.running.Add(1)
	}
	return n.open
}

// converse begins a conversation.
func (n *Net) converse(h *hello, id uint64) (*Peer, bool) {
	if !n.enter() {
		return nil, false
	}
	p := newPeer(n, h, id)
	n.mu.Lock()
	n.peers[h.Address] = p
	clear(n.told) // what is wrong from now on is news
	n.mu.Unlock()
	go func() {
		defer n.running.Done()
		p.live()
	}()
	return p, true
}

// hangUp ends a conversation.
func (n *Net) hangUp(p *Peer, why error, last *bye) {
	n.mu.Lock()
	if n.peers[p.member.Address] == p {
		delete(n.peers, p.member.Address)
	}
	n.mu.Unlock()
	p.end(why, last)
}

// show publishes a view.
func (n *Net) show(list []*Peer) {
	others := make([]cluster.Member, len(list))
	peers := make([]cluster.Peer, len(list))
	slices.SortFunc(list, func(a, b *Peer) int { return strings.Compare(a.member.Name, b.member.Name) })
	for i, p := range list {
		others[i], peers[i] = p.Member(), p
	}
	v := cluster.NewView(n.View().Epoch+1, n.Self(), others)
	n.seen.Store(&sight{v, peers})
	for _, f := range n.onView {
		f(v)
	}
}

// note counts a refusal, and has each in the log once until a link comes about.
func (n *Net) note(h *hello, err error) {
	reason := reasonFor(err)
	n.counts.refused[reason].Add(1)
	if !reason.fault() {
		return
	}
	key := reason.String()
	args := []any{"reason", key, "detail", err.Error()}
	if h != nil {
		key += " " + h.Name + " " + h.Address
		args = append(args, "node", h.Name, "address", h.Address)
	}
	n.mu.Lock()
	known := n.told[key]
	if len(n.told) >= maxTold {
		clear(n.told)
	}
	n.told[key] = true
	n.mu.Unlock()
	if !known {
		n.log.Warn("no link with a node", args...)
	}
}

// maxTold bounds what is remembered of strangers.
const maxTold = 1024

// protect calls a handler. A panic in one is a mistake of ours that a message of a
// peer has brought to light: it costs this message and no more.
func (n *Net) protect(p *Peer, kind uint32, f func()) {
	defer func() {
		if r := recover(); r != nil {
			n.counts.panics.Add(1)
			n.log.Error("a message of another node made its handler panic",
				"node", p.member.Name, "kind", kind, "reason", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// since and at turn a time into nanoseconds of this net and back. They are never 0.
func (n *Net) since(t time.Time) int64 { return int64(t.Sub(n.born)) + 1 }

func (n *Net) at(ns int64) time.Time { return n.born.Add(time.Duration(ns - 1)) }
