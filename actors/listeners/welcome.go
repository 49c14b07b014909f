package listeners

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"emqttd/actors/connections"
	"emqttd/config"
)

// welcome brings a new connection as far as its CONNECT: PROXY header, access
// rules, TLS, WebSocket, in this order. It runs on a goroutine of its own. v is
// nil where sources have no limits.
func (t *terms) welcome(conn net.Conn, v *visit) (o connections.Opened, err error) {
	addr := conn.RemoteAddr()
	if p := t.Proxy; p != nil {
		if addr, err = p.client(conn); err != nil {
			return o, err
		}
		if reason := t.admits(addr, v); reason != "" {
			return o, &connections.OpenError{Reason: reason, Err: errUnwelcome, Peer: addr}
		}
	}
	if t.l.certs != nil {
		o, err = t.l.certs.handshake(conn)
	} else {
		o.Transport = connections.NewTransport(conn)
	}
	if err != nil {
		return o, err
	}
	if t.Proxy != nil {
		o.Transport = &addressed{o.Transport, addr}
	}
	if w := t.WebSocket; w != nil {
		u := upgrade{WebSocket: w, peer: addr, secure: t.l.certs != nil}
		if t.Proxy == nil && w.believes(addr) {
			u.admit = func(client net.Addr) string { return t.admits(client, v) }
		}
		if o.Transport, err = u.do(o.Transport, t.l.rt.Settings().IdleTimeout); err != nil {
			return o, err
		}
		o.Header = u.kept
	}
	if t.Rate != (config.Rate{}) {
		o.Transport = newThrottled(o.Transport, t.Rate)
	}
	return o, nil
}

var errUnwelcome = errors.New("a proxy brings a client that may not come in")

// reasonOf names why the time before CONNECT ended, where it is not the fault
// of what was sent.
func reasonOf(err error, other string) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return other + "_timeout"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "closed"
	default:
		return other + "_error"
	}
}

// addressOf is the IP of a peer, which a transport that is not TCP does not
// have.
func addressOf(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	return ip.Unmap(), ok
}

// allowed tells whether a client may connect from an address.
func allowed(rules []config.AccessRule, a net.Addr) bool {
	ip, known := addressOf(a)
	for _, r := range rules {
		if !r.Network.IsValid() || known && r.Network.Contains(ip) {
			return r.Allow
		}
	}
	return true
}

// addressed is a transport whose client is elsewhere than its socket says.
type addressed struct {
	connections.Transport
	addr net.Addr
}

// Unwrap lets the connection go on without it once its CONNECT has been read.
func (t *addressed) Unwrap() connections.Transport { return t.Transport }

// RemoteAddr implements connections.Transport.
func (t *addressed) RemoteAddr() net.Addr { return t.addr }

// throttled reads no faster than a limit: after a read that was too much it
// does not read for a while, so that TCP holds the client back.
type throttled struct {
	connections.Transport
	limit  *rate.Limiter
	pause  time.Duration // before the next read
	once   sync.Once
	closed chan struct{}
}

func newThrottled(t connections.Transport, r config.Rate) *throttled {
	return &throttled{
		Transport: t, limit: rate.NewLimiter(rate.Limit(r.PerSecond()), r.Burst()), closed: make(chan struct{}),
	}
}

// Read implements connections.Transport.
func (t *throttled) Read(prefix []byte) (*connections.Buffer, error) {
	if t.pause > 0 {
		timer := time.NewTimer(t.pause)
		select {
		case <-timer.C:
		case <-t.closed:
			timer.Stop()
		}
	}
	b, err := t.Transport.Read(prefix)
	if err == nil {
		t.pause = t.spend(time.Now(), len(b.Data)-len(prefix))
	}
	return b, err
}

// spend returns how long to wait for n bytes to be within the limit.
func (t *throttled) spend(now time.Time, n int) (wait time.Duration) {
	for n > 0 {
		part := min(n, t.limit.Burst())
		wait = t.limit.ReserveN(now, part).DelayFrom(now)
		n -= part
	}
	return wait
}

// Close implements connections.Transport.
func (t *throttled) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Transport.Close()
}
