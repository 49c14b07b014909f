package retained

import (
	"hash/maphash"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Options are the settings of the Stores. Zero values mean no limit, and 8
// shards.
type Options struct {
	Shards      int           // at most 256
	MaxMessages int           // retainer.max_message_num, of all shards together
	MaxPayload  int           // retainer.max_payload_size, in bytes
	Expiry      time.Duration // retainer.expiry_interval, from arrival
	Logger      *slog.Logger  // slog.Default if nil
	// Disk keeps what Keeps wants kept; nil: nothing outlives the process. Keeps
	// nil: everything but what the broker says of itself.
	Disk  *store.Disk
	Keeps func(*protocol.Message) bool
	// Node is the name of this node. It stands, as a number, in the versions of what
	// this node changes.
	Node string
	// Clock gives those versions; nil: they are numbered, and mean nothing to others.
	Clock Clock
	// Tombstones is how long it is remembered what was taken away, so that a node
	// that was not there does not bring it back. 0: there are no other nodes, and
	// nothing is remembered.
	Tombstones time.Duration
	// MaxTombstones bounds their number, of all shards together; the oldest go
	// first. 100,000 if not positive.
	MaxTombstones int
}

// Stores is the door to the retained stores. The tables behind it outlive the
// shards' actors. All methods may be called by any goroutine once the shards of
// Spec have started, and do not wait.
type Stores struct {
	system  *actor.ActorSystem
	options Options
	limits  atomic.Pointer[Limits]
	seed    maphash.Seed
	shards  []*place
	count   atomic.Int64
	clock   Clock
	origin  uint32
	peers   Replicator // nil: nobody wants to know

	off        atomic.Bool // Store and Lookup do nothing
	tombstones atomic.Int64
	incredible atomic.Uint64 // entries whose version is of a time to come

	tooLarge atomic.Uint64
	full     atomic.Uint64
	logged   atomic.Int64 // when the last refusal was logged, Unix seconds
}

// place is what stays of a shard when its actor goes.
type place struct {
	stores *Stores
	number int
	table  *table
	pid    atomic.Pointer[actor.PID]

	tombs     tombs
	digest    *lww.Digest // nil where there are no other nodes
	watermark lww.Version // of the last Clean
}

// Limits are the Options that may change while the stores are in use.
type Limits struct {
	MaxMessages, MaxPayload int
	Expiry                  time.Duration
}

// SetLimits changes them at once, from any goroutine. Messages above the new limits
// stay, but for those that have expired by the new Expiry.
func (s *Stores) SetLimits(l Limits) { s.limits.Store(&l) }

// Refusals counts the messages that were not stored.
type Refusals struct{ TooLarge, Full uint64 }

// New returns empty stores.
func New(system *actor.ActorSystem, o Options) *Stores {
	if o.Shards <= 0 {
		o.Shards = 8
	}
	o.Shards = min(o.Shards, 256)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxTombstones <= 0 {
		o.MaxTombstones = 100_000
	}
	s := &Stores{system: system, options: o, seed: maphash.MakeSeed(), clock: o.Clock, origin: lww.Origin(o.Node)}
	s.SetLimits(Limits{o.MaxMessages, o.MaxPayload, o.Expiry})
	if s.clock == nil {
		s.clock = new(numbers)
	}
	for i := range o.Shards {
		p := &place{stores: s, number: i, table: newTable()}
		if s.replicated() {
			p.digest = new(lww.Digest)
			p.tombs.max = (o.MaxTombstones + o.Shards - 1) / o.Shards
		}
		s.shards = append(s.shards, p)
	}
	return s
}

// Store keeps a copy of m for its topic; the last one wins. An empty payload
// takes the topic's message away. A message that is too large, or for a new
// topic while the table is full, is counted and not stored. r, if not nil, gets
// its part done when the change has been handed to the disk store.
//
// While the stores are switched off nothing is done.
func (s *Stores) Store(m *protocol.Message, r *store.Receipt) {
	if s.off.Load() {
		if r != nil {
			r.Part()
		}
		return
	}
	if most := s.limits.Load().MaxPayload; most > 0 && len(m.Payload) > most {
		s.tooLarge.Add(1)
		s.refuse("too_large", m)
		if r != nil {
			r.Part()
		}
		return
	}
	s.send(s.shardOf(string(m.Topic)), &Store{Message: m, Receipt: r})
}

// Keeps tells whether a retained message is kept on disk.
func (s *Stores) Keeps(m *protocol.Message) bool {
	return s.options.Disk != nil && !m.Sys && (s.options.Keeps == nil || s.options.Keeps(m))
}

// numbers is a clock for those who have nobody to compare with.
type numbers struct{ last atomic.Uint64 }

func (n *numbers) Now() uint64 { return n.last.Add(1) }

func (n *numbers) Seen(stamp uint64) {
	for {
		if last := n.last.Load(); stamp <= last || n.last.CompareAndSwap(last, stamp) {
			return
		}
	}
}

// next is the version of a change that is made now.
func (s *Stores) next() lww.Version { return lww.Version{Stamp: s.clock.Now(), Origin: s.origin} }

// credible tells whether a version can be of a clock that is more or less right: it
// is not more than a day ahead. One that is would win over all changes until then.
func (s *Stores) credible(v lww.Version) bool {
	return v.Millis() <= time.Now().Add(24*time.Hour).UnixMilli()
}

// Restore puts back what the disk store had; it takes the message over. done is
// called when it is there, on the goroutine of a shard.
func (s *Stores) Restore(r store.Retained, done func()) {
	if s.clock.Seen(r.Stamp); !s.credible(r.Version) {
		r.Version = s.next()
	}
	if r.Stamp == 0 {
		r.Origin = s.origin // for an order among the nodes that have such ones
	}
	if r.Topic != "" {
		s.send(s.shardOf(string(r.Topic)), &restore{record: r, done: done})
		return
	}
	left := new(atomic.Int32)
	left.Store(int32(len(s.shards)))
	s.clean(&Clean{version: r.Version, told: func() {
		if left.Add(-1) == 0 {
			done()
		}
	}})
}

// Switch has messages stored and found, or, with false, neither: those that are there
// stay where they are, other nodes' changes are taken over, and whoever looks finds
// nothing. Stores are on when they are made.
func (s *Stores) Switch(on bool) { s.off.Store(!on) }

// Lookup sends l to every shard that may have matching messages.
func (s *Stores) Lookup(l *Lookup) {
	if s.off.Load() {
		s.system.Root.Send(l.ReplyTo, &Found{Token: l.Token, Last: true})
		return
	}
	if !l.Filter.HasWildcard() {
		l.left.Store(1)
		s.send(s.shardOf(string(l.Filter)), l)
		return
	}
	l.left.Store(int32(len(s.shards)))
	for _, p := range s.shards {
		s.send(p, l)
	}
}

// List sends l to the shard that its cursor names.
func (s *Stores) List(l *List) {
	s.send(s.shards[min(int(l.Cursor>>32), len(s.shards)-1)], l)
}

// Clean sends c to every shard.
func (s *Stores) Clean(c *Clean) {
	c.version = s.next()
	s.clean(c)
}

func (s *Stores) clean(c *Clean) {
	c.left.Store(int32(len(s.shards)))
	for _, p := range s.shards {
		s.send(p, c)
	}
}

// Count is the number of retained messages.
func (s *Stores) Count() int { return int(s.count.Load()) }

// Empty tells whether a Lookup would find nothing that was stored before.
func (s *Stores) Empty() bool { return s.count.Load() == 0 }

// Max is the number of messages that may be stored; 0 is no limit.
func (s *Stores) Max() int { return s.limits.Load().MaxMessages }

// Refused counts the messages which were not stored since the start.
func (s *Stores) Refused() Refusals {
	return Refusals{TooLarge: s.tooLarge.Load(), Full: s.full.Load()}
}

func (s *Stores) send(p *place, message any) { s.system.Root.Send(p.pid.Load(), message) }

func (s *Stores) shardOf(name string) *place {
	return s.shards[maphash.String(s.seed, name)%uint64(len(s.shards))]
}

// refuse logs at most once a minute: a client that retains too much does it
// with every message.
func (s *Stores) refuse(reason string, m *protocol.Message) {
	now, last := time.Now().Unix(), s.logged.Load()
	if now-last < 60 || !s.logged.CompareAndSwap(last, now) {
		return
	}
	s.options.Logger.Warn("message not retained", "reason", reason, "topic", string(m.Topic),
		"client_id", m.From, "size", len(m.Payload), "too_large", s.tooLarge.Load(), "full", s.full.Load())
}

// admit reserves room for one more topic.
func (s *Stores) admit() bool {
	if n, most := s.count.Add(1), s.Max(); most > 0 && n > int64(most) {
		s.count.Add(-1)
		return false
	}
	return true
}

// expired tells whether m is not to be delivered any more at now (Unix
// milliseconds). What the broker says of itself never expires.
func (s *Stores) expired(m *protocol.Message, now int64) bool {
	if strings.HasPrefix(string(m.Topic), "$SYS/") {
		return false
	}
	expiry := s.limits.Load().Expiry
	return m.Expired(now) || expiry > 0 && now-m.Arrived >= expiry.Milliseconds()
}

// names returns a page of topics of one shard, and where the next one is.
func (p *place) names(c Cursor, limit int) (names []topic.Name, next Cursor) {
	after := p.table.scan(uint32(c), limit, func(_ uint32, m *protocol.Message) {
		names = append(names, m.Topic)
	})
	switch {
	case after != 0:
		return names, Cursor(p.number)<<32 | Cursor(after)
	case p.number+1 < len(p.stores.shards):
		return names, Cursor(p.number+1) << 32
	}
	return names, 0
}
