package main

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// relay is the floor: what remains of a broker when everything is left out that
// can be. It cuts the packets of one read apart, looks each topic up in one map,
// copies the packet to who subscribed to it, and writes once to each at the end. It
// keeps no session, checks nothing, knows QoS 0 and a last level of "+" alone, and
// holds what a slow client does not take. What it costs is what sockets and the
// scheduler cost; what a broker costs above that is its own.
type relay struct {
	mu     sync.RWMutex
	topics map[string][]*client // by name, and by what stands before the last level
}

// client is one connection. Several readers may write to it.
type client struct {
	mu    sync.Mutex
	out   []byte
	write func([]byte)
	keys  []string // under which the relay knows it; its reader's
}

func newRelay() *relay { return &relay{topics: map[string][]*client{}} }

// The first bytes of the packets that the relay knows, without their flags.
const (
	connect    = 0x10
	publish    = 0x30
	subscribe  = 0x80
	pingreq    = 0xc0
	disconnect = 0xe0
)

// read handles what came from a client and returns the beginning of a packet that
// is not complete. touched is memory for the readers' use, empty between calls.
func (r *relay) read(c *client, b []byte, touched []*client) (rest []byte, again []*client) {
	for {
		n, body := cut(b)
		if n == 0 {
			break
		}
		switch packet := b[:n]; packet[0] & 0xf0 {
		case connect:
			touched = c.append([]byte{0x20, 2, 0, 0}, touched)
		case subscribe:
			r.subscribe(c, body[2:])
			touched = c.append([]byte{0x90, 3, body[0], body[1], 0}, touched)
		case publish:
			r.mu.RLock()
			for _, to := range r.find(body[2 : 2+binary.BigEndian.Uint16(body)]) {
				touched = to.append(packet, touched)
			}
			r.mu.RUnlock()
		case pingreq:
			touched = c.append([]byte{0xd0, 0}, touched)
		case disconnect:
		}
		b = b[n:]
	}
	for _, to := range touched {
		to.flush()
	}
	return b, touched[:0]
}

// cut returns the length of the first packet, 0 if it is not complete, and what
// follows its fixed header.
func cut(b []byte) (n int, body []byte) {
	if len(b) < 2 {
		return 0, nil
	}
	length, k := binary.Uvarint(b[1:]) // MQTT's Remaining Length is the same
	if k <= 0 || len(b) < 1+k+int(length) {
		return 0, nil
	}
	n = 1 + k + int(length)
	return n, b[1+k : n]
}

// append adds to what waits, and the client to those that have been touched.
func (c *client) append(p []byte, touched []*client) []*client {
	c.mu.Lock()
	if len(c.out) == 0 {
		touched = append(touched, c)
	}
	c.out = append(c.out, p...)
	c.mu.Unlock()
	return touched
}

func (c *client) flush() {
	c.mu.Lock()
	if len(c.out) > 0 {
		c.write(c.out)
		c.out = c.out[:0]
	}
	c.mu.Unlock()
}

// subscribe enters the first filter of a SUBSCRIBE.
func (r *relay) subscribe(c *client, b []byte) {
	filter := b[2 : 2+binary.BigEndian.Uint16(b)]
	key := string(bytes.TrimSuffix(filter, []byte("+")))
	c.keys = append(c.keys, key)
	r.mu.Lock()
	r.topics[key] = append(r.topics[key], c)
	r.mu.Unlock()
}

func (r *relay) find(name []byte) []*client {
	if all := r.topics[string(name)]; all != nil {
		return all
	}
	return r.topics[string(name[:bytes.LastIndexByte(name, '/')+1])]
}

// leave forgets a client.
func (r *relay) leave(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range c.keys {
		var rest []*client
		for _, other := range r.topics[key] {
			if other != c {
				rest = append(rest, other)
			}
		}
		if r.topics[key] = rest; rest == nil {
			delete(r.topics, key)
		}
	}
}
