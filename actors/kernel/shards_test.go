package kernel

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func startShards(t *testing.T, system *actor.ActorSystem, n int) (*Shards, *actor.PID) {
	t.Helper()
	shards := NewShards("sessions", n)
	root, err := StartRoot(system, "node", []ChildSpec{shards.Spec()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return shards, root
}

func TestAKeyAlwaysHasTheSameShard(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 8)
	used := map[string]int{}
	for i := range 1000 {
		key := fmt.Sprint("client", i)
		pid := shards.For(key)
		if pid != shards.For(key) || !strings.HasPrefix(pid.Id, "node/sessions/") {
			t.Fatalf("%s is at %v", key, pid)
		}
		used[pid.Id]++
	}
	if len(used) != shards.Len() {
		t.Errorf("keys use %d shards of %d", len(used), shards.Len())
	}
	stopAndWait(t, system, root)
}

func TestTheFirstMessageComesFirst(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 2)
	got := make(chan int, 2)
	props := propsOf(funcActor{receive: func(ctx actor.Context) {
		if p, ok := ctx.Message().(*plain); ok {
			got <- p.id
		}
	}})
	pids := make(chan *actor.PID, 1)
	spawn := &Spawn{Props: props, First: &plain{id: 1}, Reply: func(pid *actor.PID) {
		system.Root.Send(pid, &plain{id: 2})
		pids <- pid
	}}
	system.Root.Send(shards.At(1), spawn)
	if a, b := receive(t, got), receive(t, got); a != 1 || b != 2 {
		t.Errorf("got %d, %d", a, b)
	}
	if pid := receive(t, pids); !strings.HasPrefix(pid.Id, "node/sessions/1/") {
		t.Errorf("spawned %s", pid.Id)
	}
	stopAndWait(t, system, root)
}

func TestGeneratedNamesAreNeverUsedAgain(t *testing.T) {
	system, _ := newSystem()
	shards, root := startShards(t, system, 1)
	pids := make(chan *actor.PID, 1)
	seen := map[string]bool{}
	for i := range 50 {
		system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Reply: func(p *actor.PID) { pids <- p }})
		pid := receive(t, pids)
		if seen[pid.Id] {
			t.Fatalf("%s a second time", pid.Id)
		}
		seen[pid.Id] = true
		system.Root.Stop(pid)
		if i == 25 { // nor after a restart
			if err := KillByID(system, "node/sessions/0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	stopAndWait(t, system, root)
}

func TestANameThatIsTakenIsAnsweredWithNil(t *testing.T) {
	system, log := newSystem()
	shards, root := startShards(t, system, 1)
	pids := make(chan *actor.PID, 1)
	reply := func(p *actor.PID) { pids <- p }
	system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Name: "a", Reply: reply})
	if receive(t, pids) == nil {
		t.Error("the first a was refused")
	}
	system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Name: "a", Reply: reply})
	if pid := receive(t, pids); pid != nil {
		t.Errorf("the second a is %s", pid.Id)
	}
	panicky := NewProps(func() actor.Actor { panic("no actor") })
	system.Root.Send(shards.At(0), &Spawn{Props: panicky, Reply: reply})
	if pid := receive(t, pids); pid != nil {
		t.Errorf("a producer's panic gave %s", pid.Id)
	}
	system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Reply: func(*actor.PID) { panic("reply") }})
	flush(t, system, shards.At(0))
	if d, err := Inspect(system, "node/sessions/0"); err != nil || d.Restarts != 0 || d.ChildCount != 2 {
		t.Errorf("the shard: %+v, %v\n%s", d, err, log)
	}
	stopAndWait(t, system, root)
}

func TestACrashedChildIsStoppedAndItsSiblingsLive(t *testing.T) {
	system, log := newSystem()
	shards, root := startShards(t, system, 1)
	pids := make(chan *actor.PID, 1)
	props := propsOf(funcActor{receive: func(ctx actor.Context) {
		if _, ok := ctx.Message().(*plain); ok {
			panic("bug in a session")
		}
	}})
	for _, name := range []string{"a", "b"} {
		system.Root.Send(shards.At(0), &Spawn{Props: props, Name: name, Reply: func(p *actor.PID) { pids <- p }})
	}
	a, b := receive(t, pids), receive(t, pids)
	w := watch(system, a)
	system.Root.Send(a, &plain{})
	receive(t, w)
	flush(t, system, b)
	out := log.String()
	if strings.Count(out, "actor crashed") != 1 || !strings.Contains(out, "node/sessions/0/a") ||
		!strings.Contains(out, "bug in a session") || !strings.Contains(out, "goroutine") || !strings.Contains(out, "funcActor") {
		t.Errorf("log:\n%s", out)
	}
	stopAndWait(t, system, root)
}

// TestAShardThatStopsSpawnsNoMore: the framework goes on handling messages while
// it waits for the children, and would never stop what they spawn.
func TestAShardThatStopsSpawnsNoMore(t *testing.T) {
	for _, how := range []string{"stop", "restart"} {
		t.Run(how, func(t *testing.T) {
			system, _ := newSystem()
			shards, root := startShards(t, system, 1)
			enter, leave := make(chan struct{}), make(chan struct{})
			slow := propsOf(funcActor{receive: func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Stopping); ok {
					close(enter)
					<-leave
				}
			}})
			pids := make(chan *actor.PID, 1)
			reply := func(p *actor.PID) { pids <- p }
			system.Root.Send(shards.At(0), &Spawn{Props: slow, Reply: reply})
			receive(t, pids)
			if how == "stop" {
				system.Root.Stop(root)
			} else if err := KillByID(system, "node/sessions/0"); err != nil {
				t.Fatal(err)
			}
			receive(t, enter)
			system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Reply: reply})
			close(leave)
			if pid := receive(t, pids); (pid == nil) != (how == "stop") {
				t.Errorf("spawned %v", pid)
			}
			stopAndWait(t, system, root)
		})
	}
}

// watch returns a channel which is closed when pid has ended.
func watch(system *actor.ActorSystem, pid *actor.PID) <-chan struct{} {
	w := &endWatch{ended: make(chan struct{})}
	self, _ := system.ProcessRegistry.Add(w, "watch"+system.ProcessRegistry.NextId())
	process, _ := system.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: self})
	return w.ended
}

func TestAWakeIsNeverEarlyAndAtMostASecondLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		system, _ := newSystem()
		shards, root := startShards(t, system, 1)
		woken := make(chan time.Time, 10)
		pids := make(chan *actor.PID, 1)
		props := propsOf(funcActor{receive: func(ctx actor.Context) {
			if _, ok := ctx.Message().(*Wake); ok {
				woken <- time.Now()
			}
		}})
		time.Sleep(300 * time.Millisecond)
		system.Root.Send(shards.At(0), &Spawn{Props: props, Reply: func(p *actor.PID) { pids <- p }})
		pid := <-pids
		begin := time.Now()
		ins := []time.Duration{2 * time.Hour, 90*time.Second + 1, 1500 * time.Millisecond, -time.Minute, 400 * time.Second}
		farthest := time.Unix(1<<40, 0) // must not wrap around
		system.Root.Send(shards.At(0), &WakeAt{PID: pid, At: farthest})
		for _, in := range ins {
			system.Root.Send(shards.At(0), &WakeAt{PID: pid, At: begin.Add(in)})
		}
		for _, want := range []time.Duration{0, 1500 * time.Millisecond, 90*time.Second + 1, 400 * time.Second, 2 * time.Hour} {
			got := (<-woken).Sub(begin)
			if got < want || got > want+time.Second {
				t.Errorf("woken after %v, want %v to a second later", got, want)
			}
		}
		if len(woken) > 0 {
			t.Error("woken once too often")
		}
		stopAndWait(t, system, root)
	})
}

func TestTheDeadAreNotWoken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		letters := 0
		system, _ := newSystem(WithDeadLetters(func(*actor.PID, any) { letters++ }))
		shards, root := startShards(t, system, 1)
		pids := make(chan *actor.PID, 1)
		system.Root.Send(shards.At(0), &Spawn{Props: propsOf(funcActor{}), Reply: func(p *actor.PID) { pids <- p }})
		pid := <-pids
		system.Root.Send(shards.At(0), &WakeAt{PID: pid, At: time.Now().Add(10 * time.Second)})
		ended := watch(system, pid)
		system.Root.Stop(pid)
		<-ended
		time.Sleep(20 * time.Second)
		if letters > 0 {
			t.Errorf("%d dead letters", letters)
		}
		stopAndWait(t, system, root)
	})
}
