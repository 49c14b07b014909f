package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emqttd/protocol"
)

func TestThreeNodesAreOneBroker(t *testing.T) {
	r := boot(t, 3)
	one, two := flow(t, protocol.AtLeastOnce, r.nodes...), flow(t, protocol.ExactlyOnce, r.nodes...)
	r.equalRoutes(r.nodes, r.nodes[0].route("flow/1"), r.nodes[1].route("flow/1"), r.nodes[2].route("flow/2"))
	r.reachable(r.nodes)
	one.check()
	two.check()
	r.nothingLeft(r.nodes)
	r.equalRoutes(r.nodes)
}

func TestANodeIsKilledAndComesBack(t *testing.T) {
	r := boot(t, 3)
	lost := r.nodes[2]
	stays := lost.mustConnect("stays", false)
	if err := stays.subscribe(protocol.AtLeastOnce, "of/the/lost"); err != nil {
		t.Fatal(err)
	}
	alive := r.nodes[:2]
	r.equalRoutes(r.nodes, lost.route("of/the/lost"))
	f := flow(t, protocol.ExactlyOnce, alive...)
	lost.kill()
	began := time.Now()
	r.awaitGone(lost, alive...)
	if d := time.Since(began); d > downIn {
		t.Errorf("it took %v to see that nobody listens there", d)
	}
	// Its client finds another node, where it can be reached.
	moved := alive[0].mustConnect("stays", false)
	if err := moved.subscribe(protocol.AtLeastOnce, "of/the/lost"); err != nil {
		t.Fatal(err)
	}
	r.equalRoutes(alive, alive[0].route("of/the/lost"))
	f.check()
	lost.again()
	r.awaitMembers(r.nodes...)
	r.equalRoutes(r.nodes, alive[0].route("of/the/lost"))
	r.oneSession("stays", alive[0], r.nodes)
	r.reachable(r.nodes)
}

// TestAPauseBelowTheDownLimitLosesNothing: a long collection of garbage, a frozen
// virtual machine.
func TestAPauseBelowTheDownLimitLosesNothing(t *testing.T) {
	r := boot(t, 3)
	one, two := flow(t, protocol.AtLeastOnce, r.nodes...), flow(t, protocol.ExactlyOnce, r.nodes...)
	r.nodes[1].pause()
	pass(t, 5*time.Second)
	r.nodes[1].resume()
	r.awaitMembers(r.nodes...)
	one.check()
	two.check()
	r.reachable(r.nodes)
	r.nothingLeft(r.nodes)
}

func TestANodeThatWasGivenUpIsTakenBack(t *testing.T) {
	for name, silence := range map[string]time.Duration{"short": downIn + 3*time.Second, "a minute": time.Minute} {
		if silence == time.Minute && !long() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := boot(t, 3)
			others := []*node{r.nodes[0], r.nodes[2]}
			c := r.nodes[1].mustConnect("of the paused", true)
			if err := c.subscribe(protocol.AtLeastOnce, "paused"); err != nil {
				t.Fatal(err)
			}
			f := flow(t, protocol.ExactlyOnce, others...)
			r.nodes[1].pause()
			pass(t, silence)
			r.awaitGone(r.nodes[1], others...)
			r.nodes[1].resume()
			r.awaitMembers(r.nodes...)
			r.equalRoutes(r.nodes, r.nodes[1].route("paused"))
			f.check()
			if !c.alive() {
				t.Error("the client of the paused node was sent away")
			}
			r.reachable(r.nodes)
		})
	}
}

// TestNodesThatWereJoinedByHandFindEachOtherAfterAllHaveStopped: and one that has left
// stays away.
func TestNodesThatWereJoinedByHandFindEachOtherAfterAllHaveStopped(t *testing.T) {
	r := prepare(t, 3, "cluster.discovery = manual")
	r.start(r.nodes...)
	two, third := r.nodes[:2], r.nodes[2]
	for _, n := range r.nodes[1:] {
		if out := n.ctl("cluster", "join", r.nodes[0].seen); !strings.Contains(out, "successfully") {
			t.Fatalf("%s says %q", n.NodeName(), out)
		}
	}
	r.awaitMembers(r.nodes...)
	for _, n := range r.nodes {
		for _, other := range r.nodes {
			if other != n {
				r.eventually(n.NodeName()+" has written down "+other.NodeName(), func() bool { return n.remembers(other) })
			}
		}
	}
	r.restart()
	r.awaitMembers(r.nodes...)
	third.ctl("cluster", "leave")
	for _, n := range two {
		r.eventually(n.NodeName()+" has forgotten who left", func() bool { return !n.remembers(third) && !third.remembers(n) })
	}
	r.restart()
	r.awaitMembers(two...)
	r.awaitMembers(third)
}

// restart kills all nodes, then starts all.
func (r *rig) restart() {
	r.t.Helper()
	for _, n := range r.nodes {
		n.kill()
	}
	r.start(r.nodes...)
}

// remembers tells whether a node has another one in its file.
func (n *node) remembers(other *node) bool {
	text, err := os.ReadFile(filepath.Join(n.Dir, "data", "cluster.json"))
	return err == nil && strings.Contains(string(text), other.seen)
}
