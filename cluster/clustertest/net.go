// Package clustertest is a cluster in memory, for tests of those parts that use
// cluster.Net: perfect as long as nobody cuts it.
package clustertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// World is some nodes and what is between them.
type World struct {
	mu    sync.Mutex
	nodes []*Net
	// Hold, if not nil, is called before each message is delivered, on a goroutine
	// of this direction: it may block to delay it. Set it before Connect.
	Hold func(from, to string)
}

// Net is one node's side.
type Net struct {
	world    *World
	self     cluster.Member
	clock    cluster.Clock
	handlers map[uint32]func(cluster.Peer, wire.Message)
	data     map[uint32]func(cluster.Peer, []byte)
	services []cluster.Service
	onView   []func(*cluster.View)

	mu    sync.Mutex
	view  *cluster.View
	peers map[string]*Peer // by name
}

// Node adds a node. The address is its name with a port, as its PIDs have it.
func (w *World) Node(name string) *Net {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &Net{
		world: w, self: cluster.Member{Name: name, Address: Address(name), Incarnation: uint64(len(w.nodes) + 1), State: cluster.Up},
		handlers: map[uint32]func(cluster.Peer, wire.Message){}, data: map[uint32]func(cluster.Peer, []byte){}, peers: map[string]*Peer{},
	}
	n.view = cluster.NewView(1, n.self, nil)
	w.nodes = append(w.nodes, n)
	return n
}

// Address is the address of a node's PIDs.
func Address(name string) string { return name + ":1" }

// Connect begins a conversation between two nodes and returns when both are in
// each other's view.
func (w *World) Connect(a, b *Net) {
	pa, pb := newPeer(w, a, b), newPeer(w, b, a)
	pa.other, pb.other = pb, pa
	for _, p := range []*Peer{pa, pb} {
		p.here.mu.Lock()
		p.here.peers[p.there.self.Name] = p
		p.here.mu.Unlock()
		p.lanes[0].start()
		p.lanes[1].start()
	}
	var ready sync.WaitGroup
	for _, p := range []*Peer{pa, pb} {
		for _, s := range p.here.services {
			ready.Add(1)
			s.Begin(p, ready.Done)
		}
	}
	ready.Wait()
	a.see(pa, cluster.Up)
	b.see(pb, cluster.Up)
}

// ConnectAll connects every node with every other.
func (w *World) ConnectAll() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[i+1:] {
			w.Connect(a, b)
		}
	}
}

// Cut ends the conversation between two nodes: both see the other down.
func (w *World) Cut(a, b *Net) {
	for _, n := range [][2]*Net{{a, b}, {b, a}} {
		n[0].mu.Lock()
		p := n[0].peers[n[1].self.Name]
		delete(n[0].peers, n[1].self.Name)
		n[0].mu.Unlock()
		if p == nil {
			continue
		}
		p.lanes[0].stop()
		p.lanes[1].stop()
		for _, s := range n[0].services {
			s.End(p)
		}
		n[0].see(p, cluster.Down)
	}
}

// Close stops everything that is left.
func (w *World) Close() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[i+1:] {
			w.Cut(a, b)
		}
	}
}

func (n *Net) see(p *Peer, s cluster.State) {
	n.mu.Lock()
	p.state = s
	var others []cluster.Member
	for _, q := range n.peers {
		if q.state != cluster.Down {
			m := q.there.self
			m.State = q.state
			others = append(others, m)
		}
	}
	n.view = cluster.NewView(n.view.Epoch+1, n.self, others)
	v := n.view
	n.mu.Unlock()
	for _, f := range n.onView {
		f(v)
	}
}

// Self implements cluster.Net.
func (n *Net) Self() cluster.Member { return n.self }

// View implements cluster.Net.
func (n *Net) View() *cluster.View {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view
}

// Peers implements cluster.Net.
func (n *Net) Peers() (out []cluster.Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.state != cluster.Down {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b cluster.Peer) int {
		return strings.Compare(a.(*Peer).there.self.Name, b.(*Peer).there.self.Name) // Member would lock once more
	})
	return out
}

// PeerAt implements cluster.Net.
func (n *Net) PeerAt(address string) cluster.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.there.self.Address == address {
			return p
		}
	}
	return nil
}

// Handle implements cluster.Net.
func (n *Net) Handle(kind uint32, f func(cluster.Peer, wire.Message)) { n.handlers[kind] = f }

// HandleData implements cluster.Net.
func (n *Net) HandleData(kind uint32, f func(cluster.Peer, []byte)) { n.data[kind] = f }

// Add implements cluster.Net.
func (n *Net) Add(s cluster.Service) { n.services = append(n.services, s) }

// OnView implements cluster.Net.
func (n *Net) OnView(f func(*cluster.View)) { n.onView = append(n.onView, f) }

// Clock implements cluster.Net.
func (n *Net) Clock() *cluster.Clock { return &n.clock }

// Peer is a conversation as one side sees it.
type Peer struct {
	world       *World
	here, there *Net
	other       *Peer
	state       cluster.State
	lanes       [2]*lane
}

func newPeer(w *World, here, there *Net) *Peer {
	p := &Peer{world: w, here: here, there: there}
	p.lanes[0], p.lanes[1] = newLane(), newLane()
	return p
}

// Member implements cluster.Peer.
func (p *Peer) Member() cluster.Member {
	p.here.mu.Lock()
	defer p.here.mu.Unlock()
	m := p.there.self
	m.State = p.state
	return m
}

// Send implements cluster.Peer. The message goes through its frame, as it would
// on a wire.
func (p *Peer) Send(m wire.Message) {
	frame, err := m.Serialize()
	if err != nil {
		panic(fmt.Sprintf("%T cannot be sent: %v", m, err))
	}
	kind, body := wire.Open(frame)
	p.lanes[0].put(func(ended bool) {
		if ended {
			return
		}
		p.hold()
		h := p.there.handlers[kind]
		if h == nil {
			panic(fmt.Sprintf("%s has no handler for kind %d", p.there.self.Name, kind))
		}
		h(p.other, wire.Decode(kind, body))
	})
}

var errEnded = errors.New("the conversation has ended")

// SendData implements cluster.Peer.
func (p *Peer) SendData(kind uint32, body []byte, done func(error)) {
	p.lanes[1].put(func(ended bool) {
		var err error
		if ended {
			err = errEnded
		} else {
			p.hold()
			p.there.data[kind](p.other, body)
		}
		if done != nil {
			done(err)
		}
	})
}

func (p *Peer) hold() {
	if p.world.Hold != nil {
		p.world.Hold(p.here.self.Name, p.there.self.Name)
	}
}

// lane calls functions one after the other on a goroutine of its own.
type lane struct {
	mu      sync.Mutex
	more    *sync.Cond
	queue   []func(ended bool)
	stopped bool
	idle    chan struct{}
}

func newLane() *lane {
	l := &lane{idle: make(chan struct{})}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *lane) start() { go l.run() }

func (l *lane) run() {
	defer close(l.idle)
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.stopped {
			l.more.Wait()
		}
		queue, stopped := l.queue, l.stopped
		l.queue = nil
		l.mu.Unlock()
		for _, f := range queue {
			l.mu.Lock()
			ended := l.stopped
			l.mu.Unlock()
			f(ended)
		}
		if stopped && len(queue) == 0 {
			return
		}
	}
}

func (l *lane) put(f func(bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		go f(true)
		return
	}
	l.queue = append(l.queue, f)
	l.more.Signal()
}

// stop returns when nothing more is called.
func (l *lane) stop() {
	l.mu.Lock()
	l.stopped = true
	l.more.Signal()
	l.mu.Unlock()
	<-l.idle
}
