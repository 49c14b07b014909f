package topics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol"
)

// Subscriber is who receives messages: one per session. The tables refer to it
// by a small index, which it gets with its first subscription and loses when it
// is unregistered and its last subscription is gone. All methods may be called
// by any goroutine.
type Subscriber struct {
	id  protocol.ClientID
	pid *actor.PID

	index atomic.Uint32 // 0: not in the tables
	held  atomic.Int32  // rows in the tables, and one while registered
	flags atomic.Uint32

	mu      sync.Mutex
	gate    chan struct{} // closed to let the waiting ones go; nil while nobody waits
	pending atomic.Int64  // bytes told and not yet taken
}

// The flags of a subscriber: one word, so that it fits into 64 bytes.
const (
	online  = 1 << iota // a client is connected
	closed              // unregistered
	waiting             // somebody may wait at the gate
	crashed             // its session crashed
	kept                // what it is given is kept in the store
	full                // and there is no room for more
	peer                // another node
	stalled             // a peer that takes nothing at present
)

func (s *Subscriber) is(flag uint32) bool { return s.flags.Load()&flag != 0 }

// NewSubscriber returns a subscriber, offline and without subscriptions, whose
// messages are told to pid.
func NewSubscriber(id protocol.ClientID, pid *actor.PID) *Subscriber {
	return &Subscriber{id: id, pid: pid}
}

// NewPeer returns the subscriber that another node is: name is the node's, and its
// routes are its subscriptions (Apply). Unregister masks them at once, Forget
// takes them out of the tables. A new conversation with the same node needs a new
// one.
func (r *Router) NewPeer(name string, pid *actor.PID) *Subscriber {
	s := NewSubscriber(name, pid)
	s.flags.Or(peer | kept | online)
	r.register(s)
	return s
}

// SetStalled says whether a peer takes nothing at present. Whoever publishes to it
// then does not wait with QoS 0.
func (s *Subscriber) SetStalled(yes bool) {
	if !yes {
		s.flags.And(^uint32(stalled))
		return
	}
	if s.flags.Or(stalled)&stalled == 0 {
		s.open()
	}
}

// Peer tells whether the subscriber is another node.
func (s *Subscriber) Peer() bool { return s.is(peer) }

// ClientID is the client whose messages are not delivered to no-local
// subscriptions of this subscriber; the name of the node for a peer.
func (s *Subscriber) ClientID() protocol.ClientID { return s.id }

// PID is the session.
func (s *Subscriber) PID() *actor.PID { return s.pid }

// SetOnline says whether a client is connected: shared subscriptions prefer
// members which are online.
func (s *Subscriber) SetOnline(yes bool) {
	if yes {
		s.flags.Or(online)
	} else {
		s.flags.And(^uint32(online))
	}
}

// Online tells what SetOnline said last.
func (s *Subscriber) Online() bool { return s.is(online) }

// SetCrashed says that the session crashed, for those who count what it did not
// live to see.
func (s *Subscriber) SetCrashed() { s.flags.Or(crashed) }

// Crashed tells whether SetCrashed was called.
func (s *Subscriber) Crashed() bool { return s.is(crashed) }

// Pending is the size in bytes of what was told to the subscriber and not yet
// taken (Deliver.Done).
func (s *Subscriber) Pending() int64 { return s.pending.Load() }

// Closed tells whether the subscriber has been unregistered: it receives
// nothing any more.
func (s *Subscriber) Closed() bool { return s.is(closed) }

// took lowers the pending bytes and opens the gate once they are below low.
func (s *Subscriber) took(bytes, low int64) {
	if s.pending.Add(-bytes) <= low && s.is(waiting) {
		s.open()
	}
}

func (s *Subscriber) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flags.And(^uint32(waiting))
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}

// wait blocks while more than bound bytes are pending, until the subscriber has
// one of the flags or time is over, which it reports as false.
func (s *Subscriber) wait(bound int64, until uint32, limit <-chan time.Time) bool {
	return s.await(limit, nil, func() bool { return s.pending.Load() <= bound || s.is(until) })
}

// await blocks until a condition holds, which open makes look again, or time is
// over, or stop is closed. It tells whether it holds.
func (s *Subscriber) await(limit <-chan time.Time, stop <-chan struct{}, holds func() bool) bool {
	for {
		s.mu.Lock()
		if s.gate == nil {
			s.gate = make(chan struct{})
		}
		gate := s.gate
		// First say that somebody waits, then look: took does it the other way
		// round, so that one of the two sees the other.
		s.flags.Or(waiting)
		s.mu.Unlock()
		if holds() {
			return true
		}
		select {
		case <-gate:
		case <-limit:
			return false
		case <-stop:
			return false
		}
	}
}

// hold keeps the index for one more row, unless it is lost already.
func (s *Subscriber) hold() bool {
	for {
		n := s.held.Load()
		if n == 0 {
			return false
		}
		if s.held.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
