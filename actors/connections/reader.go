package connections

import (
	"errors"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

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
	need    int        // its length, 0 if not known yet
	aliases map[uint16]topic.Name
	// enhanced is nil unless the client authenticated that way.
	enhanced *enhanced
	stalled  bool // a deadline for the rest of it is set
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
		first := r.held
		r.held = nil
		return r.consume(first)
	}
	buf := r.buf
	r.buf = nil
	defer buf.Free()
	data := buf.Data
	if r.need > bufferSize {
		r.held = append(r.held, buf.Data...)
		if data = r.held; len(data) < r.need {
			r.c.lastSeen.Store(time.Now().UnixMilli())
			return nil
		}
	}
	done := r.consume(data)
	r.c.box.wait()
	return done
}

// watchStall gives a client that has sent the beginning of a packet a deadline
// for the rest: a slow drip must not hold a connection for ever.
func (r *reader) watchStall() {
	stalled := len(r.held) > 0
	if stalled == r.stalled || r.c.rt.IdleTimeout <= 0 {
		return
	}
	r.stalled = stalled
	t := time.Time{}
	if stalled {
		t = time.Now().Add(r.c.rt.IdleTimeout)
	}
	_ = r.c.t.SetReadDeadline(t)
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
	r.c.lastSeen.Store(now)
	in := intake{r: r, now: now, bytes: len(data) - len(r.held)}
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
			r.need = end
			break
		}
		done = in.packet(h, data[n:end], len(data))
		data = data[end:]
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
