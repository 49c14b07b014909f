//go:build unix

package connections

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// tlsChunk is how much goes into one record at most. What the socket does not
// take of a record must be kept, so this bounds it.
const tlsChunk = 16 << 10

// tlsTransport is TLS over TCP on Unix. As long as nothing comes in it waits
// without a buffer, and its writes do not wait, as those of rawTransport.
//
// It has crypto/tls read and write through a tlsSocket that does neither wait:
// a read that finds nothing ends with a temporary error, after which crypto/tls
// goes on where it was; a write takes everything and keeps what the socket does
// not take.
type tlsTransport struct {
	*tlsSocket
	tls    *tls.Conn
	readFn func(fd uintptr) bool

	prefix []byte  // of the read under way
	buf    *Buffer // its result
	rerr   error

	// owed says that the last byte of what has been encrypted was not reported
	// as written, so that the caller comes again for the rest of the record.
	owed bool
}

func newTLSTransport(c net.Conn, config *tls.Config) (func() Transport, *tls.Conn) {
	tcp, ok := c.(streamConn)
	if !ok {
		return nil, tls.Server(c, config)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, tls.Server(c, config)
	}
	s := &tlsSocket{streamConn: tcp, raw: raw}
	conn := tls.Server(s, config)
	return func() Transport {
		s.shaken = true
		t := &tlsTransport{tlsSocket: s, tls: conn}
		t.readFn, s.writeFn = t.tryRead, s.tryWrite
		return t
	}, conn
}

// Read implements Transport.
func (t *tlsTransport) Read(prefix []byte) (*Buffer, error) {
	t.prefix, t.buf, t.rerr = prefix, nil, nil
	if err := t.raw.Read(t.readFn); err != nil {
		return nil, err
	}
	return t.buf, t.rerr
}

// tryRead is called first for what crypto/tls may hold already, then when the
// socket may be readable; false waits on.
func (t *tlsTransport) tryRead(fd uintptr) bool {
	t.fd, t.dry = int(fd), false
	b := takeBuffer(t.prefix)
	var err error
	for err == nil && len(b.rest()) > 0 { // each turn a record
		var n int
		n, err = t.tls.Read(b.rest())
		b.grew(n)
	}
	if len(b.Data) > len(t.prefix) { // an error comes again
		t.buf = b
		return true
	}
	b.Free()
	if errors.Is(err, errWouldBlock) {
		return false
	}
	t.rerr = err
	return true
}

// TryWrite implements Transport. What it does not report as written must be
// what the next write begins with.
func (t *tlsTransport) TryWrite(p []byte) (int, error) { return t.write(p, false) }

// Write implements Transport.
func (t *tlsTransport) Write(p []byte) (int, error) { return t.write(p, true) }

func (t *tlsTransport) write(p []byte, wait bool) (done int, err error) {
	if ok, err := t.flush(wait); !ok {
		return 0, err
	}
	if t.owed {
		t.owed, done = false, 1
	}
	for done < len(p) {
		n, err := t.tls.Write(p[done:min(done+tlsChunk, len(p))])
		if err != nil {
			return done, err
		}
		done += n
		if ok, err := t.flush(wait); !ok {
			t.owed = true
			return done - 1, err
		}
	}
	return done, nil
}

// CloseWrite implements Transport.
func (t *tlsTransport) CloseWrite() error {
	return errors.Join(t.tls.CloseWrite(), t.streamConn.CloseWrite())
}

// Close implements Transport. It says good-bye if that needs no waiting.
func (t *tlsTransport) Close() error { return t.tls.Close() }

// tlsSocket is the socket below crypto/tls. During the handshake it is that of
// TCP; then it never waits.
type tlsSocket struct {
	streamConn
	raw    syscall.RawConn
	shaken bool

	fd  int  // while a read is under way
	dry bool // it has taken everything there was

	// mu guards what follows: crypto/tls writes on its own behalf while it
	// reads, and when it is closed.
	mu      sync.Mutex
	pending []byte // encrypted, and not yet taken by the socket
	writeFn func(fd uintptr) bool
	out     []byte // of the write under way
	n       int
	werr    error
}

// wouldBlock ends a read of crypto/tls for now. It knows by Temporary that it
// may go on later.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

var errWouldBlock net.Error = wouldBlock{}

// Read implements net.Conn for crypto/tls.
func (s *tlsSocket) Read(p []byte) (int, error) {
	if !s.shaken {
		return s.streamConn.Read(p)
	}
	if s.dry {
		return 0, errWouldBlock
	}
	n, err := readNow(s.fd, p)
	switch {
	case n > 0:
		s.dry = n < len(p) // the poller tells of what comes from now on
		return n, nil
	case err == nil:
		return 0, io.EOF
	case errors.Is(err, syscall.EAGAIN):
		s.dry = true
		return 0, errWouldBlock
	default:
		return 0, err
	}
}

// Write implements net.Conn for crypto/tls: it takes everything.
func (s *tlsSocket) Write(p []byte) (int, error) {
	if !s.shaken {
		return s.streamConn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 { // somebody waits in flush, who goes on with this
		s.pending = append(s.pending, p...)
		return len(p), nil
	}
	s.out, s.n, s.werr = p, 0, nil
	err := s.raw.Write(s.writeFn)
	s.out = nil
	if err == nil {
		err = s.werr
	}
	if err != nil {
		return s.n, err
	}
	s.pending = append(s.pending, p[s.n:]...)
	return len(p), nil
}

// tryWrite is called with mu held.
func (s *tlsSocket) tryWrite(fd uintptr) bool {
	n, err := writeNow(int(fd), s.out)
	s.n = max(n, 0)
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		s.werr = err
	}
	return true
}

// flush writes what is pending, waiting for the peer if need be, and tells
// whether nothing is left. Only one goroutine may call it at a time.
func (s *tlsSocket) flush(wait bool) (ok bool, err error) {
	s.mu.Lock()
	ok = len(s.pending) == 0
	s.mu.Unlock()
	if ok {
		return true, nil
	}
	e := s.raw.Write(func(fd uintptr) bool {
		ok, err = s.drain(int(fd))
		return ok || err != nil || !wait
	})
	if err == nil {
		err = e
	}
	return ok && err == nil, err
}

func (s *tlsSocket) drain(fd int) (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := writeNow(fd, s.pending)
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	if s.pending = s.pending[max(n, 0):]; len(s.pending) == 0 {
		s.pending = nil
		return true, err
	}
	return false, err
}
