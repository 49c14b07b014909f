package node

import (
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/sessions"
)

// infos asks sessions of one shard to describe themselves. The answers are in the
// order of names (compareNames), without those that have ended or have not begun.
//
// All share one question and one address for the answers: a Future for each cost
// as much as all else that a page of a list takes.
func (n *Node) infos(pids []*actor.PID, filters bool) []*sessions.InfoResult {
	if len(pids) == 0 {
		return nil
	}
	a := &answers{left: len(pids), all: make(chan struct{})}
	to, ok := n.system.ProcessRegistry.Add(a, "answers"+n.system.ProcessRegistry.NextId())
	if !ok {
		return nil // the system ends
	}
	defer n.system.ProcessRegistry.Remove(to)
	q := &sessions.InfoQuery{Subscriptions: filters, ReplyTo: to}
	// With a sender, one that has ended answers at once: as a dead letter.
	m := &actor.MessageEnvelope{Message: q, Sender: to}
	for _, pid := range pids {
		n.system.Root.Send(pid, m)
	}
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case <-a.all:
	case <-late.C:
	}
	got := a.take()
	slices.SortFunc(got, func(x, y *sessions.InfoResult) int { return inOrder(x.PID, y.PID) })
	return got
}

// answers is a process that collects what many actors answer.
type answers struct {
	mu   sync.Mutex
	left int // that have not answered
	got  []*sessions.InfoResult
	all  chan struct{} // closed when none is left
}

var _ actor.Process = (*answers)(nil)

// SendUserMessage implements actor.Process.
func (a *answers) SendUserMessage(_ *actor.PID, message any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r, ok := actor.UnwrapEnvelopeMessage(message).(*sessions.InfoResult); ok && r.PID != nil {
		a.got = append(a.got, r)
	}
	if a.left--; a.left == 0 {
		close(a.all)
	}
}

// SendSystemMessage implements actor.Process: nobody watches it.
func (*answers) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process: whoever asked removes it.
func (*answers) Stop(*actor.PID) {}

// take takes what has come. What comes later is nobody's.
func (a *answers) take() []*sessions.InfoResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.got
	a.got = nil
	return got
}
