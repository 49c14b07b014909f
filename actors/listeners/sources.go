package listeners

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"emqttd/actors/connections"
)

// PerSource bounds what comes from one IPv4 address, or from one IPv6 network of
// 64 bits, which is what one customer gets. 0 is no bound.
type PerSource struct {
	Clients  int // at one time
	ConnRate int // new ones per second
}

// sources are those from which clients are connected, or were just now.
type sources struct {
	limits PerSource
	mu     sync.Mutex
	all    map[netip.Addr]*source
	swept  int // entries that the last sweep left
}

type source struct {
	clients int
	arrival *rate.Limiter // nil without a limit
}

// sourceOf is whom an address counts for.
func sourceOf(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return ip
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil { // only for what is no address at all
		return ip
	}
	return p.Addr()
}

// enter counts one more client, or tells why not.
func (s *sources) enter(from netip.Addr) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[from]
	if x == nil {
		s.sweep()
		x = &source{}
		if s.limits.ConnRate > 0 {
			x.arrival = rate.NewLimiter(rate.Limit(s.limits.ConnRate), s.limits.ConnRate)
		}
		s.all[from] = x
	}
	switch {
	case s.limits.Clients > 0 && x.clients >= s.limits.Clients:
		return "max_clients_per_ip"
	case x.arrival != nil && !x.arrival.Allow():
		return "max_conn_rate_per_ip"
	}
	x.clients++
	return ""
}

func (s *sources) leave(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.all[from]; x != nil {
		if x.clients--; s.idle(x) {
			delete(s.all, from)
		}
	}
}

// idle tells whether forgetting a source changes nothing.
func (s *sources) idle(x *source) bool {
	return x.clients == 0 && (x.arrival == nil || x.arrival.Tokens() >= float64(s.limits.ConnRate))
}

// sweep forgets idle sources when there are twice as many as it left last time.
func (s *sources) sweep() {
	const few = 1024
	if len(s.all) < max(few, 2*s.swept) {
		return
	}
	for from, x := range s.all {
		if s.idle(x) {
			delete(s.all, from)
		}
	}
	s.swept = len(s.all)
}

// visit is one connection of a listener that limits sources.
type visit struct {
	known   connections.Listener
	sources *sources
	from    netip.Addr // once it has entered
}

func (t *terms) newVisit() *visit {
	v := &visit{known: t.known, sources: t.sources}
	if v.known.Open != nil {
		v.known.Open = func(c net.Conn) (connections.Opened, error) { return t.welcome(c, v) }
	}
	v.known.Closed = func(reason string) {
		if v.from.IsValid() {
			v.sources.leave(v.from)
		}
		t.l.over(reason)
	}
	return v
}

// enter counts the connection for its source. One without an IP is not limited.
func (v *visit) enter(client net.Addr) string {
	ip, ok := addressOf(client)
	if !ok {
		return ""
	}
	from := sourceOf(ip)
	reason := v.sources.enter(from)
	if reason == "" {
		v.from = from
	}
	return reason
}
