// Package consul lets nodes find each other through Consul. Its actor registers
// the node as a service whose check says how the node is, and tells its owner
// which other nodes of the cluster are registered.
//
//	boot ─▶ claim the name ─▶ register ─▶ sign of life ─▶ three times in a TTL
//	             ▲              if it is not                    │
//	             └──────────────────────────────────────────────┘
//	watch ─▶ blocking query ─▶ Discovered ─▶ …
//
// Consul only introduces nodes to each other: who is up is decided by the links
// between them. While Consul is down, frozen or empty nothing changes among nodes
// that know each other, and the actor goes on trying, slower and slower; it asks
// for no restart and gives nothing up.
//
// A name belongs to one node: the key emqttd/<cluster>/nodes/<name> is locked by a
// session of that node, and taken from it only where it is dead (see claim.go).
//
// Parent: node/cluster. Its mailbox gets at most the end of one call, the end of
// one query and two timers at a time. A crash costs nothing: the next instance
// registers again.
package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/system/alarm"
	"emqttd/cluster"
)

// Options say who the node is, where Consul is, and whom to tell.
type Options struct {
	Self    cluster.Member // Name, Address, Incarnation and Version count
	Cluster string         // only nodes of this name are found

	Address    string        // host:port of Consul's HTTP API
	Token      string        // "" = what CONSUL_HTTP_TOKEN says, as with Consul's own tools
	Datacenter string        // "" = the agent's own
	Service    string        // the name of the service
	TTL        time.Duration // after so long without a sign of life the check fails
	Timeout    time.Duration // of one call
	TLS        *tls.Config   // nil = plain HTTP

	// ForgetAfter is how long Consul keeps a node whose check has failed. Consul
	// makes it a minute at least.
	ForgetAfter time.Duration
	// Meta is added to the metadata of the service. Keys are of letters, digits, -
	// and _.
	Meta map[string]string

	// Health says how the node is, for its check. It is called on the actor's
	// goroutine and must not block. nil is always well.
	Health func() Health
	// Discovered is told of all other nodes that are registered, also of those whose
	// check fails, whenever that changes. A node that is missing may still be alive:
	// Consul can have lost it. It is called on the actor's goroutine and must not
	// block.
	Discovered func([]cluster.Candidate)
	// Alarm is told once when Consul cannot be used or the name is lost, and once
	// when that is over.
	Alarm  func(alarm.Alarm)
	Logger *slog.Logger
}

// Health is how a node is: what its check in Consul says.
type Health struct {
	// Problem is why the node is not well, "" if it is. The check is then a warning:
	// the node serves its clients, but others should know.
	Problem string
	// Summary is what an operator sees in any case, such as "3 nodes, 120 clients".
	Summary string
}

// Alarms that are raised.
const (
	AlarmUnreachable = "consul"       // Consul does not answer, or refuses us
	AlarmNameTaken   = "cluster.name" // another live node has the node's name
)

// Spec describes the actor "consul". A start ends when the name is claimed, or
// Consul does not answer; it fails with *Taken when a live node has the name.
func Spec(o Options) (kernel.ChildSpec, error) {
	c, err := newClient(&o)
	if err != nil {
		return kernel.ChildSpec{}, err
	}
	return kernel.ChildSpec{
		Name: "consul", Restart: kernel.Permanent,
		Props: kernel.NewProps(func() actor.Actor { return &agent{o: &o, client: c} }),
	}, nil
}

// Messages to self: the ends of calls, and timers.
type (
	kept    struct{ result keepResult }
	watched struct{ result watchResult }
	keepDue struct{}
	seekDue struct{}
)

// agent is the actor.
type agent struct {
	o      *Options
	client *client

	ctx    context.Context // of all calls; over when the instance is
	cancel context.CancelFunc
	send   func(any) // to self, from any goroutine
	timers [2]*time.Timer

	keeper  keeper
	watcher watcher
	troubles
	started func(error) // of the boot that waits for the first claim; nil later
}

const (
	keepTimer = iota
	seekTimer
)

// Receive implements actor.Actor.
func (a *agent) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.start(c)
	case *kept:
		a.onKept(&m.result)
	case *watched:
		a.onWatched(&m.result)
	case *keepDue:
		a.keep()
	case *seekDue:
		a.seek()
	case *actor.Stopping, *actor.Restarting:
		a.end()
	case *actor.Stopped:
		a.leave()
	default:
		a.o.Logger.Warn("unexpected message", "actor", c.Self().Id, "message", fmt.Sprintf("%T", m))
	}
}

// WhenStarted implements kernel.LateStarter.
func (a *agent) WhenStarted(done func(error)) {
	if a.keeper.tried {
		done(nil)
		return
	}
	a.started = done
}

func (a *agent) start(c actor.Context) {
	self, root := c.Self(), c.ActorSystem().Root
	a.send = func(m any) { root.Send(self, m) }
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.keeper = newKeeper(a.o.TTL)
	a.watcher = newWatcher()
	a.troubles = troubles{raise: a.o.Alarm}
	a.keep()
}

// end ends what runs beside the actor. Late answers find nobody.
func (a *agent) end() {
	if a.cancel != nil {
		a.cancel()
	}
	for _, t := range a.timers {
		if t != nil {
			t.Stop()
		}
	}
}

// after has a message sent to self, unless the actor ends before.
func (a *agent) after(which int, d time.Duration, m any) {
	send := a.send
	a.timers[which] = time.AfterFunc(d, func() { send(m) })
}

// keep makes the next calls that keep the node registered, beside the actor.
func (a *agent) keep() {
	todo, h := a.keeper.todo, Health{}
	if a.o.Health != nil {
		h = a.o.Health()
	}
	a.beside(func(ctx context.Context) any { return &kept{a.client.keep(ctx, todo, h)} })
}

// beside makes calls on a goroutine of its own and sends what came of them to self.
func (a *agent) beside(calls func(context.Context) any) {
	ctx, send := a.ctx, a.send
	go func() {
		if m := calls(ctx); ctx.Err() == nil {
			send(m)
		}
	}()
}

func (a *agent) onKept(r *keepResult) {
	pause := a.keeper.took(r)
	var taken *Taken
	conflict := errors.As(r.err, &taken)
	switch a.boot(r.err, taken); {
	case a.started != nil: // it may not be ours
	case conflict:
		a.set(AlarmNameTaken, "critical", "another node has this node's name", r.err)
	case r.err == nil:
		a.set(AlarmNameTaken, "", "", nil)
		a.lookOut()
	}
	if !conflict {
		a.keepErr = r.err
		a.reachable()
	}
	a.after(keepTimer, pause, &keepDue{})
}

// boot lets the start of the node go on, or fail. It waits for the check of a node
// that does not answer to fail.
func (a *agent) boot(err error, taken *Taken) {
	if a.started == nil || taken != nil && !taken.Sure && !a.keeper.waited() {
		return
	}
	done := a.started
	a.started = nil
	if taken != nil {
		done(err)
		return
	}
	done(nil)
	a.lookOut()
}

// lookOut begins to look for others, once it is known that the name is ours or
// Consul has to be waited for.
func (a *agent) lookOut() {
	if !a.watcher.running {
		a.watcher.running = true
		a.seek()
	}
}

// seek makes the next query for the other nodes, beside the actor.
func (a *agent) seek() {
	index := a.watcher.index
	a.beside(func(ctx context.Context) any { return &watched{a.client.watch(ctx, index)} })
}

func (a *agent) onWatched(r *watchResult) {
	pause, changed := a.watcher.took(r)
	if changed && a.o.Discovered != nil {
		a.o.Discovered(a.watcher.found)
	}
	a.watchErr = r.err
	a.reachable()
	a.after(seekTimer, pause, &seekDue{})
}

// leave takes the node out of Consul. Nobody waits in the mailbox any more, but
// the stop of the node does, so it is given little time.
func (a *agent) leave() {
	if !a.keeper.todo.registered {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(a.o.Timeout, farewell))
	defer cancel()
	if err := a.client.leave(ctx, a.keeper.todo); err != nil {
		a.o.Logger.Warn("the node stays registered in Consul until its check has failed", "error", err)
	}
}

// farewell is how long a stop waits for Consul.
const farewell = 2 * time.Second

// troubles remembers which alarms are on, so that each is told once.
type troubles struct {
	raise             func(alarm.Alarm)
	on                map[string]bool
	keepErr, watchErr error
}

// reachable raises or clears the alarm about Consul itself.
func (t *troubles) reachable() {
	err := t.keepErr
	if err == nil {
		err = t.watchErr
	}
	t.set(AlarmUnreachable, "warning", "Consul cannot be used; nodes that know each other go on without it", err)
}

func (t *troubles) set(id, severity, title string, err error) {
	// The first time it is told in any case: an instance before may have raised it.
	if on, told := t.on[id]; t.raise == nil || told && on == (err != nil) {
		return
	}
	if t.on == nil {
		t.on = map[string]bool{}
	}
	t.on[id] = err != nil
	a := alarm.Alarm{ID: id, Severity: severity, Title: title, Cleared: err == nil}
	if err != nil {
		a.Summary = err.Error()
	}
	t.raise(a)
}
