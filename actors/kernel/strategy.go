package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Backoff says how crashed children come back. Zero fields take the default.
type Backoff struct {
	// Min and Max bound the pause before a restart, which doubles with every
	// failure inside Window; a random part of it, up to a half, is taken off so
	// that actors which crash together do not come back together.
	// Defaults 10 ms and 1 s.
	Min, Max time.Duration

	// Limit is how many failures inside Window are answered by a restart; the
	// next one gives up. Limit pauses must fit into Window, or a child which
	// crashes at once would never be given up. Defaults 10 in 10 s, with which
	// it takes 3 to 4.3 s.
	Limit  int
	Window time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 10 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = max(time.Second, b.Min)
	}
	if b.Limit <= 0 {
		b.Limit = 10
	}
	if b.Window <= 0 {
		b.Window = 10 * time.Second
	}
	return b
}

// pause returns the longest pause after the n-th failure, counted from 1.
func (b Backoff) pause(n int) time.Duration {
	d := b.Min
	for ; n > 1 && d < b.Max; n-- {
		d *= 2
	}
	return min(d, b.Max)
}

// longest returns how long Limit pauses take together at most.
func (b Backoff) longest() time.Duration {
	var sum time.Duration
	for n := 1; n <= b.Limit; n++ {
		sum += b.pause(n)
	}
	return sum
}

// GaveUp is the reason of a failure that restarts have not cured.
type GaveUp struct {
	Child string // id of the actor
	Err   error  // its last failure
}

// Error names the actor and the last failure.
func (g *GaveUp) Error() string { return fmt.Sprintf("gave up on %s: %v", g.Child, g.Err) }

// Unwrap returns the last failure.
func (g *GaveUp) Unwrap() error { return g.Err }

// Strategy restarts crashed children one by one after a growing pause. The
// crashed child's queue is kept; its parent goes on working meanwhile. A child
// which crashed too often is stopped, and so is a Supervisor which gave up
// itself: the restarts below it have been tried already. Killed children are
// restarted at once and not counted.
//
// One Strategy may serve any number of parents.
type Strategy struct {
	backoff Backoff

	mu      sync.Mutex
	records map[*actor.RestartStatistics]*record // of children which failed within Window
}

// record is what is remembered of a child's failures. The framework's own
// RestartStatistics keeps every failure for ever; here it only is the key.
type record struct {
	failures []time.Time
	waiting  bool // a restart is scheduled
}

var defaultStrategy = NewStrategy(Backoff{})

// NewStrategy returns a strategy which restarts with b. It panics if b would
// never give up.
func NewStrategy(b Backoff) *Strategy {
	b = b.withDefaults()
	if b.longest() >= b.Window {
		panic(fmt.Sprintf("kernel: %d pauses take %v, which is not within %v: such a back-off never gives up",
			b.Limit, b.longest(), b.Window))
	}
	return &Strategy{backoff: b, records: make(map[*actor.RestartStatistics]*record)}
}

// HandleFailure is called by the framework on the parent's goroutine.
func (s *Strategy) HandleFailure(system *actor.ActorSystem, parent actor.Supervisor, child *actor.PID,
	rs *actor.RestartStatistics, reason, message any,
) {
	boss := overseerOf(parent)
	if boss != nil && !boss.mayRestart(child, reason) {
		if !isStartError(reason) { // which is told to who asked for the start
			logCrash(system, child, reason, message, "stop")
		}
		parent.StopChildren(child)
		return
	}
	if _, killed := reason.(Killed); killed {
		logCrash(system, child, reason, message, "restart")
		s.restart(system, child, rs, 0)
		return
	}
	failures := s.fail(rs, time.Now())
	var below *GaveUp
	err, _ := reason.(error)
	if failures > s.backoff.Limit || errors.As(err, &below) {
		logCrash(system, child, reason, message, "give up", slog.Int("failures", failures))
		s.forget(rs)
		if boss != nil {
			boss.gaveUp(child, reasonError(reason))
		}
		parent.StopChildren(child)
		return
	}
	longest := s.backoff.pause(failures)
	pause := longest - rand.N(longest/2+1)
	logCrash(system, child, reason, message, "restart", slog.Int("failures", failures), slog.Duration("pause", pause))
	s.restart(system, child, rs, pause)
}

// fail counts a failure and returns how many there were within the window. It
// forgets children which have been well for as long.
func (s *Strategy) fail(rs *actor.RestartStatistics, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.recordOf(rs)
	r.failures = append(r.failures, now)
	for rs, r := range s.records {
		for len(r.failures) > 0 && now.Sub(r.failures[0]) >= s.backoff.Window {
			r.failures = r.failures[1:]
		}
		if len(r.failures) == 0 && !r.waiting {
			delete(s.records, rs)
		}
	}
	return len(r.failures)
}

func (s *Strategy) recordOf(rs *actor.RestartStatistics) *record {
	r := s.records[rs]
	if r == nil {
		r = new(record)
		s.records[rs] = r
	}
	return r
}

func (s *Strategy) forget(rs *actor.RestartStatistics) {
	s.mu.Lock()
	delete(s.records, rs)
	s.mu.Unlock()
}

// restart restarts child after pause, unless it is waiting for that already. If
// the child has ended by then nothing happens, not even if another has got its
// name: the process is compared.
func (s *Strategy) restart(system *actor.ActorSystem, child *actor.PID, rs *actor.RestartStatistics, pause time.Duration) {
	process, alive := system.ProcessRegistry.GetLocal(child.Id)
	if !alive {
		return
	}
	if pause == 0 {
		process.SendSystemMessage(child, &actor.Restart{})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.recordOf(rs)
	if r.waiting {
		return
	}
	r.waiting = true
	time.AfterFunc(pause, func() {
		s.mu.Lock()
		r.waiting = false
		s.mu.Unlock()
		if current, alive := system.ProcessRegistry.GetLocal(child.Id); alive && current == process {
			process.SendSystemMessage(child, &actor.Restart{})
		}
	})
}

// stopStrategy is for children which cannot be restarted: a socket is gone, and
// what is left of a session cannot be trusted.
type stopStrategy struct{}

// StopStrategy returns the strategy which stops a crashed child.
func StopStrategy() actor.SupervisorStrategy { return stopStrategy{} }

func (stopStrategy) HandleFailure(system *actor.ActorSystem, parent actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, message any,
) {
	logCrash(system, child, reason, message, "stop")
	parent.StopChildren(child)
}

// logCrash is the only place which tells of a crash.
func logCrash(system *actor.ActorSystem, child *actor.PID, reason, message any, then string, attrs ...any) {
	args := append([]any{
		slog.String("actor", child.GetId()),
		slog.String("reason", reasonError(reason).Error()),
		slog.String("then", then),
	}, attrs...)
	if _, killed := reason.(Killed); killed {
		system.Logger().Info("actor killed", args...)
		return
	}
	args = append(args, slog.String("message", fmt.Sprintf("%T", unwrap(message))))
	if p, ok := reason.(*Panic); ok {
		args = append(args, slog.String("kind", p.Kind))
		if !quiet(reason) {
			args = append(args, slog.String("stack", string(p.Stack)))
		}
	}
	system.Logger().Error("actor crashed", args...)
}

func reasonError(reason any) error {
	if p, ok := reason.(*Panic); ok {
		if inner := p.Unwrap(); inner != nil {
			return inner
		}
		return p
	}
	if err, ok := reason.(error); ok {
		return err
	}
	return fmt.Errorf("%v", reason)
}

// overseer is implemented by actors which want a say in their children's fate.
// Both methods run on the parent's goroutine.
type overseer interface {
	// mayRestart is asked before the strategy decides; false stops the child.
	mayRestart(child *actor.PID, reason any) bool
	// gaveUp is told before the child is stopped for good.
	gaveUp(child *actor.PID, err error)
}

func overseerOf(parent actor.Supervisor) overseer {
	parts, ok := parent.(contextParts)
	if !ok {
		return nil
	}
	g, ok := parts.Actor().(*guard)
	if !ok {
		return nil
	}
	boss, _ := g.inner.(overseer)
	return boss
}
