package memory

import "testing"

const mb = 1 << 20

func TestCollectsOnceWhenANodeWithGarbageComesToRest(t *testing.T) {
	var j judge
	looks := []struct {
		name string
		u    usage
		want bool
	}{
		{"busy", usage{allocated: 100 * mb, live: 10 * mb, objects: 18 * mb}, false},
		{"rest begins", usage{allocated: 100 * mb, live: 10 * mb, objects: 18 * mb}, false},
		{"at rest", usage{allocated: 100*mb + 1000, live: 10 * mb, objects: 18 * mb}, true},
		{"still at rest", usage{allocated: 100*mb + 2000, live: 10 * mb, objects: 18 * mb}, false},
		{"busy again", usage{allocated: 200 * mb, live: 10 * mb, objects: 11 * mb}, false},
		{"rest begins again", usage{allocated: 200 * mb, live: 10 * mb, objects: 11 * mb}, false},
		{"little to gain", usage{allocated: 200 * mb, live: 10 * mb, objects: 11 * mb}, false},
	}
	for _, l := range looks {
		if got := j.due(l.u); got != l.want {
			t.Errorf("%s: collect is %t", l.name, got)
		}
		if l.want {
			j.tidied(l.u)
		}
	}
}

func TestASmallHeapMayGrowMore(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 4 * mb: 400, 12 * mb: 100, 4000 * mb: 100} {
		if got := pace(live); got != want {
			t.Errorf("%d MB: %d %%, want %d", live/mb, got, want)
		}
	}
}

func TestCollectsForTheStacksOfManyNewGoroutines(t *testing.T) {
	var j judge
	j.tidied(usage{goroutines: 500})
	for i, want := range []bool{false, true} {
		if got := j.due(usage{goroutines: 5000}); got != want {
			t.Errorf("look %d: collect is %t", i, got)
		}
	}
	j.tidied(usage{goroutines: 5000})
	j.calm = 1
	if j.due(usage{goroutines: 5100}) {
		t.Error("a few more are no reason")
	}
}
