package topics

import (
	"strings"
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
	number  int
	filters *index.Index
	// entries has a word for each filter id: nothing, the one row, or the
	// number of a set. Most filters have one subscriber, and cost 8 bytes here.
	entries index.Vector[atomic.Uint64]
	sets    index.Vector[atomic.Pointer[set]]

	freeSets []uint32
	nextSet  uint32
	oldSets  index.Limbo[uint32]

	out *exports // nil without a cluster
	pid atomic.Pointer[actor.PID]
}

// set is an entry with several rows, or with shared groups.
type set struct {
	number uint32
	own    int // rows of this node, those in groups included
	wanted int // those of them that are plain and not $local
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
	id := t.insert(m.Subscription.Filter)
	var before standing
	if t.out != nil {
		before = t.standing(id)
	}
	added := t.put(id, m.Subscription, s, newRow(s.index.Load(), m))
	if !added {
		t.router.letGo(s)
		return false
	}
	if t.out != nil {
		t.out.moved(m.Subscription.Filter, before, t.standing(id))
	}
	t.router.subscriptions.Add(1)
	return true
}

// put adds or replaces a row of s.
func (t *table) put(id uint32, sub topic.Subscription, s *Subscriber, r row) (added bool) {
	name := sub.Group
	entry := t.entries.At(id)
	word := entry.Load()
	if name == "" && (word == 0 || !isSet(word) && row(word).key() == r.key()) {
		entry.Store(uint64(r))
		return word == 0
	}
	to := t.setOf(word)
	if name == "" {
		added = to.plain.put(r)
	} else {
		added = t.group(to, sub).join(t, s, r)
	}
	if added {
		to.note(s, name == "" && !r.local(), 1)
	}
	t.settle(entry, word, to)
	return added
}

// setOf returns the set of an entry that holds word, or makes one of it, to be
// stored with settle.
func (t *table) setOf(word uint64) *set {
	if isSet(word) {
		return t.set(word)
	}
	s := t.newSet()
	if word != 0 {
		r := row(word)
		s.plain.put(r)
		s.note(t.router.subscribers.At(r.subscriber()).Load(), !r.local(), 1)
	}
	return s
}

// settle makes readers see what a set has got, old and new rows at once.
func (t *table) settle(entry *atomic.Uint64, word uint64, s *set) {
	if !isSet(word) {
		entry.Store(setWord(s.number))
	}
}

// note counts n rows of a subscriber; wanted: they are plain and not $local.
func (s *set) note(of *Subscriber, wanted bool, n int) {
	if of.is(peer) {
		return
	}
	s.own += n
	if wanted {
		s.wanted += n
	}
}

// group returns the group of a subscription, which it creates if need be.
func (t *table) group(s *set, sub topic.Subscription) *group {
	if g := s.find(sub.Group); g != nil {
		return g
	}
	list := s.groupList()
	g := &group{name: sub.Group}
	if t.out != nil { // its own copy: sub's may be part of a large buffer
		g.name, g.filter = strings.Clone(sub.Group), topic.Filter(strings.Clone(string(sub.Filter)))
	}
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
	return t.remove(id, sub, s)
}

// remove takes the row that s has for a subscription out of the group, or out of
// the plain rows, and the filter if nothing is left.
func (t *table) remove(id uint32, sub topic.Subscription, s *Subscriber) bool {
	var before standing
	if t.out != nil {
		before = t.standing(id)
	}
	if !t.take(id, sub, s) {
		return false
	}
	if t.out != nil {
		t.out.moved(sub.Filter, before, t.standing(id))
	}
	t.router.subscriptions.Add(-1)
	t.router.letGo(s)
	return true
}

// take is remove without the counting.
func (t *table) take(id uint32, sub topic.Subscription, s *Subscriber) bool {
	entry, k := t.entries.At(id), keyOf(s.index.Load(), sub.Local)
	word := entry.Load()
	switch {
	case word == 0:
		return false
	case !isSet(word):
		if sub.Group != "" || row(word).key() != k {
			return false
		}
		t.drop(id)
		return true
	}
	from := t.set(word)
	switch {
	case sub.Group == "":
		if !from.plain.remove(k) {
			return false
		}
	default:
		g := from.find(sub.Group)
		if g == nil || !g.part(t, k) {
			return false
		}
		from.prune(g)
	}
	from.note(s, sub.Group == "" && !sub.Local, -1)
	t.shrink(id, from)
	return true
}

// find returns the group with this name, or nil.
func (s *set) find(name string) *group {
	for _, g := range s.groupList() {
		if g.name == name {
			return g
		}
	}
	return nil
}

// prune takes a group without members out.
func (s *set) prune(g *group) {
	if !g.empty() {
		return
	}
	var left []*group
	for _, other := range s.groupList() {
		if other != g {
			left = append(left, other)
		}
	}
	s.groups.Store(&left)
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

// sweepLen is how many filters one turn of a sweep looks at: two milliseconds if
// there is something to do for each.
const sweepLen = 4096

// forget takes the rows of s away, from one filter on, by looking at every entry;
// it stops early when none is left anywhere. It returns where to go on, and 0 when
// it is done.
func (t *table) forget(s *Subscriber, from uint32) (next uint32) {
	if !s.hold() {
		return 0
	}
	defer t.router.letGo(s)
	const ours = 1
	number := s.index.Load()
	for id := max(from, 1); id < t.entries.Len(); id++ {
		if s.held.Load() <= ours {
			return 0
		}
		if id-from >= sweepLen {
			return id
		}
		word := t.entries.At(id).Load()
		switch {
		case word == 0 || !isSet(word) && row(word).subscriber() != number:
		case s.is(peer):
			t.forgetPeer(id, s)
		default:
			t.forgetIn(id, s)
		}
	}
	return 0
}

// forgetIn takes the rows of s out of one entry.
func (t *table) forgetIn(id uint32, s *Subscriber) {
	var filter topic.Filter
	if t.out != nil {
		filter = t.filters.Filter(id)
	}
	names := []string{""}
	if word := t.entries.At(id).Load(); isSet(word) {
		for _, g := range t.set(word).groupList() {
			names = append(names, g.name)
		}
	}
	for _, name := range names {
		for _, local := range []bool{false, true} {
			t.remove(id, topic.Subscription{Filter: filter, Group: name, Local: local}, s)
		}
	}
}
