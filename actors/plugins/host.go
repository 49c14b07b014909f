package plugins

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/system/alarm"
)

// Host loads and unloads plugins. All methods may be called from any goroutine but
// an actor's: they wait.
type Host struct {
	ground  *Ground
	pid     *actor.PID // of the supervisor
	doing   sync.Mutex // one load or unload at a time
	after   sync.WaitGroup
	closed  chan struct{}
	mu      sync.Mutex // what is below
	known   map[string]*Plugin
	loaded  map[string]*state
	stopped bool
	// shutDoors are the access modules of plugins that have crashed.
	shutDoors map[string][]*access.Added
}

// state is that of a loaded plugin.
type state struct {
	started bool   // it has started once
	leaving bool   // it is being unloaded
	reason  string // why it was given up
}

// Info is a plugin as operators see it.
type Info struct {
	Name, Version, Description string
	Active                     bool
}

// waitTime is how long a plugin may take to start or to end.
const waitTime = 30 * time.Second

// New makes a host that knows some plugins. prefix is the name of the actor under
// which Spec will be started.
func New(g *Ground, prefix string, known []*Plugin) *Host {
	h := &Host{ground: g, pid: g.System.NewLocalPID(prefix + "/plugins"), closed: make(chan struct{}), known: map[string]*Plugin{}, loaded: map[string]*state{}, shutDoors: map[string][]*access.Added{}}
	for _, p := range known {
		h.known[p.Name] = p
	}
	g.Hooks.OnPanic = h.panicked
	return h
}

// Spec is the subtree "plugins". A plugin that could not be kept running is gone;
// the others stay.
func (h *Host) Spec() kernel.ChildSpec {
	return kernel.ChildSpec{Name: "plugins", Restart: kernel.Permanent, Props: kernel.Supervisor(nil,
		kernel.WithStrategy(kernel.NewStrategy(kernel.Backoff{Min: 50 * time.Millisecond, Limit: 3, Window: 30 * time.Second})))}
}

// Add makes a plugin known, or takes the place of one of that name that is not
// loaded.
func (h *Host) Add(p *Plugin) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded[p.Name] != nil {
		return ErrAlreadyStarted
	}
	h.known[p.Name] = p
	return nil
}

// List is all that are known, by name.
func (h *Host) List() []Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Info, 0, len(h.known))
	for _, p := range h.known {
		out = append(out, Info{p.Name, p.Version, p.Description, h.loaded[p.Name] != nil})
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Load starts a plugin and notes that it is to be started with the node. An error
// leaves nothing behind.
func (h *Host) Load(name string) error {
	h.doing.Lock()
	defer h.doing.Unlock()
	if err := h.start(name); err != nil {
		return err
	}
	return h.save()
}

// Unload ends a plugin and takes back what it has registered.
func (h *Host) Unload(name string) error {
	h.doing.Lock()
	defer h.doing.Unlock()
	if err := h.stop(name); err != nil {
		return err
	}
	return h.save()
}

// Reload unloads a plugin and loads it again, with the settings that its file has
// now. If it does not start with them it stays unloaded.
func (h *Host) Reload(name string) error {
	h.doing.Lock()
	defer h.doing.Unlock()
	if err := h.stop(name); err != nil {
		return err
	}
	err := h.start(name)
	if saved := h.save(); err == nil {
		err = saved
	}
	return err
}

// LoadSaved starts what was loaded when the node ran last, or, without a file,
// the given ones. What does not start is logged, and raises an alarm; the others
// do.
func (h *Host) LoadSaved(otherwise []string) {
	h.doing.Lock()
	defer h.doing.Unlock()
	names, ok, err := readNames(h.ground.File)
	if err != nil {
		h.ground.Log.Error("the list of loaded plugins cannot be read", "file", h.ground.File, "error", err)
	}
	if !ok {
		names = otherwise
	}
	var all []string
	for _, name := range names {
		all = append(all, h.today(name, otherwise)...)
	}
	for _, name := range all {
		if err := h.start(name); err != nil && !errors.Is(err, ErrAlreadyStarted) {
			h.ground.Log.Error("a plugin does not start", "plugin", name, "error", err)
			h.alarm(name, fmt.Sprintf("it does not start: %v", err))
		}
	}
}

// Close says that the node stops: plugins that end now stay in the file. It returns
// when the file is as it is to be. It may be called more than once.
func (h *Host) Close() {
	h.mu.Lock()
	if !h.stopped {
		h.stopped = true
		close(h.closed)
	}
	h.mu.Unlock()
	h.after.Wait()
}

func (h *Host) start(name string) error {
	h.mu.Lock()
	p, on := h.known[name], h.loaded[name] != nil
	if p != nil && !on {
		h.loaded[name] = &state{}
	}
	h.mu.Unlock()
	switch {
	case p == nil:
		return ErrNotFound
	case on:
		return ErrAlreadyStarted
	}
	done := make(chan error, 1)
	h.ground.System.Root.Send(h.pid, &kernel.AddChild{
		Spec: kernel.ChildSpec{
			Name: name, Restart: kernel.Transient,
			Props: kernel.NewProps(func() actor.Actor { return &instance{host: h, plugin: p} },
				kernel.WithStrategy(kernel.StopStrategy())),
		},
		Reply: func(_ *actor.PID, err error) { done <- err },
	})
	err := h.wait(done)
	if err != nil {
		h.forget(name)
		return err
	}
	h.mu.Lock()
	if s := h.loaded[name]; s != nil {
		s.started = true
	}
	h.mu.Unlock()
	h.ground.Alarm(alarm.Alarm{ID: alarmID(name), Cleared: true})
	h.ground.Log.Info("plugin loaded", "plugin", name, "version", p.Version)
	return nil
}

func (h *Host) stop(name string) error {
	h.mu.Lock()
	p, s := h.known[name], h.loaded[name]
	if s != nil {
		s.leaving = true
	}
	h.mu.Unlock()
	switch {
	case p == nil:
		return ErrNotFound
	case s == nil && h.open(name):
		h.ground.Alarm(alarm.Alarm{ID: alarmID(name), Cleared: true})
		h.ground.Log.Info("what was left of a plugin is gone", "plugin", name)
		return nil
	case s == nil:
		return ErrNotStarted
	}
	done := make(chan error, 1)
	h.ground.System.Root.Send(h.pid, &kernel.RemoveChild{Name: name, Reply: func(err error) { done <- err }})
	if err := h.wait(done); err != nil {
		return err
	}
	h.forget(name)
	h.open(name) // it may have been between a crash and its restart
	h.ground.Log.Info("plugin unloaded", "plugin", name)
	return nil
}

func (h *Host) wait(done <-chan error) error {
	t := time.NewTimer(waitTime)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-h.closed:
		return errStopping
	case <-t.C:
		return fmt.Errorf("it does not answer within %v", waitTime)
	}
}

var errStopping = errors.New("the node stops")

func (h *Host) isStarted(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.loaded[name]
	return s != nil && s.started
}

func (h *Host) forget(name string) {
	h.mu.Lock()
	delete(h.loaded, name)
	h.mu.Unlock()
}

// panicked is told by hooks, on the goroutine of whoever called one.
func (h *Host) panicked(owner string, at hooks.Point, reason any) {
	h.ground.System.Root.Send(h.ground.System.NewLocalPID(h.pid.Id+"/"+owner), &crashed{fmt.Sprintf("%s: %v", at, reason)})
}

// blocked notes why an instance is about to end.
func (h *Host) blocked(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.loaded[name]; s != nil {
		s.reason = "its hooks block those who call them"
	}
}

// ended is told by an instance that is gone. If nobody asked for it, it could not be
// kept running, and it is unloaded and stays so; or what it stood under has ended,
// and then it comes back with that, unless the node stops.
func (h *Host) ended(name string, gaveUp bool) {
	h.mu.Lock()
	s := h.loaded[name]
	if s == nil || !s.started || s.leaving || h.stopped {
		h.mu.Unlock()
		return
	}
	delete(h.loaded, name)
	reason := s.reason
	h.after.Add(1)
	h.mu.Unlock()
	if !gaveUp {
		go h.again(name)
		return
	}
	if reason == "" {
		reason = "it crashed again and again"
	}
	h.ground.Log.Error("plugin given up", "plugin", name, "reason", reason)
	h.alarm(name, reason)
	go func() { // the file is written on no actor's goroutine
		defer h.after.Done()
		h.doing.Lock()
		defer h.doing.Unlock()
		if err := h.save(); err != nil {
			h.ground.Log.Error("the list of loaded plugins cannot be written", "file", h.ground.File, "error", err)
		}
	}()
}

// Attempts to start a plugin again whose supervisor is on its way back.
const (
	againPause    = 100 * time.Millisecond
	againAttempts = 100
)

// again starts a plugin whose supervisor was restarted.
func (h *Host) again(name string) {
	defer h.after.Done()
	h.doing.Lock()
	defer h.doing.Unlock()
	var err error
	for range againAttempts {
		select {
		case <-h.closed:
			return
		case <-time.After(againPause):
		}
		if err = h.start(name); !errors.Is(err, kernel.ErrNotRunning) && !errors.Is(err, kernel.ErrChildExists) {
			break
		}
	}
	if err != nil && !errors.Is(err, errStopping) {
		h.ground.Log.Error("a plugin does not come back", "plugin", name, "error", err)
		h.alarm(name, fmt.Sprintf("it does not come back: %v", err))
	}
}

func (h *Host) alarm(name, reason string) {
	h.ground.Alarm(alarm.Alarm{
		ID: alarmID(name), Severity: "error", Title: "plugin " + name + " is not running",
		Summary: reason,
	})
}

func alarmID(name string) string { return "plugin." + name }

func (h *Host) save() error {
	h.mu.Lock()
	var names []string
	for name := range h.loaded {
		names = append(names, name)
	}
	h.mu.Unlock()
	slices.Sort(names)
	return writeNames(h.ground.File, names)
}
