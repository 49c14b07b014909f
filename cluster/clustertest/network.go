package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"emqttd/cluster/wire"
)

// Network carries streams of bytes between hosts in memory, as TCP would: what a cut
// holds up arrives when it is healed, unless the stream was broken before.
type Network struct {
	mu      sync.Mutex
	changed sync.Cond
	hosts   map[string]*Host
	cut     map[[2]string]bool
	ends    map[*end]bool
	// Delay, if not nil, is how long a message from one host to another is on its
	// way. Set it before the first stream is opened.
	Delay func(from, to string) time.Duration
}

// Host is one machine of a network, with one port.
type Host struct {
	network *Network
	address string
	accept  func(wire.Stream) // nil: the port is closed
	dead    bool
}

// NewNetwork makes a network without faults.
func NewNetwork() *Network {
	n := &Network{hosts: map[string]*Host{}, cut: map[[2]string]bool{}, ends: map[*end]bool{}}
	n.changed.L = &n.mu
	return n
}

// Host adds a host.
func (n *Network) Host(address string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{network: n, address: address}
	n.hosts[address] = h
	return h
}

// Listen opens the port: accept is called on a goroutine of its own for each stream.
// nil closes it.
func (h *Host) Listen(accept func(wire.Stream)) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.accept = accept
}

// Kill closes the port and all streams of the host, as the end of a process does. What is
// left of the process reaches nobody; Network.Host makes a new one at the same address.
func (h *Host) Kill() {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	h.accept, h.dead = nil, true
	for e := range n.ends {
		if e.out.from == h.address {
			n.close(e)
		}
	}
}

// Cut lets nothing more through from one host to another until Heal. Streams stay.
func (n *Network) Cut(from, to string) { n.set(from, to, true) }

// Heal undoes Cut.
func (n *Network) Heal(from, to string) { n.set(from, to, false) }

func (n *Network) set(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut {
		n.cut[[2]string{from, to}] = true
	} else {
		delete(n.cut, [2]string{from, to})
	}
	n.changed.Broadcast()
}

// Break breaks all streams between two hosts, which both see at once.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for e := range n.ends {
		if e.between(a, b) {
			e.in.broken, e.out.broken = true, true
			n.close(e)
		}
	}
}

// Streams counts the streams there are between two hosts.
func (n *Network) Streams(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for e := range n.ends {
		if e.between(a, b) {
			count++
		}
	}
	return (count + 1) / 2
}

// Dial opens a stream to another host. In a cut it waits for ctx.
func (h *Host) Dial(ctx context.Context, address string) (wire.Stream, error) {
	n := h.network
	stop := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changed.Broadcast()
	})
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.cut[[2]string{h.address, address}] || n.cut[[2]string{address, h.address}] {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial %s: %w", address, ctx.Err())
		}
		n.changed.Wait()
	}
	if h.dead {
		return nil, fmt.Errorf("dial %s: %w", address, errBroken)
	}
	other := n.hosts[address]
	if other == nil || other.accept == nil {
		return nil, fmt.Errorf("dial %s: %w", address, wire.ErrRefused)
	}
	there, back := &pipe{from: h.address, to: address}, &pipe{from: address, to: h.address}
	ours, theirs := &end{network: n, out: there, in: back}, &end{network: n, out: back, in: there}
	n.ends[ours], n.ends[theirs] = true, true
	go other.accept(theirs)
	return ours, nil
}

// pipe is one direction of a stream. Everything in it is guarded by the network.
type pipe struct {
	from, to string
	messages []timed
	bytes    int
	closed   bool // by the sender
	unread   bool // closed by the reader
	broken   bool
}

type timed struct {
	b   []byte
	due time.Time
}

// pipeBytes is what fits between two hosts while nobody reads: Send waits for more.
const pipeBytes = 1 << 20

// end is one end of a stream.
type end struct {
	network *Network
	out, in *pipe
}

func (e *end) between(a, b string) bool {
	return e.out.from == a && e.out.to == b || e.out.from == b && e.out.to == a
}

var errBroken = errors.New("the stream is broken")

// Send implements wire.Stream.
func (e *end) Send(b []byte) error {
	n := e.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for !e.lost() && e.out.bytes > pipeBytes {
		n.changed.Wait()
	}
	if e.lost() {
		return errBroken
	}
	m := timed{b: b}
	if n.Delay != nil {
		if d := n.Delay(e.out.from, e.out.to); d > 0 {
			m.due = time.Now().Add(d)
		}
	}
	e.out.messages = append(e.out.messages, m)
	e.out.bytes += len(b)
	n.changed.Broadcast()
	return nil
}

// lost tells whether this end knows that nobody reads what it sends.
func (e *end) lost() bool {
	out := e.out
	return out.closed || out.broken || out.unread && !e.network.cut[[2]string{out.to, out.from}]
}

// Recv implements wire.Stream.
func (e *end) Recv() ([]byte, error) {
	n := e.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch p := e.in; {
		case p.broken || p.unread:
			return nil, io.EOF
		case n.cut[[2]string{p.from, p.to}]:
			n.changed.Wait()
		case len(p.messages) == 0 && p.closed:
			return nil, io.EOF
		case len(p.messages) == 0:
			n.changed.Wait()
		default:
			m := p.messages[0]
			if wait := time.Until(m.due); wait > 0 && !m.due.IsZero() {
				n.wake(wait)
				n.changed.Wait()
				continue
			}
			p.messages = p.messages[1:]
			p.bytes -= len(m.b)
			n.changed.Broadcast()
			return m.b, nil
		}
	}
}

func (n *Network) wake(after time.Duration) {
	time.AfterFunc(after, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changed.Broadcast()
	})
}

// Close implements wire.Stream. What was sent before arrives.
func (e *end) Close() {
	e.network.mu.Lock()
	defer e.network.mu.Unlock()
	e.network.close(e)
}

func (n *Network) close(e *end) {
	e.out.closed, e.in.unread = true, true
	delete(n.ends, e)
	n.changed.Broadcast()
}
