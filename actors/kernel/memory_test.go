//go:build !race

package kernel

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// small has the state of an actor in the measurements of docs: 16 bytes.
type small struct{ _, _ uint64 }

func (*small) Receive(actor.Context) {}

// Ceilings for an idle actor, all included: actor, context, mailbox, registry,
// PID, and the parent's entry. Measured 406 and 289 B, plus 15 %; the race
// detector's own memory would count, hence the build tag.
const (
	rootCeiling  = 467
	shardCeiling = 333
)

func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAnIdleActorIsSmall(t *testing.T) {
	const n = 100_000
	props := NewProps(func() actor.Actor { return new(small) })
	t.Run("spawned by root", func(t *testing.T) {
		system, _ := newSystem()
		pids := make([]*actor.PID, n)
		before := heap()
		for i := range pids {
			pids[i] = system.Root.Spawn(props)
		}
		for _, pid := range pids {
			flush(t, system, pid)
		}
		per := int(heap()-before) / n
		t.Logf("%d B", per)
		if per > rootCeiling {
			t.Errorf("%d B an actor, want at most %d", per, rootCeiling)
		}
		runtime.KeepAlive(pids)
	})
	t.Run("under shards", func(t *testing.T) {
		system, _ := newSystem()
		shards := NewShards("s", 64)
		root, err := StartRoot(system, "node", []ChildSpec{shards.Spec()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := heap()
		for i := range n {
			system.Root.Send(shards.At(i%64), &Spawn{Props: props})
		}
		for i := range 64 {
			flush(t, system, shards.At(i))
		}
		per := int(heap()-before) / n
		t.Logf("%d B", per)
		if per > shardCeiling {
			t.Errorf("%d B an actor, want at most %d", per, shardCeiling)
		}
		d, err := Inspect(system, "node/s/"+strconv.Itoa(5))
		if err != nil || d.ChildCount < n/64 {
			t.Errorf("shard has %d children, %v", d.ChildCount, err)
		}
		stopAndWait(t, system, root)
	})
}
