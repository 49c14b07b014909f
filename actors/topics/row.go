package topics

import (
	"sync/atomic"

	"emqttd/protocol"
)

// row is one subscription in an entry:
//
//	63        33   32   31          4 3   2     1           0
//	subscriber 31 | local | id 28      | qos 2 | no-local | retain-as-published
//
// Zero is no row: subscribers are counted from one.
type row uint64

// rowKey is what makes two rows the same subscription: subscriber and locality.
type rowKey uint32

// maxSubscriptionID is the largest that fits, and the largest that exists.
const maxSubscriptionID = 1<<28 - 1

func newRow(subscriber uint32, m *Subscribe) row {
	r := row(subscriber)<<33 | row(m.SubscriptionID&maxSubscriptionID)<<4 | row(m.QoS&3)<<2
	if m.Subscription.Local {
		r |= 1 << 32
	}
	if m.NoLocal {
		r |= 2
	}
	if m.RetainAsPublished {
		r |= 1
	}
	return r
}

func keyOf(subscriber uint32, local bool) rowKey {
	k := rowKey(subscriber) << 1
	if local {
		k |= 1
	}
	return k
}

func (r row) key() rowKey             { return rowKey(r >> 32) }
func (r row) subscriber() uint32      { return uint32(r >> 33) }
func (r row) local() bool             { return r>>32&1 != 0 }
func (r row) subscriptionID() uint32  { return uint32(r>>4) & maxSubscriptionID }
func (r row) qos() protocol.QoS       { return protocol.QoS(r >> 2 & 3) }
func (r row) noLocal() bool           { return r&2 != 0 }
func (r row) retainAsPublished() bool { return r&1 != 0 }

// rows is a set of rows with one writer and lock-free readers. Rows are
// appended, replaced in place and blanked; an array that is full, or has too
// many blanks, is replaced by a new one. The zero value is empty.
type rows struct {
	array atomic.Pointer[rowArray]
	live  int
	where map[rowKey]uint32 // positions, once there are more than scanLimit
}

type rowArray struct {
	n     atomic.Uint32
	slots []atomic.Uint64
}

const (
	// scanLimit is where looking through the array (one cache line per eight
	// rows) becomes slower than a map, which costs about 20 bytes a row.
	scanLimit = 32
	// One blank in blankShare rows is the most that readers skip, and that
	// makes the neighbours of the blanks in a shared group work more.
	blankShare = 8
)

// all returns the rows that a reader may look at; blanks are zero.
func (s *rows) all() []atomic.Uint64 {
	a := s.array.Load()
	if a == nil {
		return nil
	}
	return a.slots[:a.n.Load()]
}

// first returns the first row, zero if there is none.
func (s *rows) first() row {
	all := s.all()
	for i := range all {
		if r := row(all[i].Load()); r != 0 {
			return r
		}
	}
	return 0
}

func (s *rows) find(k rowKey) (pos uint32, ok bool) {
	if s.where != nil {
		pos, ok = s.where[k]
		return pos, ok
	}
	all := s.all()
	for i := range all {
		if r := row(all[i].Load()); r != 0 && r.key() == k {
			return uint32(i), true
		}
	}
	return 0, false
}

// put adds a row or replaces the one with the same key.
func (s *rows) put(r row) (added bool) {
	if pos, ok := s.find(r.key()); ok {
		s.array.Load().slots[pos].Store(uint64(r))
		return false
	}
	a := s.array.Load()
	if a == nil || int(a.n.Load()) == len(a.slots) {
		a = s.rebuild(max(2, (s.live+1)*3/2))
	}
	n := a.n.Load()
	a.slots[n].Store(uint64(r))
	a.n.Store(n + 1) // readers see the row from here on
	s.live++
	if s.where != nil {
		s.where[r.key()] = n
	} else if s.live > scanLimit {
		s.locate()
	}
	return true
}

// remove takes the row with this key out.
func (s *rows) remove(k rowKey) bool {
	pos, ok := s.find(k)
	if !ok {
		return false
	}
	a := s.array.Load()
	a.slots[pos].Store(0)
	s.live--
	delete(s.where, k)
	if blanks := int(a.n.Load()) - s.live; blanks*blankShare > s.live {
		s.rebuild(max(2, s.live+s.live/8))
	}
	return true
}

// rebuild replaces the array by one of the given size without blanks.
func (s *rows) rebuild(size int) *rowArray {
	a := &rowArray{slots: make([]atomic.Uint64, size)}
	n := uint32(0)
	old := s.all()
	for i := range old {
		if r := old[i].Load(); r != 0 {
			a.slots[n].Store(r)
			n++
		}
	}
	a.n.Store(n)
	s.array.Store(a)
	if s.live <= scanLimit/2 {
		s.where = nil
	} else if s.where != nil {
		s.locate()
	}
	return a
}

// locate writes down where each row is.
func (s *rows) locate() {
	if s.where == nil {
		s.where = make(map[rowKey]uint32, s.live*2)
	}
	all := s.all()
	for i := range all {
		if r := row(all[i].Load()); r != 0 {
			s.where[r.key()] = uint32(i)
		}
	}
}
