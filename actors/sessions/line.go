package sessions

import (
	"slices"
	"sync"

	"emqttd/actors/store"
)

// Line lets packets go to a client in their order, each when what it promises is
// safe. It is used from any goroutine.
type Line struct {
	out  Outbox
	fail func(error) // something that was promised will never be safe
	room func()      // there is room again, after Room had said that there was none

	mu      sync.Mutex
	queue   []*pledge
	bytes   int
	starved bool
	closed  bool
	gate    chan struct{} // closed when there is room; nil while nobody waits
	last    *store.Receipt
}

// pledge is a piece of the line.
type pledge struct {
	packets []byte
	left    int // conditions that do not hold yet
	then    func()
}

// lineBytes and linePledges bound what may wait: a few round trips to the disk
// of a fast client.
const (
	lineBytes   = 256 << 10
	linePledges = 256
)

// NewLine returns a line into an outbox. fail is called once if the store fails;
// room, which may be nil, when a sender that was told to wait may go on. Neither
// may block.
func NewLine(out Outbox, fail func(error), room func()) *Line {
	return &Line{out: out, fail: fail, room: room}
}

// Send lets packets go behind what is held. They are written or copied when it
// returns.
func (l *Line) Send(packets []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case len(l.queue) == 0:
		l.out.Send(packets)
	default:
		last := l.queue[len(l.queue)-1]
		if last.then != nil {
			last = &pledge{}
			l.queue = append(l.queue, last)
		}
		// Behind a condition that is still open they may share its fate.
		last.packets = append(last.packets, packets...)
		l.bytes += len(packets)
	}
}

// Follow has the receipt of what a client publishes committed behind that of what
// it published before. The caller has still to do its own part of it.
func (l *Line) Follow(r *store.Receipt) {
	l.mu.Lock()
	last := l.last
	l.last = r
	l.mu.Unlock()
	if last != nil {
		last.Before(r)
	}
}

// Hold keeps packets back until the function that it returns has been called n
// times; then they go, and then, if not nil, is called. An error ends the line.
func (l *Line) Hold(packets []byte, n int, then func()) func(error) {
	p := &pledge{packets: slices.Clone(packets), left: n, then: then}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.queue = append(l.queue, p)
		l.bytes += len(packets)
	}
	return func(err error) { l.settled(p, err) }
}

func (l *Line) settled(p *pledge, err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	if err != nil {
		l.end()
		l.mu.Unlock()
		l.fail(err)
		return
	}
	p.left--
	relieved := l.release()
	l.mu.Unlock()
	if relieved && l.room != nil {
		l.room()
	}
}

// release lets go what nothing holds any more, and tells whether somebody may
// send again.
func (l *Line) release() (relieved bool) {
	n := 0
	for _, p := range l.queue {
		if p.left > 0 {
			break
		}
		if len(p.packets) > 0 {
			l.out.Send(p.packets)
		}
		if p.then != nil {
			p.then()
		}
		l.bytes -= len(p.packets)
		n++
	}
	l.queue = slices.Delete(l.queue, 0, n)
	if len(l.queue) == 0 {
		l.queue = nil
	}
	if l.over() {
		return false
	}
	if l.gate != nil {
		close(l.gate)
		l.gate = nil
	}
	relieved, l.starved = l.starved, false
	return relieved
}

func (l *Line) over() bool { return l.bytes >= lineBytes || len(l.queue) >= linePledges }

// Room is how many bytes may still be sent. Once it is not positive, room is
// called when it is again; or the outbox says so.
func (l *Line) Room() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		l.starved = true
		return 0
	}
	return min(l.out.Room(), lineBytes-l.bytes)
}

// Behind tells whether Wait would block. A nil line is never behind.
func (l *Line) Behind() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && l.over()
}

// Wait blocks while too much is held: a reader stops here, and so its client.
func (l *Line) Wait() {
	if l == nil {
		return
	}
	l.mu.Lock()
	if l.closed || !l.over() {
		l.mu.Unlock()
		return
	}
	if l.gate == nil {
		l.gate = make(chan struct{})
	}
	gate := l.gate
	l.mu.Unlock()
	<-gate
}

// Close drops what is held and lets go who waits: the connection has ended.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

func (l *Line) end() {
	l.closed, l.queue, l.bytes = true, nil, 0
	if l.gate != nil {
		close(l.gate)
		l.gate = nil
	}
}
