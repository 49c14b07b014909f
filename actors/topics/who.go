package topics

import (
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Match is a subscription that a topic name matches.
type Match struct {
	ClientID protocol.ClientID
	Group    string // of a shared subscription, of which one member gets a message
	QoS      protocol.QoS
	Online   bool
}

// Who returns subscriptions at this node that match a topic name, up to limit,
// and how many there are in all. It is for those who ask why; publishers use a
// Batch.
func (r *Router) Who(name topic.Name, limit int) (list []Match, all int) {
	b := r.NewBatch()
	defer b.Release()
	guard := r.space.Enter(b.stripe)
	defer guard.Leave()
	p := &b.probe
	p.Reset(r.space, name)
	look := func(t *table, id uint32) {
		t.each(id, func(group string, at row) bool {
			s := r.subscriber(at.subscriber())
			if s == nil || s.is(peer) {
				return true
			}
			if all++; len(list) < limit {
				list = append(list, Match{s.id, group, at.qos(), s.is(online)})
			}
			return true
		})
	}
	t := r.tables[r.shardOf(p.Hash())]
	if id, ok := t.filters.Exact(p); ok {
		look(t, id)
	}
	first := r.shardOf(p.FirstLevel())
	for n, t := range r.tables {
		if n == 0 || n == first {
			b.ids = t.filters.Wild(p, b.ids[:0])
			for _, id := range b.ids {
				look(t, id)
			}
		}
	}
	return list, all
}
