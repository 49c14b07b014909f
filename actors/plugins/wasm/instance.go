package wasm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"emqttd/actors/hooks"
	"emqttd/protocol"
)

// instance is one of a module, with a memory of its own. Its main runs as a coroutine
// of whoever calls a hook: in next it hands over to the caller, and goes on with the
// following call, without the scheduler. It belongs to whoever has taken it out of
// host.idle; that goroutine must not be locked to a thread (package iter).
type instance struct {
	host   *host
	cancel context.CancelFunc
	resume func() (struct{}, bool) // runs it until it asks for work; false if it has ended
	end    func()                  // has its next say that there is no more
	yield  func(struct{}) bool     // the other side of them
	ended  error                   // why
	// turns counts the calls that have begun and those that have ended: it is odd while
	// the module runs.
	turns atomic.Uint64

	buffer  []byte // of the module, while it waits
	size    int    // of the record in it
	long    []byte // the record, if it is longer than the buffer
	ready   bool   // it has asked for work
	asked   bool   // it has a call to answer
	verdict uint32
	changed []byte // the record that came back
}

type instanceKey struct{}

func of(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

// startTime is how long an instance may take before it asks for work.
const startTime = 10 * time.Second

// begin makes an instance and runs it until it asks for work.
func (h *host) begin(number int) (*instance, error) {
	i := &instance{host: h}
	ctx, cancel := context.WithCancel(context.WithValue(h.ctx, instanceKey{}, i))
	i.cancel = cancel
	i.resume, i.end = iter.Pull(func(yield func(struct{}) bool) {
		defer cancel()
		i.yield = yield
		config := wazero.NewModuleConfig().WithName(fmt.Sprintf("%s/%d", h.name, number)).WithSysWalltime().WithSysNanotime()
		m, err := h.runtime.InstantiateModule(ctx, h.module, config)
		if m != nil {
			_ = m.Close(context.Background()) // its memory is all it has
		}
		i.ended = oneLine(err)
	})
	late := time.AfterFunc(startTime, cancel)
	_, ok := i.resume()
	switch onTime := late.Stop(); {
	case ok && onTime:
		return i, nil
	case ok:
		i.end()
		fallthrough
	case !onTime:
		return nil, fmt.Errorf("it does not ask for work within %v", startTime)
	default:
		return nil, i.ended
	}
}

// oneLine leaves out the module's stack.
func oneLine(err error) error {
	if err == nil {
		return errEnded
	}
	if line, _, more := strings.Cut(err.Error(), "\n"); more {
		return errors.New(line)
	}
	return err
}

// ask has an instance judge something, and returns the instance, which has the verdict
// and must be given back; nil if there is none, and what it was asked about passes.
func (h *host) ask(at hooks.Point, c *hooks.Client, m *protocol.Message, reason string) *instance {
	i := h.take()
	if i == nil {
		return nil
	}
	if i.ended != nil {
		h.idle <- i
		return nil
	}
	i.verdict = verdictContinue
	if i.size = recordSize(c, m, reason); i.size > len(i.buffer) {
		i.long = appendRecord(make([]byte, 0, i.size), at, c, m, reason)
	} else {
		appendRecord(i.buffer[:0], at, c, m, reason)
	}
	i.turns.Add(1)
	_, ok := i.resume()
	i.turns.Add(1)
	if !ok {
		h.fail(i.ended)
		h.idle <- i
		return nil
	}
	return i
}

// take waits for an instance, but not longer than a call may take: what holds up one
// call holds up all.
func (h *host) take() *instance {
	select {
	case i := <-h.idle:
		return i
	default:
	}
	timer := time.NewTimer(h.limits.Time)
	defer timer.Stop()
	select {
	case i := <-h.idle:
		return i
	case <-timer.C:
		h.fail(errLate)
	case <-h.ctx.Done():
	}
	return nil
}

// maxKept bounds the room that is kept for records that come back.
const maxKept = 64 << 10

// give lets others have an instance.
func (h *host) give(i *instance) {
	if cap(i.changed) > maxKept {
		i.changed = nil
	}
	h.idle <- i
}

// done takes the answer to the call, if there was one: the first next has none.
func (i *instance) done(m api.Module, verdict, at, n uint32) {
	if !i.asked {
		return
	}
	i.asked = false
	if verdict == verdictChanged {
		record, ok := m.Memory().Read(at, n)
		if !ok {
			panic(errOutside)
		}
		i.changed = append(i.changed[:0], record...)
	}
	i.verdict = verdict
}

// next waits for a call, whose record is then in the module's buffer. If there is not
// room enough it returns how much is needed, with the highest bit set, and the same
// call comes again.
func (i *instance) next(m api.Module, at, room uint32) uint32 {
	buffer, ok := m.Memory().Read(at, room)
	if !ok {
		panic(errOutside)
	}
	i.ready = true
	if i.long == nil {
		i.buffer = buffer[:len(buffer):len(buffer)]
		more := i.yield(struct{}{})
		i.buffer = nil
		if !more {
			return end
		}
		if i.long != nil {
			return uint32(len(i.long)) | tooShort
		}
	} else if len(i.long) > len(buffer) {
		return uint32(len(i.long)) | tooShort
	} else {
		copy(buffer, i.long)
		i.long = nil
	}
	i.asked = true
	return uint32(i.size)
}

// watch ends the instances that are too long about a call, within half as long again.
func (h *host) watch() {
	defer h.watching.Done()
	tick := time.NewTicker(max(h.limits.Time/2, time.Millisecond))
	defer tick.Stop()
	type look struct {
		turns uint64
		same  int // ticks without an end of the call
	}
	last := make([]look, len(h.all))
	for {
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			return
		}
		for n, i := range h.all {
			turns := i.turns.Load()
			if turns%2 == 0 || turns != last[n].turns {
				last[n] = look{turns: turns}
			} else if last[n].same++; last[n].same == 2 {
				h.fail(errLate)
				i.cancel()
			}
		}
	}
}

// end lets all instances go. Those that are at work are cut off.
func (h *host) end() {
	h.cancel()
	h.watching.Wait()
	for range h.all {
		i := <-h.idle
		i.end()
	}
	_ = h.runtime.Close(context.Background()) // it has nothing to flush
}
