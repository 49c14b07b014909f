package link

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

const (
	// creditBytes and creditCount are how much of the data lane a peer may send
	// before our handlers have taken it. At 100 MB/s and 10 ms of round trip and
	// handling 1 MB flies; more only costs memory for each peer that is held up.
	creditBytes = 4 << 20
	creditCount = 4096
	// ackBytes and ackCount are after how much an acknowledgement is sent though
	// more waits to be handled.
	ackBytes = creditBytes / 8
	ackCount = creditCount / 8
	// maxControl is how many bytes may wait in the control lane. A peer that lets so
	// much come together is given up: it would cost this node its memory. It is above
	// what a snapshot of millions of routes takes.
	maxControl = 256 << 20
	// lastWords is how long the end of a conversation waits for the other side to
	// read the good-bye.
	lastWords = 500 * time.Millisecond
	// unhurried is how long the view waits for a handler that blocks.
	unhurried = time.Second
)

// ErrEnded is what callbacks get whose message was not acknowledged when the
// conversation ended: the peer may have handled it or not.
var ErrEnded = errors.New("the conversation with the node has ended")

// Peer is a conversation. Everything below mu is guarded by it.
type Peer struct {
	net    *Net
	member cluster.Member // State is in state
	id     uint64
	wire   uint8 // version that both read
	begun  time.Time
	state  atomic.Uint32
	rtt    atomic.Int64 // nanoseconds; 0: not known yet
	past   atomic.Bool  // ended is set

	bytesIn, bytesOut atomic.Uint64

	mu      sync.Mutex
	changed sync.Cond // for the writer and the data worker: anything below
	stream  wire.Stream
	streams int    // how many there have been
	broken  bool   // the reader of stream has ended
	turn    uint64 // which of several streams may be the next
	out     [lanes]lane
	in      [lanes]inbound
	inbox   []record // of the data lane, in order, for the worker
	inboxed int      // bytes in it
	window  struct{ bytes, count int }
	due     struct{ status, ask, answer, bye bool }

	heard     time.Time // when anything came
	confirmed time.Time // the newest time of which the peer has said that it heard of us
	echo      int64     // the newest Time of the peer, and when it came
	echoed    time.Time

	farewell              *bye
	readyHere, readyThere bool
	ended                 error         // why; nil while it goes on
	over                  chan struct{} // closed with ended
	said                  *bye          // the peer's
}

// inbound is what has come in one lane.
type inbound struct {
	received uint64 // the last one that was taken
	handled  uint64 // the last one whose handler has returned
	told     uint64 // the last one that was acknowledged
	bytes    int    // handled and not acknowledged
}

func newPeer(n *Net, h *hello, id uint64) *Peer {
	now := time.Now()
	p := &Peer{
		net: n, id: id, wire: min(h.Version, wire.Version), begun: now,
		member: cluster.Member{Name: h.Name, Address: h.Address, Incarnation: h.Incarnation, Version: h.Broker},
		heard:  now, confirmed: now, over: make(chan struct{}),
	}
	p.changed.L = &p.mu
	p.out = [lanes]lane{newLane(), newLane()}
	p.window.bytes, p.window.count = creditBytes, creditCount
	return p
}

// Member implements cluster.Peer.
func (p *Peer) Member() cluster.Member {
	m := p.member
	m.State = cluster.State(p.state.Load())
	return m
}

// Send implements cluster.Peer.
func (p *Peer) Send(m wire.Message) {
	frame, err := m.Serialize()
	if err != nil {
		p.net.log.Error("a message cannot be sent to another node", "message", fmt.Sprintf("%T", m), "error", err)
		return
	}
	i := item{}
	i.kind, i.body = wire.Open(frame)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return
	}
	p.out[0].push(i)
	if p.out[0].bytes > maxControl {
		p.endLocked(errors.New("more waits for it than this node can keep"))
	}
	p.changed.Broadcast()
}

// SendData implements cluster.Peer.
func (p *Peer) SendData(kind uint32, body []byte, done func(error)) {
	err := ErrEnded
	if len(body) > wire.MaxBody {
		err = fmt.Errorf("%d bytes are more than a message between nodes may have", len(body))
	} else if p.pushData(item{kind, body, done}) {
		return
	}
	if done != nil {
		done(err)
	}
}

func (p *Peer) pushData(i item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return false
	}
	p.out[1].push(i)
	p.changed.Broadcast()
	return true
}

// admit fixes what has come and gives the right to be the next stream, until
// somebody else gets it. There must be no stream.
func (p *Peer) admit() *decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	return &decision{peer: p, turn: p.turn, conversation: p.id, received: [lanes]uint64{p.in[0].received, p.in[1].received}}
}

// attached tells whether there is a stream.
func (p *Peer) attached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream != nil
}

// everAttached tells whether there has been one.
func (p *Peer) everAttached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams > 0
}

// lastSaid is the peer's good-bye, nil if it has said none.
func (p *Peer) lastSaid() *bye {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

func (p *Peer) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended != nil
}

// detach breaks the stream there is.
func (p *Peer) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != nil {
		p.stream.Close()
	}
}

// end ends the conversation; last, if not nil, is said to the peer. What follows is
// done by live.
func (p *Peer) end(why error, last *bye) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last != nil && p.ended == nil && p.stream != nil {
		p.farewell, p.due.bye = last, true
	}
	p.endLocked(why)
}

func (p *Peer) endLocked(why error) {
	if p.ended != nil {
		return
	}
	p.ended = why
	p.past.Store(true)
	close(p.over)
	p.changed.Broadcast()
	if p.stream != nil && !p.due.bye {
		p.stream.Close()
	}
}

// ask has the writer send a heartbeat.
func (p *Peer) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due.status, p.due.ask = true, true
	p.changed.Broadcast()
}

// silence is for how long the two have not been known to hear each other.
func (p *Peer) silence(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(earlier(p.heard, p.confirmed))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// bothReady tells whether the services of both sides are.
func (p *Peer) bothReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readyHere && p.readyThere && p.ended == nil
}

// live is the life of the conversation as the services see it. It runs on a goroutine
// of its own, and returns when nothing of the conversation is left.
func (p *Peer) live() {
	worker := make(chan struct{})
	go p.work(worker)
	p.begin()
	<-p.over
	quiet := make(chan struct{})
	go func() {
		p.awaitStream()
		<-worker
		close(quiet)
	}()
	timer := time.NewTimer(unhurried)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
		p.net.tellMembers(&stateChanged{p, cluster.Down})
		<-quiet
	}
	p.mu.Lock()
	done := append(p.out[0].abandon(), p.out[1].abandon()...)
	why := p.ended
	p.mu.Unlock()
	for _, f := range done {
		f(fmt.Errorf("%w: %w", ErrEnded, why))
	}
	for _, s := range p.net.services {
		s.End(p)
	}
	p.net.tellMembers(&stateChanged{p, cluster.Down})
	p.net.tellLink(p.member.Name, &over{p})
}

func (p *Peer) begin() {
	left := atomic.Int64{}
	left.Store(int64(len(p.net.services)) + 1)
	one := func() {
		if left.Add(-1) != 0 {
			return
		}
		p.Send(&ready{})
		p.mu.Lock()
		p.readyHere = true
		p.mu.Unlock()
		p.net.tellLink(p.member.Name, &readied{p})
	}
	for _, s := range p.net.services {
		s.Begin(p, sync.OnceFunc(one))
	}
	one()
}

// awaitStream returns when the stream has gone, which it helps if nobody reads the
// good-bye.
func (p *Peer) awaitStream() {
	timer := time.AfterFunc(lastWords, p.detach)
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stream != nil {
		p.changed.Wait()
	}
}

// work calls the handlers of the data lane.
func (p *Peer) work(done chan struct{}) {
	defer close(done)
	for {
		p.mu.Lock()
		for len(p.inbox) == 0 && p.ended == nil {
			p.changed.Wait()
		}
		if p.ended != nil {
			p.inbox = nil
			p.mu.Unlock()
			return
		}
		r := p.inbox[0]
		p.inbox[0] = record{}
		p.inbox = p.inbox[1:]
		p.mu.Unlock()

		if f := p.net.data[r.kind]; f != nil {
			p.net.protect(p, r.kind, func() { f(p, r.body) })
		} else {
			p.net.counts.unknown.Add(1)
		}

		p.mu.Lock()
		p.inboxed -= len(r.body)
		in := &p.in[1]
		in.handled = max(in.handled, r.seq)
		in.bytes += len(r.body)
		if len(p.inbox) == 0 || in.bytes >= ackBytes || in.handled-in.told >= ackCount {
			p.due.status = true
			p.changed.Broadcast()
		}
		p.mu.Unlock()
	}
}
