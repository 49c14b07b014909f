package gateway

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"emqttd/protocol/mqtt"
)

// conn is a connection that the broker reads MQTT from and writes MQTT to. One
// goroutine reads and one writes; the codec belongs to whoever has mu.
type conn struct {
	net.Conn
	gateway *gateway

	mu    sync.Mutex
	codec Codec

	received []byte // from the client, not complete yet
	packets  []byte // made of it, not read yet
	chunk    [2048]byte

	begun []byte // of a packet, from the broker
	told  []byte // to the client; kept for its room
}

var (
	errTooLong = errors.New("the client sent something that is too long")
	errCodec   = errors.New("the codec panicked")
)

// Read implements net.Conn: it returns packets that the client's bytes make.
func (c *conn) Read(p []byte) (int, error) {
	for len(c.packets) == 0 {
		n, err := c.Conn.Read(c.chunk[:])
		if err != nil {
			return 0, err
		}
		c.received = append(c.received, c.chunk[:n]...)
		used, err := c.decode()
		if err != nil {
			c.gateway.env.Log.Info("a client of the gateway is closed", "peer", c.RemoteAddr().String(), "reason", err)
			_ = c.Close()
			return 0, err
		}
		c.received = append(c.received[:0], c.received[used:]...)
		if len(c.received) > c.gateway.o.MaxMessage {
			_ = c.Close()
			return 0, errTooLong
		}
	}
	n := copy(p, c.packets)
	c.packets = append(c.packets[:0], c.packets[n:]...)
	return n, nil
}

func (c *conn) decode() (used int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.caught(&err)
	c.packets, used, err = c.codec.FromClient(c.packets, c.received)
	if err == nil && (used < 0 || used > len(c.received)) {
		err = fmt.Errorf("the codec used %d of %d bytes", used, len(c.received))
	}
	return used, err
}

// caught makes an error of a panic, and has the plugin started again.
func (c *conn) caught(err *error) {
	if p := recover(); p != nil {
		*err = errCodec
		c.gateway.env.Crash(p)
	}
}

// Write implements net.Conn: it tells the client of the packets in p.
func (c *conn) Write(p []byte) (int, error) {
	c.begun = append(c.begun, p...)
	c.told = c.told[:0]
	rest := c.begun
	for {
		h, n, err := mqtt.ParseHeader(rest, 0)
		if err != nil {
			return 0, err
		}
		if n == 0 || len(rest) < n+h.Remaining {
			break
		}
		if err := c.encode(h, rest[n:n+h.Remaining]); err != nil {
			return 0, err
		}
		rest = rest[n+h.Remaining:]
	}
	c.begun = append(c.begun[:0], rest...)
	if len(c.told) > 0 {
		if _, err := c.Conn.Write(c.told); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *conn) encode(h mqtt.Header, body []byte) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.caught(&err)
	c.told, err = c.codec.ToClient(c.told, h, body)
	return err
}

// CloseWrite ends our direction, where the connection can.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.gateway.remove(c)
	return c.Conn.Close()
}
