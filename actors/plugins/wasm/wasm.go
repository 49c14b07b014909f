// Package wasm makes plugins of WebAssembly modules: code that is loaded at run
// time, in whatever language, and can neither read the broker's memory nor hold it
// up. A module is a WASI preview 1 program whose main tells what it hooks and then
// asks for work until there is none (package guest does that for Go):
//
//	module                          host
//	  ── hook(point) ────────────────▶   once for each
//	  ── next(nothing, buffer) ──────▶   waits
//	  ◀─────────────── a call's record
//	  ── next(verdict, buffer) ──────▶   takes the answer, and waits for more
//
// There are some instances of it, each with its own memory, which run on the goroutines
// of those who call a hook. One call waits for one of them; if that, or the call itself,
// takes longer than Limits.Time, what it asked about passes as if nobody had been
// asked, the instance is ended, and the plugin crashes, which restarts it. Memory is
// bounded by Limits.Memory.
//
// That a module can be ended costs much of a call: at each turn of a loop, and where
// most functions begin, it asks whether it is to go on.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
)

// Limits bound what a module may use.
type Limits struct {
	Memory    int           // bytes of each instance, rounded up to pages of 64 KB
	Time      time.Duration // of a call
	Instances int
}

// DefaultLimits are those where the settings say nothing.
func DefaultLimits() Limits {
	return Limits{Memory: 64 << 20, Time: 100 * time.Millisecond, Instances: runtime.GOMAXPROCS(0)}
}

// The settings of a plugin that is a module.
const (
	// FileKey names the module's file; a plugin file with it is that of a module.
	FileKey      = "wasm.file"
	memoryKey    = "wasm.memory"
	timeKey      = "wasm.timeout"
	instancesKey = "wasm.instances"
	versionKey   = "wasm.version"
	textKey      = "wasm.description"
)

// New makes a plugin of the settings in its file. path resolves the name of a file.
// The module itself is read when the plugin is loaded.
func New(name string, s plugins.Settings, path func(string) string) *plugins.Plugin {
	version, text := s[versionKey], s[textKey]
	if version == "" {
		version = "wasm"
	}
	if text == "" {
		text = "WebAssembly module " + s[FileKey]
	}
	return &plugins.Plugin{Name: name, Version: version, Description: text, Start: func(e *plugins.Env) error {
		file := e.Settings[FileKey]
		if file == "" {
			return fmt.Errorf("%s is not set", FileKey)
		}
		limits, err := limitsOf(e.Settings)
		if err != nil {
			return err
		}
		code, err := os.ReadFile(path(file))
		if err != nil {
			return err
		}
		return start(e, code, limits)
	}}
}

func limitsOf(s plugins.Settings) (Limits, error) {
	l := DefaultLimits()
	for key, set := range map[string]func(string) error{
		memoryKey: func(v string) (err error) { l.Memory, err = size(v); return err },
		timeKey:   func(v string) (err error) { l.Time, err = time.ParseDuration(v); return err },
		instancesKey: func(v string) (err error) {
			l.Instances, err = strconv.Atoi(v)
			return err
		},
	} {
		if v := s[key]; v != "" {
			if err := set(v); err != nil {
				return l, fmt.Errorf("%s = %s: %w", key, v, err)
			}
		}
	}
	if l.Memory < 1<<20 || l.Memory > 4<<30-1 || l.Time <= 0 || l.Instances < 1 || l.Instances > 256 {
		return l, fmt.Errorf("%s, %s or %s is out of range", memoryKey, timeKey, instancesKey)
	}
	return l, nil
}

// size reads bytes with an optional KB, MB or GB.
func size(v string) (int, error) {
	unit := 1
	if n := len(v) - 2; n > 0 {
		switch v[n:] {
		case "KB":
			v, unit = v[:n], 1<<10
		case "MB":
			v, unit = v[:n], 1<<20
		case "GB":
			v, unit = v[:n], 1<<30
		}
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<32/unit {
		return 0, errors.New("not a size such as 64MB")
	}
	return n * unit, nil
}

// start compiles a module, starts its instances, and hooks what they ask for.
func start(e *plugins.Env, code []byte, l Limits) error {
	ctx, cancel := context.WithCancel(context.Background())
	config := wazero.NewRuntimeConfig().WithCloseOnContextDone(true).
		WithMemoryLimitPages(uint32((l.Memory + 65535) >> 16)).WithCompilationCache(compiled())
	h := &host{
		name: e.Name, log: e.Log, settings: e.Settings, limits: l, runtime: wazero.NewRuntimeWithConfig(ctx, config),
		ctx: ctx, cancel: cancel, idle: make(chan *instance, l.Instances), hooks: map[hooks.Point]bool{}, died: make(chan error, 1),
	}
	e.OnStop(h.end)
	if err := h.open(code); err != nil {
		return err
	}
	if err := h.populate(); err != nil {
		return err
	}
	for _, at := range slices.Sorted(maps.Keys(h.hooks)) {
		if err := e.Hook(at, 0, h.function(at)); err != nil {
			return err
		}
	}
	go func() {
		select {
		case err := <-h.died:
			e.Crash(err)
		case <-ctx.Done():
		}
	}()
	return nil
}

// compiled keeps what modules were compiled to, so that a restart is quick.
var compiled = sync.OnceValue(wazero.NewCompilationCache)

// open compiles the module.
func (h *host) open(code []byte) (err error) {
	if _, err = wasi_snapshot_preview1.Instantiate(h.ctx, h.runtime); err != nil {
		return err
	}
	if err = h.export(); err != nil {
		return err
	}
	if h.module, err = h.runtime.CompileModule(h.ctx, code); err != nil {
		return fmt.Errorf("the module cannot be compiled: %w", err)
	}
	return nil
}

// populate starts the instances, and sees what they hook.
func (h *host) populate() error {
	for n := range h.limits.Instances {
		i, err := h.begin(n)
		if err != nil {
			return err
		}
		h.all = append(h.all, i)
		h.idle <- i
	}
	if len(h.hooks) == 0 {
		return errors.New("the module hooks nothing")
	}
	h.watching.Add(1)
	go h.watch()
	return nil
}
