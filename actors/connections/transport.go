package connections

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"emqttd/protocol/websocket"
)

// Transport is our end of a Network Connection: bytes in order, both ways. One
// goroutine reads; writes come one at a time; Close may come from anywhere and
// wakes both.
type Transport interface {
	// Read waits until there is data and returns a buffer from the pool that
	// holds prefix followed by what one read brought. While it waits it holds
	// no buffer. The caller gives the buffer back with Buffer.Free.
	Read(prefix []byte) (*Buffer, error)
	// TryWrite writes what can be written without waiting and returns how much
	// that was; 0 is no error.
	TryWrite(p []byte) (int, error)
	// Write writes all of p, waiting for the peer if need be.
	Write(p []byte) (int, error)
	// CloseWrite ends our direction and leaves the other open.
	CloseWrite() error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	RemoteAddr() net.Addr
	Close() error
}

// bufferSize is how much one read takes at most. Larger batches more packets
// into one delivery and one write; smaller keeps less memory busy while many
// connections read at once.
const bufferSize = 32 << 10

// Buffer is a read buffer that comes from a pool.
type Buffer struct {
	Data  []byte
	array [bufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// Free gives the buffer back. Nothing may refer to its bytes any more.
func (b *Buffer) Free() {
	b.Data = nil
	buffers.Put(b)
}

// takeBuffer returns a buffer that begins with prefix.
func takeBuffer(prefix []byte) *Buffer {
	b := buffers.Get().(*Buffer)
	b.Data = b.array[:copy(b.array[:], prefix)]
	return b
}

// rest is the free part of the buffer.
func (b *Buffer) rest() []byte { return b.array[len(b.Data):] }

// grew says that n bytes have been read into rest.
func (b *Buffer) grew(n int) { b.Data = b.array[:len(b.Data)+n] }

// NewTransport wraps a connection: TCP on Unix waits for readability without a
// buffer and writes without waiting, everything else gets the portable form.
func NewTransport(c net.Conn) Transport {
	if t := newRawTransport(c); t != nil {
		return t
	}
	return &plainTransport{Conn: c}
}

// plainTransport is the portable Transport. It waits with a small buffer of its
// own, and its writes wait for the peer.
type plainTransport struct {
	net.Conn
	wait [512]byte
}

func (t *plainTransport) Read(prefix []byte) (*Buffer, error) {
	n, err := t.Conn.Read(t.wait[:])
	if n == 0 {
		if err == nil {
			err = errNoProgress
		}
		return nil, err
	}
	b := takeBuffer(prefix)
	b.grew(copy(b.rest(), t.wait[:n]))
	return b, nil
}

// TryWrite cannot tell whether the peer is ready: it leaves the work to Write,
// which the outbox calls from a goroutine that may wait.
func (t *plainTransport) TryWrite([]byte) (int, error) { return 0, nil }

func (t *plainTransport) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

var errNoProgress = errors.New("read returned nothing")

// reasonOf names why reading or writing ended, as metrics and logs show it.
func reasonOf(err error) string {
	var ws *websocket.Error
	switch {
	case errors.As(err, &ws):
		return ws.Reason
	case err == nil, errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	default:
		return systemReason(err)
	}
}
