package access

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"

	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
)

// GuardOptions bound what a back end may cost. Zero fields have the values in
// parentheses.
type GuardOptions struct {
	// Timeout is how long a caller waits at most, for its turn and for all
	// attempts (5 s).
	Timeout time.Duration
	// Retries is how often a call that failed is made again (none).
	Retries int
	// Workers is the number of calls at one time (8), and Queue how many more may
	// wait (none).
	Workers, Queue int
	// BreakerFailures in a row (5) open the breaker: for BreakerDelay (1 s) all
	// calls are refused at once, then one tries.
	BreakerFailures int
	BreakerDelay    time.Duration
	// OnErrorIgnore answers Ignore, and no rules, while the back end cannot.
	OnErrorIgnore bool
	// OnPanic is told that the module panicked, which is an error for who asked. It
	// must not block. nil: nobody is told.
	OnPanic func(reason any)
}

func (o *GuardOptions) complete() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Workers, 8)
	def(&o.BreakerFailures, 5)
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.BreakerDelay == 0 {
		o.BreakerDelay = time.Second
	}
}

// Guarded is a Module behind a Guard.
type Guarded struct {
	module  Module
	o       GuardOptions
	breaker circuitbreaker.CircuitBreaker[any]
	exec    failsafe.Executor[any]
	calls   atomic.Int64 // under way and waiting
	guardCounters
}

// Errors of a Guard. The module was not asked, or has not answered.
var (
	ErrTimeout  = errors.New("the back end did not answer in time")
	ErrRejected = errors.New("too many calls wait for the back end")
	ErrOpen     = errors.New("the back end failed a moment ago and is left alone")
)

// attemptPause is the pause before a retry: enough for a connection that broke
// to be noticed, little for the client who waits.
const attemptPause = 20 * time.Millisecond

// Guard bounds the calls of a module in number and time, so that a dead back end
// costs its own clients a refusal, and those of others nothing. Each call runs on
// a goroutine of its own: the caller goes on after the time-out even if the module
// does not.
func Guard(m Module, o GuardOptions) *Guarded {
	o.complete()
	g := &Guarded{module: m, o: o}
	g.breaker = circuitbreaker.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return isFailure(err) }).
		WithFailureThreshold(uint(o.BreakerFailures)).WithSuccessThreshold(1).
		WithDelay(o.BreakerDelay).Build()
	again := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return isFailure(err) && !errors.Is(err, circuitbreaker.ErrOpen) }).
		WithMaxRetries(o.Retries).WithDelay(attemptPause).ReturnLastFailure().Build()
	g.exec = failsafe.With[any](again, g.breaker,
		bulkhead.NewBuilder[any](uint(o.Workers)).WithMaxWaitTime(o.Timeout).Build(),
		timeout.New[any](o.Timeout/time.Duration(o.Retries+1)))
	return g
}

// isFailure tells whether the back end is to blame. A client that went away is
// not its fault, nor is a long queue, nor one password that is stored wrongly: it
// may not keep the users of others out.
func isFailure(err error) bool {
	for _, other := range [...]error{nil, context.Canceled, bulkhead.ErrFull, hash.ErrStored, hash.ErrBusy} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// Name is the module's.
func (g *Guarded) Name() string { return g.module.Name() }

// Authenticate asks the module.
func (g *Guarded) Authenticate(ctx context.Context, c *Credentials) (Result, error) {
	r, err := call(g, ctx, c, g.module.Authenticate)
	if err != nil && g.o.OnErrorIgnore {
		return Result{Why: g.Name() + " cannot answer, and is ignored then"}, nil
	}
	return r, err
}

// Review asks the module, which is a Reviewer.
func (g *Guarded) Review(ctx context.Context, c *Credentials) (Result, error) {
	return call(g, ctx, c, g.module.(Reviewer).Review)
}

// Rules asks the module, which is a RuleSource.
func (g *Guarded) Rules(ctx context.Context, c *Credentials) ([]acl.Rule, error) {
	r, err := call(g, ctx, c, g.module.(RuleSource).Rules)
	if err != nil && g.o.OnErrorIgnore {
		return nil, nil
	}
	return r, err
}

// Authorize asks the module, which is a Judge.
func (g *Guarded) Authorize(ctx context.Context, c *Credentials, a acl.Action, topic string) (Verdict, error) {
	v, err := call(g, ctx, c, func(ctx context.Context, c *Credentials) (Verdict, error) {
		return g.module.(Judge).Authorize(ctx, c, a, topic)
	})
	if err != nil && g.o.OnErrorIgnore {
		return Ignore, nil
	}
	return v, err
}

// call runs f within the bounds.
func call[T any](g *Guarded, ctx context.Context, c *Credentials, f func(context.Context, *Credentials) (T, error)) (T, error) {
	var none T
	if g.breaker.IsOpen() && g.breaker.RemainingDelay() > 0 {
		g.open.Add(1)
		return none, ErrOpen
	}
	if g.calls.Add(1) > int64(g.o.Workers+g.o.Queue) {
		g.calls.Add(-1)
		g.rejected.Add(1)
		return none, ErrRejected
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	asked := *c // the caller may change its own when it goes on
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		defer g.calls.Add(-1)
		var o outcome
		o.err = g.exec.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) (err error) {
			o.v, err = safely(e.Context(), &asked, g.o.OnPanic, f)
			return err
		})
		done <- o
	}()
	select {
	case o := <-done:
		return o.v, g.judged(o.err)
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			g.breaker.RecordFailure() // the call under way says nothing
		}
		return none, g.judged(ctx.Err())
	}
}

// safely makes an error of a module's panic: it is not on an actor's goroutine,
// and would end the process.
func safely[T any](ctx context.Context, c *Credentials, told func(any), f func(context.Context, *Credentials) (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the module panicked: %v", p)
			if told != nil {
				told(p)
			}
		}
	}()
	return f(ctx, c)
}

// judged counts an error and gives it its name.
func (g *Guarded) judged(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, timeout.ErrExceeded), errors.Is(err, context.DeadlineExceeded):
		g.timeouts.Add(1)
		return ErrTimeout
	case errors.Is(err, bulkhead.ErrFull):
		g.rejected.Add(1)
		return ErrRejected
	case errors.Is(err, circuitbreaker.ErrOpen):
		g.open.Add(1)
		return ErrOpen
	}
	return err
}
