package kernel

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// StartRoot starts the root supervisor under the given name ("node") with its
// children and returns when all of them have started. If one cannot, those
// before it have been stopped in reverse order when its error is returned.
//
// onGiveUp is called once, on a goroutine of its own, when restarts have not
// cured a failure of an essential part; the process is expected to end. The
// tree may be half dead by then; StopRoot still stops what is left.
//
// It blocks: never call it from an actor.
func StartRoot(system *actor.ActorSystem, name string, specs []ChildSpec, onGiveUp func(error)) (*actor.PID, error) {
	r := &rootStrategy{onGiveUp: onGiveUp, started: make(chan error, 2)}
	props := Supervisor(specs).Configure(actor.WithGuardian(r))
	pid, err := system.Root.SpawnNamed(props, name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	system.Root.Send(pid, &awaitStart{done: func(err error) {
		r.running.Store(err == nil) // here, on the root's goroutine: a crash right after it must find it set
		r.started <- err
	}})
	if err := <-r.started; err != nil {
		_ = StopRoot(context.Background(), system, pid) // it is ending already; without a deadline it cannot fail
		return nil, err
	}
	return pid, nil
}

// StopRoot stops the tree under root in reverse order of its start and returns
// when all of it has ended, or when ctx has: then the rest goes on stopping.
// Stopping what has ended is no error. It blocks: never call it from an actor.
func StopRoot(ctx context.Context, system *actor.ActorSystem, root *actor.PID) error {
	w := &endWatch{ended: make(chan struct{})}
	self, _ := system.ProcessRegistry.Add(w, "watch"+system.ProcessRegistry.NextId())
	defer system.ProcessRegistry.Remove(self)

	process, alive := system.ProcessRegistry.GetLocal(root.Id)
	if !alive {
		return nil
	}
	process.SendSystemMessage(root, &actor.Watch{Watcher: self})
	process.Stop(root)
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", root.Id, context.Cause(ctx))
	}
}

// endWatch is a process which waits for one Terminated. A Future would do it
// too, but has a data race between its timeout and a late answer.
type endWatch struct {
	ended chan struct{}
	done  atomic.Bool
}

func (w *endWatch) SendUserMessage(*actor.PID, any) {}

func (w *endWatch) SendSystemMessage(_ *actor.PID, msg any) {
	if _, ok := msg.(*actor.Terminated); ok && !w.done.Swap(true) {
		close(w.ended)
	}
}

func (w *endWatch) Stop(*actor.PID) {}

// rootStrategy is the guardian above the root: there is nobody left to escalate to.
type rootStrategy struct {
	onGiveUp func(error)
	started  chan error // how the start ended; the first value counts
	running  atomic.Bool
	gaveUp   atomic.Bool
}

// HandleFailure runs on the root's goroutine.
func (r *rootStrategy) HandleFailure(system *actor.ActorSystem, parent actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, message any,
) {
	if _, killed := reason.(Killed); killed && r.running.Load() {
		logCrash(system, child, reason, message, "restart")
		parent.RestartChildren(child)
		return
	}
	err := reasonError(reason)
	if !r.running.Load() {
		parent.StopChildren(child)
		select {
		case r.started <- err:
		default: // it has failed before
		}
		return
	}
	logCrash(system, child, reason, message, "give up")
	if !r.gaveUp.Swap(true) && r.onGiveUp != nil {
		go r.onGiveUp(err)
	}
}
