package retained

import (
	"strings"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol/topic"
)

// tombs are the tombstones of one shard: what was taken away, and when, so that a
// node that was not there does not bring it back. They are kept for a time and up
// to a number; some 100 B each.
type tombs struct {
	all   map[topic.Name]lww.Version
	order []tomb // oldest first; what is not in all any more is passed over
	max   int
}

type tomb struct {
	topic topic.Name
	lww.Version
}

func (ts *tombs) get(t topic.Name) (lww.Version, bool) {
	v, ok := ts.all[t]
	return v, ok
}

func (ts *tombs) put(t topic.Name, v lww.Version) {
	if ts.all == nil {
		ts.all = map[topic.Name]lww.Version{}
	}
	t = topic.Name(strings.Clone(string(t)))
	ts.all[t] = v
	ts.order = append(ts.order, tomb{t, v})
	if len(ts.order) > 2*len(ts.all)+1024 {
		ts.compact()
	}
}

// compact forgets what is in the order only.
func (ts *tombs) compact() {
	kept := ts.order[:0]
	for _, t := range ts.order {
		if ts.all[t.topic] == t.Version {
			kept = append(kept, t)
		}
	}
	clear(ts.order[len(kept):])
	ts.order = kept
}

func (ts *tombs) remove(t topic.Name) { delete(ts.all, t) }

// oldest takes out the oldest one if there are too many, or if it is from before
// a time in Unix milliseconds.
func (ts *tombs) oldest(before int64) (tomb, bool) {
	for len(ts.order) > 0 {
		t := ts.order[0]
		v, there := ts.all[t.topic]
		there = there && v == t.Version
		if there && len(ts.all) <= ts.max && v.Millis() >= before {
			return tomb{}, false
		}
		ts.order = ts.order[1:]
		if there {
			delete(ts.all, t.topic)
			return t, true
		}
	}
	return tomb{}, false
}
