package node

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/sessions"
	"emqttd/cluster/registry"
)

// answerTime bounds one question to an actor. They answer in microseconds; one
// that does not is stopping.
const answerTime = 5 * time.Second

// ask sends the message that build makes for a reply address and waits for the
// answer; nil if there is none in time. It is for the goroutines of the command
// line and HTTP, never for actors.
func ask[T any](n *Node, to *actor.PID, build func(replyTo *actor.PID) any) *T {
	return begin[T](n, to, build)()
}

// begin sends a question and returns what waits for its answer, so that many can
// be under way.
func begin[T any](n *Node, to *actor.PID, build func(replyTo *actor.PID) any) func() *T {
	f := actor.NewFuture(n.system, answerTime)
	// With a sender, one that has ended answers at once: as a dead letter.
	n.system.Root.RequestWithCustomSender(to, build(f.PID()), f.PID())
	return func() *T {
		r, err := f.Result()
		if err != nil {
			return nil
		}
		answer, _ := r.(*T)
		return answer
	}
}

// where finds the session of a client identifier, nil if there is none.
func (n *Node) where(id string) *actor.PID {
	r := ask[registry.WhereResult](n, n.registry.Slot(id), func(to *actor.PID) any {
		return &registry.WhereQuery{ClientID: id, ReplyTo: to}
	})
	if r == nil {
		return nil
	}
	return r.Session
}

// session describes the session of a client identifier, nil if there is none.
func (n *Node) session(id string, filters bool) *sessions.InfoResult {
	pid := n.where(id)
	if pid == nil {
		return nil
	}
	return n.info(pid, filters)()
}

func (n *Node) info(pid *actor.PID, filters bool) func() *sessions.InfoResult {
	return begin[sessions.InfoResult](n, pid, func(to *actor.PID) any {
		return &sessions.InfoQuery{Subscriptions: filters, ReplyTo: to}
	})
}
