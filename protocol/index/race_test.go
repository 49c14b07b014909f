package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"emqttd/protocol/topic"
)

// TestReadersSeeStableFiltersWhileTheWriterChurns keeps some filters all the
// time and adds and removes others: a reader must always find the stable ones
// and never anything that does not match.
func TestReadersSeeStableFiltersWhileTheWriterChurns(t *testing.T) {
	x := New()
	stable := map[topic.Name][]uint32{}
	for i := range 64 {
		exact, _ := x.Insert(topic.Filter(fmt.Sprintf("d/%d/x/cmd", i)))
		wild, _ := x.Insert(topic.Filter(fmt.Sprintf("d/%d/+/cmd", i)))
		stable[topic.Name(fmt.Sprintf("d/%d/x/cmd", i))] = []uint32{exact, wild}
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var ids []uint32
			for !done.Load() {
				for name, want := range stable {
					ids = x.Match(name, ids[:0])
					for _, id := range want {
						if !slices.Contains(ids, id) {
							t.Errorf("%q: %d is missing in %v", name, id, ids)
							return
						}
					}
					g := x.space.Enter(uint32(len(ids)))
					var p Probe
					p.Reset(x.space, name)
					for _, id := range x.Wild(&p, nil) {
						// Removed meanwhile, or matching; never another filter.
						if f := x.filter(id); f != "" && !topic.Match(f, name) {
							t.Errorf("%q is matched by %q", name, f)
						}
					}
					g.Leave()
				}
				x.Scan(0, func(_ uint32, f topic.Filter) bool {
					if _, err := topic.ParseFilter(string(f)); err != nil {
						t.Errorf("Scan shows %q", f)
					}
					return true
				})
			}
		})
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var live []uint32
	for range 30_000 {
		if len(live) > 500 || len(live) > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(len(live))
			x.Remove(live[i])
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
			continue
		}
		shapes := []string{"d/%d/+/#", "+/%d/#", "d/%d/x/y%d", "d/%d/x/+/%d/#"}
		f := fmt.Sprintf(shapes[rng.IntN(4)], rng.IntN(64))
		if id, created := x.Insert(topic.Filter(f)); created {
			live = append(live, id)
		}
	}
	done.Store(true)
	readers.Wait()
}
