package retained

import (
	"strings"
	"time"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// The changes of a shard's table, of its tombstones and of the digest over both.
// What the broker says of itself has no tombstones and is not in the digest: each
// node says it to each other one, and it goes with the node.

// version is that of the last change of a topic, if it is known.
func (p *place) version(t topic.Name) (v lww.Version, known bool) {
	if m, v := p.table.get(t); m != nil {
		return v, true
	}
	return p.tombs.get(t)
}

// put makes kept, which the table keeps, the message of its topic; false if there
// is no room for one more.
func (p *place) put(kept *protocol.Message, v lww.Version) bool {
	if !p.stores.replicated() {
		return p.table.store(kept, v, p.stores.admit)
	}
	old, was, ok := p.table.swap(kept, v, p.stores.admit)
	if !ok {
		return false
	}
	if old == nil {
		p.unbury(kept.Topic)
	} else {
		p.toggle(old, was)
	}
	p.toggle(kept, v)
	return true
}

// remove takes the message of a topic away, nil if there is none.
func (p *place) remove(t topic.Name) *protocol.Message {
	at := p.table.find(t)
	if at == 0 {
		return nil
	}
	n := p.table.node(at)
	m, v := n.msg, n.version()
	if m == nil {
		return nil
	}
	p.table.removeAt(at)
	p.stores.count.Add(-1)
	p.toggle(m, v)
	return m
}

// bury takes the message of a topic away and leaves a tombstone, if those are kept
// and this one is young enough to be.
func (p *place) bury(t topic.Name, v lww.Version) (tombstone bool) {
	p.remove(t)
	p.unbury(t)
	if !p.stores.replicated() || v.Millis() < p.stores.tombTime() {
		return false
	}
	p.tombs.put(t, v)
	p.digest.Toggle(string(t), v)
	p.stores.tombstones.Add(1)
	return true
}

func (p *place) unbury(t topic.Name) {
	if v, ok := p.tombs.get(t); ok {
		p.tombs.remove(t)
		p.digest.Toggle(string(t), v)
		p.stores.tombstones.Add(-1)
	}
}

func (p *place) toggle(m *protocol.Message, v lww.Version) {
	if !m.Sys && p.stores.replicated() {
		p.digest.Toggle(string(m.Topic), v)
	}
}

// trim forgets the tombstones that are too old or too many, and tells which.
func (p *place) trim(gone func(topic.Name)) {
	for limit := tourLen; limit > 0; limit-- {
		t, ok := p.tombs.oldest(p.stores.tombTime())
		if !ok {
			return
		}
		p.digest.Toggle(string(t.topic), t.Version)
		p.stores.tombstones.Add(-1)
		gone(t.topic)
	}
}

// raise notes that everything up to a version was cleaned away; false if that is
// known. It stands in the digest as an entry without a topic, of the first shard.
func (p *place) raise(v lww.Version) bool {
	if !v.After(p.watermark) {
		return false
	}
	if p.number == 0 {
		if p.watermark != (lww.Version{}) {
			p.digest.Toggle("", p.watermark)
		}
		p.digest.Toggle("", v)
	}
	p.watermark = v
	return true
}

// own tells whether a topic is below what the node says of itself.
func own(t topic.Name, node string) bool {
	return strings.HasPrefix(string(t), "$SYS/brokers/"+node+"/")
}

// tourLen messages are looked at in one turn of a tour, for less than a
// millisecond, so that look-ups need not wait for a whole tour.
const tourLen = 4096

// tour goes over the entries of a shard in some buckets, a part at a time.
type tour struct {
	in    *lww.Set
	from  uint32
	begun bool
	// visit is called with each entry, m is nil for a tombstone; false ends the part.
	visit func(key string, v lww.Version, m *protocol.Message) bool
	// pause is called after each part, but not if it was the last, then end is.
	pause func()
	end   func()
}

// tour does the next part of a tour.
func (p *place) tour(t *tour) {
	if !t.begun {
		t.begun = true
		p.tourFirst(t)
		if !t.in.Empty() {
			t.from = 1
		}
	} else {
		t.from = p.table.visit(t.from, tourLen, func(n *node) bool {
			if n.msg.Sys {
				return true
			}
			key, v := string(n.msg.Topic), n.version()
			if bucket, _ := lww.Place(key, v); !t.in.Has(bucket) {
				return true
			}
			return t.visit(key, v, n.msg)
		})
	}
	if t.from == 0 {
		t.end()
		return
	}
	t.pause()
}

// tourFirst visits what is not in the table, and what the node says of itself.
func (p *place) tourFirst(t *tour) {
	if v := p.watermark; v != (lww.Version{}) && p.number == 0 {
		if bucket, _ := lww.Place("", v); t.in.Has(bucket) {
			t.visit("", v, nil)
		}
	}
	for key, v := range p.tombs.all {
		if bucket, _ := lww.Place(string(key), v); t.in.Has(bucket) {
			t.visit(string(key), v, nil)
		}
	}
	mine := topic.Filter("$SYS/brokers/" + p.stores.options.Node + "/#")
	for _, m := range p.table.match(mine, func(m *protocol.Message) bool { return m.Sys }) {
		_, v := p.table.get(m.Topic)
		t.visit(string(m.Topic), v, m)
	}
}

// tombTime is from when on tombstones are kept, in Unix milliseconds.
func (s *Stores) tombTime() int64 {
	return time.Now().Add(-s.options.Tombstones).UnixMilli()
}

func (s *Stores) replicated() bool { return s.options.Tombstones > 0 }
