package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
)

// scripted is a module whose answer is a function of how often it was asked.
func scripted(answer func(ctx context.Context, n int) error) *fake {
	var n atomic.Int64
	return &fake{"m", func(ctx context.Context, _ *Credentials) (Result, error) {
		err := answer(ctx, int(n.Add(1)))
		return Result{Verdict: Allow}, err
	}}
}

func TestACallIsMadeAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		g := Guard(scripted(func(_ context.Context, n int) error {
			if times = n; n < 3 {
				return errDown
			}
			return nil
		}), GuardOptions{Retries: 2})
		if r, err := g.Authenticate(context.Background(), &Credentials{}); err != nil || r.Verdict != Allow || times != 3 {
			t.Errorf("%v, %v after %d attempts", r, err, times)
		}
	})
}

func TestACallerWaitsForTheTimeoutAndNoLonger(t *testing.T) {
	for name, heeds := range map[string]bool{"a module that heeds its context": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				g := Guard(scripted(func(ctx context.Context, _ int) error {
					if heeds {
						<-ctx.Done()
						return ctx.Err()
					}
					<-end
					return nil
				}), GuardOptions{Timeout: 2 * time.Second, Retries: 1})
				began := time.Now()
				_, err := g.Authenticate(context.Background(), &Credentials{})
				if took := time.Since(began); !errors.Is(err, ErrTimeout) || took > 2*time.Second || took < time.Second {
					t.Errorf("%v after %s", err, took)
				}
				if g.timeouts.Load() != 1 {
					t.Errorf("%d time-outs", g.timeouts.Load())
				}
				close(end)
			})
		})
	}
}

func TestTheBreakerOpensAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, asked := true, 0
		g := Guard(scripted(func(_ context.Context, n int) error {
			if asked = n; down {
				return errDown
			}
			return nil
		}), GuardOptions{BreakerFailures: 3, BreakerDelay: time.Second})
		ask := func() error {
			_, err := g.Authenticate(context.Background(), &Credentials{})
			return err
		}
		for range 3 {
			if err := ask(); !errors.Is(err, errDown) {
				t.Errorf("%v", err)
			}
		}
		for range 5 {
			if err := ask(); !errors.Is(err, ErrOpen) {
				t.Errorf("open: %v", err)
			}
		}
		if asked != 3 || g.open.Load() != 5 {
			t.Errorf("asked %d times, %d refused", asked, g.open.Load())
		}
		time.Sleep(time.Second)
		if err := ask(); !errors.Is(err, errDown) || asked != 4 {
			t.Errorf("half-open: %v", err)
		}
		if err := ask(); !errors.Is(err, ErrOpen) {
			t.Errorf("open again: %v", err)
		}
		time.Sleep(time.Second)
		down = false
		for range 2 {
			if err := ask(); err != nil {
				t.Errorf("recovered: %v", err)
			}
		}
	})
}

func TestOnlySoManyCallsRunAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var running, most atomic.Int64
		g := Guard(scripted(func(context.Context, int) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-end
			running.Add(-1)
			return nil
		}), GuardOptions{Workers: 2, Queue: 3})
		var all sync.WaitGroup
		var good, rejected atomic.Int64
		for range 10 {
			all.Go(func() {
				_, err := g.Authenticate(context.Background(), &Credentials{})
				switch {
				case err == nil:
					good.Add(1)
				case errors.Is(err, ErrRejected):
					rejected.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if running.Load() != 2 || rejected.Load() != 5 {
			t.Errorf("%d run, %d are rejected", running.Load(), rejected.Load())
		}
		close(end)
		all.Wait()
		if good.Load() != 5 || most.Load() != 2 || g.rejected.Load() != 5 {
			t.Errorf("%d good, at most %d at one time, %d rejected", good.Load(), most.Load(), g.rejected.Load())
		}
	})
}

func TestADeadBackEndDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := Guard(&fake{"dead", func(ctx context.Context, c *Credentials) (Result, error) {
			if c.Username == "other" {
				return Result{}, nil
			}
			<-ctx.Done()
			return Result{}, ctx.Err()
		}}, GuardOptions{Timeout: 5 * time.Second, Workers: 1})
		c := NewChain(Options{Modules: []Module{Sources([]SourceRule{{Allow: true, Username: "source"}}), dead}})
		began := time.Now()
		for range 100 {
			if d := c.Authenticate(&Credentials{}); d != Accept {
				t.Error(d)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("%s", took)
		}
		only := NewChain(Options{Modules: []Module{dead}})
		began = time.Now()
		for range 100 {
			if d := only.Authenticate(&Credentials{}); d != Unavailable {
				t.Error(d)
			}
		}
		// Five time-outs open the breaker, and the others are refused at once.
		if took := time.Since(began); took > 5*5*time.Second {
			t.Errorf("%s", took)
		}
	})
}

func TestAClientThatGoesAwayIsNotTheBackEndsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Guard(scripted(func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}), GuardOptions{BreakerFailures: 1})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := g.Authenticate(ctx, &Credentials{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if !g.breaker.IsClosed() || g.timeouts.Load() != 0 {
			t.Error("the back end is blamed")
		}
	})
}

func TestAPasswordThatIsStoredWronglyKeepsNobodyElseOut(t *testing.T) {
	g := Guard(scripted(func(context.Context, int) error { return fmt.Errorf("user x: %w", hash.ErrStored) }), GuardOptions{BreakerFailures: 1, Retries: 3})
	for range 3 {
		if _, err := g.Authenticate(context.Background(), &Credentials{}); !errors.Is(err, hash.ErrStored) {
			t.Error(err)
		}
	}
	if !g.breaker.IsClosed() {
		t.Error("the back end is left alone")
	}
}

func TestAPanicOfAModuleIsAnError(t *testing.T) {
	g := Guard(scripted(func(context.Context, int) error { panic("lost") }), GuardOptions{})
	if _, err := g.Authenticate(context.Background(), &Credentials{}); err == nil || err.Error() != "the module panicked: lost" {
		t.Error(err)
	}
}

// whole is a module that can do everything.
type whole struct {
	ruled
	err error
}

func (w *whole) Review(context.Context, *Credentials) (Result, error) {
	return Result{Verdict: Allow, Superuser: true}, w.err
}

func (w *whole) Authorize(context.Context, *Credentials, acl.Action, string) (Verdict, error) {
	return Allow, w.err
}

func TestAGuardIsWhatItsModuleIs(t *testing.T) {
	w := &whole{ruled: ruled{fake: *says("w", Allow), text: `{allow, all}.`}}
	s := newStep(Guard(w, GuardOptions{}))
	if s.rules == nil || s.judge == nil || s.reviewer == nil || s.watcher != nil {
		t.Errorf("%+v", s)
	}
	if s := newStep(Guard(says("x", Allow), GuardOptions{})); s.rules != nil || s.judge != nil || s.reviewer != nil {
		t.Errorf("%+v", s)
	}
	ctx, cred := context.Background(), &Credentials{}
	if r, err := s.reviewer.Review(ctx, cred); !r.Superuser || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := s.rules.Rules(ctx, cred); len(r) != 1 || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	if v, err := s.judge.Authorize(ctx, cred, acl.Publish, "a"); v != Allow || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	w.err = errDown
	w.set("", errDown)
	for ignore, want := range map[bool]error{true: nil, false: errDown} {
		g := Guard(w, GuardOptions{OnErrorIgnore: ignore})
		if r, err := g.Rules(ctx, cred); r != nil || !errors.Is(err, want) {
			t.Errorf("ignore %t: rules %v, %v", ignore, r, err)
		}
		if v, err := g.Authorize(ctx, cred, acl.Publish, "a"); ignore && v != Ignore || !errors.Is(err, want) {
			t.Errorf("ignore %t: %v, %v", ignore, v, err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	g := Guard(says("m", Allow), GuardOptions{Retries: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Authenticate(context.Background(), &Credentials{}); err != nil {
			b.Fatal(err)
		}
	}
}
