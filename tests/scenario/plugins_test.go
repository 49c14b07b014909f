//go:build !race

package scenario

import (
	"fmt"
	"strings"
	"testing"

	"emqttd/config"
	"emqttd/tests/testkit"
)

// TestPluginsAreLoadedAndUnloadedWhileClientsAreAtWork: what a plugin does begins and
// ends with it, and a hundred other clients do not notice.
func TestPluginsAreLoadedAndUnloadedWhileClientsAreAtWork(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		plugin(t, c, "emq_mod_rewrite", "module.rewrite.rule.1 = x/# ^x/(.+)$ y/$1\n")
		plugin(t, c, "emq_mod_subscription", "module.subscription.1.topic = own/%c\n")
		plugin(t, c, "emq_mod_topic_metrics", "topic_metrics.1 = y/#\n")
	})
	var others []*testkit.Client
	for i := range 100 {
		c := b.DialMemory(t)
		c.Connect(testkit.Hello(fmt.Sprintf("other-%d", i)))
		others = append(others, c)
	}
	watcher, c := b.Dial(t), b.Dial(t)
	watcher.Connect(testkit.Hello("watcher"))
	watcher.Subscribe(1, "x/#", "y/#", "later")
	c.Connect(testkit.Hello("c"))
	before := b.Shape(t)
	all := []string{
		"emq_mod_rewrite", "emq_mod_subscription", "emq_mod_topic_metrics", "emq_mod_delayed",
		"emq_mod_slow_subscribers", "emq_mod_flapping",
	}
	for _, name := range all {
		out, code := ctl(t, b, "plugins", "load", name)
		if want := "Start apps: [" + name + "]\nPlugin " + name + " loaded successfully.\n"; code != 0 || out != want {
			t.Fatalf("load %s: %d %s", name, code, out)
		}
	}
	c.Publish("x/1", "rewritten", 0, 0)
	watcher.ExpectPublish("y/1", "rewritten")
	c.Publish("$delayed/0/later", "delayed", 0, 0)
	watcher.ExpectPublish("later", "delayed")
	if out, code := ctl(t, b, "topic-metrics", "list"); code != 0 || !strings.HasPrefix(out, "Topic(y/#, in=1,") {
		t.Errorf("topic-metrics: %d %s", code, out)
	}
	late := b.Dial(t)
	late.Connect(testkit.Hello("late"))
	testkit.Eventually(t, "the client is subscribed", func() bool {
		out, _ := ctl(t, b, "subscriptions", "show", "late")
		return strings.Contains(out, "own/late")
	})
	load := b.Dial(t)
	load.Connect(testkit.Hello("load"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // messages come while plugins go
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				load.Publish("load", "m", 0, 0)
			}
		}
	}()
	for _, name := range all {
		if out, code := ctl(t, b, "plugins", "unload", name); code != 0 || out != "Plugin "+name+" unloaded successfully.\n" {
			t.Errorf("unload %s: %d %s", name, code, out)
		}
	}
	close(stop)
	<-stopped
	if after := b.Shape(t); after != before {
		t.Errorf("actors are left behind:\n%s\nbefore:\n%s", after, before)
	}
	c.Publish("x/2", "as it is", 0, 0)
	watcher.ExpectPublish("x/2", "as it is")
	testkit.Eventually(t, "the command is gone", func() bool {
		out, code := ctl(t, b, "topic-metrics", "list")
		return code != 0 && strings.HasPrefix(out, "Usage: emqttd_ctl")
	})
	for _, o := range others {
		o.Ping()
	}
}

func TestWhatCannotBeLoadedIsToldInOneLine(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		plugin(t, c, "emq_mod_flapping", "\nflapping.count = many\n")
		plugin(t, c, "emq_mod_delayed", "no setting\n")
		plugin(t, c, "module", "wasm.file = none.wasm\n")
	})
	for name, want := range map[string]string{
		"none":             "not_found",
		"../emq":           "not_found",
		"emq_mod_flapping": "flapping.count = many",
		"emq_mod_delayed":  "emq_mod_delayed.conf:1: expected `key = value`",
		"module":           "none.wasm",
		"emq_retainer":     "already_started",
	} {
		out, code := ctl(t, b, "plugins", "load", name)
		if code != 1 || !strings.HasPrefix(out, "load plugin error: ") || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("load %s: %d %s", name, code, out)
		}
	}
	if out, _ := ctl(t, b, "plugins", "list"); strings.Count(out, "active=true") != 2 || !strings.Contains(out, "Plugin(module, version=wasm,") {
		t.Errorf("list: %s", out)
	}
}

func TestRetainerThatIsUnloadedNeitherKeepsNorReplays(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	c.Connect(testkit.Hello("c"))
	c.Retain("kept", "1")
	c.Ping()
	testkit.Eventually(t, "it is kept", func() bool {
		out, _ := ctl(t, b, "retainer", "topics")
		return strings.Contains(out, "kept\n")
	})
	change := func(verb string) {
		t.Helper()
		if out, code := ctl(t, b, "plugins", verb, "emq_retainer"); code != 0 {
			t.Fatalf("%s: %s", verb, out)
		}
	}
	change("unload")
	c.Retain("lost", "2")
	c.Ping()
	c.Subscribe(0, "kept", "end")
	c.Publish("end", "no replay", 0, 0)
	c.ExpectPublish("end", "no replay")
	change("load")
	late := b.Dial(t)
	late.Connect(testkit.Hello("late"))
	late.Subscribe(0, "kept", "lost")
	late.ExpectPublish("kept", "1")
	late.Subscribe(0, "end")
	late.Publish("end", "nothing was lost to find", 0, 0)
	late.ExpectPublish("end", "nothing was lost to find")
}

func TestLoadedPluginsAreLoadedAgainAfterARestart(t *testing.T) {
	home := t.TempDir()
	at := func(c *config.Config) { c.Node.Home = home }
	t.Run("first", func(t *testing.T) {
		b := testkit.Start(t, at)
		for _, args := range [][]string{{"load", "emq_mod_delayed"}, {"unload", "emq_mod_presence"}} {
			if out, code := ctl(t, b, "plugins", args[0], args[1]); code != 0 {
				t.Fatal(out)
			}
		}
	})
	b := testkit.Start(t, at)
	out, _ := ctl(t, b, "plugins", "list")
	for name, active := range map[string]bool{"emq_mod_delayed": true, "emq_retainer": true, "emq_mod_presence": false, "emq_web_hook": false} {
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.HasPrefix(line, "Plugin("+name+",") && strings.HasSuffix(line, fmt.Sprintf("active=%t)\n", active))
		}
		if !found {
			t.Errorf("%s should be active=%t:\n%s", name, active, out)
		}
	}
}

func TestModuleIsLoadedByItsFileWhileTheNodeRuns(t *testing.T) {
	b := testkit.Start(t)
	buildModule(t, b.Config.Path("data/example.wasm"))
	c := b.Dial(t)
	c.Connect(testkit.Hello("c"))
	c.Subscribe(0, "loud/#", "end")
	plugin(t, b.Config, "example", "wasm.file = data/example.wasm\nwasm.timeout = 1m\nwasm.instances = 1\n")
	if out, code := ctl(t, b, "plugins", "load", "example"); code != 0 {
		t.Fatal(out)
	}
	c.Publish("loud/x", "quiet", 0, 0)
	c.ExpectPublish("loud/x", "QUIET")
	if out, code := ctl(t, b, "plugins", "unload", "example"); code != 0 {
		t.Fatal(out)
	}
	c.Publish("loud/x", "quiet", 0, 0)
	c.ExpectPublish("loud/x", "quiet")
}
