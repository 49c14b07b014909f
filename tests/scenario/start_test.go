package scenario

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"emqttd/actors/node"
	"emqttd/config"
	"emqttd/tests/testkit"
)

// doorman notes whether somebody was let in.
type doorman struct {
	net.Listener
	accepted atomic.Bool
}

func (d *doorman) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	d.accepted.Store(d.accepted.Load() || err == nil)
	return c, err
}

// TestNoClientGetsInWhileAListenerCannotOpen: the first listener has a client
// waiting at its door when the second finds its port taken.
func TestNoClientGetsInWhileAListenerCannotOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	network := testkit.NewNetwork()
	door := &doorman{Listener: network}
	if _, err := network.Dial(); err != nil {
		t.Fatal(err)
	}
	c := testkit.Config(t)
	second := c.Listeners[0]
	second.Address = taken.Addr().String()
	c.Listeners = []config.Listener{c.Listeners[1], second}
	n, err := node.Start(c, node.Options{Sockets: map[string]net.Listener{testkit.Memory: door}})
	if err == nil {
		_ = n.Stop(t.Context())
		t.Fatal("the node has started")
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the error does not say why: %v", err)
	}
	if door.accepted.Load() {
		t.Error("a client was let in by a node that will not run")
	}
}
