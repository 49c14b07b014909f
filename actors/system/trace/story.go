package trace

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"emqttd/protocol"
)

// Step is one thing that happened to a message on its way to a client.
type Step struct {
	At       int64 // Unix milliseconds
	ClientID string
	What     string // queued, sent, acknowledged, or dropped with its reason
	Last     bool   // nothing follows for this client
}

// Story is what is known of a message that was traced.
type Story struct {
	Tag        uint32
	At         int64 // it arrived, Unix milliseconds
	Topic      string
	From       string
	QoS        protocol.QoS
	Deliveries int // how many it was for; -1 while it is not known
	Steps      []Step
	Cut        bool // there were more steps than are remembered

	span Span
}

const (
	// storyCount is how many traced messages are remembered, and maxSteps how much
	// of each: 10 MB at most, with names of usual length.
	storyCount = 1000
	maxSteps   = 100
)

// stories are the last messages that were traced.
type stories struct {
	mu   sync.Mutex
	next uint32
	ring []*Story // by tag modulo storyCount
}

// begin opens the story of a message and returns its tag.
func (s *stories) begin(m *protocol.Message, span Span) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring == nil {
		s.ring = make([]*Story, storyCount)
		s.next = rand.Uint32() // so that tags of different nodes, and of earlier lives, are different
	}
	if s.next++; s.next == 0 {
		s.next = 1
	}
	s.ring[s.next%storyCount] = &Story{
		Tag: s.next, At: m.Arrived, Topic: strings.Clone(string(m.Topic)), From: strings.Clone(m.From),
		QoS: m.QoS, Deliveries: -1, span: span,
	}
	return s.next
}

func (s *stories) find(tag uint32) *Story {
	if s.ring == nil {
		return nil
	}
	if x := s.ring[tag%storyCount]; x != nil && x.Tag == tag {
		return x
	}
	return nil
}

func (s *stories) attach(tag uint32, span Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.find(tag); x != nil {
		x.span = span
	}
}

// Matched notes for how many deliveries a tagged message was matched.
func (t *Tracer) Matched(tag uint32, deliveries int) {
	t.stories.mu.Lock()
	defer t.stories.mu.Unlock()
	x := t.stories.find(tag)
	if x == nil {
		return
	}
	x.Deliveries = deliveries
	if x.span != nil {
		x.span.Matched(deliveries)
	}
}

// Note notes what happened to a tagged message.
func (t *Tracer) Note(tag uint32, step Step) {
	t.stories.mu.Lock()
	defer t.stories.mu.Unlock()
	x := t.stories.find(tag)
	if x == nil {
		return
	}
	if len(x.Steps) < maxSteps {
		x.Steps = append(x.Steps, step)
	} else {
		x.Cut = true
	}
	if x.span != nil {
		x.span.Delivered(&step)
	}
}

// Story returns what is known of a tagged message.
func (t *Tracer) Story(tag uint32) (Story, bool) {
	t.stories.mu.Lock()
	defer t.stories.mu.Unlock()
	x := t.stories.find(tag)
	if x == nil {
		return Story{}, false
	}
	c := *x
	c.Steps = append([]Step(nil), x.Steps...)
	return c, true
}

// TagText is a tag as people write it.
func TagText(tag uint32) string { return fmt.Sprintf("%08x", tag) }

// ParseTag reads what TagText has written.
func ParseTag(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no tag: a trace file has them, 8 hexadecimal digits behind tag=", text)
	}
	return uint32(n), nil
}

// Spans export what happens to messages to a tracing system. Published is called
// before a message is matched; nil: it is not to be followed.
type Spans interface {
	Published(m *protocol.Message) Span
}

// Span is one message that is followed. Calls come one at a time, under a lock of
// the Tracer: they must not block. Steps may come before Matched.
type Span interface {
	Matched(deliveries int)
	Delivered(step *Step)
}

// Export has messages followed by spans; nil ends that.
func (t *Tracer) Export(s Spans) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = s
	t.publish()
}
