// Package proxy stands between a client and a server over TCP and makes the
// network worse: it delays, stalls with the connection open, cuts, lies, and lets
// the answer drip. A test puts it before a back end and changes its Fault while
// the two talk; the change holds for open connections too.
package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a Proxy does to its connections. The zero value passes everything on.
type Fault struct {
	Delay    time.Duration // before each piece in either direction is passed on
	Stall    bool          // takes connections and passes nothing on: a half-open server
	Refuse   bool          // closes each new connection at once
	Garbage  []byte        // the client gets this, again and again, in place of what the server says
	Drip     time.Duration // the server's answer comes one byte in this time
	CutAfter int           // closes when it has passed on so many bytes of the server's; 0 = never
}

// Proxy listens on a port of its own. Close ends it, and so does the end of the
// test that made it.
type Proxy struct {
	Addr string // where clients connect

	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed when fault is another one
	closed  bool
	open    map[net.Conn]struct{}
	taken   int
}

// New starts a proxy before target, host:port, which need not be there yet.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the fault proxy: %v", err)
	}
	p := &Proxy{
		Addr: l.Addr().String(), target: target, listener: l,
		changed: make(chan struct{}), open: map[net.Conn]struct{}{},
	}
	p.running.Add(1)
	go p.accept()
	t.Cleanup(p.Close)
	return p
}

// Set makes f hold from now on; Set(Fault{}) makes the network good again. What was
// held back by a stall is passed on then.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut closes all connections that are open. New ones are taken.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

// Taken is the number of connections so far.
func (p *Proxy) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Close ends the proxy and its connections; it may be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		_ = p.listener.Close()
		close(p.changed)
	}
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	defer p.running.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		f, _, _ := p.now()
		if f.Refuse || !p.keep(c) {
			_ = c.Close()
			continue
		}
		p.mu.Lock()
		p.taken++
		p.mu.Unlock()
		p.running.Add(1)
		go p.serve(c)
	}
}

// now returns the fault, a channel that tells of the next one, and whether the proxy
// still runs.
func (p *Proxy) now() (f Fault, changed <-chan struct{}, running bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed, !p.closed
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) serve(client net.Conn) {
	defer p.running.Done()
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		return
	}
	if !p.keep(server) {
		_ = server.Close()
		return
	}
	defer p.drop(server)
	l := &line{p: p, client: client, server: server, ended: make(chan struct{})}
	var both sync.WaitGroup
	both.Go(func() { l.pump(server, client, l.upward) })
	both.Go(func() { l.pump(client, server, l.downward) })
	both.Wait()
}

// line is one connection through the proxy.
type line struct {
	p              *Proxy
	client, server net.Conn
	once           sync.Once
	ended          chan struct{} // closed when either end is gone
	passed         int           // bytes of the server's
}

var errCut = errors.New("cut by the proxy")

// pump passes on what src says until either end is gone, then closes both.
func (l *line) pump(dst io.Writer, src io.Reader, pass func(io.Writer, []byte) error) {
	defer l.once.Do(func() {
		close(l.ended)
		_ = l.client.Close()
		_ = l.server.Close()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && pass(dst, buf[:n]) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

// upward passes on a piece of the client's.
func (l *line) upward(dst io.Writer, b []byte) error {
	f, err := l.ready()
	if err != nil {
		return err
	}
	if f.Garbage != nil { // the server does not hear it: its answer is made up below
		_, err = l.client.Write(f.Garbage)
		return err
	}
	_, err = dst.Write(b)
	return err
}

// downward passes on a piece of the server's.
func (l *line) downward(dst io.Writer, b []byte) error {
	f, err := l.ready()
	if err != nil {
		return err
	}
	if f.Garbage != nil {
		b = f.Garbage
	}
	if f.CutAfter > 0 && l.passed+len(b) >= f.CutAfter {
		_, _ = dst.Write(b[:max(0, f.CutAfter-l.passed)])
		return errCut
	}
	l.passed += len(b)
	if f.Drip == 0 {
		_, err = dst.Write(b)
		return err
	}
	return l.drip(dst, b)
}

// drip writes one byte at a time until another fault holds.
func (l *line) drip(dst io.Writer, b []byte) error {
	for r := bytes.NewReader(b); r.Len() > 0; {
		f, changed, running := l.p.now()
		if !running {
			return errCut
		}
		if f.Drip == 0 {
			_, err := r.WriteTo(dst)
			return err
		}
		if _, err := io.CopyN(dst, r, 1); err != nil {
			return err
		}
		if err := l.wait(f.Drip, changed); err != nil {
			return err
		}
	}
	return nil
}

// ready waits as the fault says and returns the one that holds then.
func (l *line) ready() (Fault, error) {
	for delayed := false; ; {
		f, changed, running := l.p.now()
		switch {
		case !running:
			return f, errCut
		case f.Stall:
			select {
			case <-changed:
			case <-l.ended:
				return f, errCut
			}
		case f.Delay > 0 && !delayed:
			delayed = true
			if err := l.wait(f.Delay, changed); err != nil {
				return f, err
			}
		default:
			return f, nil
		}
	}
}

// wait returns after d, when the fault changes, or with an error when the line ends.
func (l *line) wait(d time.Duration, changed <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-changed:
		return nil
	case <-l.ended:
		return errCut
	}
}
