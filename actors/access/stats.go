package access

import (
	"sync/atomic"
	"time"
)

// ModuleStats are what a module has answered so far.
type ModuleStats struct {
	Name string `json:"name"`
	// OK, Denied and Ignored count CONNECTs by the module's answer.
	OK      uint64 `json:"ok"`
	Denied  uint64 `json:"denied"`
	Ignored uint64 `json:"ignored"`
	// Errors counts all questions that it could not answer; of these Timeouts took
	// too long, Rejected found too many others waiting, and Open came while it was
	// left alone.
	Errors   uint64 `json:"errors"`
	Timeouts uint64 `json:"timeouts"`
	Rejected uint64 `json:"rejected"`
	Open     uint64 `json:"open"`
	// Calls are under way or wait.
	Calls int `json:"calls"`
	// Breaker is closed, half-open or open; empty for a module without a Guard.
	Breaker string `json:"breaker,omitempty"`
}

// counters of a step.
type counters struct {
	ok, denied, ignored, errors atomic.Uint64
	logged                      atomic.Int64
}

type guardCounters struct{ timeouts, rejected, open atomic.Uint64 }

func (c *counters) count(v Verdict, err error) {
	switch {
	case err != nil:
		c.errors.Add(1)
	case v == Allow:
		c.ok.Add(1)
	case v == Deny:
		c.denied.Add(1)
	default:
		c.ignored.Add(1)
	}
}

// logEvery keeps a dead back end from filling the log.
const logEvery = 10 * time.Second

func (c *counters) mayLog(now time.Time) bool {
	last, n := c.logged.Load(), now.UnixNano()
	return n-last > int64(logEvery) && c.logged.CompareAndSwap(last, n)
}

// Stats are the counters of all modules in their order.
func (c *Chain) Stats() []ModuleStats {
	steps := c.line.Load().steps
	all := make([]ModuleStats, len(steps))
	for i, s := range steps {
		all[i] = ModuleStats{
			Name: s.Name(), OK: s.ok.Load(), Denied: s.denied.Load(), Ignored: s.ignored.Load(), Errors: s.errors.Load(),
		}
		if g := s.guard; g != nil {
			all[i].Timeouts, all[i].Rejected, all[i].Open = g.timeouts.Load(), g.rejected.Load(), g.open.Load()
			all[i].Calls, all[i].Breaker = int(g.calls.Load()), g.breaker.State().String()
		}
	}
	return all
}
