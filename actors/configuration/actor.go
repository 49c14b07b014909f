package configuration

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

const (
	// maxWaiting bounds the requests that wait for their turn.
	maxWaiting = 16
	// doTimeout is how long an answer may take: for files, and for listeners that open.
	doTimeout = 60 * time.Second
)

// errCrashed is a bug in a part of the node.
var errCrashed = errors.New("the change crashed: see the log; what runs may be part of the one and part of the other, until a restart")

// Answer is what became of a Request.
type Answer struct {
	Outcome Outcome
	Err     error
}

// Spec is the child of the root which owns the configuration.
func (w *Owner) Spec(system *actor.ActorSystem) kernel.ChildSpec {
	slots := make(chan struct{}, maxWaiting) // shared by all incarnations: what runs outlives a restart
	pid := system.NewLocalPID("node/configuration")
	w.submit = func(r Request) (Outcome, error) {
		answer, err := system.Root.RequestFuture(pid, &r, doTimeout).Result()
		if err != nil {
			return Outcome{}, fmt.Errorf("%w: %w", ErrNow, err)
		}
		a := answer.(*Answer)
		return a.Outcome, a.Err
	}
	return kernel.ChildSpec{Name: "configuration", Props: kernel.NewProps(
		func() actor.Actor { return &owner{w: w, slots: slots} },
		kernel.WithMailbox(kernel.MailboxOptions{Bounds: [4]kernel.Bound{kernel.Control: {Count: 4 * maxWaiting, Full: kernel.DropNewest}}}))}
}

// Do asks the actor for a change and waits until it is carried out or refused. An
// error says why nothing has changed.
func (w *Owner) Do(r Request) (Outcome, error) { return w.submit(r) }

// owner is the actor.
type owner struct {
	w     *Owner
	slots chan struct{}
	work  sync.WaitGroup
}

// Receive implements actor.Actor.
func (o *owner) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Request:
		o.onRequest(c, m)
	case *actor.Stopping:
		o.work.Wait() // what is half done is finished: files, then parts
	}
}

func (o *owner) onRequest(c actor.Context, r *Request) {
	sender, root := c.Sender(), c.ActorSystem().Root
	answer := func(a *Answer) {
		if sender != nil {
			root.Send(sender, a)
		}
	}
	select {
	case o.slots <- struct{}{}:
	default:
		answer(&Answer{Err: ErrBusy})
		return
	}
	o.work.Go(func() {
		a := &Answer{Err: errCrashed}
		defer func() {
			if p := recover(); p != nil {
				o.w.o.Log.Error("a change of the configuration crashed", "what", r.what(), "error", p, "stack", string(debug.Stack()))
			}
			<-o.slots
			answer(a)
		}()
		a.Outcome, a.Err = o.w.do(*r)
	})
}
