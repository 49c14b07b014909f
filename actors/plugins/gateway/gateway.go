// Package gateway lets a plugin serve clients of another protocol. A Codec turns what
// such a client sends into Control Packets of MQTT 3.1.1, and those for it into what
// it understands; from there on it is a client like any other, with a connection and a
// session actor, the access chain, hooks, limits, counters and traces.
package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"emqttd/actors/connections"
	"emqttd/actors/plugins"
	"emqttd/protocol/mqtt"
)

// Codec is the protocol of one client. Its methods are called one at a time. They keep
// nothing of the bytes that they are given.
type Codec interface {
	// FromClient appends to dst the packets that src makes, the first of which is a
	// CONNECT, and returns how much of src that was: what is not complete comes again,
	// with more behind it. An error closes the connection.
	FromClient(dst, src []byte) (packets []byte, used int, err error)
	// ToClient appends to dst what the client is told of a packet, which may be nothing.
	// Nobody but the client can acknowledge what it gets: a protocol without
	// acknowledgements subscribes with QoS 0.
	ToClient(dst []byte, h mqtt.Header, body []byte) ([]byte, error)
}

// Options of a gateway.
type Options struct {
	Protocol    string // as access modules see it: credentials.Protocol
	Address     string // IP:port
	MaxClients  int    // 0 is 100,000
	MaxMessage  int    // bytes of the longest piece that FromClient needs whole; 0 is 1 MB
	SendTimeout time.Duration
	Mountpoint  string      // before the topics of its clients
	TLS         *tls.Config // of the server; nil: plain text
	// New makes the codec of a new connection.
	New func(peer net.Addr) Codec
}

// gateway is a listening socket and the connections that came over it.
type gateway struct {
	o       Options
	env     *plugins.Env
	socket  net.Listener
	known   connections.Listener
	running sync.WaitGroup // accepts
	mu      sync.Mutex
	conns   map[*conn]struct{}
	over    map[string]uint64 // connections, by reason
	closed  bool
}

// pause is how long accepting rests where it is not possible, for want of file
// descriptors.
const pause = 200 * time.Millisecond

// Serve listens on an address as long as the plugin runs, and returns which it is. It is
// listed among the listeners of the node as gateway.<plugin>; it is started and stopped
// with the plugin only.
// Connections end with the plugin.
func Serve(e *plugins.Env, o Options) (net.Addr, error) {
	if o.MaxClients == 0 {
		o.MaxClients = 100_000
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 1 << 20
	}
	socket, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", e.Name, err)
	}
	g := &gateway{o: o, env: e, socket: socket, conns: make(map[*conn]struct{}), over: make(map[string]uint64)}
	g.known = connections.Listener{
		Name: "gateway." + e.Name, Protocol: o.Protocol, SendTimeout: o.SendTimeout, Mountpoint: o.Mountpoint,
		Closed: g.count,
	}
	e.OnStop(g.close)
	e.AddListener(g.listening)
	g.running.Go(g.accept)
	return socket.Addr(), nil
}

func (g *gateway) accept() {
	for {
		c, err := g.socket.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			g.env.Log.Error("cannot accept connections, pausing", "error", err)
			time.Sleep(pause)
		default:
			if in := g.add(c); in != nil {
				go g.env.Handshake(in, &g.known)
			}
		}
	}
}

// add wraps a connection, or closes it if there are too many.
func (g *gateway) add(c net.Conn) *conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.conns) >= g.o.MaxClients {
		_ = c.Close()
		return nil
	}
	if g.o.TLS != nil {
		c = tls.Server(c, g.o.TLS) // it shakes hands when it is first read from
	}
	in := &conn{Conn: c, gateway: g, codec: g.o.New(c.RemoteAddr())}
	g.conns[in] = struct{}{}
	return in
}

func (g *gateway) remove(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// count is told of each connection that is over.
func (g *gateway) count(reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over[reason]++
}

// listening is what operators see of it.
func (g *gateway) listening() plugins.Listening {
	g.mu.Lock()
	defer g.mu.Unlock()
	return plugins.Listening{
		Name: g.known.Name, Protocol: g.o.Protocol, Address: g.socket.Addr().String(),
		MaxClients: g.o.MaxClients, Current: len(g.conns), Closed: maps.Clone(g.over),
	}
}

func (g *gateway) close() {
	_ = g.socket.Close()
	g.running.Wait()
	g.mu.Lock()
	g.closed = true
	open := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		open = append(open, c)
	}
	g.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}
