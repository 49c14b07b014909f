package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// reading is the memory of this process at rest.
type reading struct {
	rss, heap, stacks uint64
	goroutines        int
}

// readMemory collects all garbage first, as a node at rest does by itself
// (actors/system/memory).
func readMemory() reading {
	for range 2 { // pools give up what they hold at the second one
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return reading{rss: ownRSS(), heap: m.HeapAlloc, stacks: m.StackInuse, goroutines: runtime.NumGoroutine()}
}

// ownRSS is what the system says of this process; 0 where it does not.
func ownRSS() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(f[1], 10, 64) // it is the kernel's
	return pages * uint64(os.Getpagesize())
}

// pauses are those of the garbage collector in a span of time.
type pauses struct {
	cycles         uint32
	count          uint64
	p50, p99, most float64 // seconds, at most: the upper ends of the histogram's steps
}

// pauseWatch remembers where the counting begins.
type pauseWatch struct {
	before metrics.Float64Histogram
	cycles uint32
}

const pauseMetric = "/sched/pauses/total/gc:seconds"

func watchPauses() *pauseWatch {
	h, n := readPauses()
	return &pauseWatch{before: h, cycles: n}
}

func readPauses() (metrics.Float64Histogram, uint32) {
	s := []metrics.Sample{{Name: pauseMetric}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}, m.NumGC
}

func (w *pauseWatch) since() (p pauses) {
	now, cycles := readPauses()
	p.cycles = cycles - w.cycles
	for i := range now.Counts {
		now.Counts[i] -= w.before.Counts[i]
		p.count += now.Counts[i]
	}
	var seen uint64
	for i, n := range now.Counts {
		if n == 0 {
			continue
		}
		seen += n
		upper := now.Buckets[i+1]
		if p.p50 == 0 && seen*2 >= p.count {
			p.p50 = upper
		}
		if p.p99 == 0 && seen*100 >= p.count*99 {
			p.p99 = upper
		}
		p.most = upper
	}
	return p
}

// String says it in microseconds.
func (p pauses) String() string {
	return fmt.Sprintf("%d cycles, pause p50 %.0f µs, p99 %.0f µs, longest %.0f µs", p.cycles, p.p50*1e6, p.p99*1e6, p.most*1e6)
}
