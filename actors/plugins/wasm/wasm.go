// Package wasm makes plugins of WebAssembly modules: code that is loaded at run
// time, in whatever language, and can neither read the broker's memory nor hold it
// up. A module is a WASI preview 1 program whose main tells what it hooks and then
// asks for work until there is none (package guest does that for Go):
//
//	module                          host
//	  ── hook(point) ────────────────▶   once for each
//	  ── next(buffer) ───────────────▶   waits
//	  ◀─────────────── a call's record
//	  ── done(verdict, record) ──────▶   and next again
//
// Some instances of it run, each on a goroutine of its own with its own memory. One
// call waits for one of them, but not longer than Limits.Time; then what it asked
// about passes as if nobody had been asked, the instance is ended, and the plugin
// crashes, which restarts it. Memory is bounded by Limits.Memory.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
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
		ctx: ctx, jobs: make(chan *job), hooks: make(chan hooks.Point, 16), died: make(chan error, l.Instances),
	}
	e.OnStop(func() {
		cancel()
		h.running.Wait()
		_ = h.runtime.Close(context.Background()) // it has nothing to flush
	})
	if err := h.open(code); err != nil {
		return err
	}
	points, err := h.begin()
	if err != nil {
		return err
	}
	for _, at := range points {
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

// begin starts the instances and returns what the first one hooks.
func (h *host) begin() (points []hooks.Point, err error) {
	for i := range h.limits.Instances {
		h.running.Add(1)
		ready := make(chan struct{})
		go h.run(i, ready)
		timeout := time.NewTimer(startTime)
		select {
		case <-ready:
		case err = <-h.died:
		case <-timeout.C:
			err = fmt.Errorf("it does not ask for work within %v", startTime)
		}
		timeout.Stop()
		if err != nil {
			return nil, err
		}
	}
	seen := map[hooks.Point]bool{}
	for {
		select {
		case at := <-h.hooks:
			if !seen[at] {
				seen[at] = true
				points = append(points, at)
			}
		default:
			if len(points) == 0 {
				return nil, errors.New("the module hooks nothing")
			}
			return points, nil
		}
	}
}

// startTime is how long an instance may take before it asks for work.
const startTime = 10 * time.Second
