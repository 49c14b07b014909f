package kernel

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// messy is an actor whose clean-up always panics.
var messy = funcActor{receive: func(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Stopped, *actor.Restarting, *plain:
		panic("messy")
	}
}}

func TestAPanicInCleanUpNeitherRevivesNorHangs(t *testing.T) {
	system, log := newSystem()
	root, err := StartRoot(system, "node", []ChildSpec{{Name: "x", Props: propsOf(messy)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := CleanupPanics()
	if err := KillByID(system, "node/x"); err != nil { // Restarting
		t.Fatal(err)
	}
	x := system.NewLocalPID("node/x")
	flush(t, system, x)
	stopAndWait(t, system, root) // Stopping, Stopped
	if got := CleanupPanics() - before; got != 3 {
		t.Errorf("%d panics counted, want 3", got)
	}
	if out := log.String(); strings.Count(out, "actor panicked while cleaning up") != 3 || !strings.Contains(out, "*actor.Stopped") {
		t.Errorf("log:\n%s", out)
	}
}

func TestAPanicInOnLostDoesNotHang(t *testing.T) {
	system, _ := newSystem()
	before := CleanupPanics()
	enter, leave := make(chan struct{}), make(chan struct{})
	pid := system.Root.Spawn(propsOf(funcActor{receive: func(ctx actor.Context) {
		if p, ok := ctx.Message().(*plain); ok && p.id == 0 {
			close(enter)
			<-leave
		}
	}}, WithMailbox(MailboxOptions{OnLost: func(Class, any) { panic("lost") }})))
	system.Root.Send(pid, &plain{})
	receive(t, enter)
	system.Root.Send(pid, &plain{id: 1})
	system.Root.Stop(pid)
	close(leave)
	stopAndWait(t, system, pid)
	if got := CleanupPanics() - before; got != 1 {
		t.Errorf("%d panics counted", got)
	}
}

func TestAKilledActorIsMadeAnew(t *testing.T) {
	system, log := newSystem()
	var made atomic.Int32
	props := NewProps(func() actor.Actor { made.Add(1); return &funcActor{} })
	root, err := StartRoot(system, "node", []ChildSpec{{Name: "x", Props: props}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 { // ten times the limit of restarts
		if err := KillByID(system, "node/x"); err != nil {
			t.Fatal(err)
		}
		flush(t, system, system.NewLocalPID("node/x"))
	}
	d, err := Inspect(system, "node/x")
	if err != nil || d.Restarts != 100 || d.Mailbox.Restarts != 100 || made.Load() != 101 {
		t.Errorf("%+v, %v, made %d", d, err, made.Load())
	}
	if out := log.String(); strings.Contains(out, "crashed") || strings.Contains(out, "stack") || strings.Count(out, "actor killed") != 100 {
		t.Errorf("log:\n%s", out)
	}
	stopAndWait(t, system, root)
}

func TestReasonsTellWhatWasPanicked(t *testing.T) {
	if err := reasonError(&Panic{Value: errTest}); err != errTest {
		t.Errorf("got %v", err)
	}
	if err := reasonError(&Panic{Value: "text"}); err.Error() != "text" {
		t.Errorf("got %v", err)
	}
	if err := reasonError(17); err.Error() != "17" {
		t.Errorf("got %v", err)
	}
	wrapped := &Panic{Value: &GaveUp{Child: "node/x", Err: errTest}}
	if !errors.Is(wrapped, errTest) || !quiet(wrapped) || quiet(&Panic{Value: errTest}) || quiet("text") {
		t.Error("the cause is not seen through the panic")
	}
}

// TestKillsUnderLoadLoseNoQueuedMessage restarts actors again and again while
// senders send: every message is handled once, in its sender's order.
func TestKillsUnderLoadLoseNoQueuedMessage(t *testing.T) {
	const actors, each, kills = 4, 20_000, 100
	system, _ := newSystem()
	var specs []ChildSpec
	var last [actors]atomic.Int64 // outlives the instances, as tables of a supervisor do
	done := make(chan int, actors)
	for i := range actors {
		specs = append(specs, ChildSpec{Name: string(rune('a' + i)), Props: propsOf(funcActor{receive: func(ctx actor.Context) {
			n, ok := ctx.Message().(*note)
			if !ok {
				return
			}
			if prev := last[i].Swap(int64(n.id)); prev != int64(n.id)-1 {
				t.Errorf("%d after %d", n.id, prev)
			}
			if n.id == each {
				done <- i
			}
		}})})
	}
	root, err := StartRoot(system, "node", specs, func(err error) { t.Errorf("gave up: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range actors {
		pid := system.NewLocalPID("node/" + specs[i].Name)
		go func() {
			for n := 1; n <= each; n++ {
				system.Root.Send(pid, &note{id: n, class: Deliver})
				if n%(each/kills) == 0 {
					system.Root.Send(pid, &Kill{})
				}
			}
		}()
	}
	for range actors {
		receive(t, done)
	}
	stopAndWait(t, system, root)
}
