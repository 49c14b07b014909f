package topics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
	"emqttd/actors/system/ledger"
	"emqttd/protocol"
	"emqttd/protocol/index"
	"emqttd/protocol/topic"
)

// Options are the settings of a Router.
type Options struct {
	// Shards is the number of topic shards: how many subscriptions can be
	// changed at the same time. 8 by default; at most 256.
	Shards int
	// Strategy of shared subscriptions.
	Strategy Strategy
	// PendingBytes is how much may be on the way to one subscriber before
	// publishers wait (Batch.Flush). 1 MiB by default: some ten thousand small
	// messages, or a second of a fast client. More costs memory for each slow
	// subscriber, less makes publishers stop for short bursts.
	PendingBytes int64
	// PeerBytes is the same for another node, behind which there may be many
	// subscribers. 8 MiB by default.
	PeerBytes int64
	// MaxWait bounds that waiting, so that a session which hangs cannot hold
	// its publishers for ever. 10 s by default.
	MaxWait time.Duration
	// OnDrop is told of QoS 0 messages which a subscriber does not get because
	// too much is pending. The items are valid during the call, which may come
	// from several goroutines at once. May be nil.
	OnDrop func(to *Subscriber, items []Delivery)
	// OnGone is told of messages for a subscriber that had ended when they were to
	// be told to it. May be nil.
	OnGone func(to *Subscriber, items []Delivery)
	// Ledger accepts what is matched; nil is one of the router's own.
	Ledger *ledger.Ledger
	// Begin makes the receipt of what is published to subscribers that keep it
	// (Subscriber.SetKept). nil: nobody does.
	Begin func() *store.Receipt
	// Awaits tells whether a publisher waits until a message is kept. nil: for
	// all of QoS 1 and 2.
	Awaits func(*protocol.Message) bool
	// Refusing tells whether the store takes nothing at present. May be nil.
	Refusing func() bool
}

// Router is the door to the topic shards. Subscriptions are changed by messages
// to the shards; messages are matched by whoever publishes, on its own
// goroutine, in tables which belong to the Router and outlive the shards'
// actors. All methods may be called by any goroutine.
type Router struct {
	system  *actor.ActorSystem
	options Options
	space   *index.Space
	tables  []*table
	batches sync.Pool

	mu          sync.Mutex // registration of subscribers
	subscribers index.Vector[atomic.Pointer[Subscriber]]
	next        uint32
	free        []uint32
	left        index.Limbo[uint32]

	registered    atomic.Int64
	subscriptions atomic.Int64
	wildcards     atomic.Int64
	full          atomic.Int64 // subscribers that can take no more
	routes        atomic.Int64 // rows of peers
	stripe        atomic.Uint32

	// Where there is a cluster (Cluster):
	node   string
	origin uint64        // 0: there is none
	serial atomic.Uint64 // of the last message that a batch has a number for
	open   index.Epochs  // of batches that have matched something: see Settle
}

// Counts are the sizes of the tables.
type Counts struct {
	Topics        int // distinct filters with subscriptions of this node
	Subscribers   int // subscribers with subscriptions
	Subscriptions int // of this node
	PeerRoutes    int // what other nodes want: filters and shared groups, of each
}

// New returns a router with empty tables. Messages can be published at once;
// subscriptions can be changed when the shards of Spec have started.
func New(system *actor.ActorSystem, o Options) *Router {
	if o.Shards <= 0 {
		o.Shards = 8
	}
	o.Shards = min(o.Shards, 256)
	if o.PendingBytes <= 0 {
		o.PendingBytes = 1 << 20
	}
	if o.Ledger == nil {
		o.Ledger = new(ledger.Ledger)
	}
	if o.PeerBytes <= 0 {
		o.PeerBytes = 8 << 20
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 10 * time.Second
	}
	r := &Router{system: system, options: o, space: index.NewSpace()}
	for i := range o.Shards {
		r.tables = append(r.tables, &table{router: r, number: i, filters: r.space.NewIndex()})
	}
	r.batches.New = func() any { return &Batch{router: r, stripe: r.stripe.Add(1)} }
	return r
}

// shardOf spreads hashes over the shards by the bits that the tables leave.
func (r *Router) shardOf(hash uint64) int {
	return int(hash & 0xFFFF * uint64(len(r.tables)) >> 16)
}

// tableFor returns the table of a filter: exact filters are spread by their
// text, wildcard filters by their first level, so that a name has to be looked
// for in one hash and two tries, whatever the number of shards.
func (r *Router) tableFor(f topic.Filter) *table { return r.tables[r.shardNumber(f)] }

func (r *Router) shardNumber(f topic.Filter) int {
	switch {
	case f.StartsWithWildcard():
		return 0
	case f.HasWildcard():
		return r.shardOf(r.space.Hash(f.FirstLevel()))
	default:
		return r.shardOf(r.space.Hash(string(f)))
	}
}

// ShardFor returns the shard that owns the filter, nil before it has started.
func (r *Router) ShardFor(f topic.Filter) *actor.PID { return r.tableFor(f).pid.Load() }

// Subscribe sends m to its shard; the shards must have started. It does not
// wait.
func (r *Router) Subscribe(m *Subscribe) {
	r.register(m.Subscriber)
	r.system.Root.Send(r.ShardFor(m.Subscription.Filter), m)
}

// Unsubscribe sends m to its shard. It does not wait.
func (r *Router) Unsubscribe(m *Unsubscribe) {
	r.system.Root.Send(r.ShardFor(m.Subscription.Filter), m)
}

// Clustered tells whether Touch is of any use.
func (r *Router) Clustered() bool { return r.origin != 0 }

// Touch sends m to its shard. It does not wait.
func (r *Router) Touch(m *Touch) {
	if r.Clustered() {
		r.system.Root.Send(r.ShardFor(m.Subscription.Filter), m)
	}
}

// Unregister says that s ends: it receives nothing from now on, publishers stop
// waiting for it, and later subscriptions are ignored. Call it after an
// Unsubscribe for each of its subscriptions has been sent, in either order of
// arrival. Subscriptions which are left stay in the tables and match nobody:
// Forget removes them.
func (r *Router) Unregister(s *Subscriber) {
	if s.flags.Or(closed)&closed != 0 {
		return
	}
	r.SetFull(s, false)
	s.open()
	r.mu.Lock()
	known := s.index.Load() != 0
	r.mu.Unlock()
	if known {
		r.letGo(s)
	}
}

// Forget unregisters s and makes every shard look for its subscriptions. For
// a session that has crashed; it is sent after all that the session has sent.
func (r *Router) Forget(s *Subscriber) {
	r.Unregister(s)
	for _, t := range r.tables {
		if pid := t.pid.Load(); pid != nil && s.held.Load() > 0 {
			r.system.Root.Send(pid, &Forget{Subscriber: s})
		}
	}
}

// Counts returns the sizes of the tables.
func (r *Router) Counts() Counts {
	c := Counts{
		Subscribers: int(r.registered.Load()), Subscriptions: int(r.subscriptions.Load()),
		PeerRoutes: int(r.routes.Load()),
	}
	for _, t := range r.tables {
		if t.out != nil {
			c.Topics += int(t.out.filters.Load())
		} else {
			c.Topics += t.filters.Len()
		}
	}
	return c
}

// register gives s an index if it has none.
func (r *Router) register(s *Subscriber) {
	if s.index.Load() != 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.index.Load() != 0 || s.is(closed) {
		return
	}
	for {
		n, ok := r.left.Next(&r.space.Epochs)
		if !ok {
			break
		}
		r.free = append(r.free, n)
	}
	n := uint32(0)
	if k := len(r.free); k > 0 {
		n, r.free = r.free[k-1], r.free[:k-1]
	} else {
		r.next++
		n = r.next
		r.subscribers.Grow(n)
	}
	r.subscribers.At(n).Store(s)
	s.held.Store(1)
	s.index.Store(n)
	if !s.is(peer) {
		r.registered.Add(1)
	}
}

// letGo drops one hold on the index of s. The last one frees it, to be used
// again when no publisher can come across it any more.
func (r *Router) letGo(s *Subscriber) {
	if s.held.Add(-1) != 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := s.index.Load()
	r.subscribers.At(n).Store(nil)
	r.left.Add(&r.space.Epochs, n)
	if !s.is(peer) {
		r.registered.Add(-1)
	}
}

// subscriber returns who has the index, unless it has ended. The caller is
// inside the epochs.
func (r *Router) subscriber(n uint32) *Subscriber {
	if n >= r.subscribers.Len() {
		return nil
	}
	if s := r.subscribers.At(n).Load(); s != nil && !s.is(closed) {
		return s
	}
	return nil
}

// bound is how much may be on the way to s before publishers wait.
func (r *Router) bound(s *Subscriber) int64 {
	if s.is(peer) {
		return r.options.PeerBytes
	}
	return r.options.PendingBytes
}

// NewBatch returns an empty batch from a pool, for one goroutine.
func (r *Router) NewBatch() *Batch { return r.batches.Get().(*Batch) }

// overflow tells OnDrop.
func (r *Router) overflow(to *Subscriber, items []Delivery) {
	if r.options.OnDrop != nil && len(items) > 0 {
		r.options.OnDrop(to, items)
	}
}

// effective is the QoS with which an item goes out. [MQTT-3.8.4-8]
func effective(it *Delivery) protocol.QoS { return min(it.QoS, it.Message.QoS) }
