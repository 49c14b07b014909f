package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// RestartPolicy says what becomes of a child that crashes or ends.
type RestartPolicy uint8

// The policies, as in OTP.
const (
	Permanent RestartPolicy = iota // restarted; given up or ended: the parent escalates
	Transient                      // restarted; given up or ended: it is gone, the parent goes on
	Temporary                      // never restarted
)

// ChildSpec describes one child of a Supervisor.
type ChildSpec struct {
	Name    string // unique among its siblings; the id is the parent's id + "/" + Name
	Props   *actor.Props
	Restart RestartPolicy
}

// AddChild asks a running Supervisor to start one more child, which becomes the
// last one and so the first to be stopped. Reply, if not nil, is called on the
// Supervisor's goroutine once the child has started (or why not); it must
// neither block nor panic. Added children are not started again when the
// Supervisor itself is restarted.
type AddChild struct {
	Spec  ChildSpec
	Reply func(*actor.PID, error)
}

// RemoveChild asks a Supervisor to stop a child. Reply, if not nil, is called
// on the Supervisor's goroutine once it has ended; it must neither block nor
// panic.
type RemoveChild struct {
	Name  string
	Reply func(error)
}

// StartFailed is sent by a child to its Supervisor when it finds, in a later
// turn, that it cannot start; the Supervisor then acts as if Starter.Start had
// returned Err. It only matters until the child has started.
type StartFailed struct {
	Who *actor.PID
	Err error
}

// Errors given to Reply functions.
var (
	ErrNotRunning  = errors.New("supervisor is not running")
	ErrNoChild     = errors.New("no such child")
	ErrChildExists = errors.New("child exists")
	errEnded       = errors.New("ended by itself")
)

// Supervisor describes an actor which starts its children in the order of
// specs, each after the one before has started, and stops them in reverse
// order, each after the one behind it has ended. If one cannot start those
// before it are stopped and the start fails as a whole. opts may change the
// strategy and the mailbox.
//
// When a Permanent child has been given up or ends by itself the Supervisor
// crashes with *GaveUp, which no parent cures by a restart: it goes up to the
// root, or to a parent for which the Supervisor is not Permanent.
func Supervisor(specs []ChildSpec, opts ...Option) *actor.Props {
	return supervisorProps(specs, nil, opts)
}

func supervisorProps(specs []ChildSpec, onStart func(actor.Context), opts []Option) *actor.Props {
	specs = slices.Clone(specs)
	return NewProps(func() actor.Actor {
		return &supervisor{specs: specs, onStart: onStart}
	}, append([]Option{ordered}, opts...)...)
}

func ordered(s *settings)   { s.mailbox.ordered = true }
func unordered(s *settings) { s.mailbox.ordered = false }

// supervisor's life: starting → running → ending; starting → ending.
type supervisor struct {
	specs    []ChildSpec
	onStart  func(actor.Context) // tells an owner where the actor lives; may be nil
	phase    phase
	next     int           // starting: the first spec that is not started yet
	children []*child      // in start order
	waiting  []func(error) // who wants to know how the start ended
	startErr error         // why the start failed
	then     ending        // ending: what follows when all children have ended
}

type phase uint8

const (
	starting phase = iota
	running
	ended
)

type ending uint8

const (
	stopSelf ending = iota
	restartSelf
	frameworks // the framework stops all children at once and goes on by itself
)

// child is a running child.
type child struct {
	spec     ChildSpec
	pid      *actor.PID
	started  func(error) // called when the start has ended; nil afterwards
	removed  []func(error)
	stopping bool
	gone     bool  // it has ended before it was known whether it had started
	err      error // why it was given up, or could not start
}

// childStarted is sent to the supervisor itself when a child has answered.
type childStarted struct {
	child *child
	err   error
}

// stopInOrder and restartInOrder come from the mailbox in place of the
// framework's Stop and Restart. When the children have ended the supervisor
// sends itself stopNow or restartNow, which the mailbox turns into the real one.
type (
	stopInOrder    struct{}
	restartInOrder struct{}
	stopNow        struct{}
	restartNow     struct{}
)

var (
	stopInOrderMessage    any = &stopInOrder{}
	restartInOrderMessage any = &restartInOrder{}
	stopNowMessage        any = &stopNow{}
	restartNowMessage     any = &restartNow{}
)

// Receive dispatches by message.
func (s *supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if s.onStart != nil {
			s.onStart(ctx)
		}
		s.startNext(ctx)
	case *childStarted:
		s.onChildStarted(ctx, m.child, m.err)
	case *StartFailed:
		if m.Who != nil {
			if c := s.find(m.Who.Id); c != nil {
				s.onChildStarted(ctx, c, m.Err)
			}
		}
	case *actor.Terminated:
		s.onTerminated(ctx, m.Who)
	case *AddChild:
		s.onAdd(ctx, m)
	case *RemoveChild:
		s.onRemove(ctx, m)
	case *stopInOrder:
		s.end(ctx, stopSelf)
	case *restartInOrder:
		s.end(ctx, restartSelf)
	case *actor.Stopping, *actor.Restarting:
		if s.phase != ended { // not ordered: the framework stops the children
			s.end(ctx, frameworks)
		}
	case *actor.Stopped:
	default:
		ctx.Logger().Warn("unexpected message", slog.String("actor", ctx.Self().Id), slog.String("message", fmt.Sprintf("%T", m)))
	}
}

// WhenStarted implements LateStarter.
func (s *supervisor) WhenStarted(done func(error)) {
	switch {
	case s.phase == starting:
		s.waiting = append(s.waiting, done)
	case s.phase == running:
		done(nil)
	default:
		done(ErrNotRunning)
	}
}

// startNext starts the children one after the other; it is called again when
// the one it started has answered.
func (s *supervisor) startNext(ctx actor.Context) {
	if s.phase != starting {
		return
	}
	if s.next == len(s.specs) {
		s.phase = running
		s.tellWaiting(nil)
		return
	}
	spec := s.specs[s.next]
	s.next++
	s.spawn(ctx, spec, func(c *child, err error) {
		if err != nil {
			s.failStart(ctx, fmt.Errorf("start %s: %w", spec.Name, err))
			return
		}
		s.startNext(ctx)
	})
}

// spawn starts a child and calls then when it has started or could not. A child
// which could not start has been stopped and removed by then.
func (s *supervisor) spawn(ctx actor.Context, spec ChildSpec, then func(*child, error)) {
	pid, err := spawnNamed(ctx, spec.Props, spec.Name)
	if err != nil {
		then(nil, err)
		return
	}
	c := &child{spec: spec, pid: pid}
	c.started = func(err error) { then(c, err) }
	s.children = append(s.children, c)
	system, self := ctx.ActorSystem(), ctx.Self()
	system.Root.Send(pid, &awaitStart{done: func(err error) {
		system.Root.Send(self, &childStarted{child: c, err: err})
	}})
}

// spawnNamed spawns and turns a panic of the producer into an error.
func spawnNamed(ctx actor.Context, props *actor.Props, name string) (pid *actor.PID, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("producer panicked: %v", r)
		}
	}()
	if pid, err = ctx.SpawnNamed(props, name); errors.Is(err, errAdopted) {
		err = nil
	}
	return pid, err
}

func (s *supervisor) onChildStarted(ctx actor.Context, c *child, err error) {
	if c.started == nil || (c.stopping && !c.gone) {
		return // it has answered before, or is on its way out
	}
	if c.gone {
		if err == nil && c.spec.Restart == Permanent {
			err = errEnded
		}
		s.childUp(c, err)
		return
	}
	if err != nil {
		c.err = err
		s.stopChild(ctx, c)
		return // started is told when it has ended
	}
	s.childUp(c, nil)
}

// childUp ends the start of a child.
func (s *supervisor) childUp(c *child, err error) {
	started := c.started
	c.started = nil
	started(err)
}

// failStart stops what has been started; the actor ends with it. Nobody waits
// when it was restarted: then the failure is a crash like another.
func (s *supervisor) failStart(ctx actor.Context, err error) {
	if s.phase != starting {
		return
	}
	if len(s.waiting) == 0 {
		panic(&startError{err})
	}
	s.startErr = err
	s.end(ctx, stopSelf)
}

func (s *supervisor) tellWaiting(err error) {
	for _, done := range s.waiting {
		done(err)
	}
	s.waiting = nil
}

func (s *supervisor) onTerminated(ctx actor.Context, who *actor.PID) {
	c := s.find(who.Id)
	if c == nil {
		return
	}
	s.children = slices.DeleteFunc(s.children, func(other *child) bool { return other == c })
	for _, reply := range c.removed {
		reply(nil)
	}
	if c.started != nil && c.err == nil && s.phase != ended {
		// Terminated overtakes user messages: if the child has said why it could
		// not start, that waits already, before what is sent now.
		c.gone = true
		ctx.Send(ctx.Self(), &childStarted{child: c, err: errEnded})
		return
	}
	if c.err == nil {
		c.err = errEnded
	}
	switch {
	case s.phase == ended:
		if c.started != nil {
			s.childUp(c, c.err) // an AddChild that waits
		}
		s.endNext(ctx)
	case c.started != nil:
		s.childUp(c, c.err)
	case c.stopping && len(c.removed) > 0: // as asked
	case c.spec.Restart == Permanent:
		if s.phase == starting {
			s.failStart(ctx, fmt.Errorf("%s: %w", c.spec.Name, c.err))
			return
		}
		panic(&GaveUp{Child: c.pid.Id, Err: c.err})
	default:
		ctx.Logger().Warn("actor is gone", slog.String("actor", c.pid.Id), slog.String("reason", c.err.Error()))
	}
}

func (s *supervisor) onAdd(ctx actor.Context, m *AddChild) {
	reply := m.Reply
	if reply == nil {
		reply = func(*actor.PID, error) {}
	}
	switch {
	case s.phase != running:
		reply(nil, ErrNotRunning)
	case s.named(m.Spec.Name) != nil:
		reply(nil, ErrChildExists)
	default:
		s.spawn(ctx, m.Spec, func(c *child, err error) {
			if err != nil {
				reply(nil, err)
				return
			}
			reply(c.pid, nil)
		})
	}
}

func (s *supervisor) onRemove(ctx actor.Context, m *RemoveChild) {
	reply := m.Reply
	if reply == nil {
		reply = func(error) {}
	}
	c := s.named(m.Name)
	switch {
	case s.phase != running:
		reply(ErrNotRunning)
	case c == nil:
		reply(ErrNoChild)
	default:
		c.removed = append(c.removed, reply)
		s.stopChild(ctx, c)
	}
}

func (s *supervisor) stopChild(ctx actor.Context, c *child) {
	if !c.stopping {
		c.stopping = true
		ctx.Stop(c.pid)
	}
}

// end stops the children in reverse order and then does what is asked. A Stop
// that comes while a restart is under way wins.
func (s *supervisor) end(ctx actor.Context, then ending) {
	if s.phase == ended {
		s.then = min(s.then, then)
		return
	}
	s.phase, s.then = ended, then
	s.endNext(ctx)
}

func (s *supervisor) endNext(ctx actor.Context) {
	if s.then == frameworks {
		s.tellWaiting(ErrNotRunning)
		return
	}
	if len(s.children) > 0 {
		s.stopChild(ctx, s.children[len(s.children)-1])
		return
	}
	if s.startErr == nil {
		s.startErr = ErrNotRunning
	}
	s.tellWaiting(s.startErr)
	self, ok := ctx.ActorSystem().ProcessRegistry.GetLocal(ctx.Self().Id)
	if !ok {
		return
	}
	if s.then == stopSelf {
		self.SendSystemMessage(ctx.Self(), stopNowMessage)
		return
	}
	self.SendSystemMessage(ctx.Self(), restartNowMessage)
}

// mayRestart implements overseer.
func (s *supervisor) mayRestart(pid *actor.PID, reason any) bool {
	c := s.find(pid.Id)
	if c == nil || c.stopping || s.phase == ended {
		return false
	}
	if c.started != nil { // it crashed in its start
		c.err, c.stopping = reasonError(reason), true
		return false
	}
	return c.spec.Restart != Temporary
}

// gaveUp implements overseer.
func (s *supervisor) gaveUp(pid *actor.PID, err error) {
	if c := s.find(pid.Id); c != nil {
		c.err = err
	}
}

// listed implements lister: children in start order.
func (s *supervisor) listed() []*actor.PID {
	pids := make([]*actor.PID, len(s.children))
	for i, c := range s.children {
		pids[i] = c.pid
	}
	return pids
}

func (s *supervisor) find(id string) *child {
	for _, c := range s.children {
		if c.pid.Id == id {
			return c
		}
	}
	return nil
}

func (s *supervisor) named(name string) *child {
	for _, c := range s.children {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}
