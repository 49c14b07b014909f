package topics

import (
	"fmt"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// team joins n members to $share/g/# and returns what counts their messages.
func team(t *testing.T, r *Router, n int) ([]*Subscriber, func() []int) {
	t.Helper()
	var subs []*Subscriber
	var probes []*probe
	for i := range n {
		s, p := join(t, r, fmt.Sprint("m", i))
		r.subscribe(want(s, "$share/g/#", 1))
		subs, probes = append(subs, s), append(probes, p)
	}
	return subs, func() (counts []int) {
		for _, p := range probes {
			items := p.take()
			for _, it := range items {
				if !it.Shared {
					t.Errorf("an item of a shared subscription is not marked: %+v", it)
				}
			}
			counts = append(counts, len(items))
		}
		return counts
	}
}

func send(r *Router, from, name string, n int) {
	b := r.NewBatch()
	defer b.Release()
	for range n {
		b.Publish(&protocol.Message{Topic: topic.Name(name), From: from})
	}
	b.Flush(false)
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func used(counts []int) (n int) {
	for _, c := range counts {
		if c > 0 {
			n++
		}
	}
	return n
}

func TestExactlyOneMemberOfAGroupGetsAMessage(t *testing.T) {
	for s := Random; s <= Sticky; s++ {
		t.Run(s.String(), func(t *testing.T) {
			r := newTestRouter(t, Options{Strategy: s})
			members, counts := team(t, r, 5)
			send(r, "p", "a", 100)
			if c := counts(); sum(c) != 100 {
				t.Errorf("got %v", c)
			}
			for _, m := range members[1:] { // one is online
				m.SetOnline(false)
			}
			send(r, "p", "a", 50)
			if c := counts(); c[0] != 50 {
				t.Errorf("one is online: got %v", c)
			}
			members[0].SetOnline(false)
			send(r, "p", "a", 50)
			if c := counts(); sum(c) != 50 {
				t.Errorf("none is online: got %v", c)
			}
			for _, m := range members[:4] {
				r.unsubscribe(m, "$share/g/#")
			}
			send(r, "p", "a", 50)
			if c := counts(); c[4] != 50 {
				t.Errorf("one member is left: got %v", c)
			}
			r.Unregister(members[4])
			if n := publish(r, "a"); n != 0 {
				t.Errorf("%d deliveries to who has ended", n)
			}
		})
	}
}

func TestStrategiesSpreadOrKeepTogether(t *testing.T) {
	const members = 8
	counted := func(t *testing.T, s Strategy) (*Router, []*Subscriber, func() []int) {
		r := newTestRouter(t, Options{Strategy: s})
		subs, counts := team(t, r, members)
		return r, subs, counts
	}
	t.Run("random reaches all", func(t *testing.T) {
		r, _, counts := counted(t, Random)
		send(r, "p", "a", 1000)
		if c := counts(); used(c) != members {
			t.Errorf("got %v", c)
		}
	})
	t.Run("round_robin gives the same to all", func(t *testing.T) {
		r, _, counts := counted(t, RoundRobin)
		send(r, "p", "a", members*10)
		for _, c := range counts() {
			if c != 10 {
				t.Fatalf("got %d, want 10", c)
			}
		}
	})
	t.Run("hash_clientid keeps a client together", func(t *testing.T) {
		r, _, counts := counted(t, HashClientID)
		for i := range 20 {
			send(r, "p", fmt.Sprint("a/", i), 1)
		}
		if c := counts(); used(c) != 1 {
			t.Errorf("one client: got %v", c)
		}
		for i := range 100 {
			send(r, fmt.Sprint("p", i), "a", 1)
		}
		if c := counts(); used(c) < members/2 {
			t.Errorf("many clients: got %v", c)
		}
	})
	t.Run("hash_topic keeps a topic together", func(t *testing.T) {
		r, _, counts := counted(t, HashTopic)
		for i := range 20 {
			send(r, fmt.Sprint("p", i), "a", 1)
		}
		if c := counts(); used(c) != 1 {
			t.Errorf("one topic: got %v", c)
		}
		for i := range 100 {
			send(r, "p", fmt.Sprint("a/", i), 1)
		}
		if c := counts(); used(c) < members/2 {
			t.Errorf("many topics: got %v", c)
		}
	})
	t.Run("sticky stays until its member goes offline or leaves", func(t *testing.T) {
		r, subs, counts := counted(t, Sticky)
		stuck := func() int {
			send(r, "p", "a", 20)
			c := counts()
			for i := range c {
				if c[i] == 20 {
					return i
				}
			}
			t.Fatalf("not sticky: %v", c)
			return -1
		}
		first := stuck()
		if again := stuck(); again != first {
			t.Fatalf("moved from %d to %d", first, again)
		}
		subs[first].SetOnline(false)
		second := stuck()
		if second == first {
			t.Fatal("stays with who is offline")
		}
		subs[first].SetOnline(true)
		if stuck() != second {
			t.Fatal("moves back")
		}
		r.unsubscribe(subs[second], "$share/g/#")
		if stuck() == second {
			t.Fatal("stays with who has left")
		}
	})
}

func TestGroupsOfOneFilterAreIndependent(t *testing.T) {
	r := newTestRouter(t, Options{})
	a, pa := join(t, r, "a")
	b, pb := join(t, r, "b")
	r.subscribe(want(a, "$share/g/t", 1))
	r.subscribe(want(b, "$share/h/t", 1))
	r.subscribe(want(b, "t", 1))
	if n := publish(r, "t"); n != 3 {
		t.Errorf("%d deliveries, want 3", n)
	}
	if na, nb := len(pa.take()), len(pb.take()); na != 1 || nb != 2 {
		t.Errorf("a got %d, b got %d, want 1 and 2", na, nb)
	}
	if r.unsubscribe(a, "$share/h/t") || r.unsubscribe(a, "t") || !r.unsubscribe(a, "$share/g/t") {
		t.Error("a leaves groups which it is not in, or cannot leave its own")
	}
}

func TestParseStrategyKnowsItsNames(t *testing.T) {
	for s := Random; s <= Sticky; s++ {
		if got, err := ParseStrategy(s.String()); got != s || err != nil {
			t.Errorf("%v: got %v, %v", s, got, err)
		}
	}
	if _, err := ParseStrategy("loudest"); err == nil {
		t.Error("an unknown strategy is accepted")
	}
}
