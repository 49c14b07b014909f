package topics

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// probe is a process that stands for a session: it hands every Deliver to fn on
// the sender's goroutine, or keeps it.
type probe struct {
	mu   sync.Mutex
	fn   func(*Deliver)
	got  []*Deliver
	more chan struct{}
}

func (p *probe) SendUserMessage(_ *actor.PID, message any) {
	_, message, _ = actor.UnwrapEnvelope(message)
	d, ok := message.(*Deliver)
	if !ok {
		return
	}
	if p.fn != nil {
		p.fn(d)
		return
	}
	p.mu.Lock()
	p.got = append(p.got, d)
	p.mu.Unlock()
	if p.more != nil {
		p.more <- struct{}{}
	}
}
func (p *probe) SendSystemMessage(*actor.PID, any) {}
func (p *probe) Stop(*actor.PID)                   {}

// take returns what has come, with its items copied and Done.
func (p *probe) take() (items []Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.got {
		for _, it := range d.Items {
			it.MoreIDs = append([]uint32(nil), it.MoreIDs...)
			items = append(items, it)
		}
		d.Done()
	}
	p.got = nil
	return items
}

func newTestRouter(t testing.TB, o Options) *Router {
	t.Helper()
	return New(kernel.NewSystem(slog.New(slog.DiscardHandler)), o)
}

// join makes a subscriber with a probe.
func join(t testing.TB, r *Router, id string) (*Subscriber, *probe) {
	t.Helper()
	p := &probe{}
	pid, ok := r.system.ProcessRegistry.Add(p, "probe/"+id)
	if !ok {
		t.Fatalf("%s joined twice", id)
	}
	s := NewSubscriber(id, pid)
	s.SetOnline(true)
	return s, p
}

// subscribe does what a shard does.
func (r *Router) subscribe(m *Subscribe) bool {
	r.register(m.Subscriber)
	return r.tableFor(m.Subscription.Filter).subscribe(m)
}

func (r *Router) unsubscribe(s *Subscriber, text string) bool {
	sub := parse(text)
	return r.tableFor(sub.Filter).unsubscribe(s, sub)
}

func parse(text string) topic.Subscription {
	sub, err := topic.ParseSubscription(text)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	return sub
}

func want(s *Subscriber, text string, q protocol.QoS) *Subscribe {
	return &Subscribe{Subscriber: s, Subscription: parse(text), QoS: q}
}

func publish(r *Router, name string) int {
	b := r.NewBatch()
	defer b.Release()
	n := b.Publish(&protocol.Message{Topic: topic.Name(name), QoS: 2, From: "publisher"})
	b.Flush(false)
	return n
}
