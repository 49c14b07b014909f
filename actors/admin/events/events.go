// Package events tells those who listen what changes on the node: clients that come and go, subscriptions, alarms. Who
// publishes never waits: each listener has a bounded queue, and one that does not keep up is cut off. While nobody
// listens an event costs one atomic load.
package events

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what has happened.
type Kind string

// The kinds.
const (
	ClientConnected    Kind = "client.connected"
	ClientDisconnected Kind = "client.disconnected"
	Subscribed         Kind = "session.subscribed"
	Unsubscribed       Kind = "session.unsubscribed"
	AlarmRaised        Kind = "alarm.raised"
	AlarmCleared       Kind = "alarm.cleared"
)

// Kinds are all of them.
var Kinds = []Kind{ClientConnected, ClientDisconnected, Subscribed, Unsubscribed, AlarmRaised, AlarmCleared}

// Event is something that has happened. It is not written to after it was published.
type Event struct {
	Kind     Kind
	At       time.Time
	ClientID string
	Username string
	Peer     string
	Reason   string // why a client is gone
	Topic    string // of a subscription, as the client wrote it
	QoS      byte
	Alarm    string // identifier of an alarm
	Severity string
	Title    string
}

const (
	// queueLen is how far a listener may be behind. At 1,000 events a second, which is a stampede of clients, it is a quarter
	// of a second of a slow network; it costs 45 KB a listener.
	queueLen = 256
	// maxListeners bounds the memory, and what each event costs.
	maxListeners = 64
)

// ErrTooMany is that no more may listen.
var ErrTooMany = errors.New("too many listeners")

// Hub passes events on. The zero value is ready.
type Hub struct {
	count     atomic.Int32
	mu        sync.RWMutex
	listeners map[*Listener]struct{}
	closed    bool
}

// Listener gets events. It is used by one goroutine.
type Listener struct {
	hub  *Hub
	want map[Kind]bool // nil is all
	c    chan Event
	slow atomic.Bool
}

// Listen begins to listen to events of those kinds, all if there are none.
func (h *Hub) Listen(kinds ...Kind) (*Listener, error) {
	l := &Listener{hub: h, c: make(chan Event, queueLen)}
	if len(kinds) > 0 {
		l.want = make(map[Kind]bool, len(kinds))
		for _, k := range kinds {
			l.want[k] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.listeners) >= maxListeners {
		return nil, ErrTooMany
	}
	if h.listeners == nil {
		h.listeners = map[*Listener]struct{}{}
	}
	h.listeners[l] = struct{}{}
	h.count.Add(1)
	return l, nil
}

// C brings the events. It is closed when the listener is cut off or the hub ends.
func (l *Listener) C() <-chan Event { return l.c }

// Slow tells, once C is closed, whether that was because events came faster than they were taken.
func (l *Listener) Slow() bool { return l.slow.Load() }

// Close ends listening. It may be called more than once.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.hub.drop(l)
}

// drop takes a listener out; mu is held.
func (h *Hub) drop(l *Listener) {
	if _, there := h.listeners[l]; there {
		delete(h.listeners, l)
		h.count.Add(-1)
		close(l.c)
	}
}

// Idle tells whether nobody listens: then an event need not even be made.
func (h *Hub) Idle() bool { return h.count.Load() == 0 }

// Publish passes an event on. It does not block.
func (h *Hub) Publish(e Event) {
	if h.Idle() {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.mu.RLock()
	var slow []*Listener
	for l := range h.listeners {
		if l.want != nil && !l.want[e.Kind] {
			continue
		}
		select {
		case l.c <- e:
		default:
			slow = append(slow, l)
		}
	}
	h.mu.RUnlock()
	if len(slow) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range slow {
		l.slow.Store(true)
		h.drop(l)
	}
}

// Close ends all listening; nobody may begin any more.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for l := range h.listeners {
		h.drop(l)
	}
}
