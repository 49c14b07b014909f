package courier

import (
	"context"
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
}

const (
	dialTime  = 10 * time.Second
	writeTime = 10 * time.Second
	keepAlive = 30 * time.Second
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

// greet connects and subscribes.
func (l *line) greet() error {
	id := "courier-" + l.env.Node
	hello := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: id, KeepAlive: uint16(keepAlive / time.Second)}
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
	want := mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: string(l.in)}}}
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
		if h.Type != mqtt.PUBLISH {
			continue
		}
		var p mqtt.Publish
		if err := p.Decode(h, body, mqtt.V311); err != nil {
			return err
		}
		l.env.Publish(&protocol.Message{
			Topic: topic.Name(l.prefix) + p.Topic, Payload: append([]byte(nil), p.Payload...),
			Retain: p.Retain, From: l.env.Name, Arrived: time.Now().UnixMilli(),
		})
	}
}

// send empties the queue until the connection ends. A message that could not be
// written is lost: this example carries with QoS 0.
func (l *line) send(ctx context.Context, failed <-chan error) error {
	ping := time.NewTicker(keepAlive / 2)
	defer ping.Stop()
	for {
		var p []byte
		select {
		case m := <-l.queue:
			publish := mqtt.Publish{Topic: m.Topic, Payload: m.Payload, Retain: m.Retain}
			p = publish.Append(nil, mqtt.V311)
		case <-ping.C:
			p = mqtt.AppendPingreq(nil)
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.put(p); err != nil {
			return err
		}
	}
}
