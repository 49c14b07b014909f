package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/tests/cluster/fault"
)

// TestASubackIsAFence: a message that is published on another node right after a SUBACK
// reaches the subscriber, however slow the news of its subscription travels.
func TestASubackIsAFence(t *testing.T) {
	const workers, each = 20, 500
	r := boot(t, 3)
	for i, a := range r.nodes {
		for _, b := range r.nodes[i+1:] {
			r.net.Between(a.dist, b.dist, fault.Fault{Delay: 2 * time.Millisecond, Jitter: 8 * time.Millisecond})
		}
	}
	var work sync.WaitGroup
	for w := range workers {
		sub, pub := r.nodes[w%3].mustConnect("", true), r.nodes[(w+1)%3].mustConnect("", true)
		work.Go(func() {
			for i := range each {
				name := fmt.Sprintf("fence/%d/%d", w, i)
				err := sub.subscribe(protocol.AtLeastOnce, name)
				if err == nil {
					err = pub.publish(name, name, protocol.AtMostOnce)
				}
				if err == nil {
					err = sub.awaits(name)
				}
				if err == nil && i%2 == 0 {
					err = sub.unsubscribe(name)
				}
				if err != nil {
					t.Errorf("iteration %d of %d: %v", i, w, err)
					return
				}
			}
		})
	}
	work.Wait()
}
