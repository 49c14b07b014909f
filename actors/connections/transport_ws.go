package connections

import (
	"io"
	"sync"
	"sync/atomic"

	"emqttd/protocol/websocket"
)

// wsChunk is how much payload goes into one frame at most: with its header it
// fits a buffer of the pool.
const wsChunk = bufferSize - websocket.MaxHeader

// wsTransport is MQTT over WebSocket: the payload of the client's data frames,
// however they are cut, is one stream [MQTT-6.0.0-2]; what is written goes out
// in binary frames. [MQTT-6.0.0-3] It waits as the transport below it does,
// without a buffer.
//
// Frames of the outbox and the answers to the client's control frames come from
// two goroutines. mu is held by the one that writes; an answer that finds it
// taken is left in control, and sent by whoever has it.
type wsTransport struct {
	Transport
	parser websocket.Parser
	early  []byte // came with the request for the upgrade
	over   error  // of the next Read

	closing atomic.Bool // a Close frame was sent, or is in control
	control atomic.Pointer[[]byte]

	mu    sync.Mutex
	frame *Buffer // whose rest the transport below has not taken; nil for a control frame
	rest  []byte
	// owed says that the last byte of what has been put into a frame was not
	// reported as written, so that the caller comes again for the rest of it.
	owed bool
}

// NewWebSocket speaks WebSocket over a transport on which the upgrade has been
// done. early is what the client sent behind its request. A frame of more than
// maxFrame bytes is refused; 0 is no bound.
func NewWebSocket(t Transport, early []byte, maxFrame int) Transport {
	if len(early) == 0 {
		early = nil // it may be the end of something large
	}
	return &wsTransport{Transport: t, early: early, parser: websocket.Parser{MaxFrame: uint32(maxFrame)}}
}

// Read implements Transport. It returns when a read has brought payload.
func (t *wsTransport) Read(prefix []byte) (*Buffer, error) {
	for t.over == nil {
		b, err := t.next(prefix)
		if err != nil {
			return nil, err
		}
		if t.parse(b, len(prefix)) {
			return b, nil
		}
		b.Free()
	}
	return nil, t.over
}

func (t *wsTransport) next(prefix []byte) (*Buffer, error) {
	if len(t.early) == 0 {
		return t.Transport.Read(prefix)
	}
	b := takeBuffer(prefix)
	n := copy(b.rest(), t.early)
	b.grew(n)
	if t.early = t.early[n:]; len(t.early) == 0 {
		t.early = nil
	}
	return b, nil
}

// parse leaves the payload that b holds from a place on, and tells whether there
// is any.
func (t *wsTransport) parse(b *Buffer, from int) bool {
	data, w, r := b.Data, from, from
	for r < len(data) && t.over == nil {
		var c *websocket.Control
		var err error
		if w, r, c, err = t.parser.Parse(data, w, r); err != nil {
			t.violation(err)
		} else if c != nil {
			t.answer(c)
		}
	}
	b.Data = data[:w]
	return w > from
}

func (t *wsTransport) violation(err error) {
	t.over = err
	if e, ok := err.(*websocket.Error); ok { //nolint:errorlint // the parser returns nothing else
		t.sendClose(e.Status)
	}
}

// answer answers a control frame. Of several pings that wait for their answer
// the last one counts. (RFC 6455, 5.5.3)
func (t *wsTransport) answer(c *websocket.Control) {
	switch c.Opcode {
	case websocket.Ping:
		if !t.closing.Load() {
			pong := websocket.AppendControl(nil, websocket.Pong, c.Payload)
			t.control.Store(&pong)
			t.service()
		}
	case websocket.Close:
		t.over = io.EOF
		t.sendClose(websocket.NormalClosure)
	}
}

// sendClose sends the one Close frame, if that needs no waiting.
func (t *wsTransport) sendClose(s websocket.Status) {
	if t.closing.CompareAndSwap(false, true) {
		frame := websocket.AppendClose(nil, s)
		t.control.Store(&frame)
		t.service()
	}
}

// service sends the answer that waits in control, unless somebody writes, who
// then does it.
func (t *wsTransport) service() {
	for t.control.Load() != nil && t.mu.TryLock() {
		_, err := t.send(nil, t.Transport.TryWrite)
		stuck := len(t.rest) > 0
		t.mu.Unlock()
		if err != nil || stuck {
			return
		}
	}
}

// TryWrite implements Transport. What it does not report as written must be
// what the next write begins with.
func (t *wsTransport) TryWrite(p []byte) (int, error) {
	if !t.mu.TryLock() {
		return 0, nil
	}
	n, err := t.send(p, t.Transport.TryWrite)
	t.mu.Unlock()
	t.service()
	return n, err
}

// Write implements Transport.
func (t *wsTransport) Write(p []byte) (int, error) {
	t.mu.Lock()
	n, err := t.send(p, t.Transport.Write)
	t.mu.Unlock()
	t.service()
	return n, err
}

// send makes frames of p and writes them, behind what was not written before.
// The caller holds mu.
func (t *wsTransport) send(p []byte, write func([]byte) (int, error)) (done int, err error) {
	if err := t.flush(write); err != nil || len(t.rest) > 0 {
		return 0, err
	}
	if t.owed {
		t.owed, done = false, 1
	}
	for {
		if c := t.control.Swap(nil); c != nil {
			t.rest = *c
			if err := t.flush(write); err != nil || len(t.rest) > 0 {
				return done, err
			}
		}
		if done >= len(p) {
			return done, nil
		}
		n := min(len(p)-done, wsChunk)
		t.frame = takeBuffer(nil)
		t.frame.Data = append(websocket.AppendHeader(t.frame.Data, websocket.Binary, n), p[done:done+n]...)
		t.rest = t.frame.Data
		done += n
		if err := t.flush(write); err != nil || len(t.rest) > 0 {
			t.owed = true
			return done - 1, err
		}
	}
}

// flush writes the rest of the frame that was begun.
func (t *wsTransport) flush(write func([]byte) (int, error)) error {
	if len(t.rest) == 0 {
		return nil
	}
	n, err := write(t.rest)
	if t.rest = t.rest[n:]; len(t.rest) == 0 || err != nil {
		t.rest = nil
		if t.frame != nil {
			t.frame.Free()
			t.frame = nil
		}
	}
	return err
}

// CloseWrite implements Transport: a Close frame is the end of our direction.
// The client answers it, and waits for us to close the connection.
func (t *wsTransport) CloseWrite() error {
	t.sendClose(websocket.NormalClosure)
	return nil
}

// Close implements Transport.
func (t *wsTransport) Close() error {
	t.sendClose(websocket.GoingAway)
	return t.Transport.Close()
}
