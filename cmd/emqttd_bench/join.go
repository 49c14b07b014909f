package main

import (
	"fmt"
	"net/netip"
	"time"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol/mqtt"
)

// fleet is a number of clients that were asked to connect.
type fleet struct {
	conns   []*swarm.Conn // nil where it did not work
	joined  int           // connected, and subscribed where that was asked for
	present int           // found a session
	took    time.Duration
	latency measure.Histogram // connect to CONNACK
}

// joining is the Events of a client until it has connected and subscribed.
type joining struct {
	swarm.Events
	b       *bench
	f       *fleet
	p       client
	pending *int
	number  int
}

func (j *joining) Up(c *swarm.Conn, ack *mqtt.Connack) {
	if ack.Code != 0 {
		j.b.fail(fmt.Sprintf("CONNACK: %v", ack.Code))
		c.Cut()
		j.over(c, false)
		return
	}
	j.f.latency.Add(time.Duration(j.b.Clock() - c.Began))
	if ack.SessionPresent {
		j.f.present++
	}
	if len(j.p.filters) > 0 {
		c.Subscribe(j.p.qos, j.p.filters...)
		return
	}
	j.over(c, true)
}

func (j *joining) Subscribed(c *swarm.Conn, ack *mqtt.Suback) {
	ok := true
	for _, code := range ack.Codes {
		if code >= 0x80 {
			j.b.fail(fmt.Sprintf("SUBACK: %v", code))
			ok = false
		}
	}
	j.over(c, ok)
}

func (j *joining) Down(_ *swarm.Conn, err error) {
	j.b.fail("connect: " + err.Error())
	j.over(nil, false)
}

func (j *joining) over(c *swarm.Conn, ok bool) {
	*j.pending--
	if c != nil {
		c.Events = j.p.events
	}
	if ok {
		j.f.conns[j.number] = c
		j.f.joined++
	}
}

// join connects n clients, --conc at a time or one each -i milliseconds, and
// subscribes them. At a rate the latency counts from when a connect was due.
func (b *bench) join(n int, plan func(i int) client) (*fleet, error) {
	f := &fleet{conns: make([]*swarm.Conn, n)}
	b.dialed += n
	local, err := b.options.local(b.to.Addr(), b.dialed)
	if err != nil {
		return nil, err
	}
	if err := enoughDescriptors(b.dialed); err != nil {
		return nil, err
	}
	next, pending, began := 0, 0, b.Clock()
	gap := int64(b.interval * 1e6)
	start := func(i int, due int64) {
		p := plan(i)
		from := netip.Addr{}
		if len(local) > 0 {
			from = local[i%len(local)]
		}
		c, err := b.Dial(b.at(b.to, p), from, b.hello(p, b.first+i), &joining{p.events, b, f, p, &pending, i})
		if err != nil {
			b.fail(err.Error())
			return
		}
		if gap > 0 {
			c.Began = due
		}
		pending++
	}
	before, status := b.Turn, b.status
	b.status = func() string { return fmt.Sprintf("%d of %d connected", f.joined, n) }
	b.Turn = func(now int64) int64 {
		again := swarm.Never
		if before != nil {
			again = before(now)
		}
		for next < n && pending < b.conc {
			due := began + int64(next)*gap
			if due > now {
				return min(again, due)
			}
			start(next, due)
			next++
		}
		return again
	}
	b.Wake()
	ok := b.wait(b.timeout+time.Duration(gap)*time.Duration(n), func() bool { return next == n && pending == 0 })
	b.Turn, b.status = before, status
	f.took = time.Duration(b.Now() - began)
	if !ok {
		b.fault("%d of %d clients had no answer", n-next+pending, n)
	}
	return f, nil
}

// complete is join for scenarios that make no sense when a client is missing.
func (b *bench) complete(n int, plan func(i int) client) (*fleet, error) {
	f, err := b.join(n, plan)
	if err == nil && f.joined < n {
		for what, k := range b.failed {
			return nil, fmt.Errorf("%d of %d clients did not come up: %d × %s", n-f.joined, n, k, what)
		}
		return nil, fmt.Errorf("%d of %d clients did not come up within %v", n-f.joined, n, b.timeout)
	}
	return f, err
}

// watcher is Events that count a connection which is lost.
type watcher struct {
	swarm.Ignore
	b *bench
}

func (w watcher) Down(_ *swarm.Conn, err error) { w.b.fail("connection lost: " + err.Error()) }
