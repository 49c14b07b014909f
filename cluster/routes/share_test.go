package routes

import (
	"fmt"
	"testing"

	"emqttd/actors/topics"
	"emqttd/protocol"
)

// crew joins members to a shared group, counts[i] of them at node i.
func crew(nodes []*node, text string, counts ...int) (members []*client) {
	for i, k := range counts {
		for range k {
			members = append(members, nodes[i].join(nil).subscribe(text))
		}
	}
	return members
}

// heads returns when all nodes know what there is of a filter's groups: when the
// answer to a later Subscribe of its shard has come.
func heads(t *testing.T, nodes []*node, filter string) {
	t.Helper()
	for _, n := range nodes {
		shard := n.router.ShardFor(parse(filter).Filter)
		for i := 0; ; i++ {
			behind := fmt.Sprintf("behind/%s/%d", n.name, i)
			if n.router.ShardFor(parse(behind).Filter) == shard {
				n.join(nil).subscribe(behind)
				break
			}
		}
	}
}

// send publishes n messages and flushes.
func (n *node) send(from, name string, qos protocol.QoS, k int) {
	b := n.router.NewBatch()
	defer b.Release()
	for range k {
		m := message(name, qos)
		m.From = from
		b.Publish(m)
	}
	b.Flush(true)
}

func gather(t *testing.T, members []*client, want int) (counts []int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages", want), func() bool {
		n := 0
		for _, m := range members {
			n += m.left()
		}
		return n >= want
	})
	for _, m := range members {
		counts = append(counts, m.left())
		m.take(m.left())
	}
	return counts
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

var strategies = []topics.Strategy{
	topics.Random, topics.RoundRobin, topics.HashClientID, topics.HashTopic, topics.Sticky, topics.Local,
}

func TestExactlyOneMemberInTheClusterGetsAMessage(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.String(), func(t *testing.T) {
			_, n := trio(t, 3, setup{topics: topics.Options{Strategy: s}})
			members := crew(n, "$share/g/t/+", 2, 3, 1)
			others := crew(n, "$share/h/t/+", 0, 0, 2) // another group gets a copy of its own
			plain := crew(n, "t/#", 1, 1, 1)
			const each = 60
			for _, from := range n {
				for i := range each {
					from.send(fmt.Sprint("p", i), fmt.Sprint("t/", i), 1, 1)
				}
			}
			for _, g := range [][]*client{members, others} {
				if c := gather(t, g, 3*each); sum(c) != 3*each {
					t.Errorf("got %v", c)
				}
			}
			if c := gather(t, plain, 9*each); c[0] != 3*each || c[1] != 3*each || c[2] != 3*each {
				t.Errorf("ordinary subscribers got %v", c)
			}
		})
	}
}

func TestStrategiesSpreadOverTheMembersOfAllNodes(t *testing.T) {
	type world struct {
		t       *testing.T
		n       []*node
		members []*client
	}
	run := func(s topics.Strategy, f func(w world)) {
		t.Run(s.String(), func(t *testing.T) {
			_, n := trio(t, 3, setup{topics: topics.Options{Strategy: s}})
			f(world{t, n, crew(n, "$share/g/#", 1, 2, 3)})
		})
	}
	run(topics.Random, func(w world) {
		w.n[0].send("p", "t", 0, 6000)
		for i, c := range gather(w.t, w.members, 6000) {
			if c < 800 || c > 1200 { // 1,000 ± seven standard deviations
				w.t.Errorf("member %d got %d of 6000", i, c)
			}
		}
	})
	run(topics.RoundRobin, func(w world) {
		w.n[1].send("p", "t", 0, 600)
		c := gather(w.t, w.members, 600)
		for i, n := range []int{c[0], c[1] + c[2], c[3] + c[4] + c[5]} {
			if n != []int{100, 200, 300}[i] {
				w.t.Errorf("the nodes' members got %v", c)
				break
			}
		}
	})
	one := func(w world, k int) {
		c := gather(w.t, w.members, k)
		used := 0
		for _, n := range c {
			if n > 0 {
				used++
			}
		}
		if used != 1 || sum(c) != k {
			w.t.Errorf("got %v", c)
		}
	}
	run(topics.HashTopic, func(w world) { // whoever publishes it, and wherever
		for _, n := range w.n {
			n.send(n.name, "same/topic", 0, 20)
		}
		c := gather(w.t, w.members, 60)
		nodes := []int{c[0], c[1] + c[2], c[3] + c[4] + c[5]}
		if max(nodes[0], nodes[1], nodes[2]) != 60 {
			w.t.Errorf("the nodes got %v", nodes)
		}
	})
	run(topics.HashClientID, func(w world) {
		for i := range 20 {
			w.n[0].send("same", fmt.Sprint("t/", i), 0, 1)
		}
		one(w, 20)
	})
	run(topics.Sticky, func(w world) {
		w.n[0].send("p", "t", 0, 50)
		one(w, 50)
	})
	run(topics.Local, func(w world) {
		w.n[1].send("p", "t", 0, 100)
		if c := gather(w.t, w.members, 100); c[1]+c[2] != 100 {
			w.t.Errorf("got %v", c)
		}
	})
}

func TestMembersThatAreConnectedGetTheMessages(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.String(), func(t *testing.T) {
			_, n := trio(t, 2, setup{topics: topics.Options{Strategy: s}})
			members := crew(n, "$share/g/t", 2, 2)
			online := func(i int, yes bool) {
				m := members[i]
				m.sub.SetOnline(yes)
				m.node.router.Touch(&topics.Touch{Subscriber: m.sub, Subscription: parse("$share/g/t")})
			}
			online(0, false)
			online(1, false)
			online(2, false)
			heads(t, n, "t")
			for _, from := range n {
				from.send("p", "t", 1, 20)
			}
			if c := gather(t, members, 40); c[3] != 40 {
				t.Errorf("one is connected: got %v", c)
			}
			online(0, true)
			online(3, false)
			heads(t, n, "t")
			for _, from := range n {
				from.send("p", "t", 1, 20)
			}
			if c := gather(t, members, 40); c[0] != 40 {
				t.Errorf("another one is connected: got %v", c)
			}
			online(0, false)
			heads(t, n, "t")
			for _, from := range n {
				from.send("p", "t", 1, 20)
			}
			if c := gather(t, members, 40); sum(c) != 40 {
				t.Errorf("none is connected: got %v", c)
			}
		})
	}
}

func TestAMessageIsPassedOnWhereTheLastMemberHasLeft(t *testing.T) {
	_, g, a, b := gated(t, setup{})
	here, there := a.join(nil).subscribe("$share/g/t"), b.join(nil).subscribe("$share/g/t")
	heads(t, []*node{a, b}, "t")
	g.shut("b") // a does not hear that the member has left
	there.unsubscribe("$share/g/t")
	settle(b)
	a.send("p", "t", 0, 100)
	g.release()
	if c := gather(t, []*client{here}, 100); sum(c) != 100 {
		t.Errorf("got %v", c)
	}
	here.unsubscribe("$share/g/t")
	heads(t, []*node{b}, "t") // behind which a knows that b's member has left
	settle(a)
	if k := a.publish("t", 1); k != 0 {
		t.Errorf("%d deliveries although nobody is left", k)
	}
}

func TestAGroupOfANodeThatIsGoneGetsNothing(t *testing.T) {
	w, n := trio(t, 2, setup{})
	members := crew(n, "$share/g/t", 1, 3)
	w.Cut(n[0].net, n[1].net)
	n[0].send("p", "t", 1, 40)
	if c := gather(t, members, 40); c[0] != 40 {
		t.Errorf("got %v", c)
	}
	eventually(t, "its rows are swept", func() bool { return n[0].router.Counts().PeerRoutes == 0 })
	w.Connect(n[0].net, n[1].net)
	n[0].send("p", "t", 1, 400)
	if c := gather(t, members, 400); sum(c[1:]) < 200 {
		t.Errorf("after it is back: got %v", c)
	}
}
