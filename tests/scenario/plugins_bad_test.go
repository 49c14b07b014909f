package scenario

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// adds is a plugin with a hook, a command and a route.
func adds(name, command, route string) *plugins.Plugin {
	return &plugins.Plugin{Name: name, Version: "1.0", Start: func(e *plugins.Env) error {
		err := e.Hook(hooks.MessagePublish, 0, func(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
			return m, hooks.Continue
		})
		if err != nil {
			return err
		}
		err = e.AddCommand(plugins.Command{Name: command, Run: func([]string) (string, int) { return "of " + name + "\n", 0 }})
		if err != nil {
			return err
		}
		return e.AddRoute(route, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "of "+name+"\n")
		}))
	}}
}

func TestAPluginThatClashesIsRefusedInOneLineAndTheFirstOneStays(t *testing.T) {
	all := []*plugins.Plugin{
		adds("first", "mine", "GET /mine"), adds("command", "mine", "GET /yours"), adds("route", "yours", "GET /mine"),
		adds("own_command", "clients", "GET /yours"), adds("own_route", "yours", "GET /api/v3/yours"),
	}
	l := &life{t: t, Broker: testkit.StartWith(t, all), name: "first"}
	l.change("load")
	before := l.look()
	for name, want := range map[string]string{
		"command":     "there is a command mine already",
		"route":       `the route "GET /mine" clashes with "GET /mine"`,
		"own_command": "there is a command clients already",
		"own_route":   `the route "GET /api/v3/yours" is one of the API itself`,
	} {
		out, code := l.Command(t, "plugins", "load", name)
		if code != 1 || out != "load plugin error: "+want+"\n" {
			t.Errorf("load %s: %d %q, want %q", name, code, out, want)
		}
		if _, status := l.Broker.Ask(t, "/yours"); status != http.StatusNotFound {
			t.Errorf("a route of %s is there: %d", name, status)
		}
	}
	l.gone(before)
	works := func(name string) {
		t.Helper()
		if out, code := l.Command(t, "mine"); code != 0 || out != "of "+name+"\n" {
			t.Errorf("the command of %s: %d %q", name, code, out)
		}
	}
	works("first")
	if body, status := l.Broker.Ask(t, "/mine"); status != http.StatusOK || body != "of first\n" {
		t.Errorf("the route of the first one: %d %q", status, body)
	}
	l.change("unload")
	if out, code := l.Command(t, "plugins", "load", "command"); code != 0 {
		t.Fatalf("what it clashed with is gone, and it does not load: %s", out)
	}
	works("command")
}

// TestAPluginWhoseHookBlocksIsUnloaded: the client in it is stuck until the hook
// returns; nobody else is.
func TestAPluginWhoseHookBlocksIsUnloaded(t *testing.T) {
	release := make(chan struct{})
	blocks := &plugins.Plugin{Name: "blocks", Version: "1.0", Start: func(e *plugins.Env) error {
		return e.Hook(hooks.MessagePublish, 0, func(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
			if m.Topic == "block" {
				<-release
			}
			return m, hooks.Continue
		})
	}}
	l := &life{t: t, Broker: testkit.StartWith(t, []*plugins.Plugin{blocks}), name: "blocks"}
	traffic := startTraffic(t, l.Broker)
	c := l.client("stuck")
	before := l.look()
	l.change("load")
	c.Publish("block", "1", 1, 7)
	testkit.Eventually(t, "there is an alarm", l.alarm)
	if owners := l.Hooks().Owners(hooks.MessagePublish); len(owners) > 0 {
		t.Errorf("it is given up, and hooked by %v", owners)
	}
	if out, _ := l.Command(t, "plugins", "list"); !strings.Contains(out, "Plugin(blocks, version=1.0, description=, active=false)") {
		t.Error(out)
	}
	close(release)
	c.ExpectAck(mqtt.PUBACK, 7)
	l.gone(before)
	traffic.end()
}

// TestAModuleThatMisbehavesIsUnloadedAndNobodySuffers: each message goes on, and so do
// those of others.
func TestAModuleThatMisbehavesIsUnloadedAndNobodySuffers(t *testing.T) {
	for _, how := range []string{"panic", "loop", "eat", "sleep"} {
		t.Run(how, func(t *testing.T) {
			l := &life{t: t, name: "bad", Broker: testkit.Start(t, func(c *config.Config) {
				plugin(t, c, "bad", "wasm.file = data/bad.wasm\nwasm.memory = 16MB\nwasm.timeout = 200ms\nwasm.instances = 1\n")
			})}
			buildGuest(t, "./actors/plugins/wasm/testdata/bad", l.Config.Path("data/bad.wasm"))
			traffic := startTraffic(t, l.Broker)
			c := l.client("c")
			c.Subscribe(0, how)
			before := l.look()
			l.change("load")
			for !l.alarm() {
				c.Publish(how, "passes", 0, 0)
				c.ExpectPublish(how, "passes")
			}
			l.gone(before)
			traffic.end()
		})
	}
}
