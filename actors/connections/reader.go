package connections

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/system/metrics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// reader parses what a client sends. It takes whatever one read of the socket
// brought, publishes the messages of QoS 0 and 1 itself, and hands
// acknowledgements, QoS 2 and subscriptions to the session; one message to each
// receiving session for the whole read.
//
// It does so on one of the workers, one read at a time. Who has it do so depends
// on the connection: a goroutine that does nothing but wait for the socket and
// read (waiter), or a Polled connection that tells when there is something
// (poll). The reader belongs to the connection actor, which ends it by closing
// the socket and learns of its end by readerDone.
type reader struct {
	c       *connection // of which the reader uses what does not change any more
	session *actor.PID
	waiter  *waiter // nil for a connection that is polled
	held    []byte  // the beginning of a packet that is not complete; at first, what came with the CONNECT
	aliases map[uint16]topic.Name
	// enhanced is nil unless the client authenticated that way.
	enhanced  *enhanced
	need      int32         // the length of the held packet, 0 if not known yet
	since     atomic.Uint32 // when the deadline for its rest was set, Unix seconds; 0 for none
	stallAt   atomic.Uint32 // when the actor looks at since, Unix seconds; 0 for never
	state     atomic.Uint32 // of a connection that is polled: resting, turning …
	moved     bool          // this turn has completed a packet
	published bool          // this turn has brought messages
	receives  bool          // it has acknowledged messages, so that reading it makes room
	// ephemeral says that the session was to end with the connection, which a
	// DISCONNECT cannot change. [MQTT-3.14.2-2]
	ephemeral bool
	over      bool
	begun     bool // what came with the CONNECT has been handled
}

// run reads until the connection is over. first is what came with the CONNECT.
func (r *reader) run(first []byte) {
	r.held = first
	if p, ok := r.c.t.(Polled); ok {
		r.watch(p)
		return
	}
	r.waiter = &waiter{t: r.c.t.(Transport)}
	r.waiter.gate.Lock()
	go r.wait()
}

// prefix is what the next read is to be appended to: the held bytes, unless
// their packet is larger than a buffer.
func (r *reader) prefix() []byte {
	if r.need > bufferSize {
		return nil
	}
	return r.held
}

// work is called by a worker.
func (r *reader) work() {
	if r.waiter != nil {
		r.workWaited()
	} else {
		r.poll()
	}
}

// turn handles one read: what it brought, or why it brought nothing; neither is
// for what came with the CONNECT. The reader is over if that ends the connection.
func (r *reader) turn(buf *Buffer, err error) {
	done := r.handle(buf, err)
	if seen := r.c.lastSeen.Load(); seen < 0 {
		r.c.lastSeen.Store(-seen)
	}
	if done != nil {
		r.c.rt.System.Root.Send(r.c.self, done)
		r.over = true
	} else {
		r.watchStall()
	}
}

func (r *reader) handle(buf *Buffer, err error) *readerDone {
	if err != nil {
		return r.lost(err)
	}
	if buf == nil {
		return r.consume(r.held) // the handshake has counted its bytes
	}
	defer buf.Free()
	data := buf.Data
	if r.need > bufferSize {
		r.held = append(r.held, buf.Data...)
		r.c.rt.Metrics.Add(metrics.BytesReceived, uint64(len(buf.Data)))
		if data = r.held; len(data) < int(r.need) {
			r.c.lastSeen.Store(time.Now().UnixMilli())
			return nil
		}
	}
	return r.consume(data)
}

// watchStall gives a client that has sent the beginning of a packet a deadline
// for the rest: a slow drip must not hold a connection for ever. Each packet has
// its own, give or take a second: one that streams without a pause is not slow,
// although every read ends within a packet.
func (r *reader) watchStall() {
	moved := r.moved
	r.moved = false
	since := r.since.Load()
	if len(r.held) == 0 {
		if since != 0 {
			r.since.Store(0)
			r.setDeadline(time.Time{})
		}
		return
	}
	if r.c.settings.IdleTimeout <= 0 || since != 0 && !moved {
		return
	}
	now := time.Now()
	if s := uint32(now.Unix()); s != since {
		r.since.Store(s)
		r.setDeadline(now.Add(r.c.settings.IdleTimeout))
	}
}

// setDeadline ends the connection if the next read brings nothing until t. One
// that is polled has no deadlines of its own: its actor looks.
func (r *reader) setDeadline(t time.Time) {
	if w := r.waiter; w != nil {
		_ = w.t.SetReadDeadline(t)
	} else if !t.IsZero() {
		r.lookAt(uint32(t.Unix()) + 1)
	}
}

// lookAt has the actor call stalled at that time, unless it will do so earlier.
func (r *reader) lookAt(at uint32) {
	if r.stallAt.CompareAndSwap(0, at) {
		r.c.rt.wakeAt(r.c.self, time.Unix(int64(at), 0))
	}
}

// stalled tells whether the rest of a packet is overdue. The actor asks whenever it
// is woken.
func (r *reader) stalled(now time.Time) bool {
	at := r.stallAt.Load()
	if at == 0 || uint32(now.Unix()) < at {
		return false
	}
	r.stallAt.Store(0)
	since := r.since.Load()
	if since == 0 {
		return false
	}
	due := time.Unix(int64(since)+1, 0).Add(r.c.settings.IdleTimeout)
	if !now.Before(due) {
		return true
	}
	r.lookAt(uint32(due.Unix()))
	return false
}

func (r *reader) lost(err error) *readerDone {
	reason := reasonOf(err)
	if reason == "timeout" {
		reason = "idle_timeout"
	}
	return &readerDone{reason: reason}
}

// consume handles every complete packet in data and keeps the rest.
func (r *reader) consume(data []byte) *readerDone {
	if len(data) == 0 {
		return nil
	}
	now := time.Now().UnixMilli()
	r.c.lastSeen.Store(-now)
	in := intake{r: r, now: now, bytes: len(data) - len(r.held), tap: r.c.tap()}
	var done *readerDone
	r.need = 0
	for len(data) > 0 && done == nil {
		h, n, err := mqtt.ParseHeader(data, r.c.settings.MaxPacket)
		if err != nil {
			done = r.violation(err)
			break
		}
		if n == 0 {
			break
		}
		end := n + h.Remaining
		if end > len(data) {
			r.need = int32(end)
			break
		}
		done = in.packet(h, data[n:end], len(data))
		data, r.moved = data[end:], true
	}
	in.finish()
	r.keep(data)
	return done
}

// keep holds the beginning of a packet until the next read.
func (r *reader) keep(rest []byte) {
	if len(rest) == 0 {
		r.held = nil
		return
	}
	if len(r.held) > 0 && &rest[0] == &r.held[0] {
		return
	}
	r.held = append(make([]byte, 0, max(len(rest), 64)), rest...)
}

// violation closes the connection because of what the client sent.
// [MQTT-4.8.0-1] [MQTT-4.13.1-1]
func (r *reader) violation(err error) *readerDone {
	var e *mqtt.Error
	if !errors.As(err, &e) {
		e = &mqtt.Error{Code: protocol.UnspecifiedError, Reason: "protocol_error"}
	}
	r.c.rt.Log.Info("protocol error", "client_id", r.c.client.ClientID, "peer", r.c.client.Peer,
		"reason", e.Reason, "clause", e.Clause)
	return &readerDone{reason: e.Reason, code: e.Code}
}
