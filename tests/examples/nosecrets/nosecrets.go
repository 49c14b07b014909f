// Package nosecrets is an example of a plugin with a hook: it stops what is published
// below a prefix, and tells how often it has done so.
package nosecrets

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
)

// Plugin is the plugin; etc/plugins/no_secrets.conf has its settings.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "no_secrets", Version: "1.0", Description: "Stops what is below secret/",
		Start: start,
	}
}

func start(e *plugins.Env) error {
	r := e.Settings.Read()
	prefix := r.String("no_secrets.prefix", "secret/")
	if err := r.Err(); err != nil {
		return err
	}
	var stopped atomic.Uint64
	count := func() string { return fmt.Sprintf("stopped: %d\n", stopped.Load()) }
	if err := e.AddCommand(plugins.Command{
		Name: "no-secrets", Usage: [][2]string{{"no-secrets", "Show how many messages were stopped"}},
		Run: func([]string) (string, int) { return count(), 0 },
	}); err != nil {
		return err
	}
	if err := e.AddRoute("GET /no_secrets", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, count())
	})); err != nil {
		return err
	}
	return e.Hook(hooks.MessagePublish, 0, func(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
		if strings.HasPrefix(string(m.Topic), prefix) {
			stopped.Add(1)
			return m, hooks.Stop
		}
		return m, hooks.Continue
	})
}
