package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// pair is a connection. Both ends are in one allocation, behind one lock.
type pair struct {
	mu   sync.Mutex
	id   uint32
	ends [2]Conn
}

// Conn is one end of a connection. Reads come one at a time, and so do writes.
type Conn struct {
	pair    *pair
	in      []byte // what the other end has written and this one has not read
	watcher interface{ Ready() }
	blocked *blocked // nil while nobody waits and there is no deadline
	server  bool
	ended   bool // this end writes nothing more
	broken  bool // this end reads nothing more
}

// blocked is what an end needs for calls that wait.
type blocked struct{ reader, writer side }

func (c *Conn) peer() *Conn {
	if c.server {
		return &c.pair.ends[0]
	}
	return &c.pair.ends[1]
}

// Watch names whom to tell when TryRead may return something: data, or the end.
// Ready is called on the goroutine of whoever caused it, without a lock, and must
// not wait. It is called for what there is already, may be called in vain, and
// is not called for Close of this end. From now on TryRead is the only way to
// read.
func (c *Conn) Watch(w interface{ Ready() }) {
	c.pair.mu.Lock()
	c.watcher = w
	if b := c.blocked; b != nil && b.writer.timer == nil {
		b.reader.stop()
		c.blocked = nil
	}
	c.pair.mu.Unlock()
	w.Ready()
}

// TryRead reads what is there without waiting; 0 without an error is nothing.
func (c *Conn) TryRead(p []byte) (int, error) {
	c.pair.mu.Lock()
	n, err := c.take(p)
	made := n > 0 && len(c.in)+n >= Limit
	w := c.peer().blocked
	c.pair.mu.Unlock()
	if made && w != nil {
		w.writer.wake()
	}
	return n, err
}

func (c *Conn) take(p []byte) (int, error) {
	switch {
	case c.broken:
		return 0, net.ErrClosed
	case len(c.in) > 0:
		n := copy(p, c.in)
		if c.in = c.in[n:]; len(c.in) == 0 {
			c.in = nil
		}
		return n, nil
	case c.peer().ended:
		return 0, io.EOF
	default:
		return 0, nil
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		b := c.waiting(false)
		if b != nil && b.reader.expired() {
			return 0, os.ErrDeadlineExceeded
		}
		if n, err := c.TryRead(p); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if b == nil {
			c.waiting(true)
			continue // to look once more
		}
		<-b.reader.event
	}
}

// TryWrite writes what the other end has room for and returns how much that was.
func (c *Conn) TryWrite(p []byte) (int, error) {
	to := c.peer()
	c.pair.mu.Lock()
	var n int
	var err error
	switch {
	case c.ended:
		err = net.ErrClosed
	case to.broken:
		err = io.ErrClosedPipe
	default:
		if n = min(len(p), Limit-len(to.in)); n > 0 {
			to.in = append(slices.Grow(to.in, n), p[:n]...)
		}
	}
	w, b := to.watcher, to.blocked
	c.pair.mu.Unlock()
	if n > 0 {
		tell(w, b)
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for {
		b := c.waiting(false)
		if b != nil && b.writer.expired() {
			return n, os.ErrDeadlineExceeded
		}
		k, err := c.TryWrite(p[n:])
		if n += k; err != nil || n == len(p) {
			return n, err
		}
		if b == nil {
			c.waiting(true)
			continue // to look once more
		}
		<-b.writer.event
	}
}

// tell says that there is something to read.
func tell(w interface{ Ready() }, b *blocked) {
	if b != nil {
		b.reader.wake()
	}
	if w != nil {
		w.Ready()
	}
}

// CloseWrite ends this direction and leaves the other open.
func (c *Conn) CloseWrite() error { return c.end(false) }

// Close implements net.Conn. It ends both directions: the peer reads what is
// under way, then io.EOF.
func (c *Conn) Close() error { return c.end(true) }

func (c *Conn) end(both bool) error {
	to := c.peer()
	c.pair.mu.Lock()
	again := c.broken || c.ended && !both
	c.ended = true
	if both {
		c.broken, c.in, c.watcher = true, nil, nil
	}
	w, b, mine := to.watcher, to.blocked, c.blocked
	c.pair.mu.Unlock()
	if again {
		return nil
	}
	tell(w, b)
	if b != nil {
		b.writer.wake()
	}
	if mine != nil {
		mine.reader.wake()
		mine.writer.wake()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.peer().RemoteAddr() }

// RemoteAddr implements net.Conn. Clients have addresses of TCP, each its own.
func (c *Conn) RemoteAddr() net.Addr {
	if !c.server {
		return Addr{}
	}
	id := c.pair.id
	return &net.TCPAddr{IP: net.IPv4(127, byte(id>>24), byte(id>>16), 1), Port: int(id & 0xffff)}
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.limit(t, func(b *blocked) *side { return &b.reader })
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.limit(t, func(b *blocked) *side { return &b.writer })
	return nil
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) limit(t time.Time, of func(*blocked) *side) {
	b := c.waiting(!t.IsZero())
	if b == nil {
		return
	}
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	of(b).set(t)
}

// waiting is what this end needs to wait; nil if it has not been made.
func (c *Conn) waiting(make bool) *blocked {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.blocked == nil && make {
		c.blocked = &blocked{newSide(), newSide()}
	}
	return c.blocked
}
