package swarm

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// sockets is the network of goroutines: two for each connection, which hand
// events to the goroutine of the swarm and wait until it has used their buffer.
type sockets struct {
	s      *Swarm
	secure *tls.Config
	events chan event
	ctx    context.Context // ends with the swarm
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// event is what a goroutine has to tell: conn for connected, data, wrote, or err.
type event struct {
	c     *Conn
	conn  net.Conn
	data  []byte
	wrote bool
	err   error
}

// pipe is what the goroutines of one connection share with the swarm's.
type pipe struct {
	ctx    context.Context
	cancel context.CancelFunc
	used   chan struct{} // data of the reader is no longer needed
	write  chan []byte
	buf    []byte // what the writer writes; the swarm fills it while the writer is idle
	busy   bool
}

func newSockets(s *Swarm, secure *tls.Config) *sockets {
	n := &sockets{s: s, secure: secure, events: make(chan event, 256)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func (n *sockets) dial(c *Conn, to netip.AddrPort, from netip.Addr) error {
	p := &pipe{used: make(chan struct{}, 1), write: make(chan []byte, 1)}
	p.ctx, p.cancel = context.WithCancel(n.ctx)
	c.pipe = p
	n.all.Go(func() { n.serve(c, p, to, from) })
	return nil
}

// serve connects and then reads; it ends with the connection.
func (n *sockets) serve(c *Conn, p *pipe, to netip.AddrPort, from netip.Addr) {
	defer p.cancel()
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(p.ctx, "tcp", to.String())
	if err != nil {
		n.tell(p, event{c: c, err: err})
		return
	}
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if n.secure != nil {
		t := tls.Client(conn, n.secure)
		if err := t.HandshakeContext(p.ctx); err != nil {
			n.tell(p, event{c: c, err: err})
			return
		}
		conn = t
	}
	n.all.Go(func() { n.writer(c, p, conn) })
	n.tell(p, event{c: c, conn: conn})
	buf := make([]byte, 4<<10)
	for {
		k, err := conn.Read(buf)
		if k > 0 {
			n.tell(p, event{c: c, data: buf[:k]})
			select {
			case <-p.used:
			case <-p.ctx.Done():
				return
			}
			if k == len(buf) && k < 256<<10 {
				buf = make([]byte, 2*k)
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = ErrClosed
			}
			n.tell(p, event{c: c, err: err})
			return
		}
	}
}

func (n *sockets) writer(c *Conn, p *pipe, conn net.Conn) {
	for {
		select {
		case b := <-p.write:
			if _, err := conn.Write(b); err != nil {
				n.tell(p, event{c: c, err: err})
				return
			}
			n.tell(p, event{c: c, wrote: true})
		case <-p.ctx.Done():
			return
		}
	}
}

func (n *sockets) tell(p *pipe, e event) {
	select {
	case n.events <- e:
	case <-p.ctx.Done():
	}
}

func (n *sockets) wait(d int64) {
	var late <-chan time.Time
	if d > 0 {
		t := time.NewTimer(time.Duration(d))
		defer t.Stop()
		late = t.C
		select {
		case e := <-n.events:
			n.handle(e)
		case <-late:
			return
		}
	}
	for range 1024 {
		select {
		case e := <-n.events:
			n.handle(e)
		default:
			return
		}
	}
}

func (n *sockets) handle(e event) {
	c := e.c
	if !c.live {
		return
	}
	n.s.Clock()
	switch {
	case e.err != nil:
		c.fail(e.err)
	case e.conn != nil:
		c.connected()
	case e.wrote:
		c.pipe.busy = false
		if c.leaving && len(c.out) == 0 {
			c.hangUp()
			return
		}
		c.writable()
	default:
		c.received(e.data)
		c.pipe.used <- struct{}{}
	}
}

// write gives the bytes to the writer if it is idle. The event that they are out
// follows; a connection that leaves stays until then.
func (n *sockets) write(c *Conn, b []byte) (int, error) {
	p := c.pipe
	if p.busy {
		return 0, nil
	}
	p.buf = append(p.buf[:0], b...)
	p.busy = true
	p.write <- p.buf
	return len(b), nil
}

func (n *sockets) hangUp(c *Conn) {
	if c.pipe != nil {
		c.pipe.cancel()
	}
}

func (n *sockets) close() {
	n.cancel()
	n.all.Wait()
}
