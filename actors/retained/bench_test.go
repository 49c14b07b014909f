package retained

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"emqttd/protocol/topic"
)

func filled(b *testing.B, n int) (*table, float64) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	t := newTable()
	for i := range n {
		m := message(fmt.Sprintf("device/%d/state", i), "0123456789012345678901234567890123456789012345678901234567890123")
		t.store(m.Clone(), later(), always)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return t, float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

func BenchmarkLookup(b *testing.B) {
	const n = 1_000_000
	t, size := filled(b, n)
	for _, shape := range []string{"device/%d/state", "device/%d/#", "+/%d/state"} {
		b.Run("shape="+shape, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(t.match(topic.Filter(fmt.Sprintf(shape, rand.IntN(n))), every)) != 1 {
					b.Fatal("not found")
				}
			}
			b.ReportMetric(size, "B/message")
		})
	}
	b.Run("shape=device/+/state", func(b *testing.B) {
		for b.Loop() {
			t.match("device/+/state", every)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
	})
}

func BenchmarkStore(b *testing.B) {
	t := newTable()
	m := message("", "payload")
	b.ReportAllocs()
	for b.Loop() {
		m.Topic = topic.Name(fmt.Sprintf("device/%d/state", rand.IntN(100_000)))
		t.store(m.Clone(), later(), always)
	}
}
