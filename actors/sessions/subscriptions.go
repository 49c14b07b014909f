package sessions

import (
	"strings"

	"emqttd/actors/topics"
	"emqttd/protocol/topic"
)

// subscription is one filter with its options, as the session keeps it.
type subscription struct {
	text    string // as the client wrote it, prefix included
	options Options
}

// indexAbove is the number of subscriptions from which a map finds them. Most
// sessions have a handful, for which a map would cost more than they do.
const indexAbove = 16

// subscriptions are those of one session. The zero value is empty.
type subscriptions struct {
	list  []subscription
	index map[string]int32 // nil up to indexAbove
}

func (s *subscriptions) len() int { return len(s.list) }

func (s *subscriptions) find(text string) int {
	if s.index != nil {
		if i, ok := s.index[text]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].text == text {
			return i
		}
	}
	return -1
}

// put adds or replaces one; it tells whether it is new.
func (s *subscriptions) put(text string, o Options) bool {
	if i := s.find(text); i >= 0 {
		s.list[i].options = o
		return false
	}
	s.list = append(s.list, subscription{text, o})
	switch n := len(s.list); {
	case s.index != nil:
		s.index[text] = int32(n - 1)
	case n > indexAbove:
		s.index = make(map[string]int32, 2*n)
		for i := range s.list {
			s.index[s.list[i].text] = int32(i)
		}
	}
	return true
}

// remove takes one out; the last takes its place.
func (s *subscriptions) remove(text string) bool {
	i := s.find(text)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.list[last] = subscription{}
	s.list = s.list[:last]
	if s.index != nil {
		delete(s.index, text)
		if i != last {
			s.index[s.list[i].text] = int32(i)
		}
	}
	if last == 0 {
		*s = subscriptions{}
	}
	return true
}

// setOnline says whether a client is connected. In a cluster the shared groups are
// told, so that other nodes know where members are.
func (s *session) setOnline(yes bool) {
	s.sub.SetOnline(yes)
	if !s.rt.Router.Clustered() {
		return
	}
	for i := range s.subs.list {
		if text := s.subs.list[i].text; strings.HasPrefix(text, "$") {
			if f, err := topic.ParseSubscription(text); err == nil && f.Shared() {
				s.rt.Router.Touch(&topics.Touch{Subscriber: s.sub, Subscription: f})
			}
		}
	}
}
