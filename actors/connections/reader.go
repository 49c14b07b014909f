package connections

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/sessions"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// reader is the goroutine that parses what a client sends. It takes whatever
// one read of the socket brought, publishes the messages of QoS 0 and 1 itself,
// and hands acknowledgements, QoS 2 and subscriptions to the session; one
// message to each receiving session for the whole read.
//
// It belongs to its connection actor, which ends it by closing the socket and
// learns of its end by readerDone.
type reader struct {
	rt          *Runtime
	t           Transport
	conn        *actor.PID
	session     *actor.PID
	box         *outbox
	seen        *atomic.Int64
	client      *sessions.Client
	credentials access.Credentials
	gen         uint64
	held        []byte // the beginning of a packet that is not complete
	need        int    // its length, 0 if not known yet
	stalled     bool   // a deadline for the rest of it is set
}

// run reads until the connection is over. first is what came with the CONNECT.
func (r *reader) run(first []byte) {
	done := r.consume(first)
	for done == nil {
		done = r.turn()
	}
	r.rt.System.Root.Send(r.conn, done)
}

// turn handles one read.
func (r *reader) turn() *readerDone {
	r.watchStall()
	prefix := r.held
	if r.need > bufferSize {
		prefix = nil
	}
	buf, err := r.t.Read(prefix)
	if err != nil {
		return r.lost(err)
	}
	data := buf.Data
	if prefix == nil && len(r.held) > 0 { // a packet larger than a buffer
		r.held = append(r.held, buf.Data...)
		if data = r.held; len(data) < r.need {
			r.seen.Store(time.Now().UnixMilli())
			buf.Free()
			return nil
		}
	}
	done := r.consume(data)
	buf.Free()
	r.box.wait()
	return done
}

// watchStall gives a client that has sent the beginning of a packet a deadline
// for the rest: a slow drip must not hold a connection for ever.
func (r *reader) watchStall() {
	stalled := len(r.held) > 0
	if stalled == r.stalled || r.rt.IdleTimeout <= 0 {
		return
	}
	r.stalled = stalled
	t := time.Time{}
	if stalled {
		t = time.Now().Add(r.rt.IdleTimeout)
	}
	_ = r.t.SetReadDeadline(t)
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
	r.seen.Store(now)
	in := intake{r: r, now: now, bytes: len(data) - len(r.held)}
	var done *readerDone
	r.need = 0
	for len(data) > 0 && done == nil {
		h, n, err := mqtt.ParseHeader(data, r.rt.MaxPacket)
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
	r.rt.Log.Info("protocol error", "client_id", r.client.ID, "peer", r.client.Peer,
		"reason", e.Reason, "clause", e.Clause)
	return &readerDone{reason: e.Reason, code: e.Code}
}
