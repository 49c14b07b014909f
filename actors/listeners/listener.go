// Package listeners accepts Network Connections. Each listener is an actor
// listeners/<name>; it owns the listening socket and the goroutines that accept
// on it, and hands each connection to the connections package.
//
// Its parent is the supervisor listeners, which starts last and stops first. A
// crash closes the socket and opens it again; connections that were accepted
// live on. Its mailbox receives life-cycle messages only.
package listeners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/connections"
	"emqttd/actors/kernel"
	"emqttd/config"
)

// Options describe one listener.
type Options struct {
	Protocol    string      // as operators see it: mqtt:tcp
	Name        string      // tcp.external
	Address     string      // IP:port, unless Path says otherwise
	Path        string      // of a Unix socket
	Mode        fs.FileMode // of that
	Acceptors   int
	MaxClients  int // 0 is no bound
	Backlog     int
	SendTimeout time.Duration
	NoDelay     bool
	RecBuf      int // bytes of the socket's receive buffer; 0 leaves the system's
	SndBuf      int
	ReuseAddr   bool
	// Socket replaces the listening socket, for transports that are not TCP.
	Socket net.Listener

	MaxConnRate int // new connections per second; 0 is no bound
	PerSource   PerSource
	Access      []config.AccessRule // the first that matches decides; if none does, allow
	Rate        config.Rate         // of what each client sends
	// MessageRate is how fast each client may publish, TotalMessageRate how fast
	// all together.
	MessageRate, TotalMessageRate config.MessageRate
	Mountpoint                    string     // of its clients' topics
	Proxy                         *Proxy     // nil: no PROXY protocol
	TLS                           *TLS       // nil: no TLS
	WebSocket                     *WebSocket // nil: no WebSocket
}

// Listener is one listener of a node. Its figures may be read from any
// goroutine.
type Listener struct {
	terms   atomic.Pointer[terms]
	rt      *connections.Runtime
	log     *slog.Logger
	bound   atomic.Pointer[string]
	opened  atomic.Bool
	current atomic.Int64
	closed  reasons
	certs   *certificates // nil without TLS

	reserved socket      // bound, until the actor opens it; nil: not
	file     *unixSocket // the same for a Unix socket, which listens at once
}

// New makes a listener; it opens when the actor of its Spec starts.
func New(o Options, rt *connections.Runtime) *Listener {
	o.Acceptors = max(1, o.Acceptors)
	l := &Listener{rt: rt, log: rt.Log}
	l.terms.Store(l.newTerms(o))
	if o.TLS != nil {
		l.certs = newCertificates(o.TLS, rt.Log)
	}
	return l
}

// Options are those of the listener.
func (l *Listener) Options() Options { return l.terms.Load().Options }

// Addr is the address it is bound to; the configured one until it is.
func (l *Listener) Addr() string {
	if a := l.bound.Load(); a != nil {
		return *a
	}
	return l.terms.Load().Address
}

// Reload reads the files of TLS again, without touching connections. What is no
// good leaves everything as it is.
func (l *Listener) Reload() error {
	if l.certs == nil {
		return ErrNoFiles
	}
	if l.certs.config.Load() == nil {
		return nil // they are read when it starts
	}
	return l.certs.reload()
}

// ErrNoFiles is what Reload says of a listener without TLS.
var ErrNoFiles = errors.New("it has no certificates")

// Open tells whether clients are accepted.
func (l *Listener) Open() bool { return l.opened.Load() }

// Current counts the connections that came through it and are open.
func (l *Listener) Current() int { return int(l.current.Load()) }

// ShutdownCount counts those that are over, by reason.
func (l *Listener) ShutdownCount() map[string]uint64 { return l.closed.snapshot() }

// Spec is the child of the supervisor listeners.
func (l *Listener) Spec() kernel.ChildSpec {
	return kernel.ChildSpec{
		Name:    l.terms.Load().Name,
		Props:   kernel.NewProps(func() actor.Actor { return &acceptor{l: l} }),
		Restart: kernel.Permanent,
	}
}

// acceptor is the actor.
type acceptor struct {
	l      *Listener
	socket net.Listener
	cancel context.CancelFunc // of what runs beside accepting
	done   sync.WaitGroup
}

// Start implements kernel.Starter.
func (a *acceptor) Start(actor.Context) error { return a.open() }

// Receive implements actor.Actor.
func (a *acceptor) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		if a.socket != nil {
			a.l.opened.Store(false)
			a.cancel()
			_ = a.socket.Close()
			a.done.Wait()
		}
	}
}

func (a *acceptor) open() error {
	socket, err := a.l.open()
	if err != nil {
		return err
	}
	a.socket = socket
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	if t := a.l.terms.Load().TLS; t != nil && t.FetchStaple {
		a.done.Go(func() { a.l.certs.keepStapled(ctx) })
	}
	for range a.l.terms.Load().Acceptors {
		a.done.Go(func() { a.l.accept(socket) })
	}
	return nil
}

// Reserve binds the listener's address without letting anybody in, so that all
// listeners of a node are known to be free before the first one opens. It reads
// certificates for the same reason.
func (l *Listener) Reserve() error {
	if l.certs != nil {
		if err := l.certs.start(); err != nil {
			return fmt.Errorf("listener %s: %w", l.terms.Load().Name, err)
		}
	}
	if l.terms.Load().Socket != nil {
		return nil
	}
	l.Discard()
	var err error
	if l.terms.Load().Path != "" {
		l.file, err = listenUnix(l.terms.Load().Path, l.terms.Load().Mode)
	} else {
		l.reserved, err = l.bind()
	}
	if err != nil {
		return l.failure(err)
	}
	return nil
}

// Discard gives a reserved address up that was not opened.
func (l *Listener) Discard() {
	if l.reserved != nil {
		_ = l.reserved.Close()
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.reserved, l.file = nil, nil
}

func (l *Listener) failure(err error) error {
	return fmt.Errorf("listener %s cannot listen on %s: %w", l.terms.Load().Name, l.terms.Load().Address, err)
}

// open opens the socket, which may have been reserved, and notes where it is
// bound.
func (l *Listener) open() (net.Listener, error) {
	if l.reserved == nil && l.file == nil {
		if err := l.Reserve(); err != nil {
			return nil, err
		}
	}
	if l.terms.Load().Socket != nil {
		l.opened.Store(true)
		return l.terms.Load().Socket, nil
	}
	if f := l.file; f != nil {
		l.file = nil
		l.opened.Store(true)
		return f, nil
	}
	s, err := l.listen(l.reserved)
	l.reserved = nil
	if err != nil {
		return nil, l.failure(err)
	}
	if addr, ok := s.Addr().(*net.TCPAddr); ok {
		text := addr.String()
		l.bound.Store(&text)
	}
	l.opened.Store(true)
	return s, nil
}

// accept hands on connections until the socket is closed.
func (l *Listener) accept(socket net.Listener) {
	for {
		conn, err := socket.Accept()
		switch {
		case err == nil:
			l.take(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			l.pause(err)
		}
	}
}

// pauseTime is how long accepting rests when there are no file descriptors:
// trying on at once would take a core and log without end.
const pauseTime = 200 * time.Millisecond

func (l *Listener) pause(err error) {
	if l.closed.add("accept_error")%25 == 1 { // every five seconds
		l.log.Error("cannot accept connections, pausing", "listener", l.terms.Load().Name, "error", err,
			"hint", "raise the file descriptor limit (ulimit -n)")
	}
	time.Sleep(pauseTime)
}

func (l *Listener) take(conn net.Conn) {
	t := l.terms.Load()
	known, v := &t.known, (*visit)(nil)
	if t.sources != nil {
		v = t.newVisit()
		known = &v.known
	}
	n := l.current.Add(1)
	if reason := t.refuses(conn, int(n), v); reason != "" {
		l.rt.Refused(t.Name, conn.RemoteAddr(), reason, nil)
		known.Closed(reason)
		_ = conn.Close()
		return
	}
	t.tune(conn)
	go l.rt.Handshake(conn, known)
}

// refuses tells why a new connection may not come in, "" if it may.
func (t *terms) refuses(conn net.Conn, n int, v *visit) string {
	switch o := &t.Options; {
	case o.MaxClients > 0 && n > o.MaxClients:
		return "maxlimit"
	case t.arrival != nil && !t.arrival.Allow():
		return "max_conn_rate"
	case t.speaksForOthers(conn.RemoteAddr()):
		return "" // welcome finds out who it is
	default:
		return t.admits(conn.RemoteAddr(), v)
	}
}

// speaksForOthers tells whether a peer is a proxy, which says later who the
// client is.
func (t *terms) speaksForOthers(peer net.Addr) bool {
	w := t.WebSocket
	return t.Proxy != nil || w != nil && w.believes(peer)
}

// admits tells why a client may not come in from its address, "" if it may.
func (t *terms) admits(client net.Addr, v *visit) string {
	if !allowed(t.Access, client) {
		return "access_denied"
	}
	if v != nil {
		return v.enter(client)
	}
	return ""
}

func (l *Listener) over(reason string) {
	l.current.Add(-1)
	l.closed.add(reason)
}

// tune sets the options of one socket. A socket that the client has closed
// already refuses them; reading will tell.
func (t *terms) tune(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetNoDelay(t.NoDelay)
	if n := t.RecBuf; n > 0 {
		_ = tcp.SetReadBuffer(n)
	}
	if n := t.SndBuf; n > 0 {
		_ = tcp.SetWriteBuffer(n)
	}
}

// reasons counts by name.
type reasons struct {
	mu sync.Mutex
	m  map[string]uint64
}

func (r *reasons) add(name string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = make(map[string]uint64)
	}
	r.m[name]++
	return r.m[name]
}

func (r *reasons) snapshot() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[string]uint64, len(r.m))
	for k, v := range r.m {
		m[k] = v
	}
	return m
}
