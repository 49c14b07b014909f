package topics

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol/index"
	"emqttd/protocol/topic"
)

// table is what one topic shard owns: filters, and who subscribes to them. One
// writer (the shard's actor), readers on any goroutine inside the epochs of the
// router.
type table struct {
	router  *Router
	filters *index.Index
	// entries has a word for each filter id: nothing, the one row, or the
	// number of a set. Most filters have one subscriber, and cost 8 bytes here.
	entries index.Vector[atomic.Uint64]
	sets    index.Vector[atomic.Pointer[set]]

	freeSets []uint32
	nextSet  uint32
	oldSets  index.Limbo[uint32]

	pid atomic.Pointer[actor.PID]
}

// set is an entry with several rows, or with shared groups.
type set struct {
	number uint32
	plain  rows
	groups atomic.Pointer[[]*group]
}

// setTag marks the number of a set in an entry: a QoS that no row has.
const setTag = 3 << 2

func isSet(word uint64) bool       { return word&setTag == setTag }
func setNumber(word uint64) uint32 { return uint32(word >> 4) }
func setWord(number uint32) uint64 { return uint64(number)<<4 | setTag }
func (t *table) set(w uint64) *set { return t.sets.At(setNumber(w)).Load() }
func (s *set) groupList() []*group { return deref(s.groups.Load()) }
func deref(list *[]*group) []*group {
	if list == nil {
		return nil
	}
	return *list
}

// word is the entry of a filter as a reader may see it.
func (t *table) word(id uint32) uint64 {
	if id >= t.entries.Len() {
		return 0 // inserted, but its first row is not there yet
	}
	return t.entries.At(id).Load()
}

// subscribe adds or replaces a row. It tells whether it is new.
func (t *table) subscribe(m *Subscribe) bool {
	s := m.Subscriber
	if s.is(closed) || !s.hold() {
		return false // it ended while the message was on its way
	}
	id, created := t.filters.Insert(m.Subscription.Filter)
	t.entries.Grow(id)
	if created && m.Subscription.Filter.HasWildcard() {
		t.router.wildcards.Add(1)
	}
	added := t.put(id, m.Subscription.Group, newRow(s.index.Load(), m))
	if !added {
		t.router.letGo(s)
		return false
	}
	t.router.subscriptions.Add(1)
	return true
}

func (t *table) put(id uint32, name string, r row) (added bool) {
	entry := t.entries.At(id)
	word := entry.Load()
	if name == "" && (word == 0 || !isSet(word) && row(word).key() == r.key()) {
		entry.Store(uint64(r))
		return word == 0
	}
	var s *set
	if isSet(word) {
		s = t.set(word)
	} else {
		s = t.newSet()
		if word != 0 {
			s.plain.put(row(word))
		}
	}
	if name == "" {
		added = s.plain.put(r)
	} else {
		added = s.group(name).members.put(r)
	}
	if !isSet(word) {
		entry.Store(setWord(s.number)) // readers see old and new row at once
	}
	return added
}

// group returns the group with this name, which it creates if need be.
func (s *set) group(name string) *group {
	list := s.groupList()
	for _, g := range list {
		if g.name == name {
			return g
		}
	}
	g := &group{name: name}
	grown := append(append(make([]*group, 0, len(list)+1), list...), g)
	s.groups.Store(&grown)
	return g
}

func (t *table) newSet() *set {
	for {
		n, ok := t.oldSets.Next(&t.router.space.Epochs)
		if !ok {
			break
		}
		t.sets.At(n).Store(nil)
		t.freeSets = append(t.freeSets, n)
	}
	s := &set{}
	if n := len(t.freeSets); n > 0 {
		s.number, t.freeSets = t.freeSets[n-1], t.freeSets[:n-1]
	} else {
		s.number = t.nextSet
		t.nextSet++
		t.sets.Grow(s.number)
	}
	t.sets.At(s.number).Store(s)
	return s
}

// unsubscribe takes a row away. It tells whether there was one.
func (t *table) unsubscribe(s *Subscriber, sub topic.Subscription) bool {
	if !s.hold() {
		return false // nothing is left, and its index may belong to another
	}
	defer t.router.letGo(s)
	id, ok := t.filters.Lookup(sub.Filter)
	if !ok {
		return false
	}
	return t.remove(id, sub.Group, keyOf(s.index.Load(), sub.Local), s)
}

// remove takes the row of s with this key out of the group, or out of the plain
// rows, and the filter if nothing is left.
func (t *table) remove(id uint32, name string, k rowKey, s *Subscriber) bool {
	entry := t.entries.At(id)
	word := entry.Load()
	switch {
	case word == 0:
		return false
	case !isSet(word):
		if name != "" || row(word).key() != k {
			return false
		}
		t.drop(id)
	default:
		set := t.set(word)
		if !set.remove(name, k) {
			return false
		}
		t.shrink(id, set)
	}
	t.router.subscriptions.Add(-1)
	t.router.letGo(s)
	return true
}

// remove takes the row out and, if it was the last one, the group.
func (s *set) remove(name string, k rowKey) bool {
	if name == "" {
		return s.plain.remove(k)
	}
	list := s.groupList()
	for i, g := range list {
		if g.name != name {
			continue
		}
		if !g.members.remove(k) {
			return false
		}
		if g.members.live == 0 {
			left := append(append(make([]*group, 0, len(list)-1), list[:i]...), list[i+1:]...)
			s.groups.Store(&left)
		}
		return true
	}
	return false
}

// shrink turns a set that has become small into a single row or nothing.
func (t *table) shrink(id uint32, s *set) {
	if len(s.groupList()) > 0 || s.plain.live > 1 {
		return
	}
	if s.plain.live == 0 {
		t.drop(id)
	} else {
		t.entries.At(id).Store(uint64(s.plain.first()))
	}
	t.oldSets.Add(&t.router.space.Epochs, s.number)
}

// drop takes a filter without rows out.
func (t *table) drop(id uint32) {
	wild := t.filters.Wildcards()
	t.entries.At(id).Store(0)
	t.filters.Remove(id)
	t.router.wildcards.Add(int64(t.filters.Wildcards() - wild))
}

// forget takes all rows of s away by looking at every entry; it stops early
// when none is left anywhere. It returns how many it has found.
func (t *table) forget(s *Subscriber) (found int) {
	if !s.hold() {
		return 0
	}
	defer t.router.letGo(s)
	const ours = 1
	number := s.index.Load()
	for id := uint32(1); id < t.entries.Len() && s.held.Load() > ours; id++ {
		word := t.entries.At(id).Load()
		if word != 0 && (isSet(word) || row(word).subscriber() == number) {
			found += t.forgetIn(id, word, s)
		}
	}
	return found
}

// forgetIn takes the rows of s out of one entry, which held word before.
func (t *table) forgetIn(id uint32, word uint64, s *Subscriber) (found int) {
	names := []string{""}
	if isSet(word) {
		for _, g := range t.set(word).groupList() {
			names = append(names, g.name)
		}
	}
	for _, name := range names {
		for _, local := range []bool{false, true} {
			if t.remove(id, name, keyOf(s.index.Load(), local), s) {
				found++
			}
		}
	}
	return found
}
