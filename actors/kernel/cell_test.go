package kernel

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// spawnIn spawns a child of the only shard.
func spawnIn(t *testing.T, system *actor.ActorSystem, shards *Shards, name string, f funcActor) *actor.PID {
	t.Helper()
	pids := make(chan *actor.PID, 1)
	system.Root.Send(shards.At(0), &Spawn{Props: propsOf(f), Name: name, Reply: func(p *actor.PID) { pids <- p }})
	return receive(t, pids)
}

func TestAPIDMeansWhoeverHasTheName(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	got := make(chan string, 1)
	named := func(as string) funcActor {
		return funcActor{receive: func(ctx actor.Context) {
			if _, ok := ctx.Message().(*plain); ok {
				got <- as
			}
		}}
	}
	pid := spawnIn(t, system, shards, "a", named("first"))
	system.Root.Send(pid, &plain{})
	first := receive(t, got)
	ended := watch(system, pid)
	system.Root.Stop(pid)
	receive(t, ended)
	spawnIn(t, system, shards, "a", named("second"))
	system.Root.Send(pid, &plain{})
	if second := receive(t, got); first != "first" || second != "second" {
		t.Errorf("%s, %s", first, second)
	}
	stopAndWait(t, system, root)
}

func TestChildrenOfAShardWatchEachOther(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	a := spawnIn(t, system, shards, "a", funcActor{})
	c := spawnIn(t, system, shards, "c", funcActor{})
	told := make(chan string, 4)
	b := spawnIn(t, system, shards, "b", funcActor{
		start: func(ctx actor.Context) error {
			ctx.Watch(a)
			ctx.Watch(c)
			ctx.Unwatch(c)
			return nil
		},
		receive: func(ctx actor.Context) {
			if m, ok := ctx.Message().(*actor.Terminated); ok {
				told <- m.Who.Id
			}
		},
	})
	flush(t, system, b)
	for _, pid := range []*actor.PID{c, a} {
		ended := watch(system, pid)
		system.Root.Stop(pid)
		receive(t, ended)
	}
	if id := receive(t, told); id != a.Id {
		t.Errorf("told of %s", id)
	}
	stopAndWait(t, system, root)
}

func TestAChildOfAShardAnswersAndForwards(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	answers := make(chan *actor.PID, 1)
	answering := spawnIn(t, system, shards, "", funcActor{receive: func(ctx actor.Context) {
		if _, ok := ctx.Message().(*plain); ok {
			ctx.Respond(&actor.Touched{Who: ctx.Self()})
		}
	}})
	between := spawnIn(t, system, shards, "", funcActor{receive: func(ctx actor.Context) {
		if _, ok := ctx.Message().(*plain); ok {
			ctx.Forward(answering)
		}
	}})
	asking := spawnIn(t, system, shards, "", funcActor{receive: func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *Wake:
			ctx.Request(between, &plain{})
		case *actor.Touched:
			answers <- m.Who
		}
	}})
	system.Root.Send(asking, wakeMessage)
	if who := receive(t, answers); !who.Equal(answering) {
		t.Errorf("%v answered", who)
	}
	stopAndWait(t, system, root)
}

func TestAPanicWhileAChildOfAShardEndsHoldsUpNobody(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	before := CleanupPanics()
	pid := spawnIn(t, system, shards, "", funcActor{receive: func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Stopping, *actor.Stopped:
			panic(errTest)
		}
	}})
	ended := watch(system, pid)
	system.Root.Poison(pid)
	receive(t, ended)
	if n := CleanupPanics() - before; n != 2 {
		t.Errorf("%d panics were caught", n)
	}
	stopAndWait(t, system, root)
}

func TestAChildOfAShardThatWantsChildrenCrashes(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	pid := spawnIn(t, system, shards, "", funcActor{receive: func(ctx actor.Context) {
		if _, ok := ctx.Message().(*plain); ok {
			ctx.Spawn(propsOf(funcActor{}))
		}
	}})
	ended := watch(system, pid)
	system.Root.Send(pid, &plain{})
	receive(t, ended)
	if _, ok := system.ProcessRegistry.GetLocal(pid.Id); ok {
		t.Error("it lives")
	}
	stopAndWait(t, system, root)
}
