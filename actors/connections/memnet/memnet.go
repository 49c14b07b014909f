// Package memnet is a network in memory: connections without sockets, for tests
// and for measuring with more clients than there are file descriptors.
//
// A Network is a net.Listener, which a node takes in place of a listening socket
// (node.Options.Sockets), and Dial makes the client's end:
//
//	network := memnet.New()
//	… start a node with Sockets: {"tcp.external": network} …
//	client, err := network.Dial()
//
// The node drives such a connection as it drives one of TCP with the epoll
// reader: through Watch and TryRead, without a goroutine while nothing comes in.
// An idle connection takes one allocation of 144 bytes, both ends together. A
// client that is to cost no goroutine either does the same:
//
//	client.Watch(c)               // c.Ready is called when there is something to read
//	func (c *C) Ready() {         // on the goroutine of the server that has written
//		n, err := c.conn.TryRead(buf)
//		…                     // until n is 0
//	}
//
// and writes with TryWrite or Write. Without Watch both ends are a net.Conn like
// any other, with deadlines and half-close.
package memnet

import (
	"net"
	"sync"
	"sync/atomic"
)

// Limit is how many bytes wait in one direction of a connection before its
// writer does: what the buffers of a socket take.
const Limit = 256 << 10

// Network is a network in memory: a net.Listener whose Dial connects to it.
type Network struct {
	backlog chan net.Conn
	closed  chan struct{}
	once    sync.Once
	dialled atomic.Uint32
}

// New makes a network on which nobody accepts yet.
func New() *Network {
	return &Network{backlog: make(chan net.Conn, 1024), closed: make(chan struct{})}
}

// Dial connects; it waits while the backlog is full. The error is net.ErrClosed
// when the listener is closed.
func (n *Network) Dial() (*Conn, error) {
	p := &pair{id: n.dialled.Add(1)}
	client, server := &p.ends[0], &p.ends[1]
	client.pair, server.pair, server.server = p, p, true
	select {
	case n.backlog <- server:
		return client, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.backlog:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that nobody has accepted are closed.
func (n *Network) Close() error {
	n.once.Do(func() { close(n.closed) })
	for {
		select {
		case c := <-n.backlog:
			_ = c.Close()
		default:
			return nil
		}
	}
}

// Addr implements net.Listener.
func (n *Network) Addr() net.Addr { return Addr{} }

// Addr is the address of a Network.
type Addr struct{}

// Network implements net.Addr.
func (Addr) Network() string { return "memory" }

// String implements net.Addr.
func (Addr) String() string { return "memory:0" }
