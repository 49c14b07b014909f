package link

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Reason says why a node did not get a link.
type Reason uint8

// The reasons.
const (
	WrongCookie     Reason = iota // it does not prove the cookie
	WrongCluster                  // it belongs to a cluster of another name
	NameTaken                     // a node with its name is running
	Oneself                       // the address is one's own
	NoCommonVersion               // of the messages
	Malformed                     // what it said cannot be read
	Away                          // the node is leaving, or has left the cluster
	CallBack                      // no fault: the acceptor dials, as its name is the smaller one
	Busy                          // no fault: try again
	Unreachable                   // no fault of its own: it could not be dialled, or did not answer
	reasons
)

var reasonNames = [reasons]string{
	"cookie", "cluster", "name", "self", "version", "malformed", "away", "call_back", "busy", "unreachable",
}

// String is the reason as a metric label, and on the wire.
func (r Reason) String() string { return reasonNames[r] }

// reasonOf reads a reason from the wire; one that only newer versions know is Busy:
// the dialler tries again.
func reasonOf(s string) Reason {
	for i, n := range reasonNames {
		if n == s {
			return Reason(i)
		}
	}
	return Busy
}

// fault tells whether an operator must know.
func (r Reason) fault() bool { return r <= Malformed && r != Oneself }

// refused is why a stream was not taken.
type refused struct {
	reason Reason
	detail string
	theirs bool // the other side has refused
}

func refuse(r Reason, format string, args ...any) *refused {
	return &refused{reason: r, detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (r *refused) Error() string {
	if r.detail == "" {
		return r.reason.String()
	}
	return r.detail
}

// reasonFor finds the reason in an error.
func reasonFor(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	return Unreachable
}

// Stats are counters since the start of the net.
type Stats struct {
	Refused    map[string]uint64 // by Reason, in either direction
	Unknown    uint64            // messages of kinds that this node does not know
	Unreadable uint64            // messages of known kinds whose body could not be read
	Resent     uint64            // messages that were written again on another stream
	Duplicates uint64            // messages that had come before and were dropped
	Panics     uint64            // of handlers
	BytesIn    uint64            // of streams, before TLS
	BytesOut   uint64
}

type counters struct {
	refused                                                            [reasons]atomic.Uint64
	unknown, unreadable, resent, duplicates, panics, bytesIn, bytesOut atomic.Uint64
}

// Stats returns the counters. It may be called from any goroutine.
func (n *Net) Stats() Stats {
	s := Stats{
		Refused: make(map[string]uint64, reasons),
		Unknown: n.counts.unknown.Load(), Unreadable: n.counts.unreadable.Load(), Resent: n.counts.resent.Load(),
		Duplicates: n.counts.duplicates.Load(), Panics: n.counts.panics.Load(),
		BytesIn: n.counts.bytesIn.Load(), BytesOut: n.counts.bytesOut.Load(),
	}
	for i := range n.counts.refused {
		s.Refused[Reason(i).String()] = n.counts.refused[i].Load()
	}
	return s
}
