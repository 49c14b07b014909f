package retained

import (
	"hash/maphash"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
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
}

// Stores is the door to the retained stores. The tables behind it outlive the
// shards' actors. All methods may be called by any goroutine once the shards of
// Spec have started, and do not wait.
type Stores struct {
	system  *actor.ActorSystem
	options Options
	seed    maphash.Seed
	shards  []*place
	count   atomic.Int64

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
}

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
	s := &Stores{system: system, options: o, seed: maphash.MakeSeed()}
	for i := range o.Shards {
		s.shards = append(s.shards, &place{stores: s, number: i, table: newTable()})
	}
	return s
}

// Store keeps a copy of m for its topic; the last one wins. An empty payload
// takes the topic's message away. A message that is too large, or for a new
// topic while the table is full, is counted and not stored. r, if not nil, gets
// its part done when the change has been handed to the disk store.
func (s *Stores) Store(m *protocol.Message, r *store.Receipt) {
	if s.options.MaxPayload > 0 && len(m.Payload) > s.options.MaxPayload {
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

// Restore puts a message back that the disk store had; it takes m over. done is
// called when it is there, on the goroutine of a shard.
func (s *Stores) Restore(m *protocol.Message, done func()) {
	s.send(s.shardOf(string(m.Topic)), &restore{message: m, done: done})
}

// Lookup sends l to every shard that may have matching messages.
func (s *Stores) Lookup(l *Lookup) {
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
func (s *Stores) Max() int { return s.options.MaxMessages }

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
	if n := s.count.Add(1); s.options.MaxMessages > 0 && n > int64(s.options.MaxMessages) {
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
	return m.Expired(now) || s.options.Expiry > 0 && now-m.Arrived >= s.options.Expiry.Milliseconds()
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
