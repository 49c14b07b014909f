package cluster

import (
	"fmt"
	"sync"
	"testing"

	"emqttd/protocol"
)

// TestOfManyThatConnectAtOnceOneStays: the same client identifier on all nodes at the
// same time, again and again.
func TestOfManyThatConnectAtOnceOneStays(t *testing.T) {
	rounds := 50
	if long() {
		rounds = 1000
	}
	r := boot(t, 3)
	pub := r.nodes[0].mustConnect("", true)
	for round := range rounds {
		clients := make([]*client, len(r.nodes))
		errs := make([]error, len(r.nodes))
		var all sync.WaitGroup
		for i, n := range r.nodes {
			all.Go(func() { clients[i], _, errs[i] = connect(n, "wanted", false) })
		}
		all.Wait()
		stays := lone(r, clients, errs)
		text := fmt.Sprintf("round %d", round)
		if err := stays.subscribe(protocol.AtLeastOnce, "wanted"); err != nil {
			t.Fatal(err)
		}
		if err := pub.publish("wanted", text, protocol.AtLeastOnce); err != nil {
			t.Fatal(err)
		}
		if err := stays.awaits(text); err != nil {
			t.Fatal(err)
		}
		if !stays.alive() {
			t.Fatalf("%s: the last one was sent away, too", text)
		}
		stays.close()
	}
	r.oneSessionLeft("wanted")
}

// lone waits until one of the connections is left.
func lone(r *rig, clients []*client, errs []error) (last *client) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("one of the connections is left; %v", errs), func() bool {
		left := 0
		for _, c := range clients {
			if c != nil && c.alive() {
				last = c
				left++
			}
		}
		if left == 0 {
			r.t.Fatalf("none of the connections is left: %v", errs)
		}
		return left == 1
	})
	return last
}

// oneSessionLeft checks that a client identifier without a connection has one session.
func (r *rig) oneSessionLeft(id string) {
	r.t.Helper()
	r.eventually(id+" has one session", func() bool {
		connected, sessions := places(id, r.nodes)
		return len(connected) == 0 && len(sessions) == 1
	})
}
