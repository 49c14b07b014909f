package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
)

// host is what stands around the instances of a module.
type host struct {
	name     string
	log      *slog.Logger
	settings plugins.Settings
	limits   Limits
	runtime  wazero.Runtime
	module   wazero.CompiledModule
	ctx      context.Context
	running  sync.WaitGroup
	jobs     chan *job
	hooks    chan hooks.Point
	died     chan error
}

// job is a call of a hook on its way through an instance.
type job struct {
	record  []byte // what happens; then, if it was changed, what shall
	verdict uint32
	done    chan struct{}
	timer   *time.Timer
}

var jobs = sync.Pool{New: func() any { return &job{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)} }}

// The verdicts of done.
const (
	verdictContinue = iota
	verdictStop
	verdictChanged
)

// instance is one of them, as its host functions know it.
type instance struct {
	host    *host
	ready   chan struct{} // closed at the first next
	once    sync.Once
	current *job
}

type instanceKey struct{}

var errEnded = errors.New("the instance ended by itself")

// run runs one instance until it dies or the plugin ends.
func (h *host) run(number int, ready chan struct{}) {
	defer h.running.Done()
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	i := &instance{host: h, ready: ready}
	config := wazero.NewModuleConfig().WithName(fmt.Sprintf("%s/%d", h.name, number)).WithSysWalltime().WithSysNanotime()
	m, err := h.runtime.InstantiateModule(context.WithValue(ctx, instanceKey{}, i), h.module, config)
	if m != nil {
		_ = m.Close(context.Background()) // its memory is all it has
	}
	if h.ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errEnded
	}
	select {
	case h.died <- err:
	default: // it is known that one has died
	}
}

// export defines the functions that modules import from "emqttd". Arguments and the
// result are on the stack, for which reflection would take longer than the calls.
func (h *host) export() error {
	b := h.runtime.NewHostModuleBuilder("emqttd")
	for _, f := range []struct {
		name            string
		params, results int
		call            func(ctx context.Context, i *instance, m api.Module, s []uint64)
	}{
		{"hook", 1, 0, func(_ context.Context, i *instance, _ api.Module, s []uint64) { i.hook(u32(s[0])) }},
		{"next", 2, 1, func(ctx context.Context, i *instance, m api.Module, s []uint64) {
			s[0] = uint64(i.next(ctx, m, u32(s[0]), u32(s[1])))
		}},
		{"done", 3, 0, func(_ context.Context, i *instance, m api.Module, s []uint64) {
			i.done(m, u32(s[0]), u32(s[1]), u32(s[2]))
		}},
		{"log", 3, 0, func(_ context.Context, i *instance, m api.Module, s []uint64) {
			i.print(m, u32(s[0]), u32(s[1]), u32(s[2]))
		}},
		{"setting", 4, 1, func(_ context.Context, i *instance, m api.Module, s []uint64) {
			s[0] = uint64(i.setting(m, u32(s[0]), u32(s[1]), u32(s[2]), u32(s[3])))
		}},
	} {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, s []uint64) {
			f.call(ctx, of(ctx), m, s)
		}), words(f.params), words(f.results)).Export(f.name)
	}
	_, err := b.Instantiate(h.ctx)
	return err
}

func u32(x uint64) uint32 { return api.DecodeU32(x) }

// words is a list of n 32-bit integers.
func words(n int) []api.ValueType { return slices.Repeat([]api.ValueType{api.ValueTypeI32}, n) }

func of(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

// hook notes a point; those behind the first next are too late.
func (i *instance) hook(at uint32) {
	if at <= uint32(hooks.MessageAcked) {
		select {
		case i.host.hooks <- hooks.Point(at):
		default: // every instance names the same ones
		}
	}
}

// end is what next returns when there is no more work.
const end = 1<<32 - 1

// next waits for a call and writes its record into the module's buffer. If there
// is not room enough it returns how much is needed, with the highest bit set, and
// the same call comes again.
func (i *instance) next(ctx context.Context, m api.Module, at, room uint32) uint32 {
	i.once.Do(func() { close(i.ready) })
	if i.current == nil {
		select {
		case i.current = <-i.host.jobs:
		case <-ctx.Done():
			return end
		}
	}
	record := i.current.record
	if n := uint32(len(record)); n > room {
		return n | 1<<31
	}
	if !m.Memory().Write(at, record) {
		panic(errOutside)
	}
	return uint32(len(record))
}

var errOutside = errors.New("the module named memory that it does not have")

// done answers the call. A record that is no message leaves it as it was.
func (i *instance) done(m api.Module, verdict, at, n uint32) {
	j := i.current
	if j == nil {
		panic(errors.New("the module answered a call that it did not have"))
	}
	i.current = nil
	if verdict == verdictChanged {
		record, ok := m.Memory().Read(at, n)
		if !ok {
			panic(errOutside)
		}
		j.record = append(j.record[:0], record...)
	}
	j.verdict = verdict
	j.done <- struct{}{}
}

const maxLine = 1024

// print writes a line of a module into the log.
func (i *instance) print(m api.Module, level, at, n uint32) {
	text, ok := m.Memory().Read(at, min(n, maxLine))
	if !ok {
		panic(errOutside)
	}
	levels := [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	i.host.log.Log(context.Background(), levels[min(level, 3)], string(text))
}

// setting writes a setting of the plugin's file into the module's memory, if there
// is room, and returns its length; end if it is not set.
func (i *instance) setting(m api.Module, key, n, at, room uint32) uint32 {
	k, ok := m.Memory().Read(key, n)
	if !ok {
		panic(errOutside)
	}
	v, ok := i.host.settings[string(k)]
	if !ok {
		return end
	}
	if uint32(len(v)) <= room && !m.Memory().WriteString(at, v) {
		panic(errOutside)
	}
	return uint32(len(v))
}

// call has an instance judge a record. If none does in time the thing passes, and
// the plugin crashes: an instance that holds up one call holds up all. mine tells
// whether the job is the caller's again.
func (h *host) call(j *job) (verdict uint32, mine bool) {
	j.timer.Reset(h.limits.Time)
	select {
	case h.jobs <- j:
	case <-j.timer.C:
		h.tooLate()
		return verdictContinue, true
	case <-h.ctx.Done():
		return verdictContinue, true
	}
	select {
	case <-j.done:
		j.timer.Stop()
		return j.verdict, true
	case <-j.timer.C:
		h.tooLate()
	case <-h.ctx.Done():
	}
	return verdictContinue, false
}

var errLate = errors.New("a call took longer than " + timeKey)

func (h *host) tooLate() {
	select {
	case h.died <- errLate:
	default: // it is known that one has to be ended
	}
}

// function is what is called at a point.
func (h *host) function(at hooks.Point) any {
	switch at {
	case hooks.ClientConnected:
		return func(c *hooks.Client, code protocol.ReasonCode) hooks.Verdict {
			return h.tell(at, c, nil, code.String())
		}
	case hooks.ClientDisconnected, hooks.SessionTerminated:
		return func(c *hooks.Client, reason string) hooks.Verdict { return h.tell(at, c, nil, reason) }
	case hooks.ClientSubscribe, hooks.ClientUnsubscribe:
		return func(c *hooks.Client, list []hooks.Subscription) hooks.Verdict {
			for i := range list {
				if h.tell(at, c, filterOf(&list[i]), "") == hooks.Stop {
					list[i].Refused = true
				}
			}
			return hooks.Continue
		}
	case hooks.SessionCreated:
		return func(c *hooks.Client) hooks.Verdict { return h.tell(at, c, nil, "") }
	case hooks.SessionSubscribed, hooks.SessionUnsubscribed:
		return func(c *hooks.Client, s *hooks.Subscription) hooks.Verdict { return h.tell(at, c, filterOf(s), "") }
	case hooks.MessagePublish:
		return h.publish
	default:
		return func(c *hooks.Client, m *protocol.Message) hooks.Verdict { return h.tell(at, c, m, "") }
	}
}
