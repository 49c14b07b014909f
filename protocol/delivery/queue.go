package delivery

import (
	"slices"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// item is a message on its way to one client.
type item struct {
	msg    *protocol.Message
	more   *[]uint32 // subscription identifiers beyond the first; nil for none
	seq    uint64    // its place in the store; 0 in a state that is not kept
	subID  uint32
	qos    protocol.QoS // at which this client gets it
	retain bool
	shared bool // others have it too, so that the store keeps it apart
	group  bool // a shared subscription picked this client
}

// ring is a first-in, first-out queue of items that gives its memory back.
type ring struct {
	items []item // capacity is a power of two
	head  int
	n     int
}

// ringKeep is the capacity that an empty ring may keep; above it, a burst would
// pin memory for as long as the session lives.
const ringKeep = 32

func (r *ring) push(it item) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = it
	r.n++
}

func (r *ring) grow() {
	next := make([]item, max(8, 2*len(r.items)))
	k := copy(next, r.items[r.head:])
	copy(next[k:], r.items[:r.head])
	r.items, r.head = next, 0
}

func (r *ring) peek() *item { return &r.items[r.head] }

// at is the item in place i.
func (r *ring) at(i int) *item { return &r.items[(r.head+i)&(len(r.items)-1)] }

func (r *ring) pop() item {
	it := r.items[r.head]
	r.items[r.head] = item{}
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	if r.n == 0 && len(r.items) > ringKeep {
		*r = ring{}
	}
	return it
}

// level is the part of a queue that has one priority. In a state that is kept,
// only its beginning is in memory; the rest is in the store.
type level struct {
	priority int
	ring     ring
	spilled  int    // how many are in the store only, behind those of ring
	last     uint64 // sequence number of the newest that is or was in ring
}

// waiting is the number of items of the level.
func (l *level) waiting() int { return l.ring.n + l.spilled }

// queue holds what waits for a client: first in, first out within a priority,
// higher priorities first. Most sessions have one level or none.
//
// It is bounded by number and by bytes. When full, the oldest message of the
// lowest priority gives way to the new one.
type queue struct {
	levels []level // by descending priority
	n      int
	qos0   int // of those in memory, how many go at QoS 0
	bytes  int
}

func (q *queue) empty() bool { return q.n == 0 }

func (q *queue) push(it item, priority int) {
	l := q.level(priority)
	l.ring.push(it)
	l.last = it.seq
	q.account(it, 1)
}

// append adds an item that is in the store: in memory, too, as long as no more
// than keep are there. It tells whether it is.
func (q *queue) append(it item, priority, keep int) bool {
	l := q.level(priority)
	if l.spilled == 0 && l.ring.n < keep {
		q.push(it, priority)
		return true
	}
	l.spilled++
	q.n++
	q.bytes += it.msg.Size()
	return false
}

// spilled tells whether something is in the store only.
func (q *queue) spilled() bool {
	for i := range q.levels {
		if q.levels[i].spilled > 0 {
			return true
		}
	}
	return false
}

func (q *queue) level(priority int) *level {
	i := 0
	for i < len(q.levels) && q.levels[i].priority > priority {
		i++
	}
	if i < len(q.levels) && q.levels[i].priority == priority {
		return &q.levels[i]
	}
	q.levels = append(q.levels, level{})
	copy(q.levels[i+1:], q.levels[i:])
	q.levels[i] = level{priority: priority}
	return &q.levels[i]
}

func (q *queue) account(it item, d int) {
	q.n += d
	q.bytes += d * it.msg.Size()
	if it.qos == protocol.AtMostOnce {
		q.qos0 += d
	}
}

// first is the next item to send, nil if there is none, or if it has to be
// loaded first.
func (q *queue) first() *item {
	for i := range q.levels {
		switch l := &q.levels[i]; {
		case l.ring.n > 0:
			return l.ring.peek()
		case l.spilled > 0:
			return nil
		}
	}
	return nil
}

// hungry is the level whose items have to be loaded before anything else can be
// sent, nil if there is none.
func (q *queue) hungry() *level {
	for i := range q.levels {
		switch l := &q.levels[i]; {
		case l.ring.n > 0:
			return nil
		case l.spilled > 0:
			return l
		}
	}
	return nil
}

// trim keeps only the first items of each level in memory; the store has all.
func (q *queue) trim(keep int) {
	for i := range q.levels {
		l := &q.levels[i]
		if l.ring.n <= keep {
			continue
		}
		var small ring
		for j := range l.ring.n {
			it := *l.ring.at(j)
			if j < keep {
				small.push(it)
				l.last = it.seq
			} else if it.qos == protocol.AtMostOnce {
				q.qos0--
			}
		}
		l.spilled += l.ring.n - keep
		l.ring = small
	}
}

// loaded moves items of a level from the store into memory.
func (q *queue) loaded(l *level, items []item) {
	for _, it := range items {
		l.ring.push(it)
		l.last = it.seq
		if it.qos == protocol.AtMostOnce {
			q.qos0++
		}
	}
	l.spilled = max(0, l.spilled-len(items))
}

// lost says that the store has no more of a level than is in memory, whatever
// was counted.
func (q *queue) lost(l *level) (n int) {
	n, l.spilled = l.spilled, 0
	if q.n -= n; q.n == 0 {
		*q = queue{levels: q.keep()}
	}
	return n
}

// pop takes the item that first showed.
func (q *queue) pop() item {
	for i := range q.levels {
		if q.levels[i].ring.n > 0 {
			return q.take(&q.levels[i].ring)
		}
	}
	return item{}
}

// evict takes the oldest item of the lowest priority.
func (q *queue) evict() item {
	for i := len(q.levels) - 1; i >= 0; i-- {
		if q.levels[i].ring.n > 0 {
			return q.take(&q.levels[i].ring)
		}
	}
	return item{}
}

func (q *queue) take(r *ring) item {
	it := r.pop()
	q.account(it, -1)
	if q.n == 0 {
		*q = queue{levels: q.keep()}
	}
	return it
}

// keep is what an empty queue holds on to: one small level, so that a session
// that queues now and then does not allocate each time.
func (q *queue) keep() []level {
	if len(q.levels) == 1 && len(q.levels[0].ring.items) > 0 {
		return q.levels
	}
	return nil
}

// priority of a topic; topics that are not listed have 0.
func (l *Limits) priority(n topic.Name) int {
	if l.Priorities == nil {
		return 0
	}
	return l.Priorities[string(n)]
}

// Levels are the priorities that there are, in no order.
func (l *Limits) Levels() []int {
	levels := []int{0}
	for _, p := range l.Priorities {
		if !slices.Contains(levels, p) {
			levels = append(levels, p)
		}
	}
	return levels
}
