package testkit

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// Packet is a Control Packet that can be sent.
type Packet interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// Client is one end of a Network Connection which sends and expects Control
// Packets. What is not as expected fails the test. It belongs to one goroutine.
type Client struct {
	Conn    net.Conn
	Version mqtt.Version // of what is sent and read; V311 until Connect says otherwise
	t       testing.TB
	have    []byte // read and not yet consumed
	chunk   []byte
}

// Dial connects over TCP, without a CONNECT. The connection closes with the test.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, conn)
}

// NewClient speaks over conn, which it owns.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{Conn: conn, Version: mqtt.V311, t: t}
}

// Hello is a CONNECT with a clean session and no keep alive.
func Hello(id string) *mqtt.Connect {
	return &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: id}
}

// Persistent is a CONNECT whose session shall outlive the connection.
func Persistent(id string) *mqtt.Connect {
	c := Hello(id)
	c.CleanStart = false
	return c
}

// Connect sends a CONNECT and expects it to be accepted.
func (c *Client) Connect(p *mqtt.Connect) *mqtt.Connack {
	c.t.Helper()
	c.Version = p.Version
	c.Send(p)
	ack := c.ExpectConnack()
	if ack.Code != 0 {
		c.t.Fatalf("CONNACK %v", ack.Code)
	}
	return ack
}

// Send sends packets with one write.
func (c *Client) Send(packets ...Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = p.Append(b, c.Version)
	}
	c.SendBytes(b)
}

// SendBytes sends what need not be a packet. That the peer has closed the
// connection meanwhile is no failure.
func (c *Client) SendBytes(b []byte) {
	c.t.Helper()
	_ = c.Conn.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := c.Conn.Write(b); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("write: %v", err)
	}
}

// Publish sends a PUBLISH; id is its Packet Identifier where QoS is not 0.
func (c *Client) Publish(name, payload string, qos protocol.QoS, id protocol.PacketID) {
	c.t.Helper()
	c.Send(&mqtt.Publish{Topic: topic.Name(name), Payload: []byte(payload), QoS: qos, PacketID: id})
}

// Retain sends a PUBLISH of QoS 0 that is to be retained.
func (c *Client) Retain(name, payload string) {
	c.t.Helper()
	c.Send(&mqtt.Publish{Topic: topic.Name(name), Payload: []byte(payload), Retain: true})
}

// Subscribe subscribes to filters and expects each to be granted.
func (c *Client) Subscribe(qos protocol.QoS, filters ...string) {
	c.t.Helper()
	p := &mqtt.Subscribe{ID: 0x5353}
	codes := make([]protocol.ReasonCode, len(filters))
	for i, f := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
		codes[i] = protocol.ReasonCode(qos)
	}
	c.Send(p)
	c.ExpectSuback(p.ID, codes...)
}

// Ping sends PINGREQ and expects PINGRESP as the next packet: nothing else was
// on its way.
func (c *Client) Ping() {
	c.t.Helper()
	c.SendBytes([]byte{byte(mqtt.PINGREQ) << 4, 0})
	c.ExpectPingresp()
}

// Disconnect sends DISCONNECT and waits until the broker has closed.
func (c *Client) Disconnect() {
	c.t.Helper()
	c.Send(&mqtt.Disconnect{})
	c.ExpectClosed()
}

// Close closes the connection without DISCONNECT: the client is lost.
func (c *Client) Close() { _ = c.Conn.Close() }

// TryRead reads the next packet, whatever it is. The body is valid until the
// next read.
func (c *Client) TryRead() (mqtt.Header, []byte, error) {
	if c.chunk == nil {
		c.chunk = make([]byte, 4<<10)
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(Patience))
	for {
		h, n, err := mqtt.ParseHeader(c.have, 0)
		if err != nil {
			return h, nil, err
		}
		if end := n + h.Remaining; n > 0 && len(c.have) >= end {
			body := c.have[n:end:end]
			c.have = c.have[end:]
			return h, body, nil
		}
		n, err = c.Conn.Read(c.chunk)
		c.have = append(c.have[:len(c.have):len(c.have)], c.chunk[:n]...)
		if err != nil && n == 0 {
			return mqtt.Header{}, nil, err
		}
	}
}

// read reads a packet of a type.
func (c *Client) read(want mqtt.PacketType) (mqtt.Header, []byte) {
	c.t.Helper()
	h, body, err := c.TryRead()
	if err != nil {
		c.t.Fatalf("want %v: %v", want, err)
	}
	if h.Type != want {
		c.t.Fatalf("want %v, got %v % x", want, h.Type, body)
	}
	return h, body
}

func (c *Client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("the broker sent a bad packet: %v", err)
	}
}

// ExpectConnack expects a CONNACK of any code.
func (c *Client) ExpectConnack() *mqtt.Connack {
	c.t.Helper()
	h, body := c.read(mqtt.CONNACK)
	p := new(mqtt.Connack)
	c.must(p.Decode(h, body, c.Version))
	return p
}

// ExpectPublish expects a PUBLISH with this name and payload, and acknowledges
// QoS 1.
func (c *Client) ExpectPublish(name, payload string) *mqtt.Publish {
	c.t.Helper()
	p := c.AnyPublish()
	if string(p.Topic) != name || string(p.Payload) != payload {
		c.t.Fatalf("want PUBLISH %s %q, got %s %q", name, payload, p.Topic, p.Payload)
	}
	return p
}

// AnyPublish expects a PUBLISH, and acknowledges QoS 1.
func (c *Client) AnyPublish() *mqtt.Publish {
	c.t.Helper()
	h, body := c.read(mqtt.PUBLISH)
	p := new(mqtt.Publish)
	c.must(p.Decode(h, bytes.Clone(body), c.Version))
	if p.QoS == protocol.AtLeastOnce {
		c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
	}
	return p
}

// ExpectAck expects PUBACK, PUBREC, PUBREL or PUBCOMP of a Packet Identifier.
func (c *Client) ExpectAck(typ mqtt.PacketType, id protocol.PacketID) {
	c.t.Helper()
	h, body := c.read(typ)
	var p mqtt.Ack
	c.must(p.Decode(h, body, c.Version))
	if p.ID != id {
		c.t.Fatalf("want %v of %d, got of %d", typ, id, p.ID)
	}
}

// ExpectSuback expects a SUBACK with these codes.
func (c *Client) ExpectSuback(id protocol.PacketID, codes ...protocol.ReasonCode) {
	c.t.Helper()
	h, body := c.read(mqtt.SUBACK)
	var p mqtt.Suback
	c.must(p.Decode(h, body, c.Version))
	if p.ID != id || !slices.Equal(p.Codes, codes) {
		c.t.Fatalf("want SUBACK %d %v, got %d %v", id, codes, p.ID, p.Codes)
	}
}

// ExpectUnsuback expects an UNSUBACK.
func (c *Client) ExpectUnsuback(id protocol.PacketID) {
	c.t.Helper()
	h, body := c.read(mqtt.UNSUBACK)
	var p mqtt.Unsuback
	c.must(p.Decode(h, body, c.Version))
	if p.ID != id {
		c.t.Fatalf("want UNSUBACK %d, got %d", id, p.ID)
	}
}

// ExpectPingresp expects a PINGRESP.
func (c *Client) ExpectPingresp() {
	c.t.Helper()
	c.read(mqtt.PINGRESP)
}

// ExpectClosed expects that the broker closes the connection and sends nothing
// before.
func (c *Client) ExpectClosed() {
	c.t.Helper()
	h, body, err := c.TryRead()
	switch {
	case err == nil:
		c.t.Fatalf("want a closed connection, got %v % x", h.Type, body)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatal("the connection stays open")
	case !errors.Is(err, io.EOF) && !isReset(err):
		c.t.Fatalf("want a closed connection, got %v", err)
	}
}

// isReset reports whether the peer closed while something was on its way to it.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.ErrClosedPipe)
}

// ExpectDisconnect expects a DISCONNECT, which only MQTT 5 lets a broker send.
func (c *Client) ExpectDisconnect() *mqtt.Disconnect {
	c.t.Helper()
	h, body := c.read(mqtt.DISCONNECT)
	p := new(mqtt.Disconnect)
	c.must(p.Decode(h, body, c.Version))
	return p
}

// Unsubscribe unsubscribes from filters.
func (c *Client) Unsubscribe(filters ...string) {
	c.t.Helper()
	p := &mqtt.Unsubscribe{ID: 0x5555, Filters: filters}
	c.Send(p)
	c.ExpectUnsuback(p.ID)
}
