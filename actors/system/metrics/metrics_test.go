package metrics

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestEveryCounterAndGaugeHasANameOfItsOwn(t *testing.T) {
	var r Registry
	seen := map[string]bool{}
	for _, v := range append(r.Counters(), r.Stats()...) {
		if v.Name == "" || strings.Contains(v.Name, "//") || seen[v.Name] {
			t.Errorf("%q", v.Name)
		}
		seen[v.Name] = true
	}
	for _, name := range []string{"bytes/received", "packets/publish/sent", "messages/retained", "clients/count", "sessions/max"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestCountsOfManyGoroutinesAddUp(t *testing.T) {
	var r Registry
	var wg sync.WaitGroup
	const n = 1000
	for range 8 {
		wg.Go(func() {
			for range n {
				r.Inc(PacketsReceived)
				r.Add(BytesReceived, 3)
				r.Drop("queue_full", 2)
				r.Gauge(Clients, 1)
			}
			for range n {
				r.Gauge(Clients, -1)
			}
		})
	}
	wg.Wait()
	if r.Get(PacketsReceived) != 8*n || r.Get(BytesReceived) != 24*n || r.Level(Clients) != 0 {
		t.Errorf("counted %d, %d, %d", r.Get(PacketsReceived), r.Get(BytesReceived), r.Level(Clients))
	}
	if got := r.Drops(); !slices.Equal(got, []Value{{"queue_full", 16 * n}}) {
		t.Errorf("drops %v", got)
	}
	if top := stat(&r, "clients/max"); top < n || top > 8*n {
		t.Errorf("the highest number of clients is %d", top)
	}
}

func stat(r *Registry, name string) uint64 {
	for _, v := range r.Stats() {
		if v.Name == name {
			return v.Value
		}
	}
	return 0
}

func TestAGaugeKeepsItsHighestValue(t *testing.T) {
	var r Registry
	for _, d := range []int64{3, 4, -5, 1} {
		r.Gauge(Sessions, d)
	}
	if now, top := stat(&r, "sessions/count"), stat(&r, "sessions/max"); now != 3 || top != 7 {
		t.Errorf("now %d, highest %d", now, top)
	}
	n := 9
	r.Source(Topics, func() int { return n })
	r.Level(Topics)
	n = 2
	if now, top := stat(&r, "topics/count"), stat(&r, "topics/max"); now != 2 || top != 9 {
		t.Errorf("now %d, highest %d", now, top)
	}
}

func TestReasonsAreListedByNameAndOnlyIfTheyOccurred(t *testing.T) {
	var r Registry
	r.Close("normal")
	r.Close("conflict")
	r.Close("normal")
	r.Drop("never", 0)
	if got := r.Closes(); !slices.Equal(got, []Value{{"conflict", 1}, {"normal", 2}}) {
		t.Errorf("closes %v", got)
	}
	if len(r.Drops()) != 0 || len(r.Refusals()) != 0 {
		t.Errorf("drops %v, refusals %v", r.Drops(), r.Refusals())
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var r Registry
	r.Drop("queue_full", 1)
	if n := testing.AllocsPerRun(100, func() { r.Inc(MessagesSent); r.Drop("queue_full", 1); r.Gauge(Clients, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
