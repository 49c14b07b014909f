package script

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"emqttd/tests/conformance/wire"
	"emqttd/tests/conformance/wsframe"
)

// arrival is a packet, or why none follows.
type arrival struct {
	packet *wire.Packet
	err    error // errClosed, or what is wrong with the bytes
}

var errClosed = errors.New("the broker closed the connection")

// client is one Network Connection of an exchange.
type client struct {
	net      net.Conn
	level    byte
	limit    int // Maximum Packet Size, 0 for none
	aliasMax int
	connack  *wire.Packet
	last     *wire.Packet // that was expected
	in       chan arrival
	queue    []arrival // read, and not yet expected
	got      []*wire.Packet
}

// dialWS connects over WebSocket.
func dialWS(addr string, level byte, timeout time.Duration) (*client, error) {
	c, err := wsframe.Dial(addr, "mqtt", timeout)
	if err != nil {
		return nil, err
	}
	return &client{net: c, level: level}, nil
}

func dial(addr string, level byte, timeout time.Duration) (*client, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &client{net: c, level: level}, nil
}

// listen starts to read. Only then is the version known.
func (c *client) listen() {
	if c.in != nil {
		return
	}
	c.in = make(chan arrival, 64)
	go func() {
		defer close(c.in)
		var have []byte
		chunk := make([]byte, 16<<10)
		aliases := map[string]string{}
		for {
			first, body, size, err := wire.Split(have)
			if err == nil && size == 0 {
				var n int
				n, rerr := c.net.Read(chunk)
				have = append(have, chunk[:n]...)
				if n == 0 && rerr != nil {
					c.in <- arrival{err: errClosed}
					return
				}
				continue
			}
			var p *wire.Packet
			if err == nil {
				p, err = wire.Decode(first, body, c.level)
			}
			if err != nil {
				c.in <- arrival{err: fmt.Errorf("the broker sent a malformed packet % x: %w", have[:min(len(have), 40)], err)}
				return
			}
			if err := c.resolve(p, aliases); err != nil {
				c.in <- arrival{err: err}
				return
			}
			if c.limit > 0 && size > c.limit {
				c.in <- arrival{err: fmt.Errorf("%v has %d bytes, more than the Maximum Packet Size", p, size)}
				return
			}
			have = append([]byte(nil), have[size:]...)
			c.in <- arrival{packet: p}
		}
	}()
}

// resolve puts the topic in where an alias stands for it, and checks that the
// alias is one that the client takes.
func (c *client) resolve(p *wire.Packet, aliases map[string]string) error {
	alias, ok := p.Get("alias")
	if !ok || p.Type != wire.Publish {
		return nil
	}
	if n, _ := strconv.Atoi(alias); n == 0 || n > c.aliasMax {
		return fmt.Errorf("%v: the client takes aliases up to %d", p, c.aliasMax)
	}
	if p.Topic != "" {
		aliases[alias] = p.Topic
		return nil
	}
	if p.Topic = aliases[alias]; p.Topic == "" {
		return fmt.Errorf("%v: the alias has no topic", p)
	}
	return nil
}

func (c *client) write(b []byte) {
	_ = c.net.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.net.Write(b) // a broker that has closed shows in what is expected next
	c.listen()
}

// next waits for something that has not been read yet. ok is false if nothing
// came in time.
func (c *client) next(wait time.Duration) (arrival, bool) {
	c.listen()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case a, ok := <-c.in:
		if !ok {
			return arrival{err: errClosed}, true
		}
		return a, true
	case <-t.C:
		return arrival{}, false
	}
}

// take returns the first packet of a type; others wait. With strict the very
// next packet must be of it.
func (c *client) take(t byte, wait time.Duration, strict bool) (*wire.Packet, error) {
	deadline := time.Now().Add(wait)
	for i := 0; ; i++ {
		if i == len(c.queue) {
			a, ok := c.next(time.Until(deadline))
			if !ok {
				return nil, fmt.Errorf("want %s, nothing of that kind came in %v%s", wire.TypeName(t), wait, c.waiting())
			}
			c.queue = append(c.queue, a)
		}
		a := c.queue[i]
		if a.err != nil {
			return nil, fmt.Errorf("want %s: %w%s", wire.TypeName(t), a.err, c.waiting())
		}
		if a.packet.Type == t {
			c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
			return a.packet, nil
		}
		if strict {
			return nil, fmt.Errorf("want %s next, got %v", wire.TypeName(t), a.packet)
		}
	}
}

// waiting lists what came and was not asked for.
func (c *client) waiting() string {
	s := ""
	for i, a := range c.queue {
		if i == 4 {
			return s + "; …"
		}
		if a.packet != nil {
			s += "; " + a.packet.String() + " came"
		}
	}
	return s
}

// silent expects nothing.
func (c *client) silent(wait time.Duration) error {
	if len(c.queue) == 0 {
		a, ok := c.next(wait)
		if !ok {
			return nil
		}
		c.queue = append(c.queue, a)
	}
	if a := c.queue[0]; a.err != nil {
		return fmt.Errorf("want nothing: %w", a.err)
	}
	return fmt.Errorf("want nothing%s", c.waiting())
}

// closed expects the end of the connection, before it only packets that may
// accepts.
func (c *client) closed(wait time.Duration, may func(*wire.Packet) bool) error {
	deadline := time.Now().Add(wait)
	for i := 0; ; i++ {
		if i == len(c.queue) {
			a, ok := c.next(time.Until(deadline))
			if !ok {
				return fmt.Errorf("want the connection closed, it is open after %v%s", wait, c.waiting())
			}
			c.queue = append(c.queue, a)
		}
		switch a := c.queue[i]; {
		case errors.Is(a.err, errClosed):
			return nil
		case a.err != nil:
			return a.err
		case !may(a.packet):
			return fmt.Errorf("want the connection closed, got %v", a.packet)
		}
	}
}

// collect reads until nothing comes for the time.
func (c *client) collect(quiet time.Duration) error {
	for {
		a, ok := c.next(quiet)
		if !ok {
			break
		}
		c.queue = append(c.queue, a)
		if a.err != nil {
			break
		}
	}
	c.got = nil
	for _, a := range c.queue {
		if a.packet == nil {
			return a.err
		}
		c.got = append(c.got, a.packet)
	}
	c.queue = nil
	return nil
}

// leave sends DISCONNECT and closes, once the broker has, or after a moment: so
// that the next client finds the broker done with this one.
func (c *client) leave(p *wire.Packet, patience time.Duration) {
	c.write(p.Encode(c.level))
	c.drain(patience)
	_ = c.net.Close()
}

func (c *client) drain(patience time.Duration) {
	deadline := time.Now().Add(patience)
	for {
		a, ok := c.next(time.Until(deadline))
		if !ok || a.err != nil {
			return
		}
	}
}

// isTimeout is for reports of dial.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
