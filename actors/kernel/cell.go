package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// cell is an actor of a shard. It is an actor of the framework in all that others
// can see: a process in its registry with a PID, a mailbox, Started, Stopping and
// Stopped, supervision, watchers. But there are millions of them and none has
// children of its own, so what the framework keeps in seven objects and an entry in
// the parent's set (some 500 bytes) is one object here, and a pointer in the
// parent's list. It is its own context: see cell_context.go.
type cell struct {
	mailbox
	*extensions
	self  actor.PID
	actor actor.Actor // nil when it has ended
	shard *shard
	place int32 // in the shard's list, which only the shard looks at
}

var (
	_ actor.Process        = (*cell)(nil)
	_ actor.MessageInvoker = (*cell)(nil)
	_ actor.Context        = (*cell)(nil)
)

// errAdopted is how a shard's spawn function keeps the framework from entering the
// child into a set of its own. It is not an error.
var errAdopted = errors.New("the shard has it")

// spawner makes actors of this kind: cells under a shard, the framework's elsewhere.
func (k *kind) spawner(producer func() actor.Actor) actor.SpawnFunc {
	return func(system *actor.ActorSystem, id string, props *actor.Props, parent actor.SpawnerContext) (*actor.PID, error) {
		if parts, ok := parent.(contextParts); ok {
			if g, ok := parts.Actor().(*guard); ok {
				if s, ok := g.inner.(*shard); ok {
					return s.adopt(k, producer(), id)
				}
			}
		}
		return actor.DefaultSpawner(system, id, props, parent)
	}
}

// newCell makes an actor and enters it into the framework's registry.
func newCell(s *shard, k *kind, a actor.Actor, id string) (*cell, error) {
	c := &cell{actor: a, shard: s}
	c.mailbox.kind, c.mailbox.invoker = k, c
	registry := s.system.ProcessRegistry
	c.self.Address, c.self.Id = registry.Address, id
	if !registry.LocalPIDs.GetBucket(id).SetIfAbsent(id, c) {
		return nil, actor.ErrNameExists
	}
	c.PostSystemMessage(startedMessage)
	return c, nil
}

var (
	startedMessage  any = &actor.Started{}
	stopMessage     any = &actor.Stop{}
	stoppingMessage any = &actor.Stopping{}
	stoppedMessage  any = &actor.Stopped{}
	suspendMessage  any = &actor.SuspendMailbox{}
)

// SendUserMessage implements actor.Process.
func (c *cell) SendUserMessage(_ *actor.PID, msg any) { c.PostUserMessage(msg) }

// SendSystemMessage implements actor.Process.
func (c *cell) SendSystemMessage(_ *actor.PID, msg any) { c.PostSystemMessage(msg) }

// InvokeUserMessage gives a message to the actor.
func (c *cell) InvokeUserMessage(msg any) {
	c.q.current = msg
	c.receive()
	c.q.current = nil
}

// receive handles what every actor understands and passes on the rest.
func (c *cell) receive() {
	switch m := c.Message().(type) {
	case *actor.Started:
		start(c.actor, c)
	case *Kill:
		panic(Killed{})
	case *actor.PoisonPill:
		c.PostSystemMessage(stopMessage)
	case *awaitStart:
		started(c.actor, m)
	case *childrenQuery:
		m.answer <- childrenResult{kind: kindOf(c.actor)} // has room for the one answer
	case actor.AutoRespond:
		c.actor.Receive(c)
		c.Respond(m.GetAutoResponse(c))
	default:
		c.actor.Receive(c)
	}
}

// InvokeSystemMessage handles a message of the framework. After the end a
// tombstone does.
func (c *cell) InvokeSystemMessage(msg any) {
	switch m := msg.(type) {
	case *actor.Started, *actor.Terminated: // of somebody whom it watches
		c.InvokeUserMessage(m)
	case *actor.Stop, *actor.Restart: // it cannot be restarted
		c.end()
	case *actor.Watch:
		c.mu.Lock()
		c.book().watchers = append(c.book().watchers, m.Watcher)
		c.mu.Unlock()
	case *actor.Unwatch:
		c.mu.Lock()
		b := c.book()
		b.watchers = slices.DeleteFunc(b.watchers, func(w *actor.PID) bool { return w.Equal(m.Watcher) })
		c.mu.Unlock()
	default:
		c.Logger().Warn("unexpected message", slog.String("actor", c.self.Id), slog.String("message", fmt.Sprintf("%T", m)))
	}
}

// end stops the actor: it says good-bye, its name is free, what waited is lost,
// and those who want to know are told.
func (c *cell) end() {
	system := c.shard.system
	c.clean(stoppingMessage)
	system.ProcessRegistry.Remove(&c.self)
	c.clean(stoppedMessage)
	protect(c, c.actor, func(actor.Context) { c.bury(&c.self, system) })
	c.actor = nil
	c.q.current = nil
	if c.ledger != nil {
		over := &actor.Terminated{Who: &c.self}
		for _, w := range c.ledger.watchers {
			c.tellSystem(w, over)
		}
	}
	c.tellSystem(c.shard.self, c)
}

// clean gives the actor a message of its end, in which it must not panic.
func (c *cell) clean(msg any) {
	c.q.current = msg
	protect(c, c.actor, c.actor.Receive)
}

// tellSystem sends what overtakes user messages.
func (c *cell) tellSystem(to *actor.PID, msg any) {
	process, _ := c.shard.system.ProcessRegistry.Get(to)
	process.SendSystemMessage(to, msg)
}

// EscalateFailure leaves it to the shard what becomes of the crashed actor, which
// handles no more messages until then.
func (c *cell) EscalateFailure(reason, message any) {
	c.q.current = nil
	c.PostSystemMessage(suspendMessage)
	c.tellSystem(c.shard.self, &actor.Failure{
		Who: &c.self, Reason: reason, Message: message, RestartStats: actor.NewRestartStatistics(),
	})
}
