//go:build unix

package connections

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// streamConn is a connection of the system's: TCP, or a Unix socket.
type streamConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// rawTransport is a stream on Unix. It reads and writes through the runtime's poller
// with callbacks that it makes once, so that waiting costs no buffer and
// neither direction allocates. The two directions share nothing.
type rawTransport struct {
	streamConn
	raw     syscall.RawConn
	readFn  func(fd uintptr) bool
	writeFn func(fd uintptr) bool

	prefix []byte  // of the read under way
	buf    *Buffer // its result
	rerr   error

	out  []byte // of the write under way
	n    int
	werr error
}

func newRawTransport(c net.Conn) Transport {
	s, ok := c.(streamConn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	t := &rawTransport{streamConn: s, raw: raw}
	t.readFn, t.writeFn = t.tryRead, t.tryWrite
	return t
}

// Read implements Transport.
func (t *rawTransport) Read(prefix []byte) (*Buffer, error) {
	t.prefix, t.buf, t.rerr = prefix, nil, nil
	if err := t.raw.Read(t.readFn); err != nil {
		return nil, err
	}
	return t.buf, t.rerr
}

// tryRead is called when the socket may be readable; false waits on.
func (t *rawTransport) tryRead(fd uintptr) bool {
	b := takeBuffer(t.prefix)
	n, err := readNow(int(fd), b.rest())
	switch {
	case n > 0:
		b.grew(n)
		t.buf = b
		return true
	case errors.Is(err, syscall.EAGAIN):
		b.Free()
		return false
	case err == nil:
		err = io.EOF
	}
	b.Free()
	t.rerr = err
	return true
}

// TryWrite implements Transport.
func (t *rawTransport) TryWrite(p []byte) (int, error) {
	t.out, t.n, t.werr = p, 0, nil
	err := t.raw.Write(t.writeFn)
	t.out = nil
	if err == nil {
		err = t.werr
	}
	return t.n, err
}

func (t *rawTransport) tryWrite(fd uintptr) bool {
	n, err := writeNow(int(fd), t.out)
	t.n = max(n, 0)
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		t.werr = err
	}
	return true
}

func systemReason(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return "closed"
	case errors.Is(err, syscall.ECONNRESET):
		return "econnreset"
	case errors.Is(err, syscall.ETIMEDOUT):
		return "etimedout"
	default:
		return "socket_error"
	}
}
