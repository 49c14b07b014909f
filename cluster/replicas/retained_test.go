package replicas_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"emqttd/actors/retained"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/replicas"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestAChangeComesToAllNodes(t *testing.T) {
	var w clustertest.World
	a, b, c := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{Shards: 5}, replicas.Options{}), newNode(t, &w, "c", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b, c)
	w.ConnectAll()
	a.store("x/y", "from a")
	b.store("x/z", "from b")
	same(t, a, b)
	same(t, a, c)
	m := c.lookup(t, "x/y")
	if len(m) != 1 || string(m[0].Payload) != "from a" || m[0].QoS != 1 || m[0].From != "c" || !m[0].Retain || m[0].Arrived == 0 {
		t.Errorf("got %+v", m)
	}
	c.store("x/y", "")
	same(t, a, c)
	if got := a.all(t, "#"); !maps.Equal(got, map[string]string{"x/z": "from b"}) {
		t.Errorf("left: %v", got)
	}
}

func TestANodeThatJoinsHasAllBeforeItIsUp(t *testing.T) {
	var w clustertest.World
	a, b := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	const n = 20_000
	for i := range n {
		a.stores.Store(&protocol.Message{Topic: topic.Name(fmt.Sprint("t/", i)), Payload: []byte("0123456789"), Arrived: time.Now().UnixMilli()}, nil)
	}
	b.store("only/b", "x")
	w.Connect(a.net, b.net)
	if got := b.stores.Count(); got != n+1 {
		t.Errorf("b is up with %d messages", got)
	}
	if got := a.stores.Count(); got != n+1 {
		t.Errorf("a has %d messages", got)
	}
	same(t, a, b)
}

func TestARemovalHoldsWhenANodeComesBackThatWasNotThere(t *testing.T) {
	var w clustertest.World
	a, b := newNode(t, &w, "a", retained.Options{}, replicas.Options{}), newNode(t, &w, "b", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	a.store("gone", "x")
	a.store("stays", "x")
	w.Connect(a.net, b.net)
	w.Cut(a.net, b.net)
	a.store("gone", "")
	if n := a.stores.Tombstones(); n != 1 {
		t.Errorf("%d tombstones", n)
	}
	b.store("new", "y")
	w.Connect(a.net, b.net)
	want := map[string]string{"stays": "x", "new": "y"}
	if x, y := a.all(t, "#"), b.all(t, "#"); !maps.Equal(x, want) || !maps.Equal(y, want) {
		t.Errorf("a has %v, b has %v", x, y)
	}
}

// TestReplicasConverge: whatever is written where, and whoever sees whom, when all
// see each other again all have what was written last.
func TestReplicasConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w clustertest.World
		var nodes []*node
		for i := range rapid.IntRange(2, 3).Draw(t, "nodes") {
			nodes = append(nodes, newNode(t, &w, fmt.Sprint("n", i), retained.Options{Shards: i + 1}, replicas.Options{Backlog: 1 << rapid.IntRange(5, 12).Draw(t, "backlog")}))
		}
		defer stopAll(t, &w, nodes...)
		connected := map[[2]int]bool{}
		last := map[string]string{}
		pick := func(t *rapid.T, label string) int { return rapid.IntRange(0, len(nodes)-1).Draw(t, label) }
		// The clock of a node that writes has to know of what was written before, as it
		// would if somebody had told: then "last" has a meaning.
		ordered := func(n *node) {
			for _, o := range nodes {
				n.net.Clock().Seen(o.net.Clock().Now())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				n := nodes[pick(t, "node")]
				ordered(n)
				name := fmt.Sprint("t/", rapid.IntRange(0, 9).Draw(t, "topic"))
				payload := rapid.SampledFrom([]string{"", "one", "two", "three"}).Draw(t, "payload")
				n.store(name, payload)
				if last[name] = payload; payload == "" {
					delete(last, name)
				}
			},
			"clean": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					t.Skip()
				}
				n := nodes[pick(t, "node")]
				ordered(n)
				n.stores.Clean(&retained.Clean{})
				n.settle()
				// What this node did not know may have been written before as well: it goes too.
				clear(last)
			},
			"connect or cut": func(t *rapid.T) {
				i, j := pick(t, "a"), pick(t, "b")
				if i >= j {
					t.Skip()
				}
				if connected[[2]int{i, j}] {
					w.Cut(nodes[i].net, nodes[j].net)
				} else {
					w.Connect(nodes[i].net, nodes[j].net)
				}
				connected[[2]int{i, j}] = !connected[[2]int{i, j}]
			},
		})
		for i := range nodes {
			for j := i + 1; j < len(nodes); j++ {
				if !connected[[2]int{i, j}] {
					w.Connect(nodes[i].net, nodes[j].net)
				}
			}
		}
		for _, n := range nodes[1:] {
			same(t, nodes[0], n)
		}
		if got := nodes[0].all(t, "#"); !maps.Equal(got, last) {
			t.Fatalf("got %v, want %v", got, last)
		}
	})
}
