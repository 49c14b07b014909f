package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"emqttd/actors/hooks"
	"emqttd/config"
	"emqttd/tests/testkit"
)

// look is what a plugin could leave behind.
type look struct {
	actors, commands, routes, hooks string
	goroutines                      map[string]int // by who began them
}

func (l *life) look() look {
	l.t.Helper()
	v := look{actors: l.Shape(l.t), goroutines: goroutines()}
	v.commands, _ = l.Command(l.t, "help")
	v.routes, _ = l.Command(l.t, "routes", "list")
	v.hooks = l.hooked()
	return v
}

// hooked is who has functions at which point.
func (l *life) hooked() string {
	var b strings.Builder
	for at := hooks.ClientConnected; at <= hooks.MessageAcked; at++ {
		fmt.Fprintf(&b, "%v: %s\n", at, strings.Join(l.Hooks().Owners(at), " "))
	}
	return b.String()
}

// more is what there is beyond another look; empty if nothing.
func (v look) more(before look) string {
	var all []string
	for _, pair := range [][2]string{{v.actors, before.actors}, {v.commands, before.commands}, {v.routes, before.routes}, {v.hooks, before.hooks}} {
		if pair[0] != pair[1] {
			all = append(all, fmt.Sprintf("now:\n%sbefore:\n%s", pair[0], pair[1]))
		}
	}
	for begun, n := range v.goroutines {
		if was := before.goroutines[begun]; n > was {
			all = append(all, fmt.Sprintf("%d goroutines, and %d before, of %s", n, was, begun))
		}
	}
	return strings.Join(all, "\n")
}

// goroutines counts those of the process by the line that began them.
func goroutines() map[string]int {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	all := make(map[string]int)
	for _, stack := range strings.Split(string(buf), "\n\n") {
		_, begun, ok := strings.Cut(stack, "\ncreated by ")
		if !ok {
			continue
		}
		begun, _, _ = strings.Cut(begun, " in goroutine")
		if strings.HasPrefix(begun, "emqttd/actors/connections.(*workers)") || strings.HasPrefix(begun, "emqttd/actors/kernel.(*Pool)") {
			continue // the broker has as many of these as it has had work for at one time
		}
		all[begun]++
	}
	return all
}

// plugin writes a plugin's own file into the home of a node.
func plugin(t *testing.T, c *config.Config, name, text string) {
	t.Helper()
	write(t, filepath.Join(c.Path(c.MQTT.PluginsDir), name+".conf"), text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// buildModule builds the WASM example.
func buildModule(t *testing.T, file string) {
	t.Helper()
	buildGuest(t, "./actors/plugins/wasm/example", file)
}

// buildGuest builds a WASM module.
func buildGuest(t *testing.T, folder, file string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", file, folder)
	build.Dir = testkit.Root()
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
