package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol/topic"
)

// model is an index that tries every filter.
type model map[topic.Filter]uint32

func (m model) match(n topic.Name) []uint32 {
	var ids []uint32
	for f, id := range m {
		if topic.Match(f, n) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func sorted(ids []uint32) []uint32 {
	slices.Sort(ids)
	return ids
}

func TestIndexAgreesWithTryingEveryFilter(t *testing.T) {
	// Few levels, so that names and filters meet; long ones for the arena.
	levels := []string{"", "a", "b", "$x", "device", strings.Repeat("l", 300)}
	name := rapid.Custom(func(t *rapid.T) topic.Name {
		for {
			n := strings.Join(rapid.SliceOfN(rapid.SampledFrom(levels), 1, 5).Draw(t, "levels"), "/")
			if topic.CheckName(n) == nil {
				return topic.Name(n)
			}
		}
	})
	filter := rapid.Custom(func(t *rapid.T) topic.Filter {
		for {
			l := rapid.SliceOfN(rapid.SampledFrom(append(levels[:5:5], "+", "+")), 1, 5).Draw(t, "levels")
			if rapid.Bool().Draw(t, "multi") {
				l = append(l, "#")
			}
			if f, err := topic.ParseFilter(strings.Join(l, "/")); err == nil {
				return f
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		x, m := New(), model{}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				id, created := x.Insert(f)
				old, known := m[f]
				if created == known || known && old != id {
					t.Fatalf("Insert(%q) = %d, %v; known %v as %d", f, id, created, known, old)
				}
				for g, other := range m {
					if g != f && other == id {
						t.Fatalf("%q and %q have id %d", f, g, id)
					}
				}
				m[f] = id
			},
			"remove": func(t *rapid.T) {
				if len(m) == 0 {
					t.Skip()
				}
				var fs []topic.Filter
				for f := range m {
					fs = append(fs, f)
				}
				slices.Sort(fs)
				f := rapid.SampledFrom(fs).Draw(t, "filter")
				x.Remove(m[f])
				delete(m, f)
			},
			"match": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if got, want := sorted(x.Match(n, nil)), m.match(n); !slices.Equal(got, want) {
					t.Fatalf("Match(%q) = %v, want %v of %v", n, got, want, m)
				}
			},
			"lookup": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				id, ok := x.Lookup(f)
				if want, known := m[f]; ok != known || id != want {
					t.Fatalf("Lookup(%q) = %d, %v, want %d, %v", f, id, ok, want, known)
				}
			},
			"": func(t *rapid.T) {
				if x.Len() != len(m) {
					t.Fatalf("Len() = %d, want %d", x.Len(), len(m))
				}
				seen := 0
				x.Scan(0, func(id uint32, f topic.Filter) bool {
					seen++
					if m[f] != id || x.Filter(id) != f {
						t.Fatalf("Scan shows %q as %d, want %d", f, id, m[f])
					}
					return true
				})
				if seen != len(m) {
					t.Fatalf("Scan shows %d filters, want %d", seen, len(m))
				}
			},
		})
	})
}

func TestIndexIsEmptyAgainAfterEverythingIsRemoved(t *testing.T) {
	x := New()
	rng := rand.New(rand.NewPCG(1, 2))
	live := map[topic.Filter]uint32{}
	for round := range 20 {
		for range 2000 {
			f := topic.Filter(fmt.Sprintf("d/%d/+/%d/#", rng.IntN(5000), rng.IntN(3)))
			if rng.IntN(2) == 0 {
				f = topic.Filter(fmt.Sprintf("exact/%d", rng.IntN(5000)))
			}
			live[f], _ = x.Insert(f)
		}
		for f, id := range live {
			if got, ok := x.Lookup(f); !ok || got != id {
				t.Fatalf("round %d: %q is %d, %v, want %d", round, f, got, ok, id)
			}
			x.Remove(id)
			delete(live, f)
		}
	}
	for x.limbo.Len() > 0 {
		x.reclaim()
	}
	if x.Len() != 0 || x.Wildcards() != 0 {
		t.Errorf("%d filters, %d wildcards are left", x.Len(), x.Wildcards())
	}
	if n := int(x.nodeID.next) - len(x.nodeID.free); n != 0 {
		t.Errorf("%d nodes leaked", n)
	}
	if n := int(x.ids.next) - len(x.ids.free); n != 0 {
		t.Errorf("%d ids leaked", n)
	}
	free := 0
	for c, f := range x.text.free {
		units := c
		if c > smallClasses {
			units = 1 << (c - smallClasses + 6)
		}
		free += units * len(f)
	}
	if used := int(x.text.next) - 1; free != used { // reference zero is never given
		t.Errorf("%d of %d units of text leaked", used-free, used)
	}
	// Twenty rounds must fit in what about one needs.
	if x.ids.next > 2*2000+1000 {
		t.Errorf("%d ids for at most 2000 filters: they are not used again", x.ids.next)
	}
}

func TestScanGoesOnWhereItStopped(t *testing.T) {
	x := New()
	want := map[topic.Filter]bool{}
	for i := range 100 {
		f := topic.Filter(fmt.Sprintf("a/%d/+", i))
		x.Insert(f)
		want[f] = true
	}
	for cursor, n := uint32(0), 0; ; {
		page := 0
		cursor = x.Scan(cursor, func(_ uint32, f topic.Filter) bool {
			if !want[f] {
				t.Fatalf("%q is shown twice or unknown", f)
			}
			delete(want, f)
			page++
			return page < 7
		})
		if n++; cursor == 0 {
			break
		} else if n > 100 {
			t.Fatal("the scan does not end")
		}
	}
	if len(want) != 0 {
		t.Errorf("not shown: %v", want)
	}
}

func TestDeepAndLongFiltersMatch(t *testing.T) {
	x := New()
	deep := strings.Repeat("+/", topic.MaxLevels-1)
	long := strings.Repeat("x", topic.MaxLength)
	multi, _ := x.Insert(topic.Filter(deep + "#"))
	plus, _ := x.Insert(topic.Filter(deep + "+"))
	exact, _ := x.Insert(topic.Filter(long))
	half, _ := x.Insert(topic.Filter(long[:topic.MaxLength-2] + "/#"))

	name := topic.Name(strings.Repeat("a/", topic.MaxLevels-1) + "a")
	if got, want := sorted(x.Match(name, nil)), sorted([]uint32{multi, plus}); !slices.Equal(got, want) {
		t.Errorf("deep name: got %v, want %v", got, want)
	}
	if got, want := x.Match(name+"/b", nil), []uint32{multi}; !slices.Equal(got, want) {
		t.Errorf("a name deeper than allowed: got %v, want %v", got, want)
	}
	if got, want := x.Match(topic.Name(long), nil), []uint32{exact}; !slices.Equal(got, want) {
		t.Errorf("long name: got %v, want %v", got, want)
	}
	if got, want := x.Match(topic.Name(long[:topic.MaxLength-2]), nil), []uint32{half}; !slices.Equal(got, want) {
		t.Errorf("long level: got %v, want %v", got, want)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	x := New()
	for i := range 1000 {
		x.Insert(topic.Filter(fmt.Sprintf("device/%d/+/cmd", i)))
		x.Insert(topic.Filter(fmt.Sprintf("device/%d/a/cmd", i)))
	}
	var p Probe
	dst := make([]uint32, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		p.Reset(x.space, "device/7/a/cmd")
		g := x.space.Enter(1)
		dst = x.Wild(&p, dst[:0])
		if _, ok := x.Exact(&p); !ok || len(dst) != 1 {
			t.Fatalf("got %v, %v", dst, ok)
		}
		g.Leave()
		dst = x.Match("device/8/a/cmd", dst[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNothingIsUsedAgainWhileAReaderIsInside(t *testing.T) {
	x := New()
	id, _ := x.Insert("a/+/c")
	g := x.space.Enter(3)
	x.Remove(id)
	for range 1000 {
		x.reclaim()
		other, _ := x.Insert("b/+/c")
		if other == id {
			t.Fatal("the id is used again under a reader")
		}
		if got := x.filter(id); got != "" {
			t.Fatalf("the removed id shows %q", got)
		}
		x.Remove(other)
	}
	g.Leave()
	for i := range 1000 {
		if x.reclaim(); x.limbo.Len() == 0 {
			return
		}
		if i == 999 {
			t.Fatalf("%d things still wait after the reader has left", x.limbo.Len())
		}
	}
}
