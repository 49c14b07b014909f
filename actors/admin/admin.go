// Package admin is what the command line and the HTTP API ask.
//
// The admin actor, node/admin, belongs to the root and owns nothing but the list of commands, which survives it. It
// takes *Command from emqttd_ctl (through cluster/wire) and answers each with one *Result to the sender, and *Register
// and *Unregister from plugins. Commands run on goroutines of their own: the mailbox is never blocked. At most 16 run
// at one time; more are answered with an error at once, which also bounds what an operator's script can cost. A crash
// costs nothing: commands under way still answer.
//
// All knowledge of the node comes through Sources; long lists are printed page by page, so that a million clients are
// never in memory at one time.
package admin

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

const (
	maxRunning = 16
	maxWaiting = 1024 // commands in the mailbox: handling one takes microseconds, so this many mean a flood
	runTimeout = 60 * time.Second
)

// Register adds a command, or replaces the one of that name in its place. Unanswered.
type Register struct{ Handler *Handler }

// Unregister removes a command. Unanswered; unknown names do nothing.
type Unregister struct{ Name string }

// IgnoreDeadLetterLogging: when the node stops, plugins end after the admin actor.
func (*Unregister) IgnoreDeadLetterLogging() {}

// Options are what the admin actor needs.
type Options struct {
	Sources  *Sources
	Registry *Registry    // nil = the commands of the broker
	Logger   *slog.Logger // nil = silent
	// Relay asks another node of the cluster and waits for its answer, at most a minute. nil: there are no others.
	Relay func(node string, cmd *Command) (*Result, error)
	// Nodes are the names of the nodes that run, this one among them. nil: there are no others.
	Nodes func() []string

	timeout time.Duration
}

// Props returns the actor's Props. It panics when a function of Sources is missing.
func Props(o Options) *actor.Props {
	if err := o.Sources.Missing(); err != nil {
		panic(err)
	}
	if o.Registry == nil {
		o.Registry = NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.timeout == 0 {
		o.timeout = runTimeout
	}
	slots := make(chan struct{}, maxRunning) // shared by all incarnations: what runs outlives a restart
	return kernel.NewProps(func() actor.Actor { return &admin{Options: o, slots: slots} },
		kernel.WithMailbox(kernel.MailboxOptions{
			Bounds: [4]kernel.Bound{kernel.Control: {Count: maxWaiting, Full: kernel.DropNewest}},
			OnDrop: func(_ kernel.Class, m any) { o.Logger.Warn("admin is flooded; dropped", "type", fmt.Sprintf("%T", m)) },
		}))
}

type admin struct {
	Options
	slots chan struct{}
}

// Receive implements actor.Actor.
func (a *admin) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Command:
		a.onCommand(c, m)
	case *Register:
		a.Registry.set(m.Handler)
	case *Unregister:
		a.Registry.remove(m.Name)
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		a.Logger.Warn("admin got an unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

func (a *admin) onCommand(c actor.Context, m *Command) {
	sender := c.Sender()
	if sender == nil {
		return // nobody would read the answer, so nobody asked
	}
	select {
	case a.slots <- struct{}{}:
	default:
		c.Send(sender, &Result{Text: fmt.Sprintf("RPC to %s error: too many commands at one time\n", a.Sources.Node), ExitCode: ExitFailed})
		return
	}
	done := make(chan Result, 1)
	go func() {
		defer func() { <-a.slots }() // a command that hangs keeps its slot
		done <- a.Registry.run(&a.Options, m)
	}()
	root := c.ActorSystem().Root
	go func() {
		timer := time.NewTimer(a.timeout)
		defer timer.Stop()
		select {
		case r := <-done:
			root.Send(sender, &r)
		case <-timer.C:
			root.Send(sender, &Result{Text: fmt.Sprintf("RPC to %s error: timeout\n", a.Sources.Node), ExitCode: ExitFailed})
		}
	}()
}
