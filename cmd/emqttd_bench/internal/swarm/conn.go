package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// Events is what happens to a connection. Each is called on the goroutine of the
// swarm; what it is given is valid until it returns.
type Events interface {
	Up(c *Conn, ack *mqtt.Connack)                                 // CONNACK, also one that refuses
	Subscribed(c *Conn, ack *mqtt.Suback)                          //
	Message(c *Conn, p *mqtt.Publish)                              // acknowledged by the Conn itself
	Acked(c *Conn, id protocol.PacketID, code protocol.ReasonCode) // our message of QoS 1 or 2 is through
	Room(c *Conn)                                                  // Blocked is over
	Down(c *Conn, err error)                                       // not after Bye
}

// Ignore is Events to embed.
type Ignore struct{}

// Up implements Events.
func (Ignore) Up(*Conn, *mqtt.Connack) {}

// Subscribed implements Events.
func (Ignore) Subscribed(*Conn, *mqtt.Suback) {}

// Message implements Events.
func (Ignore) Message(*Conn, *mqtt.Publish) {}

// Acked implements Events.
func (Ignore) Acked(*Conn, protocol.PacketID, protocol.ReasonCode) {}

// Room implements Events.
func (Ignore) Room(*Conn) {}

// Down implements Events.
func (Ignore) Down(*Conn, error) {}

// ErrClosed says that the broker closed the connection.
var ErrClosed = errors.New("closed by the broker")

// Conn is one client. Its methods are called on the goroutine of the swarm.
type Conn struct {
	Events  Events // may be replaced at any time
	Began   int64  // when it was asked for
	Version mqtt.Version
	// Window bounds unacknowledged messages: the broker's Receive Maximum.
	Window int

	s         *Swarm
	hello     []byte
	in, out   []byte
	sentAt    int64
	pingEvery int64
	id        protocol.PacketID
	held      map[protocol.PacketID]struct{} // of QoS 2, received and not yet released

	fd      int      // of the epoll network
	pipe    *pipe    // of the network of goroutines
	framing *framing // of a WebSocket, else nil

	live, up, dirty, blocked, leaving bool
}

// Dial begins to connect from an address, which may be zero, and sends the
// CONNECT when that has been done.
func (s *Swarm) Dial(to netip.AddrPort, from netip.Addr, hello *mqtt.Connect, e Events) (*Conn, error) {
	c := &Conn{Events: e, Began: s.Clock(), Version: hello.Version, Window: 65535, s: s, fd: -1, live: true}
	c.hello = hello.Append(nil, hello.Version)
	if s.WebSocket != "" {
		c.framing = newFraming(to, s.WebSocket, c.hello)
	}
	c.pingEvery = int64(hello.KeepAlive) * int64(time.Second) * 3 / 4
	s.open[c] = struct{}{}
	if err := s.net.dial(c, to, from); err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// Live tells whether the connection exists.
func (c *Conn) Live() bool { return c.live && !c.leaving }

// Blocked tells whether the socket takes no more for now.
func (c *Conn) Blocked() bool { return c.blocked }

// Publish sends a message with this turn's write, and returns its identifier
// where QoS is not 0. It sets p.PacketID.
func (c *Conn) Publish(p *mqtt.Publish) protocol.PacketID {
	p.PacketID = 0
	if p.QoS > 0 {
		p.PacketID = c.nextID()
	}
	c.touch()
	c.out = mqtt.AppendPublish(c.out, c.Version, p)
	return p.PacketID
}

// Subscribe asks for filters at a QoS.
func (c *Conn) Subscribe(qos protocol.QoS, filters ...string) {
	p := mqtt.Subscribe{ID: c.nextID()}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
	}
	c.touch()
	c.out = p.Append(c.out, c.Version)
}

// Bye sends DISCONNECT and closes when that is out.
func (c *Conn) Bye() {
	if !c.Live() {
		return
	}
	if !c.up {
		c.hangUp()
		return
	}
	c.touch()
	c.out = (&mqtt.Disconnect{}).Append(c.out, c.Version)
	c.leaving = true
}

// Cut closes without DISCONNECT, as a client that is lost.
func (c *Conn) Cut() { c.hangUp() }

func (c *Conn) nextID() protocol.PacketID {
	if c.id++; c.id == 0 {
		c.id = 1
	}
	return c.id
}

// touch makes ready for output, which leaves at the end of the turn.
func (c *Conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.s.dirty = append(c.s.dirty, c)
	}
	if n := len(c.s.spare); c.out == nil && n > 0 {
		c.out = c.s.spare[n-1]
		c.s.spare = c.s.spare[:n-1]
	}
	if c.framing != nil {
		c.out = c.framing.begin(c.out)
	}
}

// connected is called by the network when bytes may flow.
func (c *Conn) connected() {
	hello := c.hello
	c.hello = nil
	if c.framing == nil {
		c.greet(hello)
		return
	}
	c.touch()
	c.out = append(c.framing.end(c.out, ws.OpBinary), c.framing.request...)
	c.framing.request = nil
}

// greet sends the CONNECT.
func (c *Conn) greet(hello []byte) {
	c.touch()
	c.out = append(c.out, hello...)
	c.up = true
}

// writable is called by the network after a write that took less than all.
func (c *Conn) writable() {
	if !c.blocked || !c.live {
		return
	}
	c.blocked = false
	c.flush()
	if c.live && !c.blocked {
		c.Events.Room(c)
	}
}

func (c *Conn) flush() {
	if !c.live || c.blocked || len(c.out) == 0 {
		return
	}
	if c.framing != nil {
		c.out = c.framing.end(c.out, ws.OpBinary)
	}
	n, err := c.s.net.write(c, c.out)
	if err != nil {
		c.fail(err)
		return
	}
	c.sentAt = c.s.now
	if n < len(c.out) {
		c.out = c.out[:copy(c.out, c.out[n:])]
		c.blocked = true
		return
	}
	if len(c.s.spare) < cap(c.s.spare) && cap(c.out) <= 64<<10 {
		c.s.spare = append(c.s.spare, c.out[:0])
	}
	c.out = nil // who has nothing to say needs no memory for it
	if c.leaving && (c.pipe == nil || !c.pipe.busy) {
		c.hangUp()
	}
}

func (c *Conn) hangUp() {
	if c.live {
		c.live = false
		delete(c.s.open, c)
		c.s.net.hangUp(c)
	}
}

// fail is called by the network and by what reads a packet.
func (c *Conn) fail(err error) {
	if !c.live {
		return
	}
	c.hangUp()
	if !c.leaving {
		c.Events.Down(c, err)
	}
}

// received handles bytes, which belong to the network again when it returns.
func (c *Conn) received(b []byte) {
	if c.framing != nil {
		c.unframe(b)
		return
	}
	c.parse(b)
}

// parse handles bytes of MQTT.
func (c *Conn) parse(b []byte) {
	whole := b
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		whole = c.in
	}
	for c.live {
		h, n, err := mqtt.ParseHeader(whole, 0)
		if err != nil {
			c.fail(err)
			return
		}
		if n == 0 || len(whole) < n+h.Remaining {
			break
		}
		if err := c.packet(h, whole[n:n+h.Remaining]); err != nil {
			c.fail(err)
			return
		}
		whole = whole[n+h.Remaining:]
	}
	switch {
	case len(whole) > 0:
		c.in = append(c.in[:0], whole...)
	case cap(c.in) > 4<<10:
		c.in = nil
	default:
		c.in = c.in[:0]
	}
}

func (c *Conn) packet(h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.PUBLISH:
		return c.message(h, body)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		return c.acknowledgement(h, body)
	case mqtt.CONNACK:
		var p mqtt.Connack
		if err := p.Decode(h, body, c.Version); err != nil {
			return err
		}
		if p.Properties.ReceiveMaximum > 0 {
			c.Window = int(p.Properties.ReceiveMaximum)
		}
		if p.Properties.HasServerKeepAlive {
			c.pingEvery = int64(p.Properties.ServerKeepAlive) * int64(time.Second) * 3 / 4
		}
		c.Events.Up(c, &p)
	case mqtt.SUBACK:
		if err := c.s.suback.Decode(h, body, c.Version); err != nil {
			return err
		}
		c.Events.Subscribed(c, &c.s.suback)
	case mqtt.DISCONNECT:
		var p mqtt.Disconnect
		if err := p.Decode(h, body, c.Version); err != nil {
			return err
		}
		return fmt.Errorf("DISCONNECT from the broker: %v", p.Code)
	case mqtt.PINGRESP, mqtt.UNSUBACK:
	default:
		return fmt.Errorf("%v from the broker", h.Type)
	}
	return nil
}

func (c *Conn) message(h mqtt.Header, body []byte) error {
	p := &c.s.publish
	if err := p.Decode(h, body, c.Version); err != nil {
		return err
	}
	id := p.PacketID
	switch p.QoS {
	case protocol.AtLeastOnce:
		c.touch()
		c.out = mqtt.AppendAck(c.out, mqtt.PUBACK, c.Version, id, protocol.Success)
	case protocol.ExactlyOnce:
		c.touch()
		c.out = mqtt.AppendAck(c.out, mqtt.PUBREC, c.Version, id, protocol.Success)
		if _, again := c.held[id]; again {
			return nil // the same message, sent once more: not delivered twice [MQTT-4.3.3-2]
		}
		if c.held == nil {
			c.held = map[protocol.PacketID]struct{}{}
		}
		c.held[id] = struct{}{}
	}
	c.Events.Message(c, p)
	return nil
}

func (c *Conn) acknowledgement(h mqtt.Header, body []byte) error {
	p := &c.s.ack
	if err := p.Decode(h, body, c.Version); err != nil {
		return err
	}
	switch h.Type {
	case mqtt.PUBREC:
		if p.Code < 0x80 {
			c.touch()
			c.out = mqtt.AppendAck(c.out, mqtt.PUBREL, c.Version, p.ID, protocol.Success)
			return nil
		}
	case mqtt.PUBREL:
		delete(c.held, p.ID)
		c.touch()
		c.out = mqtt.AppendAck(c.out, mqtt.PUBCOMP, c.Version, p.ID, protocol.Success)
		return nil
	}
	c.Events.Acked(c, p.ID, p.Code)
	return nil
}
