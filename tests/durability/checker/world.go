package checker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// Profile is what kind of client one is.
type Profile struct {
	ID      string
	Version mqtt.Version
	// Clean clients have no session: what they have published counts when it is
	// acknowledged, and they publish with QoS 1 only.
	Clean bool

	Topics []string // it publishes to them
	Retain bool     // … messages that are to be retained; QoS 1 to the first topic, 2 to the others
	Window int      // so many unacknowledged at a time

	Filters []string     // it subscribes to them
	QoS     protocol.QoS // with this; 0: 1 or 2, as chance has it
	Fickle  bool         // … and unsubscribes, and subscribes again
	Lazy    bool         // acknowledges late
	Absent  bool         // is away most of the time
	Ends    bool         // ends its session with a clean start now and then
	Will    string       // topic of its will; "" for none
}

// message is something that was published, or a will. Its number is its place in
// World.messages and the payload.
type message struct {
	client   int
	topic    string
	qos      protocol.QoS
	sent     int // when it was first sent; of a will: when it was announced
	acked    int // when the broker took over; 0 before. Of a will: when its client was lost
	refused  bool
	will     bool
	retain   bool
	clearing bool // a retained message without payload
}

// World is a set of clients and what they know.
type World struct {
	mu       sync.Mutex
	dial     func() (net.Conn, error)
	rng      *rand.Rand
	cut      int // when the power was cut; 0: never
	clock    int // counts what the clients do and see
	messages []message
	clients  []*client
	ender    *client // publishes the message that ends each queue
	faults   []string
	draining bool
	changed  chan struct{} // has room for one
	readers  *sync.WaitGroup
	stats    Stats
}

// Stats count what has happened in a world.
type Stats struct {
	Published, Acknowledged, Refused int // messages of QoS 1 and 2
	Received, Again                  int // first deliveries, and those that came again
	Connects, Clean                  int

	// Promises that were broken: messages and retained messages that were
	// acknowledged and are not there; that came twice at QoS 2; that came out of
	// order; sessions that are not there; anything else.
	Lost, Twice, Disorder, Sessions, Other int
}

// New makes a world in which nobody is connected yet.
func New(seed uint64, profiles []Profile) *World {
	w := &World{
		rng: rand.New(rand.NewPCG(seed, 0x6b696c6c)), changed: make(chan struct{}, 1), readers: new(sync.WaitGroup),
		messages: make([]message, 1), // number 0 is none
	}
	w.ender = newClient(w, 0, Profile{ID: "ender", Version: mqtt.V311, Clean: true})
	w.clients = append(w.clients, w.ender)
	for i, p := range profiles {
		w.clients = append(w.clients, newClient(w, i+1, p))
	}
	return w
}

// Clone copies the world as it is at this moment, without its connections: the
// power of the broker is cut for it. f is called while the world stands still.
func (w *World) Clone(seed uint64, f func()) *World {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	c := &World{
		rng: rand.New(rand.NewPCG(seed, 0x636c6f6e)), clock: w.clock, messages: slices.Clone(w.messages),
		changed: make(chan struct{}, 1), readers: new(sync.WaitGroup), faults: slices.Clone(w.faults), stats: w.stats, cut: w.clock,
	}
	for _, x := range w.clients {
		c.clients = append(c.clients, x.clone(c))
	}
	c.ender = c.clients[0]
	for _, x := range c.clients {
		x.lost()
	}
	return c
}

// Use says how to reach the broker from now on.
func (w *World) Use(dial func() (net.Conn, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dial = dial
}

// Stats are the counts up to now.
func (w *World) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Faults are the promises that were broken up to now, as far as they show while
// they are broken: losses show in Drain only.
func (w *World) Faults() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.faults)
}

// Hang hangs up: all connections end as if the network had gone.
func (w *World) Hang() {
	w.mu.Lock()
	for _, c := range w.clients {
		c.lost()
	}
	w.mu.Unlock()
	w.readers.Wait()
}

// tick is the next moment.
func (w *World) tick() int {
	w.clock++
	return w.clock
}

const maxFaults = 20

// fault notes a broken promise and counts it.
func (w *World) fault(count *int, format string, args ...any) {
	*count++
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// Run lets the clients act until so many things have happened, or stop is closed.
func (w *World) Run(events int, stop <-chan struct{}) {
	w.mu.Lock()
	end := w.clock + events
	w.mu.Unlock()
	w.drive(stop, func() bool { return w.clock >= end })
}

// idleTime is how long the clients look on when none of them can do anything.
const idleTime = time.Millisecond

// drive lets one client after the other act, as chance has it, until done.
func (w *World) drive(stop <-chan struct{}, done func() bool) {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for still := 0; ; {
		select {
		case <-stop:
			return
		default:
		}
		w.mu.Lock()
		if done() {
			w.mu.Unlock()
			return
		}
		acted := w.clients[w.rng.IntN(len(w.clients))].act()
		w.mu.Unlock()
		if acted {
			still = 0
			continue
		}
		if still++; still < 2*len(w.clients) {
			continue
		}
		still = 0
		idle.Reset(idleTime)
		select {
		case <-w.changed:
		case <-idle.C:
		case <-stop:
			return
		}
	}
}

// wake tells the driver that something has come.
func (w *World) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// publish makes a new message.
func (w *World) publish(m message) int {
	m.sent = w.tick()
	w.messages = append(w.messages, m)
	return len(w.messages) - 1
}

// clone copies a client into another world.
func (c *client) clone(w *World) *client {
	x := *c
	x.world = w
	x.conn, x.previous = nil, nil
	x.flights = slices.Clone(c.flights)
	x.received = maps.Clone(c.received)
	x.subs = slices.Clone(c.subs)
	x.got, x.exact = maps.Clone(c.got), maps.Clone(c.exact)
	x.last = maps.Clone(c.last)
	x.owed = nil
	return &x
}
