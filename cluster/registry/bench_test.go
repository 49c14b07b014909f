package registry

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster/clustertest"
)

// BenchmarkRebuild is a node that becomes the owner of its slots while the others
// have 100,000 sessions in all: until it knows those of its slots, and grants.
func BenchmarkRebuild(b *testing.B) {
	const sessions = 100_000
	w := &clustertest.World{}
	ns := nodes(b, w, 3)
	w.Connect(ns[0].net, ns[1].net)
	for i := range sessions {
		x, id := ns[i%2], fmt.Sprintf("client-%d", i)
		s := seat{pid: actor.NewPID(clustertest.Address(x.name), fmt.Sprintf("node/sessions/%d/$%x", i%256, i)), rank: 1}
		x.cores[slotOf(id)].offer(id, s) // nobody speaks with the slots yet
	}
	probes := make([]string, Slots)
	for i := range 100 * Slots {
		id := fmt.Sprintf("probe-%d", i)
		probes[slotOf(id)] = id
	}
	for b.Loop() {
		w.Connect(ns[2].net, ns[0].net)
		w.Connect(ns[2].net, ns[1].net)
		for _, id := range probes {
			ns[2].where(b, id) // it is answered when the owner knows all
		}
		b.StopTimer()
		w.Cut(ns[2].net, ns[0].net)
		w.Cut(ns[2].net, ns[1].net)
		b.StartTimer()
	}
}

// BenchmarkClaim is a CONNECT's claim and commit, and the end of its session.
func BenchmarkClaim(b *testing.B) {
	w := &clustertest.World{}
	ns := nodes(b, w, 2)
	w.ConnectAll()
	for i, owner := range []string{"local", "remote"} {
		b.Run("owner="+owner, func(b *testing.B) {
			id := ownedBy(b, ns, i)
			by, s := newInbox(b, ns[0].system, b.Name()+"/c"), newInbox(b, ns[0].system, b.Name()+"/s")
			b.ReportAllocs()
			for b.Loop() {
				ns[0].tell(id, &Claim{ClientID: id, By: by.pid})
				ns[0].commit(id, by, next[*Granted](b, by), s)
				ns[0].tell(id, &Release{ClientID: id, Session: s.pid})
			}
			ns[0].system.ProcessRegistry.Remove(by.pid)
			ns[0].system.ProcessRegistry.Remove(s.pid)
		})
	}
}

// BenchmarkMemory tells what the registry keeps for a session of this node.
func BenchmarkMemory(b *testing.B) {
	const sessions = 200_000
	ids, pid := make([]string, sessions), actor.NewPID("n", "s")
	for i := range ids {
		ids[i] = fmt.Sprintf("client-%d", i)
	}
	for _, cluster := range []bool{false, true} {
		b.Run(fmt.Sprintf("cluster=%v", cluster), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				cores := make([]*core, Slots)
				for i := range cores {
					cores[i] = newCore(i, "n", nil)
					if cluster {
						cores[i] = newCore(i, "n", new(clustertest.World).Node("n").Clock())
					}
				}
				for _, id := range ids {
					cores[slotOf(id)].offer(id, seat{pid: pid, rank: 1})
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/sessions, "B/session")
				runtime.KeepAlive(cores)
			}
		})
	}
}
