package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// client is an MQTT client that acknowledges by itself and counts what it gets. Its
// methods may be called from any goroutine, and return errors, because in these tests
// nodes and connections end.
type client struct {
	conn net.Conn
	id   string

	mu      sync.Mutex
	got     map[string]int // messages by payload
	half    map[protocol.PacketID]bool
	waiting map[protocol.PacketID]chan struct{} // until the exchange is over
	last    protocol.PacketID
	change  chan struct{} // closed with each packet, and at the end
	err     error         // why the connection has ended
	gone    chan struct{}
}

var errAnswer = errors.New("no answer in time")

// connect dials a node. A client that is not clean has a session that stays.
func connect(n *node, id string, clean bool) (c *client, present bool, err error) {
	conn, err := net.DialTimeout("tcp", n.MQTT, patience)
	if err != nil {
		return nil, false, err
	}
	c = &client{
		conn: conn, id: id, got: map[string]int{}, half: map[protocol.PacketID]bool{},
		waiting: map[protocol.PacketID]chan struct{}{}, change: make(chan struct{}), gone: make(chan struct{}),
	}
	hello := &mqtt.Connect{Version: mqtt.V311, CleanStart: clean, ClientID: id}
	if _, err := conn.Write(hello.Append(nil, mqtt.V311)); err != nil {
		_ = conn.Close()
		return nil, false, err
	}
	r := &packets{conn: conn}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	h, body, err := r.next()
	if err != nil || h.Type != mqtt.CONNACK || len(body) != 2 || body[1] != 0 {
		_ = conn.Close()
		return nil, false, fmt.Errorf("CONNECT of %s is answered %v % x: %w", id, h.Type, body, err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	go c.receive(r)
	return c, body[0] == 1, nil
}

// mustConnect is connect where the node has to take the client.
func (n *node) mustConnect(id string, clean bool) *client {
	n.rig.t.Helper()
	c, _, err := connect(n, id, clean)
	if err != nil {
		n.rig.t.Fatal(err)
	}
	n.rig.t.Cleanup(c.close)
	return c
}

// packets cuts a connection into packets.
type packets struct {
	conn  net.Conn
	have  []byte
	chunk [4 << 10]byte
}

// next is valid until the next one.
func (p *packets) next() (mqtt.Header, []byte, error) {
	for {
		h, n, err := mqtt.ParseHeader(p.have, 0)
		if err != nil {
			return h, nil, err
		}
		if end := n + h.Remaining; n > 0 && len(p.have) >= end {
			body := p.have[n:end:end]
			p.have = p.have[end:]
			return h, body, nil
		}
		k, err := p.conn.Read(p.chunk[:])
		p.have = append(bytes.Clone(p.have), p.chunk[:k]...)
		if err != nil && k == 0 {
			return mqtt.Header{}, nil, err
		}
	}
}

// receive handles what the node sends, until the connection ends.
func (c *client) receive(r *packets) {
	for {
		h, body, err := r.next()
		if err == nil {
			err = c.on(h, body)
		}
		c.mu.Lock()
		close(c.change)
		c.change = make(chan struct{})
		if err != nil {
			c.err = err
			close(c.gone)
			c.mu.Unlock()
			_ = c.conn.Close()
			return
		}
		c.mu.Unlock()
	}
}

// on handles one packet.
func (c *client) on(h mqtt.Header, body []byte) error {
	if h.Type == mqtt.PUBLISH {
		return c.onPublish(h, body)
	}
	if len(body) < 2 {
		return nil
	}
	id := protocol.PacketID(body[0])<<8 | protocol.PacketID(body[1])
	switch h.Type {
	case mqtt.PUBREC:
		return c.ack(mqtt.PUBREL, id)
	case mqtt.PUBREL:
		c.mu.Lock()
		delete(c.half, id)
		c.mu.Unlock()
		return c.ack(mqtt.PUBCOMP, id)
	case mqtt.PUBACK, mqtt.PUBCOMP, mqtt.SUBACK, mqtt.UNSUBACK:
		c.mu.Lock()
		defer c.mu.Unlock()
		if done := c.waiting[id]; done != nil {
			close(done)
			delete(c.waiting, id)
		}
	}
	return nil
}

func (c *client) onPublish(h mqtt.Header, body []byte) error {
	p := new(mqtt.Publish)
	if err := p.Decode(h, body, mqtt.V311); err != nil {
		return err
	}
	c.mu.Lock()
	again := p.QoS == protocol.ExactlyOnce && c.half[p.PacketID]
	if !again {
		c.got[string(p.Payload)]++
	}
	if p.QoS == protocol.ExactlyOnce {
		c.half[p.PacketID] = true
	}
	c.mu.Unlock()
	switch p.QoS {
	case protocol.AtLeastOnce:
		return c.ack(mqtt.PUBACK, p.PacketID)
	case protocol.ExactlyOnce:
		return c.ack(mqtt.PUBREC, p.PacketID)
	}
	return nil
}

func (c *client) ack(typ mqtt.PacketType, id protocol.PacketID) error {
	a := &mqtt.Ack{Type: typ, ID: id}
	return c.write(a.Append(nil, mqtt.V311))
}

func (c *client) write(b []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	return err
}

// exchange sends a packet with an identifier and waits for the end of its exchange.
func (c *client) exchange(packet func(protocol.PacketID) []byte) error {
	c.mu.Lock()
	for c.last++; c.last == 0 || c.waiting[c.last] != nil; c.last++ {
	}
	id, done := c.last, make(chan struct{})
	c.waiting[id] = done
	c.mu.Unlock()
	if err := c.write(packet(id)); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-c.gone:
		return fmt.Errorf("%s: the connection has ended: %w", c.id, c.err)
	case <-timer.C:
		return errAnswer
	}
}

// subscribe returns when the SUBACK is there.
func (c *client) subscribe(qos protocol.QoS, filters ...string) error {
	return c.exchange(func(id protocol.PacketID) []byte {
		p := &mqtt.Subscribe{ID: id}
		for _, f := range filters {
			p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
		}
		return p.Append(nil, mqtt.V311)
	})
}

func (c *client) unsubscribe(filters ...string) error {
	return c.exchange(func(id protocol.PacketID) []byte {
		return (&mqtt.Unsubscribe{ID: id, Filters: filters}).Append(nil, mqtt.V311)
	})
}

// publish returns when the message is the broker's: for QoS 0 at once.
func (c *client) publish(name, payload string, qos protocol.QoS) error {
	p := &mqtt.Publish{Topic: topic.Name(name), Payload: []byte(payload), QoS: qos}
	if qos == protocol.AtMostOnce {
		return c.write(p.Append(nil, mqtt.V311))
	}
	return c.exchange(func(id protocol.PacketID) []byte {
		p.PacketID = id
		return p.Append(nil, mqtt.V311)
	})
}

// has returns how often a message came.
func (c *client) has(payload string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[payload]
}

// awaits waits for a message.
func (c *client) awaits(payload string) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		c.mu.Lock()
		have, change := c.got[payload], c.change
		c.mu.Unlock()
		if have > 0 {
			return nil
		}
		select {
		case <-change:
		case <-c.gone:
			return fmt.Errorf("%s waits for %s: the connection has ended: %w", c.id, payload, c.err)
		case <-timer.C:
			return fmt.Errorf("%s does not get %s", c.id, payload)
		}
	}
}

// alive tells whether the connection is still there.
func (c *client) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// close closes the connection without a word.
func (c *client) close() {
	_ = c.conn.Close()
	<-c.gone
}
