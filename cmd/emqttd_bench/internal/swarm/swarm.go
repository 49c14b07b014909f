// Package swarm runs many MQTT clients on one goroutine. Nothing in it, and
// nothing that uses it, needs a lock: whoever calls Await lends its goroutine to
// the clients until what it waits for has happened.
//
//	Await ─► network.wait ─► Conn.received ─► Events ─► Turn ─► one write for each Conn
//
// Input is handled in whole reads, output leaves in one write a turn, and a
// message costs no allocation. On Linux the network is one epoll instance;
// elsewhere, and for TLS, goroutines hand what they read to the one.
package swarm

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"emqttd/protocol/mqtt"
)

// Never is a time that does not come.
const Never = int64(1) << 62

// breath is how long a turn waits at most, so that an interrupt is noticed.
const breath = int64(50 * time.Millisecond)

// Swarm is a set of clients. Times are Unix nanoseconds that do not jump.
type Swarm struct {
	// Turn, if not nil, is called after each batch of events, and again at the
	// time that it returned: at once if that has passed, not by itself if Never.
	Turn func(now int64) (again int64)
	// Second, if not nil, is called about once a second.
	Second func(now int64)
	// WebSocket, if not empty, is the path to which clients dial a WebSocket.
	WebSocket string

	net     network
	began   time.Time
	now     int64
	again   int64
	second  int64
	open    map[*Conn]struct{}
	dirty   []*Conn
	spare   [][]byte // buffers for output, as many as its capacity
	publish mqtt.Publish
	suback  mqtt.Suback
	ack     mqtt.Ack
}

// network moves bytes. All but its own goroutines call it from the goroutine of
// the swarm, and it calls back there.
type network interface {
	// dial begins to connect; Conn.connected or Conn.fail follows, maybe at once.
	dial(c *Conn, to netip.AddrPort, from netip.Addr) error
	// wait handles what has happened, waiting up to d nanoseconds for it.
	wait(d int64)
	// write takes as much as it can; less than all means that Conn.writable follows.
	write(c *Conn, b []byte) (int, error)
	// hangUp closes the socket of one connection.
	hangUp(c *Conn)
	close()
}

// New makes a swarm. The plain network is that of goroutines also where there is
// a faster one; secure implies it.
func New(plain bool, secure *tls.Config) (*Swarm, error) {
	s := &Swarm{began: time.Now(), open: map[*Conn]struct{}{}, again: Never, spare: make([][]byte, 0, 256)}
	var err error
	if plain || secure != nil {
		s.net = newSockets(s, secure)
	} else if s.net, err = newNetwork(s); err != nil {
		return nil, err
	}
	s.now = s.clock()
	s.second = s.now + int64(time.Second)
	return s, nil
}

func (s *Swarm) clock() int64 { return s.began.UnixNano() + int64(time.Since(s.began)) }

// Now is the time of the events that are being handled.
func (s *Swarm) Now() int64 { return s.now }

// Clock is the time, freshly taken.
func (s *Swarm) Clock() int64 {
	s.now = s.clock()
	return s.now
}

// Open is how many connections exist, those on their way included.
func (s *Swarm) Open() int { return len(s.open) }

// Await runs the clients until done is true, which it reports, d has passed, or
// the context is cancelled. done is asked once a turn; nil is never true.
func (s *Swarm) Await(ctx context.Context, d time.Duration, done func() bool) bool {
	until := s.Clock() + int64(d)
	for {
		if done != nil && done() {
			return true
		}
		if s.now >= until || ctx.Err() != nil {
			return false
		}
		s.turn(until)
	}
}

func (s *Swarm) turn(until int64) {
	s.flush()
	s.net.wait(max(0, min(until, s.again, s.second, s.now+breath)-s.now))
	s.Clock()
	s.again = Never
	if s.Turn != nil {
		s.again = s.Turn(s.now)
	}
	s.flush()
	if s.now >= s.second {
		s.second = s.now + int64(time.Second)
		s.keepAlive()
		if s.Second != nil {
			s.Second(s.now)
		}
	}
}

// Wake has Turn called without waiting for events.
func (s *Swarm) Wake() { s.again = 0 }

func (s *Swarm) flush() {
	for _, c := range s.dirty {
		c.dirty = false
		c.flush()
	}
	s.dirty = s.dirty[:0]
}

// keepAlive pings where nothing has been sent for three quarters of the time.
func (s *Swarm) keepAlive() {
	for c := range s.open {
		if c.pingEvery > 0 && c.up && s.now-c.sentAt >= c.pingEvery {
			c.touch()
			c.out = mqtt.AppendPingreq(c.out)
		}
	}
}

// Close closes all connections without a word and releases what the swarm holds.
func (s *Swarm) Close() {
	for c := range s.open {
		c.hangUp()
	}
	s.net.close()
}

// EachConn calls f for every connection that exists.
func (s *Swarm) EachConn(f func(*Conn)) {
	for c := range s.open {
		f(c)
	}
}
