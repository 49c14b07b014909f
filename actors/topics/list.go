package topics

import (
	"slices"

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

// Route says that a node wants the messages of a filter: those of all nodes, or,
// Local, only those which are published there.
type Route struct {
	Filter topic.Filter
	Local  bool
	Node   string // "" is this node, of which alone local routes are known
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

// Routes is Topics for routes: a filter is shown for each node that wants it, and
// twice for this one where it has subscriptions of both kinds.
func (r *Router) Routes(c Cursor, fn func(Route) bool) Cursor {
	return r.scan(c, func(t *table, id uint32, f topic.Filter, offset int) (int, bool) {
		for i, route := range t.routes(id, f) {
			if i >= offset && !fn(route) {
				return i + 1, false
			}
		}
		return 0, true
	})
}

// RouteOf returns the routes of one filter.
func (r *Router) RouteOf(f topic.Filter) []Route {
	defer r.space.Enter(0).Leave()
	t := r.tableFor(f)
	id, ok := t.filters.Lookup(f)
	if !ok {
		return nil
	}
	return t.routes(id, f)
}

// routes are those of a filter: this node's, then the others' in the order of their
// names.
func (t *table) routes(id uint32, f topic.Filter) (all []Route) {
	var own, local bool
	var nodes []string
	t.each(id, func(_ string, at row) bool {
		s := t.router.subscribers.At(at.subscriber()).Load()
		switch {
		case s != nil && s.is(peer):
			if !s.is(closed) { // else it is down
				nodes = append(nodes, s.id)
			}
		case at.local():
			local = true
		default:
			own = true
		}
		return true
	})
	if own {
		all = append(all, Route{Filter: f})
	}
	if local {
		all = append(all, Route{Filter: f, Local: true})
	}
	nodes = append(nodes, t.farNodes(id)...)
	slices.Sort(nodes)
	for _, n := range slices.Compact(nodes) {
		all = append(all, Route{Filter: f, Node: n})
	}
	return all
}

// farNodes are the other nodes that have members of the filter's shared groups.
func (t *table) farNodes(id uint32) (nodes []string) {
	word := t.word(id)
	if !isSet(word) {
		return nil
	}
	for _, g := range t.set(word).groupList() {
		if l := g.far.Load(); l != nil {
			for _, n := range l.nodes {
				if !n.sub.is(closed) {
					nodes = append(nodes, n.sub.id)
				}
			}
		}
	}
	return nodes
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
