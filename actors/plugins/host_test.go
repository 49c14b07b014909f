package plugins

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/system/alarm"
	"emqttd/protocol"
)

// rig is a host in a system of its own, in virtual time.
type rig struct {
	*testing.T
	host   *Host
	hooks  *hooks.Hooks
	file   string
	mu     sync.Mutex
	alarms []string
	added  []string // commands and routes that are registered
}

func inRig(t *testing.T, test func(*rig), known ...*Plugin) {
	file := filepath.Join(t.TempDir(), "data", "loaded_plugins")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, hooks: new(hooks.Hooks), file: file}
		system := kernel.NewSystem(slog.New(slog.DiscardHandler))
		r.host = New(r.ground(system), "node", known)
		root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{r.host.Spec()}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		test(r)
		r.host.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := kernel.StopRoot(ctx, system, root); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) ground(system *actor.ActorSystem) *Ground {
	add := func(what string) (func(), error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if slices.Contains(r.added, what) {
			return nil, errors.New(what + " is there already")
		}
		r.added = append(r.added, what)
		return func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.added = slices.DeleteFunc(r.added, func(s string) bool { return s == what })
		}, nil
	}
	return &Ground{
		System: system, Node: "n@h", Hooks: r.hooks, Log: slog.New(slog.DiscardHandler), File: r.file,
		Settings: func(string) (Settings, error) { return Settings{"k": "v"}, nil },
		Command:  func(c Command) (func(), error) { return add("command " + c.Name) },
		Route:    func(p string, _ http.Handler) (func(), error) { return add("route " + p) },
		Alarm: func(a alarm.Alarm) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if a.Cleared {
				r.alarms = slices.DeleteFunc(r.alarms, func(s string) bool { return s == a.ID })
			} else {
				r.alarms = append(r.alarms, a.ID)
			}
		},
	}
}

func (r *rig) active() (names []string) {
	for _, i := range r.host.List() {
		if i.Active {
			names = append(names, i.Name)
		}
	}
	return names
}

func (r *rig) saved() []string {
	r.Helper()
	names, _, err := readNames(r.file)
	if err != nil {
		r.Fatal(err)
	}
	return names
}

// expect compares what is active and saved, and which alarms are on.
func (r *rig) expect(active, alarms []string) {
	r.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.active(); !slices.Equal(a, active) || !slices.Equal(r.saved(), active) || !slices.Equal(r.alarms, alarms) {
		r.Errorf("active %v, saved %v, alarms %v; want %v and %v", a, r.saved(), r.alarms, active, alarms)
	}
}

func (r *rig) nothingLeft() {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hooks.Used(hooks.MessageAcked) || len(r.added) > 0 {
		r.Errorf("left behind: hooks of %v, %v", r.hooks.Owners(hooks.MessageAcked), r.added)
	}
}

func acked(f func()) hooks.OnMessage {
	return func(*hooks.Client, *protocol.Message) hooks.Verdict { f(); return hooks.Continue }
}

// full is a plugin that registers one of everything.
func full(name string, f func()) *Plugin {
	return &Plugin{Name: name, Version: "1", Start: func(e *Env) error {
		e.Actor("part", kernel.NewProps(func() actor.Actor { return idle{} }))
		return errors.Join(
			e.Hook(hooks.MessageAcked, 0, acked(f)),
			e.AddCommand(Command{Name: name}),
			e.AddRoute("/"+name, http.NotFoundHandler()))
	}}
}

type idle struct{}

func (idle) Receive(actor.Context) {}

func TestWhatAPluginRegistersIsThereAfterLoadAndGoneAfterUnload(t *testing.T) {
	called := 0
	inRig(t, func(r *rig) {
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		r.expect([]string{"p"}, nil)
		r.hooks.Acked(&hooks.Client{}, &protocol.Message{})
		if called != 1 || len(r.added) != 2 {
			t.Errorf("called %d times, added %v", called, r.added)
		}
		if err := r.host.Load("p"); !errors.Is(err, ErrAlreadyStarted) {
			t.Errorf("loaded twice: %v", err)
		}
		if err := r.host.Unload("p"); err != nil {
			t.Fatal(err)
		}
		r.expect(nil, nil)
		r.nothingLeft()
		if err := r.host.Unload("p"); !errors.Is(err, ErrNotStarted) {
			t.Errorf("unloaded twice: %v", err)
		}
		if err := r.host.Load("q"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
	}, full("p", func() { called++ }))
}

// slow is an actor that takes its time to start.
type slow struct {
	idle
	begun, goOn chan struct{}
}

func (s slow) Start(actor.Context) error {
	s.begun <- struct{}{}
	<-s.goOn
	return nil
}

func TestAHookIsNotCalledBeforeThePluginsActorsHaveStarted(t *testing.T) {
	var part slow
	inRig(t, func(r *rig) {
		part.begun, part.goOn = make(chan struct{}), make(chan struct{})
		loaded := make(chan error, 1)
		go func() { loaded <- r.host.Load("p") }()
		<-part.begun
		synctest.Wait()
		if r.hooks.Used(hooks.MessageAcked) {
			t.Error("there is a hook, and its actor is not there yet")
		}
		part.goOn <- struct{}{}
		if err := <-loaded; err != nil || !r.hooks.Used(hooks.MessageAcked) {
			t.Errorf("loaded: %v, hooked: %t", err, r.hooks.Used(hooks.MessageAcked))
		}
		r.hooks.OnPanic("p", hooks.MessageAcked, "broken by a test")
		<-part.begun
		synctest.Wait()
		if r.hooks.Used(hooks.MessageAcked) {
			t.Error("after a crash there is a hook, and its actor is not there yet")
		}
		part.goOn <- struct{}{}
		synctest.Wait()
		if !r.hooks.Used(hooks.MessageAcked) {
			t.Error("after a crash it is not hooked")
		}
	}, &Plugin{Name: "p", Start: func(e *Env) error {
		e.Actor("part", kernel.NewProps(func() actor.Actor { return part }))
		return e.Hook(hooks.MessageAcked, 0, acked(func() {}))
	}})
}

func TestAPluginThatDoesNotStartLeavesNothing(t *testing.T) {
	clash := full("clash", func() {})
	ok := clash.Start
	broken := &Plugin{Name: "broken", Start: func(e *Env) error { return errors.Join(ok(e), errors.New("no such host")) }}
	panics := &Plugin{Name: "panics", Start: func(e *Env) error { _ = ok(e); panic("boom") }}
	inRig(t, func(r *rig) {
		for _, name := range []string{"broken", "panics"} {
			if err := r.host.Load(name); err == nil {
				t.Errorf("%s was loaded", name)
			}
			r.expect(nil, nil)
			r.nothingLeft()
		}
		if err := r.host.Load("clash"); err != nil {
			t.Errorf("after them: %v", err)
		}
	}, clash, broken, panics)
}

func TestAHookThatPanicsIsRestartedAndThenUnloadedWithAnAlarm(t *testing.T) {
	inRig(t, func(r *rig) {
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			r.hooks.Acked(&hooks.Client{}, &protocol.Message{})
			time.Sleep(time.Second) // virtual: it is back
			if !r.hooks.Used(hooks.MessageAcked) {
				t.Fatalf("it did not come back after panic %d", n+1)
			}
		}
		r.hooks.Acked(&hooks.Client{}, &protocol.Message{})
		r.expect(nil, []string{"plugin.p"})
		r.nothingLeft()
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		r.expect([]string{"p"}, nil)
	}, full("p", func() { panic("boom") }))
}

func TestAHookThatBlocksIsUnloadedWithAnAlarm(t *testing.T) {
	gate := make(chan struct{})
	inRig(t, func(r *rig) {
		gate = make(chan struct{}) // of this bubble
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { r.hooks.Acked(&hooks.Client{}, &protocol.Message{}); close(done) }()
		time.Sleep(2 * looks * lookEvery)
		r.expect(nil, []string{"plugin.p"})
		r.nothingLeft()
		close(gate)
		<-done
	}, full("p", func() { <-gate }))
}

func TestAnActorOfAPluginThatDiesAgainAndAgainEndsThePlugin(t *testing.T) {
	dying := &Plugin{Name: "p", Start: func(e *Env) error {
		e.Actor("part", kernel.NewProps(func() actor.Actor { return mortal{} }))
		return e.Hook(hooks.MessageAcked, 0, acked(func() {}))
	}}
	inRig(t, func(r *rig) {
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		r.expect(nil, []string{"plugin.p"})
		r.nothingLeft()
	}, dying)
}

// mortal dies soon after each start.
type mortal struct{}

func (mortal) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		root, self := c.ActorSystem().Root, c.Self()
		time.AfterFunc(time.Millisecond, func() { root.Send(self, "die") })
	case string:
		panic("it dies")
	}
}

func TestWhatWasLoadedIsLoadedAtTheNextStart(t *testing.T) {
	a, b := full("a", func() {}), full("b", func() {})
	bad := &Plugin{Name: "bad", Start: func(*Env) error { return errors.New("no") }}
	inRig(t, func(r *rig) {
		r.host.LoadSaved([]string{"a"}) // no file: the default
		if got := r.active(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("active %v", got)
		}
		if err := r.host.Load("b"); err != nil {
			t.Fatal(err)
		}
		r.host.Close()
		next := New(r.host.ground, "node", nil)
		if next.LoadSaved(nil); len(next.List()) != 0 {
			t.Error("it knows plugins that nobody told it")
		}
		if got := r.saved(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("saved %v", got)
		}
	}, a, b, bad)
	inRig(t, func(r *rig) {
		if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.file, []byte("% a comment\nb.\nbad.\ngone.\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.host.LoadSaved([]string{"a"})
		if got := r.active(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("active %v", got)
		}
		if want := []string{"plugin.bad", "plugin.gone"}; !slices.Equal(r.alarms, want) {
			t.Errorf("alarms %v", r.alarms)
		}
	}, a, b, bad)
}

func TestPluginsComeBackWithTheirSupervisor(t *testing.T) {
	inRig(t, func(r *rig) {
		if err := r.host.Load("p"); err != nil {
			t.Fatal(err)
		}
		if err := kernel.KillByID(r.host.ground.System, "node/plugins"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // virtual
		r.expect([]string{"p"}, nil)
		if !r.hooks.Used(hooks.MessageAcked) {
			t.Error("it has no hooks")
		}
	}, full("p", func() {}))
}

// TestANodeThatFailsToStartLeavesTheListAsItWas: its parts end before anybody has
// said that they are to.
func TestANodeThatFailsToStartLeavesTheListAsItWas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "loaded_plugins")
	synctest.Test(t, func(t *testing.T) {
		if err := writeNames(file, []string{"p"}); err != nil {
			t.Fatal(err)
		}
		r := &rig{T: t, hooks: new(hooks.Hooks), file: file}
		system := kernel.NewSystem(slog.New(slog.DiscardHandler))
		r.host = New(r.ground(system), "node", []*Plugin{full("p", func() {})})
		late := kernel.ChildSpec{Name: "listeners", Props: kernel.NewProps(func() actor.Actor { return &failing{r.host} })}
		if _, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{r.host.Spec(), late}, func(error) {}); err == nil {
			t.Fatal("it started")
		}
		r.host.Close()
		if got := r.saved(); !slices.Equal(got, []string{"p"}) || len(r.alarms) > 0 {
			t.Errorf("saved %v, alarms %v", got, r.alarms)
		}
		r.nothingLeft()
	})
}

// failing is a part of a node that cannot start, when the plugins are loaded.
type failing struct{ host *Host }

func (f *failing) WhenStarted(done func(error)) {
	go func() {
		f.host.LoadSaved(nil)
		done(errors.New("the port is taken"))
	}()
}

func (*failing) Receive(actor.Context) {}

func TestNamesOfEMQsOwnListAreUnderstood(t *testing.T) {
	none := func(*Env) error { return nil }
	known := []*Plugin{{Name: "emq_retainer", Start: none}, {Name: "emq_mod_presence", Start: none}, {Name: "emq_mod_rewrite", Start: none}}
	for list, want := range map[string][]string{
		"emq_recon.\nemq_modules.\nemq_retainer.\nemq_dashboard.\n":                             {"emq_mod_presence", "emq_retainer"},
		"emq_recon.\nemq_dashboard.\nemq_mod_presence.\nemq_mod_retainer.\n":                    {"emq_mod_presence", "emq_retainer"},
		"emq_mod_rewrite.\nemq_modules.\nemq_mod_presence.\nemq_retainer.\nemq_mod_retainer.\n": {"emq_mod_presence", "emq_mod_rewrite", "emq_retainer"},
	} {
		inRig(t, func(r *rig) {
			if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.file, []byte(list), 0o644); err != nil {
				t.Fatal(err)
			}
			r.host.LoadSaved([]string{"emq_mod_presence", "emq_retainer"})
			if got := r.active(); !slices.Equal(got, want) || len(r.alarms) > 0 {
				t.Errorf("%q: active %v, alarms %v", list, got, r.alarms)
			}
		}, known...)
	}
}
