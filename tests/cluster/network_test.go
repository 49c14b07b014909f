package cluster

import (
	"fmt"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/tests/cluster/fault"
)

func TestAShortCutLosesNothing(t *testing.T) {
	r := boot(t, 3)
	one, two := flow(t, protocol.AtLeastOnce, r.nodes...), flow(t, protocol.ExactlyOnce, r.nodes...)
	r.cut(r.nodes[0], r.nodes[1])
	pass(t, 4*time.Second)
	r.net.Heal()
	r.awaitMembers(r.nodes...)
	one.check()
	two.check()
	r.nothingLeft(r.nodes)
}

func TestDelayAndLossOnlyMakeThingsSlow(t *testing.T) {
	r := boot(t, 3)
	one, two := flow(t, protocol.AtLeastOnce, r.nodes...), flow(t, protocol.ExactlyOnce, r.nodes...)
	r.net.Between(r.nodes[0].dist, r.nodes[1].dist, fault.Fault{Delay: 30 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05})
	r.net.Between(r.nodes[1].dist, r.nodes[2].dist, fault.Fault{Delay: 100 * time.Millisecond, Loss: 0.2})
	pass(t, 5*time.Second)
	r.awaitMembers(r.nodes...)
	one.check()
	two.check()
}

// TestALinkIsCut: both ways, or one, for longer than the down limit. The third node
// sees both all the time.
func TestALinkIsCut(t *testing.T) {
	for name, both := range map[string]bool{"both ways": true, "one way": false} {
		t.Run(name, func(t *testing.T) {
			r := boot(t, 3)
			a, b, third := r.nodes[0], r.nodes[1], r.nodes[2]
			subs := map[*node]*client{}
			for _, n := range r.nodes {
				subs[n] = n.mustConnect("", true)
				if err := subs[n].subscribe(protocol.AtLeastOnce, "to/"+n.NodeName()); err != nil {
					t.Fatal(err)
				}
			}
			r.net.Set(a.dist, b.dist, fault.Fault{Cut: true})
			if both {
				r.cut(a, b)
			}
			r.awaitGone(a, b)
			r.awaitGone(b, a)
			for _, n := range []*node{a, b} {
				if got := n.members(); len(got) != 2 {
					t.Errorf("%s sees %v", n.NodeName(), got)
				}
			}
			if got := third.members(); len(got) != 3 {
				t.Errorf("the third node sees %v", got)
			}
			r.net.Heal()
			r.awaitMembers(r.nodes...)
			r.equalRoutes(r.nodes, a.route("to/"+a.NodeName()), b.route("to/"+b.NodeName()), third.route("to/"+third.NodeName()))
			r.reachable(r.nodes)
			for n, c := range subs {
				if !c.alive() {
					t.Errorf("the client of %s was sent away", n.NodeName())
				}
			}
		})
	}
}

// TestASplitHeals: in two and in three islands, and in equal halves. Each island serves
// its clients; a client that went to another island has one session in the end.
func TestASplitHeals(t *testing.T) {
	type split struct {
		name    string
		islands [][]int
		long    bool
	}
	splits := []split{
		{"one and two", [][]int{{0}, {1, 2}}, false},
		{"three islands", [][]int{{0}, {1}, {2}}, false},
		{"equal halves", [][]int{{0, 1}, {2, 3}}, false},
		{"two and three", [][]int{{0, 1}, {2, 3, 4}}, true},
		{"three islands of five", [][]int{{0, 1}, {2, 3}, {4}}, true},
	}
	for _, s := range splits {
		if s.long && !long() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			size := 0
			for _, island := range s.islands {
				size += len(island)
			}
			splitAndHeal(t, boot(t, size), s.islands)
		})
	}
}

func splitAndHeal(t *testing.T, r *rig, numbers [][]int) {
	t.Helper()
	var islands [][]*node
	var routes []string
	for i, island := range numbers {
		islands = append(islands, nil)
		for _, number := range island {
			islands[i] = append(islands[i], r.nodes[number])
		}
	}
	wanderer := islands[0][0].mustConnect("wanderer", false)
	if err := wanderer.subscribe(protocol.AtLeastOnce, "wanderer"); err != nil {
		t.Fatal(err)
	}
	r.split(islands...)
	for i, island := range islands {
		r.awaitMembers(island...)
		r.reachable(island)
		filter := fmt.Sprintf("island/%d", i)
		c := island[0].mustConnect("", true)
		if err := c.subscribe(protocol.AtLeastOnce, filter); err != nil {
			t.Fatal(err)
		}
		routes = append(routes, island[0].route(filter))
		if i > 0 { // the newest wins
			wanderer = island[0].mustConnect("wanderer", false)
			if err := wanderer.subscribe(protocol.AtLeastOnce, "wanderer"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.net.Heal()
	r.awaitMembers(r.nodes...)
	r.equalRoutes(r.nodes, routes...)
	r.oneSession("wanderer", islands[len(islands)-1][0], r.nodes)
	if !wanderer.alive() {
		t.Error("the newest connection has lost")
	}
	r.reachable(r.nodes)
	pub := r.nodes[0].mustConnect("", true)
	if err := pub.publish("wanderer", "found", protocol.AtLeastOnce); err != nil {
		t.Fatal(err)
	}
	if err := wanderer.awaits("found"); err != nil {
		t.Error(err)
	}
}
