package sim

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

// line is a connection of a client to a node. Packets that it expects come by
// channels; messages go to the function it was opened with.
type line struct {
	conn    net.Conn
	at      *instance
	present bool // the session was
	since   time.Time
	closed  chan struct{}

	mu    sync.Mutex // of writes
	acks  chan ack
	taken map[protocol.PacketID]bool // QoS 2 that was not released yet
}

// String says where it is and since when.
func (l *line) String() string {
	return fmt.Sprintf("%s since %v", l.at.place.name, l.since.Sub(l.at.place.world.begin))
}

type ack struct {
	typ  mqtt.PacketType
	id   protocol.PacketID
	code protocol.ReasonCode
}

var errClosed = errors.New("the connection is closed")

// patience is how long a client waits for an answer, in virtual time.
const patience = 30 * time.Second

// dial connects to a node; deliver is called for each message, one after the other.
func dial(at *instance, hello *mqtt.Connect, deliver func(*mqtt.Publish)) (*line, error) {
	conn, err := at.clients.Dial()
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, at: at, closed: make(chan struct{}), acks: make(chan ack, 16), taken: map[protocol.PacketID]bool{}}
	connack := make(chan *mqtt.Connack, 1)
	go l.read(connack, deliver)
	go func() {
		select {
		case <-at.dead:
			_ = conn.Close()
		case <-l.closed:
		}
	}()
	l.send(hello)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case c := <-connack:
		if c.Code != 0 {
			l.close()
			return nil, errClosed
		}
		l.present, l.since = c.SessionPresent, time.Now()
		return l, nil
	case <-l.closed:
		return nil, errClosed
	case <-timer.C:
		l.close()
		return nil, errors.New("no CONNACK")
	}
}

func (l *line) close() {
	_ = l.conn.Close()
	<-l.closed
}

// leave says DISCONNECT.
func (l *line) leave() {
	l.send(&mqtt.Disconnect{})
	l.close()
}

func (l *line) send(p interface {
	Append([]byte, mqtt.Version) []byte
},
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = l.conn.Write(p.Append(nil, mqtt.V311)) // a lost connection shows itself to the reader
}

// await waits for an acknowledgement.
func (l *line) await(typ mqtt.PacketType, id protocol.PacketID) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case a := <-l.acks:
			if a.typ == typ && a.id == id {
				if a.code >= 0x80 {
					return errors.New("refused")
				}
				return nil
			}
		case <-l.closed:
			return errClosed
		case <-timer.C:
			return errors.New("no answer")
		}
	}
}

func (l *line) subscribe(filter string, qos protocol.QoS) error {
	l.send(&mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: qos}}})
	return l.await(mqtt.SUBACK, 1)
}

// publish sends a message and waits until the node has taken it.
func (l *line) publish(name, payload string, qos protocol.QoS) error {
	const id = 7
	l.send(&mqtt.Publish{Topic: topic.Name(name), Payload: []byte(payload), QoS: qos, PacketID: id})
	if qos == protocol.AtLeastOnce {
		return l.await(mqtt.PUBACK, id)
	}
	if err := l.await(mqtt.PUBREC, id); err != nil {
		return err
	}
	l.send(&mqtt.Ack{Type: mqtt.PUBREL, ID: id})
	return l.await(mqtt.PUBCOMP, id)
}

// read takes packets until the connection ends.
func (l *line) read(connack chan<- *mqtt.Connack, deliver func(*mqtt.Publish)) {
	defer close(l.closed)
	defer l.conn.Close()
	var have []byte
	chunk := make([]byte, 4<<10)
	for {
		h, n, err := mqtt.ParseHeader(have, 0)
		if err != nil {
			return
		}
		if end := n + h.Remaining; n > 0 && len(have) >= end {
			if l.take(h, bytes.Clone(have[n:end]), connack, deliver) != nil {
				return
			}
			have = have[end:]
			continue
		}
		got, err := l.conn.Read(chunk)
		have = append(have, chunk[:got]...)
		if err != nil && got == 0 {
			return
		}
	}
}

func (l *line) take(h mqtt.Header, body []byte, connack chan<- *mqtt.Connack, deliver func(*mqtt.Publish)) error {
	const v = mqtt.V311
	switch h.Type {
	case mqtt.CONNACK:
		p := new(mqtt.Connack)
		if err := p.Decode(h, body, v); err != nil {
			return err
		}
		connack <- p
	case mqtt.PUBLISH:
		p := new(mqtt.Publish)
		if err := p.Decode(h, body, v); err != nil {
			return err
		}
		l.receive(p, deliver)
	case mqtt.SUBACK:
		p := new(mqtt.Suback)
		if err := p.Decode(h, body, v); err != nil {
			return err
		}
		l.acks <- ack{h.Type, p.ID, p.Codes[0]}
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		p := new(mqtt.Ack)
		if err := p.Decode(h, body, v); err != nil {
			return err
		}
		if h.Type == mqtt.PUBREL {
			delete(l.taken, p.ID)
			l.send(&mqtt.Ack{Type: mqtt.PUBCOMP, ID: p.ID})
			return nil
		}
		l.acks <- ack{h.Type, p.ID, 0}
	}
	return nil
}

func (l *line) receive(p *mqtt.Publish, deliver func(*mqtt.Publish)) {
	switch p.QoS {
	case protocol.AtMostOnce:
		deliver(p)
	case protocol.AtLeastOnce:
		deliver(p)
		l.send(&mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
	case protocol.ExactlyOnce:
		if !l.taken[p.PacketID] {
			l.taken[p.PacketID] = true
			deliver(p)
		}
		l.send(&mqtt.Ack{Type: mqtt.PUBREC, ID: p.PacketID})
	}
}
