package topics

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the subtree under a root of its own.
func start(t *testing.T, r *Router) {
	t.Helper()
	root, err := kernel.StartRoot(r.system, "node", []kernel.ChildSpec{r.Spec()}, func(err error) {
		t.Errorf("the tree gave up: %v", err)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kernel.StopRoot(context.Background(), r.system, root); err != nil {
			t.Error(err)
		}
		r.system.Shutdown()
	})
}

// answers is a process that collects what shards answer.
type answers struct{ got chan any }

func (a *answers) SendUserMessage(_ *actor.PID, message any) { a.got <- message }
func (a *answers) SendSystemMessage(*actor.PID, any)         {}
func (a *answers) Stop(*actor.PID)                           {}

func asker(t *testing.T, r *Router) (*actor.PID, chan any) {
	t.Helper()
	a := &answers{got: make(chan any, 1024)}
	pid, ok := r.system.ProcessRegistry.Add(a, "answers/"+r.system.ProcessRegistry.NextId())
	if !ok {
		t.Fatal("name is taken")
	}
	return pid, a.got
}

func TestShardsAnswerAndTheNextPublishMatches(t *testing.T) {
	r := newTestRouter(t, Options{})
	start(t, r)
	pid, got := asker(t, r)
	s, p := join(t, r, "c")
	for i, isNew := range []bool{true, false} {
		m := want(s, "a/+", 1)
		m.Token, m.ReplyTo = uint64(i), pid
		r.Subscribe(m)
		if a := (<-got).(*Subscribed); *a != (Subscribed{Token: uint64(i), New: isNew}) {
			t.Errorf("got %+v", a)
		}
		if n := publish(r, "a/b"); n != 1 || len(p.take()) != 1 {
			t.Errorf("%d deliveries", n)
		}
	}
	if id := r.ShardFor("+/a").GetId(); id != "node/topics/0" {
		t.Errorf("a leading wildcard lives in %s", id)
	}
	if r.ShardFor("a/+") != r.ShardFor("a/b/#") {
		t.Error("wildcard filters with one first level live in several shards")
	}
	for i, existed := range []bool{true, false} {
		r.Unsubscribe(&Unsubscribe{Subscriber: s, Subscription: parse("a/+"), Token: uint64(i), ReplyTo: pid})
		if a := (<-got).(*Unsubscribed); *a != (Unsubscribed{Token: uint64(i), Existed: existed}) {
			t.Errorf("got %+v", a)
		}
	}
	if n := publish(r, "a/b"); n != 0 {
		t.Errorf("%d deliveries", n)
	}
}

func TestForgetAfterACrashLeavesNothing(t *testing.T) {
	r := newTestRouter(t, Options{})
	start(t, r)
	pid, got := asker(t, r)
	s, _ := join(t, r, "c")
	for i := range 100 {
		for _, shape := range []string{"exact/%d", "%d/+", "$share/g/%d/#", "$local/l/%d"} {
			m := want(s, fmt.Sprintf(shape, i), 1)
			if i == 99 {
				m.ReplyTo = pid
			}
			r.Subscribe(m)
		}
	}
	r.Forget(s)
	r.Forget(s)
	for range 4 {
		<-got
	}
	settle(t, r)
	if c := r.Counts(); c != (Counts{}) {
		t.Errorf("left: %+v", c)
	}
}

// settle waits until each shard has handled what it has been sent.
func settle(t *testing.T, r *Router) {
	t.Helper()
	pid, got := asker(t, r)
	s, _ := join(t, r, "settle"+r.system.ProcessRegistry.NextId())
	r.register(s)
	for _, tab := range r.tables {
		r.system.Root.Send(tab.pid.Load(), &Unsubscribe{Subscriber: s, Subscription: parse("settle"), ReplyTo: pid})
	}
	for range r.tables {
		<-got
	}
	r.Unregister(s)
}

// TestMatchesStayWhileShardsAreKilled publishes from several goroutines while
// every shard is killed again and again and others subscribe: no message may
// miss the stable subscriptions, and no change may be lost.
func TestMatchesStayWhileShardsAreKilled(t *testing.T) {
	r := newTestRouter(t, Options{Shards: 4})
	start(t, r)
	pid, got := asker(t, r)
	var count atomic.Int64
	stable := sinkTo(t, r, "stable", func(d *Deliver) { count.Add(int64(len(d.Items))); d.Done() })
	const topics = 32
	for i := range topics {
		for _, shape := range []string{"t/%d", "t/%d/+", "$share/g/s/%d"} {
			r.subscribe(want(stable, fmt.Sprintf(shape, i), 1))
		}
	}
	var done atomic.Bool
	var published atomic.Int64
	var publishers sync.WaitGroup
	for range 2 {
		publishers.Go(func() {
			for !done.Load() {
				b := r.NewBatch()
				for i := range topics {
					for _, name := range []string{"t/%d", "t/%d/x", "s/%d"} {
						m := &protocol.Message{Topic: topic.Name(fmt.Sprintf(name, i))}
						if b.Publish(m) != 1 {
							t.Errorf("%q does not match once", m.Topic)
						}
						published.Add(1)
					}
				}
				b.Flush(true)
				b.Release()
			}
		})
	}
	churn := sinkTo(t, r, "churn", (*Deliver).Done)
	const rounds = 2000
	for i := range rounds {
		if i%10 == 0 {
			id := "node/topics/" + strconv.Itoa(rand.IntN(4))
			if err := kernel.KillByID(r.system, id); err != nil {
				t.Fatal(err)
			}
		}
		sub := parse(fmt.Sprintf([]string{"c/%d", "c/%d/+", "+/c/%d", "$share/h/c/%d"}[i%4], rand.IntN(64)))
		m := &Subscribe{Subscriber: churn, Subscription: sub, Token: uint64(i), ReplyTo: pid}
		r.Subscribe(m)
		if a := (<-got).(*Subscribed); a.Token != uint64(i) || !a.New {
			t.Fatalf("round %d: got %+v", i, a)
		}
		r.Unsubscribe(&Unsubscribe{Subscriber: churn, Subscription: sub, Token: uint64(i), ReplyTo: pid})
		if a := (<-got).(*Unsubscribed); a.Token != uint64(i) || !a.Existed {
			t.Fatalf("round %d: got %+v", i, a)
		}
	}
	done.Store(true)
	publishers.Wait()
	if count.Load() != published.Load() {
		t.Errorf("%d of %d messages arrived", count.Load(), published.Load())
	}
	if n := r.Counts().Subscriptions; n != 3*topics {
		t.Errorf("%d subscriptions are left, want %d", n, 3*topics)
	}
}

// TestReadersAndWritersOfOneFilter races publishers, listings and a writer that
// makes one filter grow from nothing to a large set and shrink again.
func TestReadersAndWritersOfOneFilter(t *testing.T) {
	r := newTestRouter(t, Options{Shards: 2, Strategy: RoundRobin})
	stays := sinkTo(t, r, "stays", (*Deliver).Done)
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			b := r.NewBatch()
			for !done.Load() {
				b.Publish(&protocol.Message{Topic: "a/b"})
				b.Publish(&protocol.Message{Topic: "stays"})
				b.Flush(true)
				r.Subscriptions(0, func(s Subscription) bool { return s.ClientID != "" })
				r.Routes(0, func(f Route) bool { return f.Filter != "" })
			}
			b.Release()
		})
	}
	r.subscribe(want(stays, "stays", 0))
	for round := range 20 {
		var subs []*Subscriber
		for i := range 100 {
			s := sinkTo(t, r, fmt.Sprint(round, "/", i), (*Deliver).Done)
			s.SetOnline(i%2 == 0)
			for _, text := range []string{"a/b", "a/+", "$share/g/a/b", "$local/a/b"} {
				r.subscribe(want(s, text, 1))
			}
			subs = append(subs, s)
		}
		for i, s := range subs {
			if i%3 == 0 {
				r.Unregister(s)
			}
			for _, text := range []string{"a/b", "a/+", "$share/g/a/b", "$local/a/b"} {
				if !r.unsubscribe(s, text) {
					t.Fatalf("round %d: %d has no %q", round, i, text)
				}
			}
			r.Unregister(s)
		}
	}
	done.Store(true)
	readers.Wait()
	if c := r.Counts(); c != (Counts{Topics: 1, Subscribers: 1, Subscriptions: 1}) {
		t.Errorf("left: %+v", c)
	}
}
