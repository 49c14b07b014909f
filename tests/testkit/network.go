package testkit

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pipeLimit is how many bytes wait in one direction of a connection before its
// writer does: what the buffers of a socket take.
const pipeLimit = 256 << 10

// Network is a network in memory: a net.Listener whose Dial connects to it. It
// needs no file descriptors, so that there may be as many connections as memory
// holds.
type Network struct {
	backlog chan net.Conn
	closed  chan struct{}
	once    sync.Once
	dialled atomic.Uint32
}

// NewNetwork makes a network on which nobody accepts yet.
func NewNetwork() *Network {
	return &Network{backlog: make(chan net.Conn, 1024), closed: make(chan struct{})}
}

// Dial connects; it waits while the backlog is full. The error is net.ErrClosed
// when the listener is closed.
func (n *Network) Dial() (net.Conn, error) {
	id := n.dialled.Add(1)
	client := &net.TCPAddr{IP: net.IPv4(127, byte(id>>24), byte(id>>16), 1), Port: int(id & 0xffff)}
	up, down := newPipe(), newPipe()
	ours := &memConn{in: down, out: up, local: client, remote: n.Addr()}
	theirs := &memConn{in: up, out: down, local: n.Addr(), remote: client}
	select {
	case n.backlog <- theirs:
		return ours, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.backlog:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that nobody has accepted are closed.
func (n *Network) Close() error {
	n.once.Do(func() { close(n.closed) })
	for {
		select {
		case c := <-n.backlog:
			_ = c.Close()
		default:
			return nil
		}
	}
}

// Addr implements net.Listener.
func (n *Network) Addr() net.Addr { return memAddr{} }

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory:0" }

// memConn is one end of a connection.
type memConn struct {
	in, out       *pipe
	local, remote net.Addr
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memConn) LocalAddr() net.Addr         { return c.local }
func (c *memConn) RemoteAddr() net.Addr        { return c.remote }

// Close ends both directions: the peer reads what is under way, then io.EOF.
func (c *memConn) Close() error {
	c.in.end(true)
	c.out.end(false)
	return nil
}

// CloseWrite ends this direction and leaves the other open.
func (c *memConn) CloseWrite() error {
	c.out.end(false)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.readers.set(t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.writers.set(t)
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.in.readers.set(t)
	c.out.writers.set(t)
	return nil
}

// pipe is one direction.
type pipe struct {
	mu      sync.Mutex
	data    []byte
	ended   bool // nothing more will be written
	broken  bool // nobody will read
	readers side
	writers side
}

func newPipe() *pipe { return &pipe{readers: newSide(), writers: newSide()} }

func (p *pipe) read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		if p.broken {
			p.mu.Unlock()
			return 0, net.ErrClosed
		}
		if p.readers.expired() {
			p.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(p.data) > 0 {
			n := copy(b, p.data)
			if p.data = p.data[n:]; len(p.data) == 0 {
				p.data = nil
			}
			p.mu.Unlock()
			p.writers.wake()
			return n, nil
		}
		ended := p.ended
		p.mu.Unlock()
		if ended {
			return 0, io.EOF
		}
		p.readers.wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	for {
		p.mu.Lock()
		switch {
		case p.ended:
			err = net.ErrClosed
		case p.broken:
			err = io.ErrClosedPipe
		case p.writers.expired():
			err = os.ErrDeadlineExceeded
		default:
			k := min(len(b), pipeLimit-len(p.data))
			p.data = append(slices.Grow(p.data, k), b[:k]...)
			n, b = n+k, b[k:]
		}
		p.mu.Unlock()
		p.readers.wake()
		if err != nil || len(b) == 0 {
			return n, err
		}
		p.writers.wait()
	}
}

func (p *pipe) end(byReader bool) {
	p.mu.Lock()
	if byReader {
		p.broken, p.data = true, nil
	} else {
		p.ended = true
	}
	p.mu.Unlock()
	p.readers.wake()
	p.writers.wake()
}

// side is who waits at one end of a pipe, one at a time, and for how long.
type side struct {
	event    chan struct{} // has room for one: an event between look and wait is not lost
	deadline atomic.Int64  // Unix nanoseconds; 0 is none
	timer    atomic.Pointer[time.Timer]
}

func newSide() side { return side{event: make(chan struct{}, 1)} }

func (s *side) wait() { <-s.event }

func (s *side) wake() {
	select {
	case s.event <- struct{}{}:
	default:
	}
}

func (s *side) expired() bool {
	d := s.deadline.Load()
	return d != 0 && time.Now().UnixNano() >= d
}

func (s *side) set(t time.Time) {
	var timer *time.Timer
	if t.IsZero() {
		s.deadline.Store(0)
	} else {
		s.deadline.Store(t.UnixNano())
		timer = time.AfterFunc(time.Until(t), s.wake)
	}
	if old := s.timer.Swap(timer); old != nil {
		old.Stop()
	}
	s.wake()
}
