package retained

import (
	"fmt"
	"sync"
	"sync/atomic"

	"emqttd/actors/kernel"
	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Clock gives the versions of changes: later than all that it has given or seen.
type Clock interface {
	Now() uint64
	Seen(stamp uint64)
}

// Replicator tells other nodes what this one has changed itself. Changed is called
// by the shards and must not block; value appends the value of the entry, and is
// nil for a tombstone.
type Replicator interface {
	Changed(key string, v lww.Version, value func([]byte) []byte)
}

// Replicate has r told of all changes from now on. It is called before the shards
// start.
func (s *Stores) Replicate(r Replicator) { s.peers = r }

// Tombstones is how many removals are remembered.
func (s *Stores) Tombstones() int { return int(s.tombstones.Load()) }

// Digest implements the source of package replicas, as all below: what two nodes
// ask each other when they meet. f is called once, by a shard.
func (s *Stores) Digest(f func(*lww.Digest)) {
	sum, left := new(lww.Digest), len(s.shards)
	var mu sync.Mutex
	for _, p := range s.shards {
		s.send(p, &digestQuery{func(d *lww.Digest) {
			mu.Lock()
			defer mu.Unlock()
			sum.Add(d)
			if left--; left == 0 {
				f(sum)
			}
		}})
	}
}

type digestQuery struct{ tell func(*lww.Digest) }

// Marks calls f once with the marks of all entries in some buckets.
func (s *Stores) Marks(in lww.Set, f func(lww.Marks)) {
	var all lww.Marks
	left := len(s.shards)
	var mu sync.Mutex
	for _, p := range s.shards {
		var marks lww.Marks
		t := &tour{in: &in}
		t.visit = func(key string, v lww.Version, _ *protocol.Message) bool {
			_, mark := lww.Place(key, v)
			marks = append(marks, mark)
			return true
		}
		t.pause = func() { s.send(p, t) }
		t.end = func() {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, marks...)
			if left--; left == 0 {
				f(all)
			}
		}
		s.send(p, t)
	}
}

// scanLen is how long a chunk of Scan is, as a rule: one goes over the link at a
// time from each shard, beside all else.
const scanLen = 128 << 10

// Scan calls emit with the entries in some buckets that are not among had, and
// with what the node says of itself: as chunks, whose bytes are emit's. A shard goes on
// when next is called. done is called when all have come to their end.
func (s *Stores) Scan(in lww.Set, had lww.Marks, emit func(chunk []byte, next func()), done func()) {
	var left atomic.Int32
	left.Store(int32(len(s.shards)))
	for _, p := range s.shards {
		var chunks [][]byte
		t := &tour{in: &in}
		t.visit = func(key string, v lww.Version, m *protocol.Message) bool {
			if _, mark := lww.Place(key, v); had.Has(mark) {
				return true
			}
			if n := len(chunks); n == 0 || len(chunks[n-1]) >= scanLen {
				chunks = append(chunks, nil)
			}
			last := &chunks[len(chunks)-1]
			*last = lww.AppendEntry(*last, key, v, valueOf(m))
			return len(*last) < scanLen
		}
		flush := func(then func()) {
			out := chunks
			if chunks = nil; len(out) == 0 {
				then()
				return
			}
			for _, c := range out[:len(out)-1] {
				emit(c, func() {})
			}
			emit(out[len(out)-1], then)
		}
		t.pause = func() { flush(func() { s.send(p, t) }) }
		t.end = func() {
			flush(func() {
				if left.Add(-1) == 0 {
					done()
				}
			})
		}
		s.send(p, t)
	}
}

func valueOf(m *protocol.Message) func([]byte) []byte {
	if m == nil {
		return nil
	}
	return func(b []byte) []byte { return appendRecord(b, m) }
}

// apply carries entries of another node to their shard.
type apply struct {
	from    string // name of the node
	entries []remoteEntry
	done    func()
}

type remoteEntry struct {
	topic topic.Name
	lww.Version
	message *protocol.Message // nil for a tombstone
}

// Apply takes over the entries of a chunk that are newer than what is here. They
// are not published. done is called when they are in the tables, by a shard, or at
// once; the error says that the chunk could not be read to its end.
func (s *Stores) Apply(from string, chunk []byte, done func()) error {
	parts := make([][]remoteEntry, len(s.shards))
	var cleaned lww.Version
	err := lww.ReadEntries(chunk, func(e lww.Entry) {
		if s.clock.Seen(e.Stamp); !s.credible(e.Version) {
			s.incredible.Add(1)
			return
		}
		r := remoteEntry{topic: topic.Name(e.Key), Version: e.Version}
		if e.Value != nil {
			var err error
			if r.message, err = decodeRecord(&e); err != nil {
				s.options.Logger.Warn("a retained message of another node cannot be read", "node", from, "topic", e.Key, "error", err)
				return
			}
		} else if e.Key == "" {
			cleaned = e.Version
			return
		}
		i := s.shardOf(e.Key).number
		parts[i] = append(parts[i], r)
	})
	left := atomic.Int32{}
	left.Store(1)
	part := func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	if cleaned != (lww.Version{}) {
		left.Add(int32(len(s.shards)))
		s.clean(&Clean{version: cleaned, told: part})
	}
	for i, entries := range parts {
		if len(entries) > 0 {
			left.Add(1)
			s.send(s.shards[i], &apply{from: from, entries: entries, done: part})
		}
	}
	part()
	if err != nil {
		return fmt.Errorf("retained messages of %s: %w", from, err)
	}
	return nil
}

// Forget takes away what a node has said of itself.
func (s *Stores) Forget(node string) {
	for _, p := range s.shards {
		s.send(p, &forget{node})
	}
}

type forget struct{ node string }

// MailboxClass makes a tour wait for stores and look-ups.
func (*tour) MailboxClass() kernel.Class { return kernel.Deliver }
