// Package plugintest runs a plugin in a host of its own, for the tests of plugins.
package plugintest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/plugins"
	"emqttd/actors/system/alarm"
	"emqttd/protocol"
)

// Rig is a node as a plugin sees it. What the plugin does there is kept.
type Rig struct {
	Hooks hooks.Hooks
	Host  *plugins.Host

	t  testing.TB
	mu sync.Mutex
	// Published, Subscribed ("client filter qos") and Banned ("client: reason") are
	// told in their order.
	Published  chan *protocol.Message
	Subscribed chan string
	Banned     chan string
	commands   map[string]plugins.Command
}

// patience is how long the end of a test may take.
const patience = time.Minute

// Start loads a plugin with settings; it is stopped when the test ends.
func Start(t testing.TB, p *plugins.Plugin, s plugins.Settings) *Rig {
	t.Helper()
	r := &Rig{
		t: t, Published: make(chan *protocol.Message, 1000), Subscribed: make(chan string, 1000),
		Banned: make(chan string, 1000), commands: map[string]plugins.Command{},
	}
	system := kernel.NewSystem(slog.New(slog.DiscardHandler))
	r.Host = plugins.New(r.ground(s, system), "node", []*plugins.Plugin{p})
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{r.Host.Spec()}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Host.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, system, root); err != nil {
			t.Error(err)
		}
	})
	if err := r.Host.Load(p.Name); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Rig) ground(s plugins.Settings, system *actor.ActorSystem) *plugins.Ground {
	nothing := func() {}
	return &plugins.Ground{
		System: system, Node: "n@h", Hooks: &r.Hooks, Log: slog.New(slog.DiscardHandler),
		File:     filepath.Join(r.t.TempDir(), "loaded_plugins"),
		Settings: func(string) (plugins.Settings, error) { return s, nil },
		Alarm:    func(alarm.Alarm) {},
		Publish:  func(m *protocol.Message) { r.Published <- m },
		Subscribe: func(client, filter string, qos protocol.QoS) error {
			r.Subscribed <- fmt.Sprintf("%s %s %d", client, filter, qos)
			return nil
		},
		Ban: func(client, reason string, _ time.Duration) error {
			r.Banned <- client + ": " + reason
			return nil
		},
		Command: func(c plugins.Command) (func(), error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.commands[c.Name] = c
			return nothing, nil
		},
		Route: func(string, http.Handler) (func(), error) { return nothing, nil },
	}
}

// Run runs a command of the plugin.
func (r *Rig) Run(name string, args ...string) (text string, code int) {
	r.t.Helper()
	r.mu.Lock()
	c, ok := r.commands[name]
	r.mu.Unlock()
	if !ok {
		r.t.Fatalf("there is no command %s", name)
	}
	return c.Run(args)
}
