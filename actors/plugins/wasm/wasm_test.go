package wasm

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/plugins"
	"emqttd/actors/system/alarm"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// patience is how long a test waits for what must happen; only failures take it.
const patience = time.Minute

var built sync.Map // folder → sync.OnceValue of the module's file

// build compiles a module once.
func build(t testing.TB, folder string) string {
	t.Helper()
	once, _ := built.LoadOrStore(folder, sync.OnceValue(func() string {
		out := filepath.Join(os.TempDir(), fmt.Sprintf("emqttd-%s-%d.wasm", filepath.Base(folder), os.Getpid()))
		cmd := exec.Command("go", "build", "-o", out, "./"+folder)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "! " + string(text)
		}
		return out
	}))
	file := once.(func() string)()
	if strings.HasPrefix(file, "! ") {
		t.Fatalf("the module does not build: %s", file)
	}
	return file
}

func TestMain(m *testing.M) {
	code := m.Run()
	built.Range(func(_, once any) bool {
		_ = os.Remove(once.(func() string)())
		return true
	})
	os.Exit(code)
}

// rig is a host of plugins with one that is a module.
type rig struct {
	testing.TB
	host   *plugins.Host
	hooks  hooks.Hooks
	log    strings.Builder
	alarms chan alarm.Alarm
}

func newRig(t testing.TB, s plugins.Settings) *rig {
	r := &rig{TB: t, alarms: make(chan alarm.Alarm, 16)}
	log := slog.New(slog.NewTextHandler(&locked{w: &r.log}, nil))
	system := kernel.NewSystem(slog.New(slog.DiscardHandler))
	g := &plugins.Ground{
		System: system, Node: "n@h", Hooks: &r.hooks, Log: log, File: filepath.Join(t.TempDir(), "loaded_plugins"),
		Settings: func(string) (plugins.Settings, error) { return s, nil },
		Alarm: func(a alarm.Alarm) {
			if !a.Cleared {
				r.alarms <- a
			}
		},
	}
	r.host = plugins.New(g, "node", []*plugins.Plugin{New("p", s, func(f string) string { return f })})
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{r.host.Spec()}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.host.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, system, root); err != nil {
			t.Error(err)
		}
	})
	return r
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (r *rig) load() {
	r.Helper()
	if err := r.host.Load("p"); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) publish(name topic.Name, payload string) *protocol.Message {
	return r.hooks.Publish(&hooks.Client{ID: "c", Username: "u", Peer: "192.0.2.1"}, &protocol.Message{Topic: name, Payload: []byte(payload), From: "c"})
}

// until waits for something that another goroutine brings about.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			r.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestTheExampleChangesStopsAndPasses(t *testing.T) {
	r := newRig(t, plugins.Settings{FileKey: build(t, "example"), "example.note": "hello from the file"})
	r.load()
	if m := r.publish("quiet/a", "text"); m == nil || string(m.Payload) != "text" {
		t.Errorf("quiet/a: %v", m)
	}
	if m := r.publish("loud/a", "text"); m == nil || string(m.Payload) != "TEXT" || m.Topic != "loud/a" || m.From != "c" {
		t.Errorf("loud/a: %v", m)
	}
	if m := r.publish("secret/a", "text"); m != nil {
		t.Errorf("secret/a was published: %v", m)
	}
	if m := r.publish("loud/long", strings.Repeat("x", 100_000)); m == nil || string(m.Payload) != strings.Repeat("X", 100_000) {
		t.Error("a message longer than the module's buffer is not what it should be")
	}
	list := []hooks.Subscription{{Text: "secret/#"}, {Text: "quiet/#"}}
	r.hooks.Subscribe(&hooks.Client{ID: "c"}, list)
	if !list[0].Refused || list[1].Refused {
		t.Errorf("refused: %v, %v", list[0].Refused, list[1].Refused)
	}
	if !strings.Contains(r.log.String(), "hello from the file") {
		t.Errorf("the log has no line of the module: %s", r.log.String())
	}
	if err := r.host.Unload("p"); err != nil {
		t.Fatal(err)
	}
	if m := r.publish("secret/a", "text"); m == nil {
		t.Error("it still judges after it was unloaded")
	}
}

func TestAModuleThatMisbehavesIsRestartedAndThenUnloaded(t *testing.T) {
	for _, name := range []topic.Name{"panic", "loop", "eat", "sleep"} {
		t.Run(string(name), func(t *testing.T) {
			r := newRig(t, plugins.Settings{FileKey: build(t, "testdata/bad"), memoryKey: "16MB", timeKey: "200ms", instancesKey: "1"})
			r.load()
			for gone := false; !gone; {
				if m := r.publish(name, "x"); m == nil || m.Topic != name {
					t.Fatalf("the publisher suffers: %v", m)
				}
				select {
				case <-r.alarms:
					gone = true
				default:
				}
			}
			r.until("it is unloaded", func() bool { return !r.host.List()[0].Active && !r.hooks.Used(hooks.MessagePublish) })
		})
	}
}

func TestAModuleThatCrashesOnceIsBack(t *testing.T) {
	r := newRig(t, plugins.Settings{FileKey: build(t, "testdata/bad"), timeKey: "500ms", instancesKey: "1"})
	r.load()
	r.publish("panic", "x")
	r.until("it crashes", func() bool { return !r.hooks.Used(hooks.MessagePublish) })
	r.until("it is back", func() bool { return r.hooks.Used(hooks.MessagePublish) })
	if m := r.publish("fine", "x"); m == nil || m.Topic != "fine" {
		t.Errorf("published %v", m)
	}
}

func TestAMessageThatMayNotBePublishedStaysAsItWas(t *testing.T) {
	r := newRig(t, plugins.Settings{FileKey: build(t, "testdata/bad")})
	r.load()
	if m := r.publish("wildcard", "x"); m == nil || m.Topic != "wildcard" {
		t.Errorf("published %v", m)
	}
}

func TestABadModuleOrSettingIsOneClearError(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.wasm")
	if err := os.WriteFile(garbage, []byte("no module"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		s    plugins.Settings
		want string
	}{
		"no file":     {plugins.Settings{}, FileKey},
		"not there":   {plugins.Settings{FileKey: "/nonexistent.wasm"}, "no such file"},
		"no module":   {plugins.Settings{FileKey: garbage}, "cannot be compiled"},
		"memory":      {plugins.Settings{FileKey: garbage, memoryKey: "lots"}, memoryKey},
		"no memory":   {plugins.Settings{FileKey: garbage, memoryKey: "1KB"}, "out of range"},
		"time":        {plugins.Settings{FileKey: garbage, timeKey: "soon"}, timeKey},
		"instances":   {plugins.Settings{FileKey: garbage, instancesKey: "0"}, "out of range"},
		"little room": {plugins.Settings{FileKey: build(t, "example"), memoryKey: "1MB"}, "memory"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.s)
			if err := r.host.Load("p"); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q in one line", err, tc.want)
			}
		})
	}
}

func TestARecordThatIsCutIsNoMessage(t *testing.T) {
	m := &protocol.Message{Topic: "t", Payload: []byte("p"), QoS: 1}
	whole := appendRecord(nil, hooks.MessagePublish, &hooks.Client{ID: "c"}, m, "")
	if c := changed(whole, m); c == nil || c.Topic != "t" || string(c.Payload) != "p" || c.QoS != 1 {
		t.Fatalf("got %v", c)
	}
	for n := range whole {
		if c := changed(whole[:n:n], m); c != nil {
			t.Errorf("%d bytes make %v", n, c)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	r := newRig(b, plugins.Settings{FileKey: build(b, "example")})
	r.load()
	m := &protocol.Message{Topic: "quiet/a", Payload: make([]byte, 64)}
	c := &hooks.Client{ID: "c"}
	b.ReportAllocs()
	for b.Loop() {
		r.hooks.Publish(c, m)
	}
}
