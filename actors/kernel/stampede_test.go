package kernel

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// idsBelow lists the ids of all actors under n.
func idsBelow(n Node, ids []string) []string {
	for _, c := range n.Children {
		ids = idsBelow(c, append(ids, c.ID))
	}
	return ids
}

// TestATreeSurvivesAStampede kills and crashes random actors while others are
// spawned, told and woken; afterwards the tree must be what it was.
func TestATreeSurvivesAStampede(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		system, _ := newSystem()
		worker := propsOf(funcActor{receive: func(ctx actor.Context) {
			if p, ok := ctx.Message().(*plain); ok && p.boom {
				panic(errTest)
			}
		}})
		one := func(name string) ChildSpec { return ChildSpec{Name: name, Props: worker} }
		sessions := NewShards("sessions", 8)
		root, err := StartRoot(system, "node", []ChildSpec{
			one("system"),
			{Name: "topics", Props: Supervisor([]ChildSpec{one("0"), one("1"), one("2")})},
			sessions.Spec(),
			{Name: "deep", Props: Supervisor([]ChildSpec{{Name: "er", Props: Supervisor([]ChildSpec{one("a"), one("b")})}})},
		}, func(err error) { t.Errorf("gave up: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		before, err := Tree(system, root, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for round := range 300 {
			for range 5 {
				shard := sessions.At(rng.IntN(8))
				system.Root.Send(shard, &Spawn{Props: worker, First: &plain{}, Reply: func(pid *actor.PID) {
					system.Root.Send(shard, &WakeAt{PID: pid, At: time.Now().Add(time.Second)})
				}})
			}
			all, err := FullTree(system, root, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			ids := idsBelow(all, nil)
			id := ids[rng.IntN(len(ids))]
			if round%10 == 0 { // a bug, which counts
				system.Root.Send(system.NewLocalPID(id), &plain{boom: true})
			} else if err := KillByID(system, id); err != nil {
				t.Logf("%v", err) // it has ended meanwhile
			}
			if round%3 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Minute)
		after, err := Tree(system, root, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, idsBelow(after, nil), idsBelow(before, nil)...)
		for i := range sessions.Len() {
			system.Root.Send(sessions.At(i), &Spawn{Props: worker, Reply: func(pid *actor.PID) {
				if pid == nil {
					t.Error("a shard does not spawn")
				}
			}})
			flush(t, system, sessions.At(i))
		}
		stopAndWait(t, system, root)
	})
}
