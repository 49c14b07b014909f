package access

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"emqttd/actors/access/acl"
)

// Added is a module that was added to a chain while it runs. Its methods may be
// called from any goroutine, and do nothing once the module's place was taken.
type Added struct {
	chain *Chain
	step  *step              // written under the chain's adding
	stop  context.CancelFunc // of its Watch
}

// ErrTaken says that the chain has a module of that name.
var ErrTaken = errors.New("there is a module of that name already")

// Add has a module asked before those that are there, behind a Guard. It takes the
// place of one of its name that is suspended. Decisions that are kept are dropped, and
// connected clients are judged anew, as after a change of acl.conf.
func (c *Chain) Add(m Module, o GuardOptions) (*Added, error) {
	s := newStep(Guard(m, o))
	c.adding.Lock()
	steps := slices.Clone(c.line.Load().steps)
	at := slices.IndexFunc(steps, func(other *step) bool { return other.Name() == m.Name() })
	if at >= 0 && !steps[at].suspended() {
		c.adding.Unlock()
		return nil, fmt.Errorf("%s: %w", m.Name(), ErrTaken)
	}
	var err error
	if s.index, err = c.index(m.Name()); err != nil {
		c.adding.Unlock()
		return nil, err
	}
	if at >= 0 {
		steps[at] = s
	} else {
		steps = slices.Insert(steps, 0, s)
	}
	a := c.put(s, steps)
	c.adding.Unlock()
	c.Announce(Selector{})
	return a, nil
}

// put makes steps the line, and has s heard of changes. The caller holds adding.
func (c *Chain) put(s *step, steps []*step) *Added {
	c.line.Store(c.lineOf(steps))
	a := &Added{chain: c, step: s, stop: func() {}}
	if s.watcher != nil && c.context != nil {
		ctx, stop := context.WithCancel(c.context)
		a.stop = stop
		go c.listen(ctx, s)
	}
	return a
}

// index is the number of a module's name. The caller holds adding.
func (c *Chain) index(name string) (int16, error) {
	if i := slices.Index(c.names, name); i >= 0 {
		return int16(i), nil
	}
	if len(c.names) > math.MaxInt16 {
		return 0, fmt.Errorf("%s: there have been too many modules", name)
	}
	c.names = append(c.names, name)
	return int16(len(c.names) - 1), nil
}

// name is that of a module there is, or was.
func (c *Chain) name(index int16) string {
	c.adding.Lock()
	defer c.adding.Unlock()
	return c.names[index]
}

// Remove takes the module out. Clients that it let in stay, as they are.
func (a *Added) Remove() { a.replace(func(*step) *step { return nil }) }

// Suspend has one stand in the module's place that cannot answer, until a module of
// its name is added or this one is removed: nobody comes in meanwhile whom it would
// have kept out. It decides about topics if the module did.
func (a *Added) Suspend() {
	a.replace(func(s *step) *step {
		out := newStep(silent(s))
		out.index = s.index
		return out
	})
}

func (a *Added) replace(by func(*step) *step) {
	c := a.chain
	a.stop()
	c.adding.Lock()
	steps := slices.Clone(c.line.Load().steps)
	at := slices.Index(steps, a.step)
	if at < 0 {
		c.adding.Unlock()
		return
	}
	if with := by(a.step); with != nil {
		steps[at] = with
		a.step = with
	} else {
		steps = slices.Delete(steps, at, at+1)
	}
	c.line.Store(c.lineOf(steps))
	c.adding.Unlock()
	c.Announce(Selector{})
}

// errSuspended is what a module answers that is not there for the moment.
var errSuspended = errors.New("its plugin does not run")

// absent cannot answer about a CONNECT, absentJudge nor about a topic.
type (
	absent      struct{ name string }
	absentJudge struct{ absent }
)

func silent(s *step) Module {
	if s.judge != nil || s.rules != nil {
		return absentJudge{absent{s.Name()}}
	}
	return absent{s.Name()}
}

func (s *step) suspended() bool {
	switch s.Module.(type) {
	case absent, absentJudge:
		return true
	default:
		return false
	}
}

func (a absent) Name() string { return a.name }

func (absent) Authenticate(context.Context, *Credentials) (Result, error) {
	return Result{}, errSuspended
}

// Authorize implements Judge.
func (absentJudge) Authorize(context.Context, *Credentials, acl.Action, string) (Verdict, error) {
	return Ignore, errSuspended
}
