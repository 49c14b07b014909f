package topics

import (
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Cursor is a place in a listing. Zero is the start, and the answer at the end.
// It stays valid whatever changes meanwhile; what is there all the time is
// shown once, except that rows of a filter with many subscribers may move when
// others leave it.
type Cursor uint64

func cursorAt(shard int, id uint32, offset int) Cursor {
	return Cursor(shard)<<56 | Cursor(id)<<24 | Cursor(offset)
}

func (c Cursor) shard() int  { return int(c >> 56) }
func (c Cursor) id() uint32  { return uint32(c >> 24) }
func (c Cursor) offset() int { return int(c & maxOffset) }

// maxOffset is the number of rows of one filter that a listing shows.
const maxOffset = 1<<24 - 1

// Subscription is one row of a listing.
type Subscription struct {
	ClientID          protocol.ClientID
	Subscription      topic.Subscription
	QoS               protocol.QoS
	NoLocal           bool
	RetainAsPublished bool
	SubscriptionID    uint32
}

// Route says that this node wants the messages of a filter: those of all nodes,
// or, Local, only those which are published here.
type Route struct {
	Filter topic.Filter
	Local  bool
}

// Topics calls fn with each filter and the number of its subscriptions, from
// the cursor on, until fn returns false. It returns where to go on.
func (r *Router) Topics(c Cursor, fn func(f topic.Filter, subscriptions int) bool) Cursor {
	return r.scan(c, func(t *table, id uint32, f topic.Filter, _ int) (int, bool) {
		n := 0
		t.each(id, func(_ string, at row) bool {
			if !t.router.ofPeer(at) {
				n++
			}
			return true
		})
		return 0, n == 0 || fn(f, n)
	})
}

// Routes is Topics for routes: a filter with subscriptions of both kinds is
// shown twice.
func (r *Router) Routes(c Cursor, fn func(Route) bool) Cursor {
	return r.scan(c, func(t *table, id uint32, f topic.Filter, offset int) (int, bool) {
		for i, has := range t.kinds(id) {
			if has && i >= offset && !fn(Route{Filter: f, Local: i == 1}) {
				return i + 1, false
			}
		}
		return 0, true
	})
}

// RouteOf returns the routes of one filter: none, one or two.
func (r *Router) RouteOf(f topic.Filter) (routes []Route) {
	defer r.space.Enter(0).Leave()
	t := r.tableFor(f)
	id, ok := t.filters.Lookup(f)
	if !ok {
		return nil
	}
	for i, has := range t.kinds(id) {
		if has {
			routes = append(routes, Route{Filter: f, Local: i == 1})
		}
	}
	return routes
}

// kinds tells whether a filter has rows that are not local, and such as are.
func (t *table) kinds(id uint32) (has [2]bool) {
	t.each(id, func(_ string, at row) bool {
		if t.router.ofPeer(at) {
			return true
		}
		if at.local() {
			has[1] = true
		} else {
			has[0] = true
		}
		return !has[0] || !has[1]
	})
	return has
}

// Subscriptions is Topics for single subscriptions.
func (r *Router) Subscriptions(c Cursor, fn func(Subscription) bool) Cursor {
	return r.scan(c, func(t *table, id uint32, f topic.Filter, offset int) (int, bool) {
		n, more := 0, true
		t.each(id, func(group string, at row) bool {
			if n++; n <= offset {
				return true
			}
			if s := r.subscriber(at.subscriber()); s != nil && !s.is(peer) {
				more = fn(Subscription{
					ClientID:     s.id,
					Subscription: topic.Subscription{Filter: f, Group: group, Local: at.local()},
					QoS:          at.qos(), NoLocal: group == "" && at.noLocal(),
					RetainAsPublished: at.retainAsPublished(), SubscriptionID: at.subscriptionID(),
				})
			}
			return more
		})
		return n, more
	})
}

// each calls fn with the rows of a filter, group by group, until it returns
// false.
func (t *table) each(id uint32, fn func(group string, at row) bool) {
	word := t.word(id)
	if word == 0 {
		return
	}
	if !isSet(word) {
		fn("", row(word))
		return
	}
	s := t.set(word)
	if !s.plain.each("", fn) {
		return
	}
	for _, g := range s.groupList() {
		if !g.members.each(g.name, fn) {
			return
		}
	}
}

func (s *rows) each(group string, fn func(group string, at row) bool) bool {
	all := s.all()
	for i := range all {
		if at := row(all[i].Load()); at != 0 && !fn(group, at) {
			return false
		}
	}
	return true
}

// scan calls fn with filter after filter and, for the first, how much of it has
// been shown. fn returns how much it has shown now, and whether to go on.
func (r *Router) scan(c Cursor, fn func(t *table, id uint32, f topic.Filter, offset int) (int, bool)) (next Cursor) {
	id, offset := c.id(), c.offset()
	for shard := c.shard(); shard < len(r.tables); shard++ {
		t := r.tables[shard]
		stopped := false
		after := t.filters.Scan(id, func(at uint32, f topic.Filter) bool {
			skip := 0
			if at == id {
				skip = offset
			}
			shown, more := fn(t, at, f, skip)
			if stopped = !more; stopped {
				if shown == 0 || shown >= maxOffset { // this filter is done
					next = cursorAt(shard, at+1, 0)
				} else {
					next = cursorAt(shard, at, shown)
				}
			}
			return more
		})
		if stopped || after != 0 {
			return next
		}
		id, offset = 0, 0
	}
	return 0
}
