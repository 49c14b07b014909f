package connections

import (
	"errors"
	"sync"
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
// Its goroutine, wait, does nothing but wait for the socket and read; the work
// is done by one of the workers while wait rests. Both belong to the connection
// actor, which ends them by closing the socket and learns of their end by
// readerDone.
type reader struct {
	c       *connection // of which the reader uses what does not change any more
	session *actor.PID
	gate    sync.Mutex // held while there is work
	buf     *Buffer    // what was read, or
	err     error      // why not
	held    []byte     // the beginning of a packet that is not complete; at first, what came with the CONNECT
	need    int32      // its length, 0 if not known yet
	since   uint32     // when the deadline for its rest was set, Unix seconds; 0 for none
	aliases map[uint16]topic.Name
	// enhanced is nil unless the client authenticated that way.
	enhanced  *enhanced
	moved     bool // this turn has completed a packet
	published bool // this turn has brought messages
	receives  bool // it has acknowledged messages, so that reading it makes room
	// ephemeral says that the session was to end with the connection, which a
	// DISCONNECT cannot change. [MQTT-3.14.2-2]
	ephemeral bool
	over      bool
}

// run reads until the connection is over. first is what came with the CONNECT.
func (r *reader) run(first []byte) {
	r.held = first
	r.gate.Lock()
	go r.wait()
}

// wait is the reader's goroutine. Its stack must stay small: calls from here
// are few and shallow.
func (r *reader) wait() {
	for {
		r.c.rt.workers.run(r)
		r.gate.Lock() // until the work is done
		if r.over {
			return
		}
		r.holdBack()
		r.buf, r.err = r.c.t.Read(r.prefix())
	}
}

// prefix is what the next read is to be appended to: the held bytes, unless
// their packet is larger than a buffer.
func (r *reader) prefix() []byte {
	if r.need > bufferSize {
		return nil
	}
	return r.held
}

// work handles one read.
func (r *reader) work() {
	done := r.turn()
	if seen := r.c.lastSeen.Load(); seen < 0 {
		r.c.lastSeen.Store(-seen)
	}
	if done != nil {
		r.c.rt.System.Root.Send(r.c.self, done)
		r.over = true
	} else {
		r.watchStall()
	}
	r.gate.Unlock()
}

func (r *reader) turn() *readerDone {
	if r.err != nil {
		return r.lost(r.err)
	}
	if r.buf == nil {
		return r.consume(r.held) // the handshake has counted its bytes
	}
	buf := r.buf
	r.buf = nil
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
	done := r.consume(data)
	r.c.box.wait()
	return done
}

// watchStall gives a client that has sent the beginning of a packet a deadline
// for the rest: a slow drip must not hold a connection for ever. Each packet has
// its own, give or take a second: one that streams without a pause is not slow,
// although every read ends within a packet.
func (r *reader) watchStall() {
	moved := r.moved
	r.moved = false
	if len(r.held) == 0 {
		if r.since != 0 {
			r.since = 0
			_ = r.c.t.SetReadDeadline(time.Time{})
		}
		return
	}
	if r.c.rt.IdleTimeout <= 0 || r.since != 0 && !moved {
		return
	}
	now := time.Now()
	if s := uint32(now.Unix()); s != r.since {
		r.since = s
		_ = r.c.t.SetReadDeadline(now.Add(r.c.rt.IdleTimeout))
	}
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
		h, n, err := mqtt.ParseHeader(data, r.c.rt.MaxPacket)
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
