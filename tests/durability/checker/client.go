package checker

import (
	"net"
	"strconv"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// flight is a message that was published and is not acknowledged in full.
type flight struct {
	id       protocol.PacketID
	number   int
	released bool // PUBREC has come
}

// sub is a subscription and when it began and ended; 0: not yet. What was sent
// and not acknowledged may or may not have happened.
type sub struct {
	filter                    string
	qos                       protocol.QoS
	sent, acked, unsub, ended int
}

// lane is what has an order.
type lane struct {
	client   int
	topic    string
	qos, got protocol.QoS
}

// exchange is a SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
type exchange struct {
	id     protocol.PacketID
	filter string
	index  int // of the sub
	remove bool
}

// session is what a client has to remember of its session.
type session struct {
	flights  []flight
	received map[protocol.PacketID]int // QoS 2: PUBREL has not come
	nextID   protocol.PacketID
	clean    bool // the next CONNECT asks for a new session
	promised bool // a CONNACK has said that the session exists
	brief    bool // MQTT 3.x: it ends with its connection, because a clean one was asked for
	empty    bool // the one before was such, so that none can be there
	began    int  // when the CONNECT was sent that began it
	fresh    int  // when the CONNACK was read that said that there is nothing older; 0: not yet
}

// client is one of them. It belongs to its world's lock.
type client struct {
	Profile
	session
	world    *World
	index    int
	conn     net.Conn // nil while offline
	previous net.Conn // open until the connection that takes over is accepted
	turn     int      // counts connections
	online   bool     // CONNACK has been read
	will     int      // number of the will of this connection
	pending  *exchange
	owed     []mqtt.Ack // acknowledgements that are to be sent
	subs     []sub
	got      map[int]int // how often a message has come, retransmissions of QoS 2 aside
	exact    map[int]int // … with QoS 2
	last     map[lane]int
	answer   string // the last CONNACK or DISCONNECT that refused it
	have     []byte
}

func newClient(w *World, index int, p Profile) *client {
	return &client{
		Profile: p, world: w, index: index, got: map[int]int{}, exact: map[int]int{}, last: map[lane]int{},
		session: session{received: map[protocol.PacketID]int{}},
	}
}

func payload(number int) []byte { return []byte("m" + strconv.Itoa(number)) }

func number(payload []byte) int {
	if len(payload) < 2 || payload[0] != 'm' {
		return -1
	}
	n, err := strconv.Atoi(string(payload[1:]))
	if err != nil {
		return -1
	}
	return n
}

// connect dials and sends CONNECT.
func (c *client) connect() bool {
	w := c.world
	conn, err := w.dial()
	if err != nil {
		return false
	}
	c.previous = c.conn
	if c.previous != nil {
		c.loseWill()
	}
	c.conn, c.online, c.have, c.owed, c.pending = conn, false, nil, nil, nil
	c.turn++
	w.stats.Connects++
	now := w.tick()
	p := &mqtt.Connect{Version: c.Version, ClientID: c.ID, CleanStart: c.Clean || c.clean}
	if c.Version == mqtt.V5 && !c.Clean {
		p.Properties.SessionExpiry = 3600
		p.Properties.ReceiveMaximum = 7
	}
	if p.CleanStart || c.brief {
		w.stats.Clean++
		c.endSession(now)
		c.clean, c.empty, c.brief = p.CleanStart, !p.CleanStart, false
	} else {
		c.empty = false
	}
	if c.began == 0 {
		c.began = now
	}
	c.will = 0
	if c.Will != "" && !w.draining {
		c.will = w.publish(message{client: c.index, topic: c.Will, qos: 1, will: true})
		p.HasWill = true
		p.Will = mqtt.Will{Topic: topic.Name(c.Will), Payload: payload(c.will), QoS: 1}
	}
	w.readers.Add(1)
	go c.read(conn, c.turn)
	return c.send(p)
}

// endSession forgets everything, as a client must that asks for a new session.
func (c *client) endSession(now int) {
	keep := c.flights
	c.session = session{received: map[protocol.PacketID]int{}, nextID: c.nextID, clean: true, began: now}
	if c.Clean {
		c.flights = keep // it publishes them again, as new ones
	}
	for i := range c.subs {
		if c.subs[i].unsub == 0 {
			c.subs[i].unsub = now
		}
	}
}

// lost is that the connection has ended without a DISCONNECT.
func (c *client) lost() {
	c.loseWill()
	c.leave()
}

func (c *client) loseWill() {
	if c.online && c.will != 0 {
		c.world.messages[c.will].acked = c.world.tick()
	}
	c.will = 0
}

// leave forgets the connection.
func (c *client) leave() {
	if c.previous != nil {
		_ = c.previous.Close()
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.previous, c.online, c.owed, c.pending = nil, nil, false, nil, nil
	c.turn++
}

// packet is a Control Packet that can be sent.
type packet interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// writeTime is how long a broker may not read.
const writeTime = 30 * time.Second

func (c *client) send(packets ...packet) bool {
	var b []byte
	for _, p := range packets {
		b = p.Append(b, c.Version)
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := c.conn.Write(b); err != nil {
		c.lost()
		return false
	}
	return true
}

// read reads from a connection until it ends.
func (c *client) read(conn net.Conn, turn int) {
	w := c.world
	defer w.readers.Done()
	defer w.wake()
	defer conn.Close()
	chunk := make([]byte, 16<<10)
	for {
		n, err := conn.Read(chunk)
		w.mu.Lock()
		if c.turn != turn {
			w.mu.Unlock()
			return
		}
		c.have = append(c.have, chunk[:n]...)
		c.packets()
		if err != nil && c.turn == turn {
			c.lost()
		}
		ended := c.turn != turn
		w.mu.Unlock()
		w.wake()
		if ended {
			return
		}
	}
}

// packets handles what has been read in full.
func (c *client) packets() {
	turn := c.turn
	for c.turn == turn {
		h, n, err := mqtt.ParseHeader(c.have, 0)
		if err != nil {
			c.world.fault(&c.world.stats.Other, "%s: bad packet: %v", c.ID, err)
			c.lost()
			return
		}
		end := n + h.Remaining
		if n == 0 || len(c.have) < end {
			return
		}
		body := c.have[n:end:end]
		c.have = c.have[end:]
		c.world.tick()
		c.packet(h, body)
	}
}

// resend sends again what is not acknowledged, in its order. [MQTT-4.4.0-1]
func (c *client) resend() {
	var again []packet
	for i := range c.flights {
		f := &c.flights[i]
		switch {
		case c.Clean:
			f.id = c.id()
			again = append(again, c.publication(f, false))
		case f.released:
			again = append(again, &mqtt.Ack{Type: mqtt.PUBREL, ID: f.id})
		default:
			again = append(again, c.publication(f, true))
		}
	}
	if len(again) > 0 {
		c.send(again...)
	}
}

func (c *client) publication(f *flight, dup bool) *mqtt.Publish {
	m := &c.world.messages[f.number]
	p := &mqtt.Publish{Topic: topic.Name(m.topic), QoS: m.qos, Retain: m.retain, Dup: dup, PacketID: f.id}
	if !m.clearing {
		p.Payload = payload(f.number)
	}
	return p
}

// id is a packet identifier that is not in use.
func (c *client) id() protocol.PacketID {
	for {
		if c.nextID++; c.nextID == 0 || c.nextID > 40 { // small, so that they are used again soon
			c.nextID = 1
		}
		free := c.pending == nil || c.pending.id != c.nextID
		for i := range c.flights {
			free = free && c.flights[i].id != c.nextID
		}
		if free {
			return c.nextID
		}
	}
}
