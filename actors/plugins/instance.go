package plugins

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

// instance is the actor of a loaded plugin: plugins/<name>. It dies of everything
// that goes wrong in the plugin, and its supervisor starts it again.
type instance struct {
	host   *Host
	plugin *Plugin
	env    *Env
	parts  chan error // how the start of each of its actors ended
	// complete is told when they have, and the hooks are in force.
	complete chan error
	timer    *time.Timer
	stuck    int  // looks without progress
	ending   bool // its actors end because it does
	failed   bool // something went wrong; if it ends now, it is given up
}

// crashed tells an instance that a hook of its plugin panicked, or that the plugin
// says that it cannot go on.
type crashed struct{ reason any }

// look has an instance see whether its hooks block.
type look struct{}

// IgnoreDeadLetterLogging: they may come when the plugin has been unloaded.
func (*crashed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging implements the framework's interface.
func (*look) IgnoreDeadLetterLogging() {}

// A hook that has not returned for looks × lookEvery blocks its caller for good.
const (
	lookEvery = time.Second
	looks     = 5
)

// Start implements kernel.Starter.
func (i *instance) Start(c actor.Context) (err error) {
	defer func() { i.failed = err != nil }()
	settings, err := i.host.ground.Settings(i.plugin.Name)
	if err != nil {
		return err
	}
	i.env = &Env{Ground: i.host.ground, Name: i.plugin.Name, self: c.Self().Id, ended: make(chan struct{}), Settings: settings, Log: i.host.ground.Log.With("plugin", i.plugin.Name)}
	root, self := c.ActorSystem().Root, c.Self()
	i.env.crash = func(reason any) { root.Send(self, &crashed{reason}) }
	if err = i.begin(); err == nil {
		err = i.spawn(c)
	}
	if err != nil {
		i.end()
		return err
	}
	i.host.open(i.plugin.Name)
	i.enforce()
	i.wait(c)
	return nil
}

// spawn starts the plugin's actors.
func (i *instance) spawn(c actor.Context) error {
	i.parts = make(chan error, len(i.env.children))
	if len(i.env.children) == 0 {
		return nil
	}
	pid, err := c.SpawnNamed(kernel.Supervisor(nil), "parts")
	if err != nil {
		return err
	}
	for _, spec := range i.env.children {
		c.Send(pid, &kernel.AddChild{Spec: spec, Reply: func(_ *actor.PID, err error) { i.parts <- err }})
	}
	return nil
}

// WhenStarted implements kernel.LateStarter: who loads a plugin finds its actors, and
// its hooks in force.
func (i *instance) WhenStarted(done func(error)) {
	complete := i.complete
	go func() { done(<-complete) }()
}

// enforce has the hooks called when the plugin's actors have started. Nobody waits for
// a restart: if that fails, it is a crash like another.
func (i *instance) enforce() {
	i.complete = make(chan error, 1)
	env, parts, complete := i.env, i.parts, i.complete
	again := i.host.isStarted(i.plugin.Name)
	go func() {
		err := env.started(parts)
		if err == nil {
			err = env.enforce()
		}
		if err != nil && again {
			env.Crash(err)
		}
		complete <- err
	}()
}

// begin runs the plugin's own start, whose panic is an error.
func (i *instance) begin() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return i.plugin.Start(i.env)
}

// Receive implements actor.Actor.
func (i *instance) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *crashed:
		i.failed = true
		panic(m.reason)
	case *actor.Terminated:
		if i.ending {
			return
		}
		i.failed = true
		panic("its actors could not be kept running")
	case *look:
		i.look(c)
	case *actor.Restarting, *actor.Stopping:
		i.end()
	case *actor.Stopped:
		i.host.ended(i.plugin.Name, i.failed)
	}
}

func (i *instance) end() {
	i.ending = true
	if i.timer != nil {
		i.timer.Stop()
	}
	if i.env != nil {
		i.host.shut(i.plugin.Name, i.env.ends())
	}
}

func (i *instance) wait(c actor.Context) {
	root, self := c.ActorSystem().Root, c.Self()
	i.timer = time.AfterFunc(lookEvery, func() { root.Send(self, &look{}) })
}

// look gives up a plugin whose hooks hold up their callers: what waits in them
// cannot be ended, but nobody else is to come to it.
func (i *instance) look(c actor.Context) {
	blocked := false
	for _, h := range i.env.hooked {
		blocked = i.host.ground.Hooks.Older(i.plugin.Name, h.at) || blocked
	}
	if !blocked {
		i.stuck = 0
	} else if i.stuck++; i.stuck >= looks {
		i.failed = true
		i.host.blocked(i.plugin.Name)
		i.end()
		c.Stop(c.Self())
		return
	}
	i.wait(c)
}
