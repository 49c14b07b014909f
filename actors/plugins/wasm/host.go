package wasm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

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
	ctx      context.Context // of the runtime and its instances
	cancel   context.CancelFunc
	watching sync.WaitGroup
	all      []*instance
	idle     chan *instance       // who takes one out owns it
	hooks    map[hooks.Point]bool // what they ask to be called at
	died     chan error
}

// The verdicts of next.
const (
	verdictContinue = iota
	verdictStop
	verdictChanged
)

var (
	errEnded   = errors.New("the instance ended by itself")
	errOutside = errors.New("the module named memory that it does not have")
	errLate    = errors.New("a call took longer than " + timeKey)
)

// The results of next that are no length: there is no more work, and, as a bit beside
// the length, that the buffer is too short.
const (
	end      = 1<<32 - 1
	tooShort = 1 << 31
)

// fail crashes the plugin, unless it ends.
func (h *host) fail(err error) {
	if h.ctx.Err() != nil {
		return
	}
	select {
	case h.died <- err:
	default: // it is known that something has to be ended
	}
}

// export defines the functions that modules import from "emqttd". Arguments and the
// result are on the stack, for which reflection would take longer than the calls.
func (h *host) export() error {
	b := h.runtime.NewHostModuleBuilder("emqttd")
	for _, f := range []struct {
		name            string
		params, results int
		call            func(i *instance, m api.Module, s []uint64)
	}{
		{"hook", 1, 0, func(i *instance, _ api.Module, s []uint64) { i.hook(u32(s[0])) }},
		{"next", 5, 1, func(i *instance, m api.Module, s []uint64) {
			i.done(m, u32(s[0]), u32(s[1]), u32(s[2]))
			s[0] = uint64(i.next(m, u32(s[3]), u32(s[4])))
		}},
		{"log", 3, 0, func(i *instance, m api.Module, s []uint64) {
			i.print(m, u32(s[0]), u32(s[1]), u32(s[2]))
		}},
		{"setting", 4, 1, func(i *instance, m api.Module, s []uint64) {
			s[0] = uint64(i.setting(m, u32(s[0]), u32(s[1]), u32(s[2]), u32(s[3])))
		}},
	} {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, s []uint64) {
			f.call(of(ctx), m, s)
		}), words(f.params), words(f.results)).Export(f.name)
	}
	_, err := b.Instantiate(h.ctx)
	return err
}

func u32(x uint64) uint32 { return api.DecodeU32(x) }

// words is a list of n 32-bit integers.
func words(n int) []api.ValueType { return slices.Repeat([]api.ValueType{api.ValueTypeI32}, n) }

// hook notes a point; those behind the first next are too late.
func (i *instance) hook(at uint32) {
	if at <= uint32(hooks.MessageAcked) && !i.ready {
		i.host.hooks[hooks.Point(at)] = true
	}
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
