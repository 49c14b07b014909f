package connections

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"emqttd/protocol/websocket"
)

// Link is what every connection has, whoever reads it: bytes to the client, in
// order. Writes come one at a time; Close may come from anywhere and wakes who
// waits in Write.
type Link interface {
	// TryWrite writes what can be written without waiting and returns how much
	// that was; 0 is no error.
	TryWrite(p []byte) (int, error)
	// Write writes all of p, waiting for the peer if need be.
	Write(p []byte) (int, error)
	// CloseWrite ends our direction and leaves the other open.
	CloseWrite() error
	SetWriteDeadline(t time.Time) error
	RemoteAddr() net.Addr
	Close() error
}

// Transport is our end of a Network Connection for a goroutine that waits in
// Read. Close wakes it.
type Transport interface {
	Link
	// Read waits until there is data and returns a buffer from the pool that
	// holds prefix followed by what one read brought. While it waits it holds
	// no buffer. The caller gives the buffer back with Buffer.Free.
	Read(prefix []byte) (*Buffer, error)
	SetReadDeadline(t time.Time) error
}

// Polled is our end of a Network Connection that tells when there is something
// to read, so that nobody needs to wait for it.
type Polled interface {
	Link
	// TryRead reads what is there into p, which is not empty; 0 without an error
	// means that there is nothing now. One goroutine at a time calls it.
	TryRead(p []byte) (int, error)
	// Watch names whom to tell that TryRead may have a result, data, end or
	// error, after it had none; it is called once, before the first TryRead. Ready
	// may be called in vain, and for what there is already. It comes from any
	// goroutine and does not wait. After Close it is not called any more.
	Watch(w interface{ Ready() })
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
