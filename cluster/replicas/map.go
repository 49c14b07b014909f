package replicas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/cluster/replicas/lww"
)

// Disk is where a Map is kept (store.Table). Put and Delete call done, if not nil,
// when the change is safe.
type Disk interface {
	Put(key, value []byte, done func(error))
	Delete(key []byte, done func(error))
	// Each calls f with every entry, whose bytes are valid during the call only.
	Each(f func(key, value []byte)) error
}

// Clock gives versions, as cluster.Clock does.
type Clock interface {
	Now() uint64
	Seen(stamp uint64)
}

// MapOptions of a Map.
type MapOptions struct {
	Node  string // whose changes these are
	Clock Clock
	Disk  Disk // nil keeps nothing
	// Tombstones is how long a removal is remembered (a day), MaxTombstones how many
	// are (100,000).
	Tombstones    time.Duration
	MaxTombstones int
}

// Map is a small table, in memory as a whole and on a Disk, which a Table keeps the
// same on all nodes: users, bans. It is what package access calls a Shared table, and
// the Source of a Table. Beside keys and values it takes some 100 B an entry.
type Map struct {
	o      MapOptions
	origin uint32
	live   atomic.Bool
	peers  *Table // nil: there are none

	// changed is told which key another node has changed.
	changed func(key []byte)

	mu     sync.Mutex
	all    map[string]item
	digest lww.Digest
	tombs  int
}

type item struct {
	lww.Version
	value []byte // nil for a tombstone
}

// OpenMap reads what is on the disk.
func OpenMap(o MapOptions) (*Map, error) {
	if o.Tombstones <= 0 {
		o.Tombstones = 24 * time.Hour
	}
	if o.MaxTombstones <= 0 {
		o.MaxTombstones = 100_000
	}
	m := &Map{o: o, origin: lww.Origin(o.Node), all: map[string]item{}}
	if o.Disk == nil {
		return m, nil
	}
	err := o.Disk.Each(func(key, record []byte) {
		it := m.decode(record)
		o.Clock.Seen(it.Stamp)
		m.set(string(key), it)
	})
	if err != nil {
		return nil, err
	}
	m.purge()
	return m, nil
}

// A record is a mark that it has a version, stamp, origin, and the value behind a
// byte, or nothing for a tombstone. Records without the mark, which is no letter,
// are of a broker that had no versions; they are all value.
const versioned = 1

func (it *item) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{versioned}, it.Stamp)
	b = binary.BigEndian.AppendUint32(b, it.Origin)
	if it.value != nil {
		b = append(append(b, 'v'), it.value...)
	}
	return b
}

func (m *Map) decode(record []byte) item {
	const head = 1 + 8 + 4
	if len(record) < head || record[0] != versioned {
		return item{lww.Version{Origin: m.origin}, append([]byte{}, record...)}
	}
	it := item{Version: lww.Version{Stamp: binary.BigEndian.Uint64(record[1:]), Origin: binary.BigEndian.Uint32(record[9:])}}
	if len(record) > head {
		it.value = append([]byte{}, record[head+1:]...)
	}
	return it
}

// Replicate has changes told to the peers of the Table that was made of m. It is
// called before the net starts.
func (m *Map) Replicate(t *Table) { m.peers = t }

// OnChange has f called, on any goroutine, with each key that another node has
// changed; Get tells to what. It is called before the net starts.
func (m *Map) OnChange(f func(key []byte)) { m.changed = f }

// Live says that the disk takes changes, so that Put and Delete can wait for it.
// What was put before is an entry of the configuration: it is older than whatever
// anybody changed at run time, and not waited for.
func (m *Map) Live() { m.live.Store(true) }

// Get is the value of a key. It must not be changed.
func (m *Map) Get(key []byte) (value []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.all[string(key)]
	return it.value, it.value != nil
}

// Put sets a value and returns when it is safe.
func (m *Map) Put(key, value []byte) error { return m.write(key, append([]byte{}, value...)) }

// Delete removes a key and returns when that is safe.
func (m *Map) Delete(key []byte) error { return m.write(key, nil) }

func (m *Map) write(key, value []byte) error {
	live := m.live.Load()
	var safe chan error
	done := func(error) {}
	if live && m.o.Disk != nil {
		safe = make(chan error, 1)
		done = func(err error) { safe <- err }
	}
	m.mu.Lock()
	before, was := m.all[string(key)]
	it := item{lww.Version{Stamp: m.o.Clock.Now(), Origin: m.origin}, value}
	switch {
	case !live && !was:
		it.Version = lww.Version{Origin: m.origin}
	case !live && bytes.Equal(before.value, value):
		m.mu.Unlock()
		return nil
	}
	m.set(string(key), it)
	m.save(key, &it, done)
	m.mu.Unlock()
	if safe != nil {
		if err := <-safe; err != nil {
			m.undo(string(key), it.Version, before, was)
			return err
		}
	}
	if m.peers != nil {
		m.peers.Changed(string(key), it.Version, it.append())
	}
	return nil
}

// undo takes back a change that the disk has refused.
func (m *Map) undo(key string, v lww.Version, before item, was bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch it := m.all[key]; {
	case it.Version != v: // somebody else has changed it since
	case was:
		m.set(key, before)
	default:
		m.forget(key, it)
	}
}

func (it *item) append() func([]byte) []byte {
	if it.value == nil {
		return nil
	}
	return func(b []byte) []byte { return append(b, it.value...) }
}

// set enters an item. m.mu is held, or nobody knows m.
func (m *Map) set(key string, it item) {
	if before, was := m.all[key]; was {
		m.forget(key, before)
	}
	m.all[key] = it
	m.digest.Toggle(key, it.Version)
	if it.value == nil {
		m.tombs++
	}
}

func (m *Map) forget(key string, it item) {
	m.digest.Toggle(key, it.Version)
	delete(m.all, key)
	if it.value == nil {
		m.tombs--
	}
}

// save writes an item. m.mu is held, so that the disk has the changes in order.
func (m *Map) save(key []byte, it *item, done func(error)) {
	if m.o.Disk != nil {
		m.o.Disk.Put(key, it.encode(), done)
	}
}

// purge forgets tombstones that are too old, and the oldest ones of too many.
func (m *Map) purge() {
	if m.tombs == 0 {
		return
	}
	before := time.Now().Add(-m.o.Tombstones).UnixMilli()
	var tombs []string
	for key, it := range m.all {
		if it.value == nil {
			tombs = append(tombs, key)
		}
	}
	slices.SortFunc(tombs, func(a, b string) int {
		if m.all[a].After(m.all[b].Version) {
			return 1
		}
		return -1
	})
	for i, key := range tombs {
		it := m.all[key]
		if it.Millis() >= before && len(tombs)-i <= m.o.MaxTombstones {
			return
		}
		m.forget(key, it)
		if m.o.Disk != nil {
			m.o.Disk.Delete([]byte(key), nil)
		}
	}
}

// Each calls f for all entries until it returns an error, which it returns.
func (m *Map) Each(f func(key, value []byte) error) error {
	type entry struct {
		key   string
		value []byte
	}
	var list []entry
	m.mu.Lock()
	for key, it := range m.all {
		if it.value != nil {
			list = append(list, entry{key, it.value})
		}
	}
	m.mu.Unlock()
	for _, e := range list {
		if err := f([]byte(e.key), e.value); err != nil {
			return err
		}
	}
	return nil
}

// Digest implements Source.
func (m *Map) Digest(f func(*lww.Digest)) {
	m.mu.Lock()
	m.purge()
	d := m.digest
	m.mu.Unlock()
	f(&d)
}

// Marks implements Source.
func (m *Map) Marks(in lww.Set, f func(lww.Marks)) {
	var marks lww.Marks
	m.visit(in, func(_ string, _ item, mark lww.Mark) { marks = append(marks, mark) })
	f(marks)
}

func (m *Map) visit(in lww.Set, f func(string, item, lww.Mark)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, it := range m.all {
		if bucket, mark := lww.Place(key, it.Version); in.Has(bucket) {
			f(key, it, mark)
		}
	}
}

// scanLen is how long the chunks of Scan are, or one entry longer.
const scanLen = 128 << 10

// Scan implements Source.
func (m *Map) Scan(in lww.Set, had lww.Marks, emit func([]byte, func()), done func()) {
	chunks := [][]byte{nil}
	m.visit(in, func(key string, it item, mark lww.Mark) {
		if had.Has(mark) {
			return
		}
		last := &chunks[len(chunks)-1]
		if *last = lww.AppendEntry(*last, key, it.Version, it.append()); len(*last) >= scanLen {
			chunks = append(chunks, nil)
		}
	})
	if len(chunks[len(chunks)-1]) == 0 {
		chunks = chunks[:len(chunks)-1]
	}
	var next func()
	next = func() {
		if len(chunks) == 0 {
			done()
			return
		}
		c := chunks[0]
		chunks = chunks[1:]
		emit(c, next)
	}
	next()
}

var errIncredible = errors.New("an entry is of a time that is more than a day ahead")

// Apply implements Source. It does not wait for the disk.
func (m *Map) Apply(_ string, chunk []byte, done func()) error {
	defer done()
	latest := time.Now().Add(24 * time.Hour).UnixMilli()
	var refused error
	err := lww.ReadEntries(chunk, func(e lww.Entry) {
		if e.Millis() > latest {
			refused = errIncredible
			return
		}
		m.o.Clock.Seen(e.Stamp)
		key, it := []byte(e.Key), item{e.Version, e.Value}
		m.mu.Lock()
		before, was := m.all[e.Key]
		newer := !was || e.After(before.Version)
		if newer {
			m.set(e.Key, it)
			m.save(key, &it, nil)
		}
		m.mu.Unlock()
		if newer && m.changed != nil && !bytes.Equal(before.value, it.value) {
			m.changed(key)
		}
	})
	return errors.Join(err, refused)
}

// Forget implements Source: there is nothing that only one node may tell.
func (m *Map) Forget(string) {}
