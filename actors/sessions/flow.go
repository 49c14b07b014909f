package sessions

import "sync/atomic"

// Flow counts what a reader has handed to its session and the session has not
// yet taken. Without it a client could pile up QoS 2 messages or subscriptions
// in its session's mailbox faster than they are served; with it the reader
// waits, and TCP holds the client. The zero value is ready.
type Flow struct {
	n      atomic.Int32
	closed atomic.Bool
	gate   atomic.Pointer[chan struct{}] // closed to let the reader go on; nil while it does
}

// A reader waits when more than flowHigh messages are with the session, until no
// more than flowLow are. All of what one read of the socket brought, some 32 KB
// at most, is one of them, but for its SUBSCRIBEs and UNSUBSCRIBEs: 2 MB for a
// client.
const (
	flowHigh = 64
	flowLow  = 16
)

// Hand is called by the reader for each message that it has told the session.
func (f *Flow) Hand() { f.n.Add(1) }

// Behind tells whether Wait would block.
func (f *Flow) Behind() bool { return f.n.Load() > flowHigh && !f.closed.Load() }

// Wait is called by the reader before it reads on. It blocks while the session is
// behind.
func (f *Flow) Wait() {
	if !f.Behind() {
		return
	}
	for f.waits() {
		gate := make(chan struct{})
		f.gate.Store(&gate)
		if !f.waits() {
			f.gate.Store(nil)
			return
		}
		<-gate
	}
}

func (f *Flow) waits() bool { return f.n.Load() > flowLow && !f.closed.Load() }

// took is called by the session when it is done with such a message; nil is for
// one that did not come from a reader.
func (f *Flow) took() {
	if f != nil && f.n.Add(-1) <= flowLow {
		f.open()
	}
}

// Close lets the reader go: the connection ends, and with it all counting.
func (f *Flow) Close() {
	f.closed.Store(true)
	f.open()
}

// Stopped returns a channel that is closed when the connection ends, and perhaps
// before: the reader, which calls it, is to look again then.
func (f *Flow) Stopped() <-chan struct{} {
	gate := make(chan struct{})
	f.gate.Store(&gate)
	if f.Closed() {
		f.open()
	}
	return gate
}

// Closed tells whether the connection has ended: nobody needs to wait any more.
func (f *Flow) Closed() bool { return f.closed.Load() }

func (f *Flow) open() {
	if f.gate.Load() == nil {
		return
	}
	if gate := f.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}
