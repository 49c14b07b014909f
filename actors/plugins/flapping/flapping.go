// Package flapping is the plugin emq_mod_flapping: it bans a client that connects
// and disconnects again and again, for some time.
//
//	flapping.count = 15
//	flapping.window = 1m
//	flapping.ban = 5m
package flapping

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
)

// most bounds how many clients are watched at one time; above it those are let go
// whose window is over, and if there are none, new ones are not watched.
const most = 100_000

// watched is a client that has disconnected in this window.
type watched struct {
	since time.Time
	count int
}

// watch counts disconnects.
type watch struct {
	count       int
	window, ban time.Duration
	mu          sync.Mutex
	clients     map[string]*watched
}

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_flapping", Version: "1.0", Description: "Bans of clients that come and go",
		Start: func(e *plugins.Env) error {
			r := e.Settings.Read()
			w := &watch{
				count: r.Int("flapping.count", 15, 2, 1_000_000), window: r.Duration("flapping.window", time.Minute),
				ban: r.Duration("flapping.ban", 5*time.Minute), clients: make(map[string]*watched),
			}
			if err := r.Err(); err != nil {
				return err
			}
			return e.Hook(hooks.ClientDisconnected, 0, func(c *hooks.Client, _ string) hooks.Verdict {
				if n := w.gone(c.ID, time.Now()); n > 0 {
					id := strings.Clone(c.ID)
					go w.keepOut(e, id, n)
				}
				return hooks.Continue
			})
		},
	}
}

// gone counts a disconnect and returns how many there were, if those are too many.
func (w *watch) gone(client string, now time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clients[client]
	if c == nil || now.Sub(c.since) > w.window {
		if c == nil && !w.room(now) {
			return 0
		}
		c = &watched{since: now}
		w.clients[strings.Clone(client)] = c
	}
	if c.count++; c.count < w.count {
		return 0
	}
	delete(w.clients, client)
	return c.count
}

func (w *watch) room(now time.Time) bool {
	if len(w.clients) < most {
		return true
	}
	for id, c := range w.clients {
		if now.Sub(c.since) > w.window {
			delete(w.clients, id)
		}
	}
	return len(w.clients) < most
}

// keepOut bans a client. It waits for the store, so it has a goroutine of its own.
func (w *watch) keepOut(e *plugins.Env, client string, n int) {
	reason := fmt.Sprintf("flapping: %d disconnects within %v", n, w.window)
	if err := e.Ban(client, reason, w.ban); err != nil {
		e.Log.Error("a client that comes and goes cannot be banned", "client_id", client, "error", err)
		return
	}
	e.Log.Warn("a client that comes and goes is banned", "client_id", client, "disconnects", n, "for", w.ban)
}
