package topics

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestAMessageReachesExactWildcardAndLocalSubscriptions(t *testing.T) {
	for _, c := range []struct {
		name string
		subs []string
		want int // items
	}{
		{"a/b", []string{"a/b"}, 1},
		{"a/b", []string{"a/+"}, 1},
		{"a/b", []string{"+/b"}, 1},
		{"a/b", []string{"#"}, 1},
		{"a/b", []string{"$local/a/b"}, 1},
		{"a/b", []string{"$local/a/#"}, 1},
		{"a/b", []string{"a/c", "b/+", "+"}, 0},
		{"$SYS/b", []string{"#", "+/b"}, 0},
		{"$SYS/b", []string{"$SYS/#"}, 1},
		{"a/b", []string{"a/b", "a/+", "#", "$local/a/b"}, 1},
		{"a/b", []string{"a/b", "$share/g/a/b", "$queue/a/b", "$share/g/a/+"}, 4},
	} {
		t.Run(fmt.Sprint(c.subs, " on ", c.name), func(t *testing.T) {
			r := newTestRouter(t, Options{})
			s, p := join(t, r, "c")
			for _, text := range c.subs {
				if !r.subscribe(want(s, text, 1)) {
					t.Fatalf("%q is not new", text)
				}
			}
			n, items := publish(r, c.name), p.take()
			if n != c.want || len(items) != c.want {
				t.Errorf("%d deliveries and %d items, want %d", n, len(items), c.want)
			}
			for _, text := range c.subs {
				if !r.unsubscribe(s, text) {
					t.Errorf("%q did not exist", text)
				}
			}
			if n := publish(r, c.name); n != 0 {
				t.Errorf("%d deliveries after all is unsubscribed", n)
			}
			if c := r.Counts(); c != (Counts{Subscribers: 1}) {
				t.Errorf("left: %+v", c)
			}
		})
	}
}

func TestSeveralSubscriptionsBecomeOneDeliveryWithHighestQoSAndAllIDs(t *testing.T) {
	r := newTestRouter(t, Options{})
	s, p := join(t, r, "c")
	for i, m := range []*Subscribe{want(s, "a/b", 0), want(s, "a/+", 2), want(s, "a/#", 1), want(s, "#", 0)} {
		m.SubscriptionID = uint32(i) // the first has none
		r.subscribe(m)
	}
	b := r.NewBatch()
	for range 3 {
		b.Publish(&protocol.Message{Topic: "a/b"})
	}
	b.Flush(false)
	b.Release()
	items := p.take()
	if len(items) != 3 {
		t.Fatalf("got %d items, want 3", len(items))
	}
	for _, it := range items {
		ids := append(it.MoreIDs, it.SubscriptionID)
		slices.Sort(ids)
		if it.QoS != 2 || !slices.Equal(ids, []uint32{1, 2, 3}) || it.Shared {
			t.Errorf("got %+v", it)
		}
	}
	if s.Pending() != 0 {
		t.Errorf("%d bytes are still pending", s.Pending())
	}
}

func TestSubscribingAgainReplacesTheOptions(t *testing.T) {
	r := newTestRouter(t, Options{})
	s, p := join(t, r, "c")
	other, _ := join(t, r, "d")
	for _, prefix := range []string{"", "$share/g/", "$local/"} {
		for step := range 2 {
			m := want(s, prefix+"a/b", 0)
			if !r.subscribe(m) {
				t.Fatalf("%q is not new", prefix)
			}
			m.QoS, m.RetainAsPublished, m.SubscriptionID = 2, true, 7
			if r.subscribe(m) {
				t.Fatalf("%q is new again", prefix)
			}
			publish(r, "a/b")
			items := p.take()
			if len(items) != 1 || items[0].QoS != 2 || !items[0].RetainAsPublished || items[0].SubscriptionID != 7 {
				t.Errorf("%q: got %+v", prefix, items)
			}
			r.unsubscribe(s, prefix+"a/b")
			if step == 0 {
				r.subscribe(want(other, "a/b", 0)) // now the entry is a set
			}
		}
		r.unsubscribe(other, "a/b")
	}
}

func TestNoLocalKeepsOwnMessagesAway(t *testing.T) {
	r := newTestRouter(t, Options{})
	s, _ := join(t, r, "publisher")
	m := want(s, "a", 0)
	m.NoLocal = true
	r.subscribe(m)
	if n := publish(r, "a"); n != 0 {
		t.Errorf("%d deliveries of its own message", n)
	}
	r.subscribe(want(s, "#", 0))
	if n := publish(r, "a"); n != 1 {
		t.Errorf("%d deliveries by the other subscription, want 1", n)
	}
}

func TestBatchTellsEachSubscriberOnceInOrder(t *testing.T) {
	r := newTestRouter(t, Options{})
	const clients, messages = 300, 5
	var probes []*probe
	for i := range clients {
		s, p := join(t, r, fmt.Sprint("c", i))
		r.subscribe(want(s, "a/+", 1))
		r.subscribe(want(s, fmt.Sprint("a/", i%messages), 0))
		probes = append(probes, p)
	}
	for range 3 { // pooled batches work as new ones
		b := r.NewBatch()
		for i := range messages {
			if n := b.Publish(&protocol.Message{Topic: topic.Name(fmt.Sprint("a/", i))}); n != clients {
				t.Fatalf("%d deliveries, want %d", n, clients)
			}
		}
		b.Flush(true)
		b.Release()
		for i, p := range probes {
			if len(p.got) != 1 {
				t.Fatalf("client %d was told %d times", i, len(p.got))
			}
			for k, it := range p.take() {
				if string(it.Message.Topic) != fmt.Sprint("a/", k) || it.QoS != 1 {
					t.Fatalf("client %d: item %d is %+v", i, k, it)
				}
			}
		}
	}
}

func TestAnUnregisteredSubscriberReceivesNothing(t *testing.T) {
	r := newTestRouter(t, Options{})
	s, p := join(t, r, "c")
	r.subscribe(want(s, "a/#", 1))
	r.Unregister(s)
	r.Unregister(s)
	if n := publish(r, "a"); n != 0 || len(p.take()) != 0 {
		t.Errorf("%d deliveries", n)
	}
	if r.subscribe(want(s, "b", 1)) {
		t.Error("it can subscribe")
	}
	if !r.unsubscribe(s, "a/#") || r.unsubscribe(s, "a/#") {
		t.Error("its subscription cannot be taken away once")
	}
	if c := r.Counts(); c != (Counts{}) {
		t.Errorf("left: %+v", c)
	}
}

func TestIndexesAreUsedAgainAfterReadersHaveLeft(t *testing.T) {
	r := newTestRouter(t, Options{})
	guard := r.space.Enter(0)
	for i := range 2000 {
		s := NewSubscriber(fmt.Sprint(i), nil)
		r.subscribe(want(s, "a", 0))
		r.unsubscribe(s, "a")
		r.Unregister(s)
	}
	if r.next != 2000 {
		t.Errorf("under a reader %d indexes for 2000 subscribers", r.next)
	}
	guard.Leave()
	for i := range 2000 {
		s := NewSubscriber(fmt.Sprint(i), nil)
		r.subscribe(want(s, "a", 0))
		r.unsubscribe(s, "a")
		r.Unregister(s)
	}
	if r.next > 2200 {
		t.Errorf("%d indexes, old ones are not used again", r.next)
	}
}

func TestForgetFindsEverySubscription(t *testing.T) {
	r := newTestRouter(t, Options{Shards: 3})
	s, _ := join(t, r, "gone")
	o, p := join(t, r, "stays")
	texts := []string{"a", "b", "a/+", "#", "$share/g/a", "$queue/a", "$local/a", "$local/$share/g/x/#"}
	for i, text := range texts {
		r.subscribe(want(s, text, 0))
		if i%2 == 0 {
			r.subscribe(want(o, text, 0))
		}
	}
	r.Unregister(s)
	for _, tab := range r.tables {
		if next := tab.forget(s, 0); next != 0 {
			t.Errorf("so few filters take several turns: the next begins at %d", next)
		}
	}
	if c := r.Counts(); c.Subscriptions != len(texts)/2 || c.Subscribers != 1 {
		t.Errorf("left: %+v", c)
	}
	if n := publish(r, "a"); n != 2 || len(p.take()) != 2 { // plain and $share/g
		t.Errorf("%d deliveries to who stays", n)
	}
}

// ---- flow control ----

func fill(r *Router, s *Subscriber) { s.pending.Add(r.options.PendingBytes + 1) }

func TestFlushWithoutBlockingShedsQoS0Only(t *testing.T) {
	var dropped []Delivery
	r := newTestRouter(t, Options{OnDrop: func(_ *Subscriber, items []Delivery) {
		dropped = append(dropped, items...)
	}})
	s, p := join(t, r, "c")
	r.subscribe(want(s, "zero", 0))
	r.subscribe(want(s, "two", 2))
	fill(r, s)
	b := r.NewBatch()
	for _, m := range []*protocol.Message{{Topic: "zero", QoS: 2}, {Topic: "two", QoS: 1}, {Topic: "two"}} {
		b.Publish(m)
	}
	b.Flush(false)
	items := p.take()
	if len(items) != 1 || items[0].Message.QoS != 1 {
		t.Errorf("got %+v", items)
	}
	if len(dropped) != 2 || dropped[0].Message.Topic != "zero" || dropped[1].Message.Topic != "two" {
		t.Errorf("dropped %+v", dropped)
	}
	if s.Pending() != r.options.PendingBytes+1 {
		t.Errorf("pending is %d", s.Pending())
	}
	b.Publish(&protocol.Message{Topic: "zero"})
	b.Flush(false)
	if items := p.take(); len(items) != 0 {
		t.Errorf("got %+v", items)
	}
	b.Release()
}

// flushed runs Flush(true) of one QoS 0 message on a goroutine of its own.
func flushed(r *Router) chan struct{} {
	done := make(chan struct{})
	go func() {
		b := r.NewBatch()
		b.Publish(&protocol.Message{Topic: "a"})
		b.Flush(true)
		b.Release()
		close(done)
	}()
	return done
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestBlockingFlushWaitsForHalfOfTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRouter(t, Options{PendingBytes: 1000})
		s, slow := join(t, r, "slow")
		f, fast := join(t, r, "fast")
		r.subscribe(want(s, "a", 0))
		r.subscribe(want(f, "a", 0))
		fill(r, s)
		done := flushed(r)
		synctest.Wait()
		if isClosed(done) || len(fast.take()) != 1 {
			t.Fatal("the flush does not wait, or keeps the fast subscriber waiting")
		}
		s.took(400, 500)
		synctest.Wait()
		if isClosed(done) {
			t.Fatal("the gate opens above half of the bound")
		}
		s.took(200, 500)
		synctest.Wait()
		if !isClosed(done) || len(slow.take()) != 1 {
			t.Fatal("the gate does not open below half of the bound")
		}
	})
}

func TestBlockingFlushGivesUp(t *testing.T) {
	t.Run("when the subscriber is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newTestRouter(t, Options{})
			s, p := join(t, r, "c")
			r.subscribe(want(s, "a", 0))
			fill(r, s)
			done := flushed(r)
			synctest.Wait()
			r.Unregister(s)
			synctest.Wait()
			if !isClosed(done) || len(p.take()) != 0 {
				t.Error("it still waits, or delivers")
			}
		})
	})
	t.Run("after MaxWait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			drops := 0
			r := newTestRouter(t, Options{
				MaxWait: time.Second,
				OnDrop:  func(_ *Subscriber, items []Delivery) { drops += len(items) },
			})
			s, _ := join(t, r, "c")
			r.subscribe(want(s, "a", 0))
			fill(r, s)
			start := time.Now()
			<-flushed(r)
			if time.Since(start) != time.Second || drops != 1 {
				t.Errorf("after %v, %d dropped", time.Since(start), drops)
			}
		})
	})
}
