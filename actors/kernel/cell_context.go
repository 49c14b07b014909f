package kernel

import (
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// What follows is the framework's actor.Context for an actor of a shard.

// ActorSystem implements actor.Context.
func (c *cell) ActorSystem() *actor.ActorSystem { return c.shard.system }

// Logger implements actor.Context.
func (c *cell) Logger() *slog.Logger { return c.shard.system.Logger() }

// Parent is the shard.
func (c *cell) Parent() *actor.PID { return c.shard.self }

// Self implements actor.Context.
func (c *cell) Self() *actor.PID { return &c.self }

// Actor implements actor.Context; nil when it has ended.
func (c *cell) Actor() actor.Actor { return c.actor }

// Children is empty: an actor of a shard has none.
func (c *cell) Children() []*actor.PID { return nil }

// Message is what is being handled.
func (c *cell) Message() any { return actor.UnwrapEnvelopeMessage(c.q.current) }

// MessageHeader implements actor.Context.
func (c *cell) MessageHeader() actor.ReadonlyMessageHeader {
	return actor.UnwrapEnvelopeHeader(c.q.current)
}

// Sender is who asked with Request, or nil.
func (c *cell) Sender() *actor.PID { return actor.UnwrapEnvelopeSender(c.q.current) }

// Send implements actor.Context.
func (c *cell) Send(pid *actor.PID, msg any) { c.shard.system.Root.Send(pid, msg) }

// Request implements actor.Context.
func (c *cell) Request(pid *actor.PID, msg any) { c.RequestWithCustomSender(pid, msg, &c.self) }

// RequestWithCustomSender implements actor.Context.
func (c *cell) RequestWithCustomSender(pid *actor.PID, msg any, sender *actor.PID) {
	c.Send(pid, &actor.MessageEnvelope{Message: msg, Sender: sender})
}

// RequestFuture implements actor.Context.
func (c *cell) RequestFuture(pid *actor.PID, msg any, timeout time.Duration) *actor.Future {
	return c.shard.system.Root.RequestFuture(pid, msg, timeout)
}

// Respond answers the sender; without one the answer is a dead letter.
func (c *cell) Respond(answer any) {
	if to := c.Sender(); to != nil {
		c.Send(to, answer)
		return
	}
	c.shard.system.DeadLetter.SendUserMessage(nil, answer)
}

// Forward passes the message on with its sender.
func (c *cell) Forward(pid *actor.PID) { c.Send(pid, c.q.current) }

// Receive gives the actor a message as if it came from the mailbox.
func (c *cell) Receive(envelope *actor.MessageEnvelope) { c.InvokeUserMessage(envelope) }

// Watch has Terminated told to the actor when pid has ended.
func (c *cell) Watch(pid *actor.PID) { c.tellSystem(pid, &actor.Watch{Watcher: &c.self}) }

// Unwatch takes Watch back.
func (c *cell) Unwatch(pid *actor.PID) { c.tellSystem(pid, &actor.Unwatch{Watcher: &c.self}) }

// Stop implements actor.Context and actor.Process: the mailbox has what waits lost.
func (c *cell) Stop(pid *actor.PID) {
	if pid == &c.self {
		c.PostSystemMessage(stopMessage)
		return
	}
	c.shard.system.Root.Stop(pid)
}

// StopFuture implements actor.Context.
func (c *cell) StopFuture(pid *actor.PID) *actor.Future { return c.shard.system.Root.StopFuture(pid) }

// Poison implements actor.Context.
func (c *cell) Poison(pid *actor.PID) { c.shard.system.Root.Poison(pid) }

// PoisonFuture implements actor.Context.
func (c *cell) PoisonFuture(pid *actor.PID) *actor.Future {
	return c.shard.system.Root.PoisonFuture(pid)
}

// What the framework offers beyond that, an actor of a shard does without: a place
// for each would be kept by millions who never use it, and the rules of this tree
// have no use for them (docs/ARCHITECTURE.md). Using one is a bug, and crashes.

func missing(what string) { panic("kernel: an actor of a shard has no " + what) }

// Spawn is missing.
func (c *cell) Spawn(*actor.Props) *actor.PID { missing("children"); return nil }

// SpawnPrefix is missing.
func (c *cell) SpawnPrefix(*actor.Props, string) *actor.PID { missing("children"); return nil }

// SpawnNamed is missing.
func (c *cell) SpawnNamed(*actor.Props, string) (*actor.PID, error) {
	missing("children")
	return nil, nil
}

// Stash is missing.
func (c *cell) Stash() { missing("stash") }

// ReceiveTimeout is zero.
func (c *cell) ReceiveTimeout() time.Duration { return 0 }

// SetReceiveTimeout is missing: see WakeAt.
func (c *cell) SetReceiveTimeout(time.Duration) { missing("receive timeout") }

// CancelReceiveTimeout does nothing: there is none.
func (c *cell) CancelReceiveTimeout() {}

// ReenterAfter is missing.
func (c *cell) ReenterAfter(*actor.Future, func(any, error)) { missing("continuations") }

// extensions is the part of the context that is missing altogether: a cell has
// nil, and calling Get or Set crashes, too.
type extensions struct{ actor.ExtensionContext }
