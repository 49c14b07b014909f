package kernel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func TestPausesDoubleUpToTheMaximum(t *testing.T) {
	b := Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}.withDefaults()
	for n, want := range []int{10, 10, 20, 40, 80, 100, 100} {
		if got := b.pause(n); n > 0 && got != time.Duration(want)*time.Millisecond {
			t.Errorf("pause %d is %v, want %d ms", n, got, want)
		}
	}
	if got := (Backoff{}).withDefaults().longest(); got != 4270*time.Millisecond {
		t.Errorf("by default it takes up to %v to give up", got)
	}
}

func TestABackOffThatNeverGivesUpIsRefused(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was accepted")
		}
	}()
	NewStrategy(Backoff{Max: 5 * time.Second})
}

func TestFailuresOutsideTheWindowAreForgotten(t *testing.T) {
	s := NewStrategy(Backoff{})
	now := time.Now()
	a, b := actor.NewRestartStatistics(), actor.NewRestartStatistics()
	for i := range 100 {
		if got := s.fail(a, now.Add(time.Duration(i)*4*time.Second)); got > 3 {
			t.Fatalf("%d failures within ten seconds", got)
		}
	}
	s.fail(b, now.Add(time.Hour))
	if len(s.records) != 1 || cap(s.records[b].failures) > 4 {
		t.Errorf("%d records", len(s.records))
	}
}

// crashes describes a child which crashes on every plain message and tells
// when it starts.
func crashes(started chan<- time.Time) ChildSpec {
	return ChildSpec{Name: "x", Props: propsOf(funcActor{
		start: func(actor.Context) error { started <- time.Now(); return nil },
		receive: func(ctx actor.Context) {
			if _, ok := ctx.Message().(*plain); ok {
				panic("again")
			}
		},
	})}
}

func TestTheParentWorksWhileAChildWaitsForItsRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		system, _ := newSystem()
		started := make(chan time.Time, 100)
		s := NewStrategy(Backoff{Min: 100 * time.Second, Max: 1000 * time.Second, Limit: 3, Window: time.Hour})
		root := Supervisor([]ChildSpec{crashes(started)}, WithStrategy(s))
		pid, err := StartRoot(system, "node", []ChildSpec{{Name: "sub", Props: root}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-started
		x := system.NewLocalPID("node/sub/x")
		for _, longest := range []time.Duration{100 * time.Second, 200 * time.Second, 400 * time.Second} {
			crashed := time.Now()
			system.Root.Send(x, &plain{})
			synctest.Wait()
			flush(t, system, system.NewLocalPID("node/sub"))
			if !time.Now().Equal(crashed) {
				t.Error("the parent was held up")
			}
			if d, err := Inspect(system, "node/sub/x"); err != nil || !d.Suspended || d.Silent {
				t.Errorf("%+v, %v", d, err)
			}
			if pause := (<-started).Sub(crashed); pause < longest/2 || pause > longest {
				t.Errorf("restarted after %v, want %v to %v", pause, longest/2, longest)
			}
			synctest.Wait()
		}
		stopAndWait(t, system, pid)
	})
}

func TestARestartDoesNotHitAnotherOfTheSameName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		system, _ := newSystem()
		started := make(chan time.Time, 100)
		root, err := StartRoot(system, "node", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		spec := crashes(started)
		replies := make(chan error, 1)
		add := &AddChild{Spec: spec, Reply: func(_ *actor.PID, err error) { replies <- err }}
		system.Root.Send(root, add)
		if err := <-replies; err != nil {
			t.Fatal(err)
		}
		system.Root.Send(system.NewLocalPID("node/x"), &plain{})
		synctest.Wait()
		system.Root.Send(root, &RemoveChild{Name: "x", Reply: func(err error) { replies <- err }})
		if err := <-replies; err != nil {
			t.Fatal(err)
		}
		system.Root.Send(root, add)
		if err := <-replies; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(started) != 2 {
			t.Errorf("%d starts, want 2", len(started))
		}
		stopAndWait(t, system, root)
	})
}
