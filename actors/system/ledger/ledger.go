// Package ledger keeps the books of a node's messages: every pair of a message
// and somebody it is for is accepted once and ends once, in one state.
//
//	accepted = delivered + expired + dropped + rejected + forwarded + pending
//
// The two sides are counted in different places: accepted where a message is
// matched, the ends where a session, a full mailbox or a rule decides. Sessions
// compare what they owe with what their queues and windows really hold, so that
// a message that is lost on the way, or sent twice, stays behind as a difference:
// Sheet.Unaccounted.
//
// A message that nobody wants, or that its publisher may not send, counts as one
// pair. A retained message is accepted anew for each subscription that it is
// replayed to, and what a session finds on disk when it is restored too.
package ledger

import (
	"math/rand/v2"
	"sync/atomic"
)

// State is how a pair has ended.
type State uint8

// The states.
const (
	// Delivered: handed to the connection (QoS 0), or taken over by the client:
	// PUBACK (QoS 1), PUBREC (QoS 2).
	Delivered State = iota
	// Expired: its Message Expiry Interval ran out.
	Expired
	// Dropped: for one of the reasons that are not the publisher's fault.
	Dropped
	// Rejected: the publisher may not publish it, or the receiver refused it.
	Rejected
	// Forwarded: it left these books, to be accepted anew elsewhere: by another
	// node, or by the session that is restored from the store.
	Forwarded
	numStates
)

var stateNames = [numStates]string{"delivered", "expired", "dropped", "rejected", "forwarded"}

// String is the name of the state in metrics.
func (s State) String() string { return stateNames[s] }

// rejections are the reasons that mean Rejected.
var rejections = map[string]bool{
	"acl_denied": true, "topic_name_invalid": true, "payload_format_invalid": true,
	"quota_exceeded": true, ClientRefused: true,
}

// ClientRefused is the reason of what a client of MQTT 5 answered with an error.
const ClientRefused = "client_refused"

// StateOf is the state in which a pair ends that ends for a reason, as
// metrics.Registry names it.
func StateOf(reason string) State {
	switch {
	case reason == "expired":
		return Expired
	case rejections[reason]:
		return Rejected
	default:
		return Dropped
	}
}

// stripes is how many goroutines may count at a time without waiting for each
// other's cache lines; more cores than that share. 4 KB in all.
const stripes = 64

// stripe fills one cache line. Accepted and the ends stand together, because who
// changes one of them changes pending, too.
type stripe struct {
	accepted atomic.Uint64
	pending  atomic.Int64
	ended    [numStates]atomic.Uint64
	_        [8]byte
}

// Ledger is the book of one node. The zero value is ready; any goroutine may use
// it at any time, and nothing here allocates or locks.
type Ledger struct{ stripes [stripes]stripe }

func (l *Ledger) any() *stripe { return &l.stripes[rand.Uint32()%stripes] }

// Accept counts n pairs that are pending from now on. stripe spreads the callers;
// each has one of its own, as far as possible.
func (l *Ledger) Accept(stripe uint32, n int) {
	if !on || n == 0 {
		return
	}
	s := &l.stripes[stripe%stripes]
	s.accepted.Add(uint64(n))
	s.pending.Add(int64(n))
}

// AcceptAny is Accept for callers without a stripe.
func (l *Ledger) AcceptAny(n int) {
	if on {
		l.Accept(rand.Uint32(), n)
	}
}

// End counts n pending pairs that have ended.
func (l *Ledger) End(s State, n int) {
	if !on || n == 0 {
		return
	}
	at := l.any()
	at.ended[s].Add(uint64(n))
	at.pending.Add(-int64(n))
}

// EndAtOnce counts n pairs that were never pending.
func (l *Ledger) EndAtOnce(s State, n int) {
	if !on || n == 0 {
		return
	}
	at := l.any()
	at.accepted.Add(uint64(n))
	at.ended[s].Add(uint64(n))
}

// Forward counts n pairs that were handed to another node, which accepts them
// anew.
func (l *Ledger) Forward(n int) { l.EndAtOnce(Forwarded, n) }

// Correct changes pending to what somebody has really found: a mistake of ours,
// which shows as Unaccounted from then on.
func (l *Ledger) Correct(by int) {
	if on {
		l.any().pending.Add(int64(by))
	}
}

// Sheet is a look at the book.
type Sheet struct {
	Accepted uint64
	Pending  int64
	Ended    [numStates]uint64
}

// Sheet adds the book up. While messages flow its figures are of slightly
// different moments; the difference of two sheets bounds what that can amount to.
func (l *Ledger) Sheet() (t Sheet) {
	for i := range l.stripes {
		s := &l.stripes[i]
		t.Accepted += s.accepted.Load()
		t.Pending += s.pending.Load()
		for k := range s.ended {
			t.Ended[k] += s.ended[k].Load()
		}
	}
	return t
}

// Unaccounted is how many pairs are neither pending nor have ended, or, below 0,
// have ended more than once. It is 0 when no message has come for a second, or
// there is a bug.
func (t *Sheet) Unaccounted() int64 {
	n := int64(t.Accepted) - t.Pending
	for _, e := range t.Ended {
		n -= int64(e)
	}
	return n
}

// States lists the states in the order of Sheet.Ended.
func States() []State {
	all := make([]State, numStates)
	for i := range all {
		all[i] = State(i)
	}
	return all
}
