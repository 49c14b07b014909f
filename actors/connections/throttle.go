package connections

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"emqttd/actors/system/memory"
	"emqttd/protocol"
)

// throttle is how fast a client may publish: the limits of its connection, of all
// clients of the listener, and of its identifier. Who is faster is not read for a
// while, so that TCP holds the client back; nothing is lost.
type throttle []*rate.Limiter

// throttleOf is nil where nothing is limited.
func (rt *Runtime) throttleOf(l *Listener, id protocol.ClientID, publishRate int) throttle {
	var t throttle
	if r := l.MessageRate; r[1] > 0 {
		t = append(t, rate.NewLimiter(rate.Limit(r[1]), r[0]))
	}
	if l.TotalMessageRate != nil {
		t = append(t, l.TotalMessageRate)
	}
	if publishRate > 0 {
		t = append(t, rt.publishers.enter(id, publishRate))
	}
	return t
}

// spend returns how long to wait for n messages to be within the limits.
func (t throttle) spend(now time.Time, n int) (wait time.Duration) {
	for _, l := range t {
		for left := n; left > 0; {
			part := min(left, l.Burst())
			wait = max(wait, l.ReserveN(now, part).DelayFrom(now))
			left -= part
		}
	}
	return wait
}

// publishers are the limits of client identifiers, which a client keeps when it
// connects again. A limit that is used up is remembered until it has recovered.
type publishers struct {
	mu    sync.Mutex
	all   map[protocol.ClientID]*publisher
	swept int // that the last sweep left
}

type publisher struct {
	limit       *rate.Limiter
	connections int
}

func (ps *publishers) enter(id protocol.ClientID, perSecond int) *rate.Limiter {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[id]
	if p == nil {
		ps.sweep()
		p = &publisher{limit: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
		ps.all[id] = p
	}
	if p.limit.Burst() != perSecond { // the limit was another when it came first
		p.limit.SetLimit(rate.Limit(perSecond))
		p.limit.SetBurst(perSecond)
	}
	p.connections++
	return p.limit
}

func (ps *publishers) leave(id protocol.ClientID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.all[id]; p != nil {
		if p.connections--; p.idle() {
			delete(ps.all, id)
		}
	}
}

func (p *publisher) idle() bool {
	return p.connections == 0 && p.limit.Tokens() >= float64(p.limit.Burst())
}

// sweep forgets idle ones when there are twice as many as it left last time.
func (ps *publishers) sweep() {
	const few = 1024
	if ps.all == nil {
		ps.all = make(map[protocol.ClientID]*publisher)
	}
	if len(ps.all) < max(few, 2*ps.swept) {
		return
	}
	for id, p := range ps.all {
		if p.idle() {
			delete(ps.all, id)
		}
	}
	ps.swept = len(ps.all)
}

// brake is what the reader of a client with limits needs.
type brake struct {
	limits throttle
	pause  time.Duration // before the next read
}

// behind tells whether nothing more is to be read for now.
func (r *reader) behind() bool {
	c := r.c
	b := c.listener.brake
	return c.box.full() || c.flow.Behind() || c.held.Load().Behind() || b != nil && b.pause > 0 || r.slow()
}

// slow tells whether the client has published while memory runs short.
func (r *reader) slow() bool { return r.published && r.c.rt.Memory.Level() >= memory.Slowing }

// catchUp makes a client wait that does not take its acknowledgements, is ahead
// of its session or the disk, or has published faster than it may, or than there
// is memory for. Meanwhile it is not silent, and its packets are not late.
func (r *reader) catchUp() {
	if !r.behind() {
		return
	}
	c := r.c
	c.lastSeen.Store(-time.Now().UnixMilli())
	c.box.wait()
	c.held.Load().Wait()
	c.flow.Wait()
	if b := c.listener.brake; b != nil && b.pause > 0 {
		c.rest(b.pause)
		b.pause = 0
	}
	if r.slow() {
		c.rt.Metrics.Overload("held")
		for !c.rt.Memory.Wait(c.flow.Stopped(), r.receives) && !c.flow.Closed() {
			continue // something else has woken us
		}
		r.published = false // it has waited for that
	}
	now := time.Now()
	c.lastSeen.Store(now.UnixMilli())
	if r.since.Load() != 0 {
		r.since.Store(uint32(now.Unix()))
		r.setDeadline(now.Add(c.settings.IdleTimeout))
	}
}

// rest waits, not longer than the connection lives.
func (c *connection) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !c.flow.Closed() {
		select {
		case <-timer.C:
			return
		case <-c.flow.Stopped():
		}
	}
}
