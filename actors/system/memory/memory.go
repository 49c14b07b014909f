// Package memory gives memory back when the node comes to rest.
//
// The runtime collects garbage when the heap has doubled, or after two minutes.
// A storm of connections leaves behind the garbage of its handshakes and stacks
// that have grown for it; a broker whose clients then idle would keep both. The
// actor looks every half second, and when nothing much has been allocated for
// two looks while there is something to gain, it collects once. A busy node is
// left alone, and so is one at rest that has been tidied.
//
// It also sets how far the heap may grow before the runtime collects. A node of
// few clients and many messages lives on a few megabytes, which a factor of two
// would have collected dozens of times a second; so a small heap may grow more.
// An operator who sets GOGC decides otherwise.
//
// And it keeps the node within its memory: the Governor, which it tells what is
// in use, has others drop, slow down and refuse before there is too little.
//
// Its parent is the supervisor system. A crash costs one look.
package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

// look is the time between two looks. Shorter tidies sooner, longer is less
// likely to collect in a pause between two storms.
const look = 500 * time.Millisecond

const (
	quiet = 1 << 20 // bytes allocated between two looks that still count as rest
	gain  = 1 << 20 // bytes of garbage that are worth a collection, besides a part of what lives
)

// Spec is the child of the supervisor system. fixed leaves the garbage
// collector's pace as it is. g, which may be nil, is told how much memory is in
// use.
func Spec(fixed bool, g *Governor) kernel.ChildSpec {
	return kernel.ChildSpec{Name: "memory", Props: kernel.NewProps(func() actor.Actor { return newKeeper(fixed, g) })}
}

// A heap of which less than small lives may grow to five times that before it is
// collected, 60 MB at most; a larger one doubles, as is Go's way.
const (
	small     = 12 << 20
	generous  = 400 // percent
	customary = 100
)

type tick struct{}

// gauge is time for the governor to look.
type gauge struct{}

// keeper is the actor. Its judgement is in judge, which is a plain value.
type keeper struct {
	timer   *time.Timer
	gauge   *time.Timer // of the governor; nil without one
	rule    *Governor
	samples []metrics.Sample
	judge   judge
	percent int // that was set last; 0 for none
	fixed   bool
}

func newKeeper(fixed bool, g *Governor) *keeper {
	return &keeper{fixed: fixed, rule: g, samples: []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/sched/goroutines:goroutines"},
	}}
}

// Receive implements actor.Actor.
func (k *keeper) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		k.arm(c)
		if k.rule != nil {
			k.rule.begin()
		}
		k.govern(c)
	case *actor.Stopping, *actor.Restarting:
		k.timer.Stop()
		if k.gauge != nil {
			k.gauge.Stop()
		}
	case *gauge:
		k.govern(c)
	case *tick:
		u := k.read()
		k.pace(u)
		if k.judge.due(u) {
			runtime.GC() // pools give up what they hold at the second one only
			debug.FreeOSMemory()
			k.judge.tidied(k.read())
		}
		k.arm(c)
	}
}

func (k *keeper) arm(c actor.Context) {
	system, self := c.ActorSystem(), c.Self()
	k.timer = time.AfterFunc(look, func() { system.Root.Send(self, &tick{}) })
}

// govern has the governor look, and looks again when it says.
func (k *keeper) govern(c actor.Context) {
	if k.rule == nil {
		return
	}
	system, self := c.ActorSystem(), c.Self()
	k.gauge = time.AfterFunc(k.rule.Look(), func() { system.Root.Send(self, &gauge{}) })
}

// pace sets how far the heap may grow.
func (k *keeper) pace(u usage) {
	if p := pace(u.live); !k.fixed && p != k.percent {
		k.percent = p
		debug.SetGCPercent(p)
	}
}

func pace(live uint64) int {
	if live < small {
		return generous
	}
	return customary
}

func (k *keeper) read() usage {
	metrics.Read(k.samples)
	v := func(i int) uint64 { return k.samples[i].Value.Uint64() }
	return usage{allocated: v(0), live: v(1), objects: v(2), goroutines: v(3)}
}

// usage is what one look sees. allocated only grows; live is what the last
// collection left.
type usage struct{ allocated, live, objects, goroutines uint64 }

// judge decides when to collect.
type judge struct {
	last       uint64 // allocated at the last look
	calm       int    // looks at rest in a row
	goroutines uint64 // when it was last tidy: each new one may hold a grown stack
}

func (j *judge) due(u usage) bool {
	rest := u.allocated-j.last < quiet
	j.last = u.allocated
	if !rest {
		j.calm = 0
		return false
	}
	if j.calm++; j.calm != 2 {
		return false
	}
	garbage := u.objects > u.live && u.objects-u.live > max(gain, u.live/32)
	grown := u.goroutines > j.goroutines+j.goroutines/8+1000
	return garbage || grown
}

// tidied says that a collection has been made.
func (j *judge) tidied(u usage) { j.last, j.goroutines = u.allocated, u.goroutines }
