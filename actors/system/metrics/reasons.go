package metrics

import (
	"sort"
	"sync"
	"sync/atomic"
)

// reasons counts by name. The names come from the code, never from a peer, so
// that their number is bounded; the first occurrence of one allocates.
type reasons struct{ m sync.Map } // string → *atomic.Uint64

func (r *reasons) add(name string, n uint64) {
	if n == 0 {
		return
	}
	c, ok := r.m.Load(name)
	if !ok {
		c, _ = r.m.LoadOrStore(name, new(atomic.Uint64))
	}
	c.(*atomic.Uint64).Add(n)
}

func (r *reasons) list() []Value {
	var vs []Value
	r.m.Range(func(k, v any) bool {
		vs = append(vs, Value{k.(string), v.(*atomic.Uint64).Load()})
		return true
	})
	sort.Slice(vs, func(i, j int) bool { return vs[i].Name < vs[j].Name })
	return vs
}

// Gauge names a value that goes up and down; its highest value is kept too.
type Gauge int

// The gauges of $SYS/brokers/<node>/stats.
const (
	Clients Gauge = iota
	Sessions
	Topics
	Subscribers
	Subscriptions
	Routes
	Retained
	numGauges
)

var gaugeNames = [numGauges]string{"clients", "sessions", "topics", "subscribers", "subscriptions", "routes", "retained"}

type gauges struct {
	now, top [numGauges]atomic.Int64
	source   [numGauges]atomic.Pointer[func() int]
}

func (g *gauges) read(i Gauge) int64 {
	if f := g.source[i].Load(); f != nil {
		g.set(i, int64((*f)()))
	}
	return g.now[i].Load()
}

func (g *gauges) set(i Gauge, n int64) {
	g.now[i].Store(n)
	g.raise(i, n)
}

func (g *gauges) raise(i Gauge, n int64) {
	for t := g.top[i].Load(); n > t && !g.top[i].CompareAndSwap(t, n); t = g.top[i].Load() {
	}
}

// Gauge changes a gauge by d and returns its new value.
func (r *Registry) Gauge(i Gauge, d int64) int64 {
	n := r.gauges.now[i].Add(d)
	if d > 0 {
		r.gauges.raise(i, n)
	}
	return n
}

// Source makes a gauge read its value from f, which any goroutine may call.
// Its highest value is then the highest one that was read.
func (r *Registry) Source(i Gauge, f func() int) { r.gauges.source[i].Store(&f) }

// Level reads a gauge.
func (r *Registry) Level(i Gauge) int64 { return r.gauges.read(i) }

// Stats lists <name>/count and <name>/max of every gauge.
func (r *Registry) Stats() []Value {
	vs := make([]Value, 0, 2*int(numGauges))
	for i := range numGauges {
		n := r.gauges.read(i)
		vs = append(vs,
			Value{gaugeNames[i] + "/count", uint64(max(0, n))},
			Value{gaugeNames[i] + "/max", uint64(max(0, r.gauges.top[i].Load()))})
	}
	return vs
}
