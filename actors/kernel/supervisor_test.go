package kernel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// story collects what happens in a tree, in order.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *story) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

// told describes a child which tells of its start and its end; both take time.
func (s *story) told(name string) ChildSpec {
	return ChildSpec{Name: name, Props: propsOf(funcActor{
		start: func(ctx actor.Context) error {
			time.Sleep(5 * time.Millisecond)
			s.add("+%s", name)
			return nil
		},
		receive: func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Stopped:
				time.Sleep(5 * time.Millisecond)
				s.add("-%s", name)
			case *plain:
				if m.boom {
					panic("boom " + name)
				}
				s.add("%s:%d", name, m.id)
			}
		},
	})}
}

func (s *story) failing(name string, err error) ChildSpec {
	return ChildSpec{Name: name, Props: propsOf(funcActor{
		start: func(actor.Context) error { return err },
	})}
}

func TestATreeStartsInOrderAndStopsInReverse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{
			s.told("a"),
			{Name: "sub", Props: Supervisor([]ChildSpec{s.told("b"), s.told("c")})},
			s.told("d"),
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, s.take(), "+a", "+b", "+c", "+d")
		stopAndWait(t, system, root)
		expect(t, s.take(), "-d", "-c", "-b", "-a")
		stopAndWait(t, system, root)
	})
}

func TestAStartErrorAbortsTheWholeStart(t *testing.T) {
	for name, broken := range map[string]func(*story) ChildSpec{
		"direct": func(s *story) ChildSpec { return s.failing("x", errTest) },
		"nested": func(s *story) ChildSpec {
			return ChildSpec{Name: "x", Props: Supervisor([]ChildSpec{s.told("b"), s.failing("y", errTest), s.told("z")})}
		},
		"panic": func(*story) ChildSpec {
			return ChildSpec{Name: "x", Props: propsOf(funcActor{start: func(actor.Context) error { panic(errTest) }})}
		},
		"producer": func(*story) ChildSpec {
			return ChildSpec{Name: "x", Props: NewProps(func() actor.Actor { panic(errTest) })}
		},
		"later": func(*story) ChildSpec {
			return ChildSpec{Name: "x", Props: NewProps(func() actor.Actor { return lateFailure{} })}
		},
		"by message": func(*story) ChildSpec {
			return ChildSpec{Name: "x", Props: propsOf(funcActor{start: func(ctx actor.Context) error {
				ctx.Send(ctx.Parent(), &StartFailed{Who: ctx.Self(), Err: errTest})
				return nil
			}})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var s story
				system, log := newSystem()
				_, err := StartRoot(system, "node", []ChildSpec{s.told("a"), broken(&s), s.told("c")}, func(err error) {
					t.Errorf("gave up: %v", err)
				})
				if err == nil || !strings.Contains(err.Error(), "test") || !strings.Contains(err.Error(), "start x: ") {
					t.Errorf("got %v", err)
				}
				if name != "producer" && !errors.Is(err, errTest) {
					t.Errorf("%v hides its cause", err)
				}
				lines := s.take()
				if len(lines) < 2 || lines[0] != "+a" || lines[len(lines)-1] != "-a" {
					t.Errorf("story: %v", lines)
				}
				if crashes := strings.Count(log.String(), "actor crashed"); (name == "panic") != (crashes == 1) || crashes > 1 {
					t.Errorf("log:\n%s", log)
				}
			})
		})
	}
}

// lateFailure says only after its start that it cannot.
type lateFailure struct{}

func (lateFailure) Receive(actor.Context)        {}
func (lateFailure) WhenStarted(done func(error)) { go done(errTest) }

func TestARootNameThatIsTakenIsAnError(t *testing.T) {
	system, _ := newSystem()
	root, err := StartRoot(system, "node", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartRoot(system, "node", nil, nil); !errors.Is(err, actor.ErrNameExists) {
		t.Errorf("got %v", err)
	}
	stopAndWait(t, system, root)
}

func TestACrashedChildComesBackWithItsQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, log := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{s.told("a"), s.told("b")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		a := system.NewLocalPID("node/a")
		for i, boom := range []bool{false, true, false, false} {
			system.Root.Send(a, &plain{id: i, boom: boom})
		}
		time.Sleep(time.Second)
		expect(t, s.take(), "a:0", "+a", "a:2", "a:3")
		if out := log.String(); !strings.Contains(out, `reason="boom a" then=restart failures=1`) || strings.Count(out, "actor crashed") != 1 {
			t.Errorf("log:\n%s", out)
		}
		if d, err := Inspect(system, "node/a"); err != nil || d.Restarts != 1 || d.Suspended {
			t.Errorf("%+v, %v", d, err)
		}
		stopAndWait(t, system, root)
	})
}

func TestAChildThatCrashesForEverEndsTheNode(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested=%v", nested), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var s story
				system, _ := newSystem()
				gaveUp := make(chan error, 10)
				hopeless := ChildSpec{Name: "x", Props: propsOf(funcActor{receive: func(ctx actor.Context) {
					switch ctx.Message().(type) {
					case *plain, *actor.Restarting:
						s.add("crash")
						ctx.Send(ctx.Self(), &plain{})
						panic(errTest)
					}
				}})}
				if nested {
					hopeless = ChildSpec{Name: "sub", Props: Supervisor([]ChildSpec{hopeless})}
				}
				root, err := StartRoot(system, "node", []ChildSpec{s.told("a"), hopeless, s.told("b")}, func(err error) { gaveUp <- err })
				if err != nil {
					t.Fatal(err)
				}
				s.take()
				begin := time.Now()
				victim := "node/x"
				if nested {
					victim = "node/sub/x"
				}
				system.Root.Send(system.NewLocalPID(victim), &plain{})
				err = <-gaveUp
				took := time.Since(begin)
				var cause *GaveUp
				if !errors.As(err, &cause) || !errors.Is(err, errTest) || !strings.Contains(err.Error(), victim) {
					t.Errorf("gave up with %v", err)
				}
				if took < 2*time.Second || took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				stopAndWait(t, system, root)
				if len(gaveUp) > 0 {
					t.Errorf("gave up again: %v", <-gaveUp)
				}
			})
		})
	}
}

func TestAPermanentChildThatEndsByItselfEndsTheNode(t *testing.T) {
	system, _ := newSystem()
	gaveUp := make(chan error, 1)
	root, err := StartRoot(system, "node", []ChildSpec{{Name: "x", Props: propsOf(funcActor{})}}, func(err error) { gaveUp <- err })
	if err != nil {
		t.Fatal(err)
	}
	system.Root.Stop(system.NewLocalPID("node/x"))
	if err := receive(t, gaveUp); !errors.Is(err, errEnded) {
		t.Errorf("got %v", err)
	}
	stopAndWait(t, system, root)
}

func TestTransientAndTemporaryChildrenAreNotMissed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		transient, temporary := s.told("transient"), s.told("temporary")
		transient.Restart, temporary.Restart = Transient, Temporary
		root, err := StartRoot(system, "node", []ChildSpec{transient, temporary}, func(err error) { t.Errorf("gave up: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		system.Root.Send(system.NewLocalPID("node/temporary"), &plain{boom: true})
		time.Sleep(time.Second)
		expect(t, s.take(), "-temporary")
		system.Root.Send(system.NewLocalPID("node/transient"), &plain{boom: true})
		time.Sleep(time.Second)
		expect(t, s.take(), "+transient")
		system.Root.Stop(system.NewLocalPID("node/transient"))
		time.Sleep(time.Second)
		expect(t, s.take(), "-transient")
		node, err := Tree(system, root, time.Second)
		if err != nil || node.ChildCount != 0 || node.Restarts != 0 {
			t.Errorf("%+v, %v", node, err)
		}
		stopAndWait(t, system, root)
	})
}

func TestAKilledSupervisorRestartsItsChildrenInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{
			s.told("a"), {Name: "sub", Props: Supervisor([]ChildSpec{s.told("b"), s.told("c")})},
		}, func(err error) { t.Errorf("gave up: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		for range 50 { // an operator's kill does not count
			if err := KillByID(system, "node/sub"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			expect(t, s.take(), "-c", "-b", "+b", "+c")
		}
		if err := KillByID(system, "node"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect(t, s.take(), "-c", "-b", "-a", "+a", "+b", "+c")
		stopAndWait(t, system, root)
		expect(t, s.take(), "-c", "-b", "-a")
	})
}

func TestAStopDuringABackOffIsFinal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{s.told("a")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		a := system.NewLocalPID("node/a")
		system.Root.Send(a, &plain{boom: true})
		synctest.Wait() // crashed and waiting for its restart
		stopAndWait(t, system, root)
		time.Sleep(time.Minute)
		expect(t, s.take(), "-a")
	})
}

func TestAStopDuringARestartInOrderWins(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{s.told("a"), s.told("b")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		if err := KillByID(system, "node"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // b is stopping now
		system.Root.Stop(root)
		stopAndWait(t, system, root)
		expect(t, s.take(), "-b", "-a")
	})
}

func TestChildrenCanBeAddedAndRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var s story
		system, _ := newSystem()
		root, err := StartRoot(system, "node", []ChildSpec{s.told("a")}, func(err error) { t.Errorf("gave up: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 1)
		add := func(spec ChildSpec) error {
			system.Root.Send(root, &AddChild{Spec: spec, Reply: func(pid *actor.PID, err error) {
				if (pid == nil) != (err != nil) {
					t.Errorf("replied %v and %v", pid, err)
				}
				errs <- err
			}})
			return <-errs
		}
		remove := func(name string) error {
			system.Root.Send(root, &RemoveChild{Name: name, Reply: func(err error) { errs <- err }})
			return <-errs
		}
		for _, c := range []struct {
			what string
			got  error
			want error
		}{
			{"add b", add(s.told("b")), nil},
			{"add b again", add(s.told("b")), ErrChildExists},
			{"add what cannot start", add(s.failing("c", errTest)), errTest},
			{"add it once more", add(s.told("c")), nil},
			{"remove b", remove("b"), nil},
			{"remove b again", remove("b"), ErrNoChild},
			{"remove a, which is permanent", remove("a"), nil},
			{"add b at last", add(s.told("b")), nil},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
			}
		}
		stopAndWait(t, system, root)
		expect(t, s.take(), "+a", "+b", "+c", "-b", "-a", "+b", "-b", "-c")
	})
}

func TestStopRootGivesUpWithItsContext(t *testing.T) {
	system, _ := newSystem()
	leave := make(chan struct{})
	root, err := StartRoot(system, "node", []ChildSpec{{Name: "x", Props: propsOf(funcActor{receive: func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Stopping); ok {
			<-leave
		}
	}})}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := StopRoot(ctx, system, root); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(leave)
	stopAndWait(t, system, root)
}
