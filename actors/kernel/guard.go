package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// Option changes what NewProps makes.
type Option func(*settings)

type settings struct {
	mailbox    MailboxOptions
	strategy   actor.SupervisorStrategy
	dispatcher actor.Dispatcher
}

// WithMailbox sets bounds and hooks of the actors' mailboxes.
func WithMailbox(o MailboxOptions) Option {
	return func(s *settings) {
		o.ordered = s.mailbox.ordered
		s.mailbox = o
	}
}

// WithStrategy sets what happens to crashed children of the actors. Without it
// they are restarted as the zero Backoff says.
func WithStrategy(strategy actor.SupervisorStrategy) Option {
	return func(s *settings) { s.strategy = strategy }
}

// WithDispatcher sets where the actors run. Without it every wake-up starts a
// goroutine; tests use actor.NewSynchronizedDispatcher to run on the sender's.
func WithDispatcher(d actor.Dispatcher) Option {
	return func(s *settings) { s.dispatcher = d }
}

// NewProps describes one kind of actor: compact mailbox, wrapped Receive, our
// strategy for its children. Make it once per kind, not per actor: producer
// takes no instance data, which comes with the first message instead (a Props
// for each costs about 300 bytes).
func NewProps(producer func() actor.Actor, opts ...Option) *actor.Props {
	s := settings{strategy: defaultStrategy, dispatcher: defaultDispatcher}
	for _, opt := range opts {
		opt(&s)
	}
	k := newKind(&s.mailbox)
	k.runOn(s.dispatcher)
	return actor.PropsFromProducer(
		func() actor.Actor { return &guard{inner: producer()} },
		actor.WithMailbox(k.mailbox),
		actor.WithDispatcher(s.dispatcher),
		actor.WithSupervisor(s.strategy),
		actor.WithSpawnFunc(k.spawner(producer)),
	)
}

// defaultDispatcher starts a goroutine for every wake-up, which gives way to
// others after that many messages.
var defaultDispatcher = actor.NewDefaultDispatcher(300)

// Starter is implemented by actors whose start can fail for an outside reason,
// such as a port in use. Start runs in place of Receive with *actor.Started, on
// the actor's goroutine. An error at the first start under a Supervisor aborts
// that start with this error; after a restart it counts as a crash.
type Starter interface {
	Start(ctx actor.Context) error
}

// LateStarter is implemented by actors which need several turns to start. The
// parent's Supervisor goes on only after done was called, once, with nil or
// the reason why there is nothing to go on with. WhenStarted runs on the
// actor's goroutine after Started; done may be called from any goroutine.
type LateStarter interface {
	WhenStarted(done func(error))
}

// Kill is a user message which crashes the actor as a panic would. It is an
// operator's doing and does not count towards the restart limit. It is handled
// in its turn: an actor which is blocked cannot be killed.
type Kill struct{}

// Killed is the reason of a crash caused by Kill.
type Killed struct{}

// Error says who did it.
func (Killed) Error() string { return "killed by an operator" }

// Panic is the reason of a crash caused by a panic.
type Panic struct {
	Value any    // what was passed to panic
	Kind  string // Go type of the actor
	Stack []byte // of the goroutine at the time
}

// Error returns the panic's value as text.
func (p *Panic) Error() string { return fmt.Sprint(p.Value) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// startError marks an error returned by Starter.Start: the outside world's
// fault, so it is told without a stack.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// quiet reports whether reason explains itself, without a stack.
func quiet(reason any) bool {
	err, ok := reason.(error)
	if !ok {
		return false
	}
	var gaveUp *GaveUp
	return isStartError(reason) || errors.As(err, &gaveUp) || errors.Is(err, Killed{})
}

func isStartError(reason any) bool {
	err, ok := reason.(error)
	var start *startError
	return ok && errors.As(err, &start)
}

var cleanupPanics atomic.Uint64

// CleanupPanics returns how many panics in Stopping, Stopped or Restarting the
// process has caught since it started. Each is a bug and is logged.
func CleanupPanics() uint64 { return cleanupPanics.Load() }

// guard stands between the framework and an actor. In the framework a panic in
// Stopping revives the actor and one in Stopped hangs its parent for ever.
type guard struct {
	inner   actor.Actor
	mailbox *mailbox // once the actor has been told to stop
}

// Receive handles what every actor understands and passes on the rest.
func (g *guard) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		start(g.inner, ctx)
	case *actor.Stopping, *actor.Restarting:
		protect(ctx, g.inner, g.inner.Receive)
	case *actor.Stopped:
		protect(ctx, g.inner, g.inner.Receive)
		protect(ctx, g.inner, g.bury)
	case *Kill:
		panic(Killed{})
	case *awaitStart:
		started(g.inner, m)
	case *childrenQuery:
		g.answer(ctx, m)
	default:
		g.inner.Receive(ctx)
	}
}

func start(a actor.Actor, ctx actor.Context) {
	s, ok := a.(Starter)
	if !ok {
		a.Receive(ctx)
		return
	}
	if err := s.Start(ctx); err != nil {
		panic(&startError{err})
	}
}

// started answers who waits for the start of an actor.
func started(a actor.Actor, m *awaitStart) {
	if late, ok := a.(LateStarter); ok {
		late.WhenStarted(m.done)
		return
	}
	m.done(nil)
}

func (g *guard) bury(ctx actor.Context) {
	if g.mailbox != nil {
		g.mailbox.bury(ctx.Self(), ctx.ActorSystem())
	}
}

// protect runs a part of the clean-up whose panic must not get out.
func protect(ctx actor.Context, a actor.Actor, f func(actor.Context)) {
	defer func() {
		if r := recover(); r != nil {
			cleanupPanics.Add(1)
			ctx.ActorSystem().Logger().Error("actor panicked while cleaning up",
				slog.String("actor", ctx.Self().GetId()),
				slog.String("kind", kindOf(a)),
				slog.String("during", fmt.Sprintf("%T", ctx.Message())),
				slog.Any("reason", r),
				slog.String("stack", string(debug.Stack())))
		}
	}()
	f(ctx)
}

// awaitStart asks an actor to call done when it has started. It is the first
// user message of a Supervisor's child, so it is handled after Started.
type awaitStart struct{ done func(error) }

// IgnoreDeadLetterLogging: a child which dies while starting has told why.
func (*awaitStart) IgnoreDeadLetterLogging() {}
