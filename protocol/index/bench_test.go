package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"emqttd/protocol/topic"
)

var shapes = []struct{ name, filter, topic string }{
	{"wild", "device/%d/+/cmd", "device/%d/temperature/cmd"},
	{"multi", "device/%d/#", "device/%d/temperature/cmd"},
	{"exact", "device/%d/temperature/cmd", "device/%d/temperature/cmd"},
}

func filled(b *testing.B, shape string, n int) (*Index, float64) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := New()
	for i := range n {
		x.Insert(topic.Filter(fmt.Sprintf(shape, i)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return x, float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range shapes {
		for _, n := range []int{10_000, 1_000_000} {
			b.Run(fmt.Sprintf("shape=%s/n=%d", s.name, n), func(b *testing.B) {
				x, perFilter := filled(b, s.filter, n)
				names := make([]topic.Name, 1<<16)
				for i := range names {
					names[i] = topic.Name(fmt.Sprintf(s.topic, rand.IntN(n)))
				}
				var p Probe
				dst := make([]uint32, 0, 8)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					p.Reset(x.space, names[i&(1<<16-1)])
					g := x.space.Enter(0)
					dst = dst[:0]
					if id, ok := x.Exact(&p); ok {
						dst = append(dst, id)
					}
					dst = x.Wild(&p, dst)
					g.Leave()
					if len(dst) != 1 {
						b.Fatal(dst)
					}
				}
				b.ReportMetric(perFilter, "B/filter")
			})
		}
	}
}

// BenchmarkHostileMatch has every shape of eight levels, '+' or literal: the
// most branches that filters matching one name can make.
func BenchmarkHostileMatch(b *testing.B) {
	for _, end := range []string{"", "/x"} { // all match, none does
		b.Run(fmt.Sprintf("shapes=256/matching=%v", end == ""), func(b *testing.B) {
			x := New()
			for i := range 256 {
				f := ""
				for bit := range 8 {
					if f += "/"; i>>bit&1 == 0 {
						f += "+"
					} else {
						f += "a"
					}
				}
				x.Insert(topic.Filter(f[1:] + end + "/#"))
			}
			dst := make([]uint32, 0, 512)
			b.ReportAllocs()
			for b.Loop() {
				dst = x.Match("a/a/a/a/a/a/a/a", dst[:0])
			}
		})
	}
}

func BenchmarkInsertRemove(b *testing.B) {
	for _, s := range shapes {
		b.Run("shape="+s.name, func(b *testing.B) {
			x, _ := filled(b, s.filter, 100_000)
			filters := make([]topic.Filter, 1<<16)
			for i := range filters {
				filters[i] = topic.Filter(fmt.Sprintf(s.filter, 100_000+i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				id, _ := x.Insert(filters[i&(1<<16-1)])
				x.Remove(id)
			}
		})
	}
}
