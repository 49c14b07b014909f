package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/connections/memnet"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// crowd are the clients. One takes a few bytes here: what it does next is known by
// what all of them do.
type crowd struct {
	network *memnet.Network
	clients []crowdClient
	born    time.Time
	turns   chan struct{} // one for each that is on its way in

	state    atomic.Int32
	ready    atomic.Int64 // SUBACKs of this state
	received atomic.Int64 // PUBLISHes of this state
	latency  []atomic.Int64
	failed   atomic.Pointer[error]
}

// crowdClient is one client: a name by its place, and a connection.
type crowdClient struct {
	conn  *memnet.Conn
	crowd *crowd
	place int32
	// rest is a packet that has come in part; nil nearly always.
	rest []byte
}

// What the crowd does.
const (
	arriving int32 = iota
	joining
	receiving
)

// under is how many clients may be on their way in at a time.
const under = 256

// common is the topic of what everybody is told. All topics are of one length.
const common = "dev/-------"

func topicOf(i int) string { return fmt.Sprintf("dev/%07d", i) }

// payload is its size; the time when it was sent comes first.
const payload = 64

func newCrowd(network *memnet.Network, n int) *crowd {
	return &crowd{
		network: network, clients: make([]crowdClient, n), born: time.Now(),
		turns: make(chan struct{}, under), latency: make([]atomic.Int64, n),
	}
}

func (c *crowd) fail(err error) { c.failed.CompareAndSwap(nil, &err) }

func (c *crowd) dial(i int) (err error) {
	client := &c.clients[i]
	client.crowd, client.place = c, int32(i)
	client.conn, err = c.network.Dial()
	return err
}

// dialAll connects them, not too many at a time.
func (c *crowd) dialAll(ctx context.Context) {
	for i := range c.clients {
		if !c.turn(ctx) {
			return
		}
		if err := c.dial(i); err != nil {
			c.fail(err)
			return
		}
		client := &c.clients[i]
		hello := mqtt.Connect{Version: mqtt.V311, ClientID: fmt.Sprintf("client-%07d", i), CleanStart: true, KeepAlive: 600}
		client.conn.Watch(client)
		client.send(hello.Append(nil, mqtt.V311))
	}
}

// subscribeAll has them subscribe to the common topic.
func (c *crowd) subscribeAll(ctx context.Context) {
	for i := range c.clients {
		if !c.turn(ctx) {
			return
		}
		c.clients[i].subscribe(common)
	}
}

func (c *crowd) turn(ctx context.Context) bool {
	select {
	case c.turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *crowdClient) send(p []byte) {
	if n, err := c.conn.TryWrite(p); err != nil || n < len(p) {
		c.crowd.fail(fmt.Errorf("%d bytes of %d were sent: %w", n, len(p), err))
	}
}

func (c *crowdClient) subscribe(topic string) {
	p := mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: topic, QoS: protocol.AtLeastOnce}}}
	c.send(p.Append(nil, mqtt.V311))
}

// publish sends a message of QoS 0 in the name of a client.
func (c *crowd) publish(from int, topic string) error {
	var b [payload]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Since(c.born)))
	p := mqtt.Publish{Topic: topicName(topic), Payload: b[:]}
	packet := mqtt.AppendPublish(nil, mqtt.V311, &p)
	if n, err := c.clients[from].conn.TryWrite(packet); err != nil || n < len(packet) {
		return fmt.Errorf("%d bytes of %d were sent: %w", n, len(packet), err)
	}
	return nil
}

var inboxes = sync.Pool{New: func() any { return new([4096]byte) }}

var errHungUp = errors.New("the node closed a connection")

// Ready is called when the node has sent something, on its goroutine.
func (c *crowdClient) Ready() {
	buf := inboxes.Get().(*[4096]byte)
	defer inboxes.Put(buf)
	for {
		n := copy(buf[:], c.rest)
		k, err := c.conn.TryRead(buf[n:])
		if err != nil {
			c.crowd.fail(errors.Join(errHungUp, err))
			return
		}
		if k == 0 {
			return
		}
		c.rest = nil
		if left := c.take(buf[:n+k]); len(left) > 0 {
			c.rest = append([]byte(nil), left...)
		}
	}
}

// take handles the packets that are complete and returns the rest.
func (c *crowdClient) take(b []byte) []byte {
	for len(b) > 0 {
		h, n, err := mqtt.ParseHeader(b, 0)
		if err != nil {
			c.crowd.fail(err)
			return nil
		}
		end := n + h.Remaining
		if n == 0 || end > len(b) {
			return b
		}
		c.packet(h, b[n:end])
		b = b[end:]
	}
	return nil
}

func (c *crowdClient) packet(h mqtt.Header, body []byte) {
	w := c.crowd
	switch h.Type {
	case mqtt.CONNACK:
		c.subscribe(topicOf(int(c.place)))
	case mqtt.SUBACK:
		w.ready.Add(1)
		<-w.turns
	case mqtt.PUBLISH:
		at := len(body) - payload
		took := time.Since(w.born) - time.Duration(binary.BigEndian.Uint64(body[at:]))
		n := w.received.Add(1)
		w.latency[(n-1)%int64(len(w.latency))].Store(int64(took))
	default:
		w.fail(fmt.Errorf("the node sent a packet of type %d", h.Type))
	}
}

// times are how long the messages of this state took, the last ones if there were
// more than clients.
func (c *crowd) times() []time.Duration {
	all := make([]time.Duration, min(c.received.Load(), int64(len(c.latency))))
	for i := range all {
		all[i] = time.Duration(c.latency[i].Load())
	}
	return all
}
