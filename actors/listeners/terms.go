package listeners

import (
	"net"
	"net/netip"

	"golang.org/x/time/rate"

	"emqttd/actors/connections"
	"emqttd/config"
)

// terms are the Options under which clients come in, with what is made of them. A
// change replaces them; a connection keeps those under which it came.
type terms struct {
	Options
	l       *Listener
	known   connections.Listener // what connections know of it
	arrival *rate.Limiter        // of new connections; nil is no bound
	sources *sources             // nil where they have no limits
}

func (l *Listener) newTerms(o Options) *terms {
	t := &terms{Options: o, l: l}
	t.known = connections.Listener{
		Name: o.Name, SendTimeout: o.SendTimeout, Closed: l.over, MessageRate: o.MessageRate, Mountpoint: o.Mountpoint,
	}
	if r := o.TotalMessageRate; r.PerSecond() > 0 {
		t.known.TotalMessageRate = rate.NewLimiter(rate.Limit(r.PerSecond()), r.Burst())
	}
	if o.Proxy != nil || o.TLS != nil || o.WebSocket != nil || o.Rate != (config.Rate{}) {
		t.known.Open = func(c net.Conn) (connections.Opened, error) { return t.welcome(c, nil) }
	}
	if o.PerSource != (PerSource{}) {
		t.sources = &sources{limits: o.PerSource, all: make(map[netip.Addr]*source)}
	}
	if o.MaxConnRate > 0 {
		t.arrival = rate.NewLimiter(rate.Limit(o.MaxConnRate), o.MaxConnRate)
	}
	return t
}

// Change puts other Options in force for connections that come from now on; none is
// closed. What concerns the socket and TLS stays as it was: name, address, acceptors,
// backlog, certificates. It may be called from any goroutine, one at a time.
func (l *Listener) Change(o Options) {
	before := l.terms.Load()
	o.Name, o.Protocol, o.Address, o.Path, o.Mode = before.Name, before.Protocol, before.Address, before.Path, before.Mode
	o.Acceptors, o.Backlog, o.ReuseAddr, o.Socket, o.TLS = before.Acceptors, before.Backlog, before.ReuseAddr, before.Socket, before.TLS
	now := l.newTerms(o)
	// Limits that are the same go on counting.
	if o.PerSource == before.PerSource {
		now.sources = before.sources
	}
	if o.MaxConnRate == before.MaxConnRate {
		now.arrival = before.arrival
	}
	if o.TotalMessageRate == before.TotalMessageRate {
		now.known.TotalMessageRate = before.known.TotalMessageRate
	}
	l.terms.Store(now)
}
