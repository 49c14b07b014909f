package routes

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
)

// table is what a node says of the routes of all: filter → nodes.
func (n *node) table() map[string][]string {
	all := map[string][]string{}
	n.router.Routes(0, func(r topics.Route) bool {
		if r.Node == "" {
			r.Node = n.name
		}
		if !r.Local {
			all[string(r.Filter)] = append(all[string(r.Filter)], r.Node)
		}
		return true
	})
	for _, nodes := range all {
		slices.Sort(nodes)
	}
	return all
}

// TestEveryNodeKnowsTheRoutesOfAll changes subscriptions at random while nodes
// lose and find each other, and compares what every node says in the end with a
// list.
func TestEveryNodeKnowsTheRoutesOfAll(t *testing.T) {
	filters := []string{"a", "a/b", "a/+", "#", "+/b", "$share/g/a", "$share/h/a/+", "$local/a", "$queue/#", "b/#"}
	for i := range 30 {
		filters = append(filters, fmt.Sprintf("many/%d", i))
	}
	w := &clustertest.World{}
	nodes := []*node{start(t, w, "a", setup{}), start(t, w, "b", setup{}), start(t, w, "c", setup{})}
	t.Cleanup(w.Close)
	rapid.Check(t, func(rt *rapid.T) {
		type key struct{ client, filter int }
		var clients []*client
		for i := range 6 {
			clients = append(clients, nodes[i%3].join(nil))
		}
		connected := map[int]bool{}
		model := map[key]bool{}
		join := func(pair int) {
			if !connected[pair] {
				connected[pair] = true
				w.Connect(nodes[pair].net, nodes[(pair+1)%3].net)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(rt *rapid.T) {
				k := key{rapid.IntRange(0, 5).Draw(rt, "client"), rapid.IntRange(0, len(filters)-1).Draw(rt, "filter")}
				clients[k.client].ask(filters[k.filter])
				model[k] = true
			},
			"unsubscribe": func(rt *rapid.T) {
				k := key{rapid.IntRange(0, 5).Draw(rt, "client"), rapid.IntRange(0, len(filters)-1).Draw(rt, "filter")}
				clients[k.client].unsubscribe(filters[k.filter])
				delete(model, k)
			},
			"connect": func(rt *rapid.T) { join(rapid.IntRange(0, 2).Draw(rt, "pair")) },
			"cut": func(rt *rapid.T) {
				pair := rapid.IntRange(0, 2).Draw(rt, "pair")
				if connected[pair] {
					delete(connected, pair)
					w.Cut(nodes[pair].net, nodes[(pair+1)%3].net)
				}
			},
		})
		for pair := range 3 {
			join(pair)
		}
		want := map[string][]string{}
		for k := range model {
			s := parse(filters[k.filter])
			if s.Local {
				continue
			}
			f := string(s.Filter)
			want[f] = append(want[f], nodes[k.client%3].name)
		}
		for f, names := range want {
			slices.Sort(names)
			want[f] = slices.Compact(names)
		}
		for _, n := range nodes {
			eventually(t, fmt.Sprintf("%s knows %v, not %v", n.name, want, n.table()), func() bool {
				return maps.EqualFunc(n.table(), want, slices.Equal)
			})
		}
		for k := range model {
			clients[k.client].unsubscribe(filters[k.filter])
		}
		for pair := range 3 {
			delete(connected, pair)
			w.Cut(nodes[pair].net, nodes[(pair+1)%3].net)
		}
		for _, n := range nodes {
			eventually(t, "nothing is left", func() bool { return n.router.Counts() == (topics.Counts{Subscribers: n.router.Counts().Subscribers}) })
		}
	})
	for _, n := range nodes {
		if c := n.routes.Counts(); c != (Counts{}) {
			t.Errorf("%s: %+v", n.name, c)
		}
	}
}

func TestRoutesThatDoNotAddUpAreToldAgain(t *testing.T) {
	_, n := trio(t, 2, setup{topics: topics.Options{Shards: 3}})
	c := n[0].join(nil).subscribe("a", "b/+", "$share/g/c", "d")
	conv := n[1].routes.conversation(n[1].net.PeerAt(n[0].net.Self().Address))
	done := make(chan struct{})
	n[1].router.Apply(conv.sub, []topics.Change{ // what is told of here was never said
		{Filter: "a", Gone: true},
		{Filter: "wrong"},
		{Filter: "c", Group: "g", Gone: true},
		{Filter: "c", Group: "wrong", Weight: 7},
	}, func(topics.Digest) { close(done) })
	<-done
	conv.mu.Lock()
	for i := range conv.shards {
		conv.shards[i].digest.Sum++
	}
	conv.mu.Unlock()
	n[0].router.Audit(n[0].routes.conversation(n[0].net.PeerAt(n[1].net.Self().Address)))
	want := map[string][]string{"a": {"a"}, "b/+": {"a"}, "c": {"a"}, "d": {"a"}}
	eventually(t, "the routes are right again", func() bool {
		conv.mu.Lock()
		over := conv.repair == nil
		conv.mu.Unlock()
		return over && maps.EqualFunc(n[1].table(), want, slices.Equal)
	})
	if k := n[1].routes.Counts().Mismatches; k != 1 {
		t.Errorf("%d mismatches are counted", k)
	}
	if k := n[1].publish("c", 1); k != 1 {
		t.Errorf("%d deliveries to a group of which one is left", k)
	}
	c.take(1)
	n[0].router.Audit(n[0].routes.conversation(n[0].net.PeerAt(n[1].net.Self().Address)))
	c.subscribe("e", "f", "g", "h", "i") // behind it, in all shards or nearly
	if k := n[1].routes.Counts().Mismatches; k != 1 {
		t.Errorf("after the repair the digests differ again")
	}
}
