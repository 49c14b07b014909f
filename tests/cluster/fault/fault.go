// Package fault stands between nodes: what they send each other goes through
// proxies, one before each node, which delay it or let it through no more, for each
// pair of nodes and each direction apart.
//
//	emq1 ──▶ proxy of emq2 ──▶ emq2      From emq1 To emq2: what emq1 sends
//	     ◀──               ◀──           From emq2 To emq1: the answers
//
// A cut is like that of a cable: nothing is refused and nothing closed, there only is
// silence; what was sent meanwhile arrives when it is healed, as TCP sends it again. A
// node that is down refuses connections. A proxy knows who dials it by the process
// that owns the other end of the connection.
package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Fault is what happens to one direction. The zero value lets all through at once.
type Fault struct {
	Delay  time.Duration // of everything
	Jitter time.Duration // up to so much more, at random; order is kept
	// Loss is the part of the segments that is lost, which TCP sends again: they, and
	// what is behind them, are late by a retransmission time-out.
	Loss float64
	Cut  bool // nothing comes through
}

// retransmission is the least time-out of Linux.
const retransmission = 200 * time.Millisecond

// Network is the nodes with their proxies.
type Network struct {
	mu     sync.Mutex
	nodes  map[string]*node
	faults map[way]Fault
	change chan struct{} // closed when a fault is changed, and at the end
	closed bool
	work   sync.WaitGroup
}

// way is one direction between two nodes.
type way struct{ from, to string }

type node struct {
	name, address, target string
	pid                   int
	listener              net.Listener
	conns                 map[net.Conn]bool // both ends of all that it takes part in
}

// New makes a network without nodes.
func New() *Network {
	return &Network{nodes: map[string]*node{}, faults: map[way]Fault{}, change: make(chan struct{})}
}

// Add makes a proxy for a node that listens at target. It returns the address at which
// others are to reach it; it refuses until Up.
func (n *Network) Add(name, target string) (string, error) {
	address, err := FreeAddress()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[name] = &node{name: name, address: address, target: target, conns: map[net.Conn]bool{}}
	return address, err
}

// given are the addresses that FreeAddress has returned.
var given sync.Map

// FreeAddress is where nobody listens. Its port is below those of outgoing
// connections, so that whoever takes it finds it again after a restart. None is given
// twice.
func FreeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if _, again := given.LoadOrStore(address, true); again {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port between 20000 and 32000")
}

// Up lets connections to a node in, which is the process pid.
func (n *Network) Up(name string, pid int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.nodes[name]
	v.pid = pid
	if v.listener != nil || n.closed {
		return nil
	}
	l, err := net.Listen("tcp", v.address)
	if err != nil {
		return err
	}
	v.listener = l
	n.work.Go(func() { n.accept(v, l) })
	return nil
}

// Down refuses connections to a node, as its host does when the process is gone, and
// ends those that it had.
func (n *Network) Down(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[name].down()
}

func (v *node) down() {
	if v.listener != nil {
		_ = v.listener.Close()
		v.listener = nil
	}
	v.pid = 0
	for c := range v.conns {
		reset(c)
	}
}

// Set changes what happens to what from sends to.
func (n *Network) Set(from, to string, f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[way{from, to}] = f
	n.changed()
}

// Between changes both directions.
func (n *Network) Between(a, b string, f Fault) {
	n.Set(a, b, f)
	n.Set(b, a, f)
}

// Split cuts all ways between nodes of different islands.
func (n *Network) Split(islands ...[]string) {
	for i, island := range islands {
		for _, other := range islands[i+1:] {
			for _, a := range island {
				for _, b := range other {
					n.Between(a, b, Fault{Cut: true})
				}
			}
		}
	}
}

// Heal ends all faults.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.faults)
	n.changed()
}

func (n *Network) changed() {
	close(n.change)
	n.change = make(chan struct{})
}

// Close ends all proxies and connections, and returns when nothing of them runs.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	for _, v := range n.nodes {
		v.down()
	}
	n.changed()
	n.mu.Unlock()
	n.work.Wait()
}

// fault is what happens on a way now, and a channel that is closed when that changes.
func (n *Network) fault(w way) (f Fault, change <-chan struct{}, closed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults[w], n.change, n.closed
}

// accept takes the connections to a node.
func (n *Network) accept(v *node, l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return // Down
		}
		n.work.Go(func() { n.join(v, in) })
	}
}

// join connects in with the node, until one of both ends.
func (n *Network) join(v *node, in net.Conn) {
	from := n.dialler(in)
	if from == "" {
		reset(in) // a stranger; let through it would be a hole in every cut
		return
	}
	out, err := net.DialTimeout("tcp", v.target, 10*time.Second)
	if err != nil {
		reset(in)
		return
	}
	to := n.enter(v, from, in, out)
	defer n.leave(v, from, in, out)
	var both sync.WaitGroup
	both.Go(func() { n.pump(way{from, to}, in, out) })
	both.Go(func() { n.pump(way{to, from}, out, in) })
	both.Wait()
}

// dialler is the name of the node that is at the other end, or "".
func (n *Network) dialler(c net.Conn) string {
	n.mu.Lock()
	pids := map[int]string{}
	for name, v := range n.nodes {
		if v.pid != 0 {
			pids[v.pid] = name
		}
	}
	n.mu.Unlock()
	// The dialler may not be through with its connect yet.
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for range 1000 {
		if name := owner(c, pids); name != "" {
			return name
		}
		<-look.C
	}
	return ""
}

// enter remembers the ends of a connection with those nodes that take part in it.
func (n *Network) enter(v *node, from string, ends ...net.Conn) (to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range ends {
		v.conns[c] = true
		if other := n.nodes[from]; other != nil {
			other.conns[c] = true
		}
		if v.listener == nil { // down meanwhile
			reset(c)
		}
	}
	return v.name
}

func (n *Network) leave(v *node, from string, ends ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range ends {
		_ = c.Close()
		delete(v.conns, c)
		if other := n.nodes[from]; other != nil {
			delete(other.conns, c)
		}
	}
}

// reset closes a connection so that the other end is told at once.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
