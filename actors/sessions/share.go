package sessions

import (
	"emqttd/actors/system/ledger"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// disown takes the messages of shared subscriptions that a session which ends
// leaves behind: they are accepted anew when another member gets them.
func (s *session) disown(out *delivery.Out) []*protocol.Message {
	orphans := out.Orphans
	out.Orphans = nil
	s.rt.Metrics.Ledger.End(ledger.Forwarded, len(orphans))
	s.owed -= int32(len(orphans))
	return orphans
}

// passOn gives such messages to other members of the groups, wherever those are.
// The subscriptions of this session match nobody any more.
func (s *session) passOn(orphans []*protocol.Message) {
	if len(orphans) == 0 {
		return
	}
	var groups []topic.Subscription
	for _, f := range s.filters() {
		if f.Shared() {
			groups = append(groups, f)
		}
	}
	b := s.rt.Router.NewBatch()
	for _, m := range orphans {
		if !adopted(b, m.Clone(), groups) {
			s.rt.Metrics.DropUnmatched(delivery.SessionEnded.String(), 1)
		}
	}
	b.Flush(false)
	b.Release()
}

// adopted gives m to a member of the first group that it is for.
func adopted(b *topics.Batch, m *protocol.Message, groups []topic.Subscription) bool {
	for _, g := range groups {
		if topic.Match(g.Filter, m.Topic) {
			return b.PublishShare(m, topics.Share{Filter: g.Filter, Group: g.Group})
		}
	}
	return false
}
