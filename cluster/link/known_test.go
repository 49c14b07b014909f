package link

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/clustertest"
)

// TestNodesThatAllStartAnewFindEachOtherByWhatTheyWereTold: one of them was joined, and
// its new life knows what the life before has told OnKnown.
func TestNodesThatAllStartAnewFindEachOtherByWhatTheyWereTold(t *testing.T) {
	for _, left := range []bool{false, true} {
		t.Run(fmt.Sprintf("left=%t", left), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				var mu sync.Mutex
				told := map[string][]cluster.Candidate{}
				life := func(name string) *rig {
					return newRig(t, network, name, func(o *Options) {
						o.OnKnown = func(list []cluster.Candidate) {
							mu.Lock()
							defer mu.Unlock()
							told[name] = list
						}
					}).start()
				}
				a, b, c := life("a"), life("b"), life("c")
				a.Join("b:1")
				c.Join("b:1")
				settle(5 * time.Second)
				if left {
					c.Leave()
					settle(time.Second)
				}
				a.stop()
				b.stop()
				c.stop()

				mu.Lock()
				before := map[string][]cluster.Candidate{"a": told["a"], "b": told["b"], "c": told["c"]}
				mu.Unlock()
				a, b, c = life("a"), life("b"), life("c")
				defer a.stop()
				defer b.stop()
				defer c.stop()
				for _, r := range []*rig{a, b, c} {
					r.Remembered(before[r.Self().Name])
				}
				settle(5 * time.Second)
				if left {
					a.expectView("a b")
					c.expectView("c")
					return
				}
				for _, r := range []*rig{a, b, c} {
					r.expectView("a b c")
				}
			})
		})
	}
}
