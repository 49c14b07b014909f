package courier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// line is a connection to the other broker, as a client of it.
type line struct {
	*bridge
	conn  net.Conn
	write sync.Mutex // of whole packets
	have  []byte     // received, not complete
	acked chan uint16
}

const (
	dialTime  = 10 * time.Second
	writeTime = 10 * time.Second
	keepAlive = 30 * time.Second
	// window is how many messages may be without acknowledgement.
	window = 100
)

func (l *line) put(packet []byte) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := l.conn.Write(packet)
	return err
}

// greet connects and subscribes. The other broker keeps the session, and in it what
// comes for this one while the connection is away.
func (l *line) greet() error {
	id := "courier-" + l.env.Node
	hello := mqtt.Connect{Version: mqtt.V311, ClientID: id, KeepAlive: uint16(keepAlive / time.Second)}
	if err := l.put(hello.Append(nil, mqtt.V311)); err != nil {
		return err
	}
	h, body, err := l.next()
	if err != nil {
		return err
	}
	var ack mqtt.Connack
	if err := ack.Decode(h, body, mqtt.V311); err != nil {
		return fmt.Errorf("the other broker's CONNACK: %w", err)
	}
	if ack.Code != 0 {
		return fmt.Errorf("the other broker refuses: %v", ack.Code)
	}
	want := mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: string(l.in), QoS: protocol.AtLeastOnce}}}
	return l.put(want.Append(nil, mqtt.V311))
}

// next reads a packet. The body is valid until the next one.
func (l *line) next() (mqtt.Header, []byte, error) {
	var chunk [4096]byte
	for {
		h, n, err := mqtt.ParseHeader(l.have, 0)
		if err != nil {
			return h, nil, err
		}
		if end := n + h.Remaining; n > 0 && len(l.have) >= end {
			body := l.have[n:end:end]
			l.have = l.have[end:]
			return h, body, nil
		}
		if err := l.conn.SetReadDeadline(time.Now().Add(2 * keepAlive)); err != nil {
			return h, nil, err
		}
		n, err = l.conn.Read(chunk[:])
		if err != nil {
			return h, nil, err
		}
		l.have = append(l.have[:len(l.have):len(l.have)], chunk[:n]...)
	}
}

// receive publishes here what comes from there, until the connection ends.
func (l *line) receive() error {
	for {
		h, body, err := l.next()
		if err != nil {
			return err
		}
		switch h.Type {
		case mqtt.PUBLISH:
			err = l.received(h, body)
		case mqtt.PUBACK:
			err = l.acknowledged(h, body)
		}
		if err != nil {
			return err
		}
	}
}

func (l *line) received(h mqtt.Header, body []byte) error {
	var p mqtt.Publish
	if err := p.Decode(h, body, mqtt.V311); err != nil {
		return err
	}
	l.env.Publish(&protocol.Message{
		Topic: topic.Name(l.prefix) + p.Topic, Payload: append([]byte(nil), p.Payload...),
		QoS: p.QoS, Retain: p.Retain, From: l.env.Name, Arrived: time.Now().UnixMilli(),
	})
	if p.QoS == protocol.AtMostOnce {
		return nil
	}
	ack := mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID}
	return l.put(ack.Append(nil, mqtt.V311))
}

var errAck = errors.New("the other broker acknowledges what it was not sent")

func (l *line) acknowledged(h mqtt.Header, body []byte) error {
	var ack mqtt.Ack
	if err := ack.Decode(h, body, mqtt.V311); err != nil {
		return err
	}
	select {
	case l.acked <- uint16(ack.ID):
		return nil
	default:
		return errAck
	}
}

// send carries what is not acknowledged once more, and then the queue, until the
// connection ends.
func (l *line) send(ctx context.Context, failed <-chan error) error {
	for _, c := range l.sent {
		if err := l.publish(c, true); err != nil {
			return err
		}
	}
	ping := time.NewTicker(keepAlive / 2)
	defer ping.Stop()
	for {
		queue := l.queue
		if len(l.sent) == window {
			queue = nil
		}
		var err error
		select {
		case m := <-queue:
			l.last = l.last%65535 + 1 // 0 is none
			c := carried{l.last, m}
			l.sent = append(l.sent, c)
			err = l.publish(c, false)
		case id := <-l.acked: // they come in the order of the messages
			if len(l.sent) == 0 || l.sent[0].id != id {
				return errAck
			}
			l.sent = append(l.sent[:0], l.sent[1:]...)
		case <-ping.C:
			err = l.put(mqtt.AppendPingreq(nil))
		case err = <-failed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (l *line) publish(c carried, again bool) error {
	p := mqtt.Publish{
		PacketID: protocol.PacketID(c.id), Topic: c.message.Topic, Payload: c.message.Payload,
		QoS: protocol.AtLeastOnce, Retain: c.message.Retain, Dup: again,
	}
	return l.put(p.Append(nil, mqtt.V311))
}
