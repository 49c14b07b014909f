package main

import (
	"context"
	"fmt"
	"net"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// client speaks just enough MQTT 3.1.1 to fill and drain queues.
type client struct {
	conn net.Conn
	buf  []byte
	n    int // bytes in buf
}

func dial(ctx context.Context, port, id string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, buf: make([]byte, 256<<10)}
	hello := mqtt.Connect{Version: mqtt.V311, ClientID: id}
	if _, err := conn.Write(hello.Append(nil, mqtt.V311)); err != nil {
		return nil, err
	}
	_, err = c.read(one, func(h mqtt.Header, body []byte) error {
		if h.Type != mqtt.CONNACK || len(body) != 2 || body[1] != 0 {
			return fmt.Errorf("%s was refused: % x", id, body)
		}
		return nil
	})
	return c, err
}

func (c *client) subscribe(filter string) error {
	p := mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: protocol.AtLeastOnce}}}
	if _, err := c.conn.Write(p.Append(nil, mqtt.V311)); err != nil {
		return err
	}
	_, err := c.read(one, func(mqtt.Header, []byte) error { return nil })
	return err
}

func (c *client) close() { _ = c.conn.Close() }

// one is for read: no more than the next packet.
const one = 1

// read hands over the packets that are complete, at most limit of them, 0 for
// all, and reads from the socket if there are none. The bodies are gone
// afterwards.
func (c *client) read(limit int, packet func(mqtt.Header, []byte) error) (packets int, err error) {
	for {
		packets, err = c.take(limit, packet)
		if packets > 0 || err != nil {
			return packets, err
		}
		n, err := c.conn.Read(c.buf[c.n:])
		if err != nil {
			return 0, err
		}
		c.n += n
	}
}

func (c *client) take(limit int, packet func(mqtt.Header, []byte) error) (packets int, err error) {
	done := 0
	for done < c.n && (limit == 0 || packets < limit) {
		h, k, err := mqtt.ParseHeader(c.buf[done:c.n], 0)
		if err != nil {
			return packets, err
		}
		end := done + k + h.Remaining
		if k == 0 || end > c.n {
			break
		}
		if err := packet(h, c.buf[done+k:end]); err != nil {
			return packets, err
		}
		done = end
		packets++
	}
	c.n = copy(c.buf, c.buf[done:c.n])
	return packets, nil
}

// publish sends n messages of QoS 1, at most window of them unacknowledged, to
// the topics in turn.
func (c *client) publish(n, window, size int, retain bool, name func(i int) string) error {
	payload := make([]byte, size)
	sent, acked := 0, 0
	var out []byte
	for acked < n {
		for out = out[:0]; sent < n && sent-acked < window; sent++ {
			p := mqtt.Publish{
				Topic: topicName(name(sent)), Payload: payload, QoS: protocol.AtLeastOnce, Retain: retain,
				PacketID: protocol.PacketID(sent%65535 + 1),
			}
			out = mqtt.AppendPublish(out, mqtt.V311, &p)
		}
		if _, err := c.conn.Write(out); err != nil {
			return err
		}
		k, err := c.read(0, func(h mqtt.Header, _ []byte) error {
			if h.Type != mqtt.PUBACK {
				return fmt.Errorf("packet %d instead of PUBACK", h.Type)
			}
			return nil
		})
		if err != nil {
			return err
		}
		acked += k
	}
	return nil
}

// drain receives n messages and acknowledges them.
func (c *client) drain(n int) (got int, err error) {
	var p mqtt.Publish
	var out []byte
	for got < n {
		out = out[:0]
		_, err := c.read(0, func(h mqtt.Header, body []byte) error {
			if err := p.Decode(h, body, mqtt.V311); err != nil {
				return err
			}
			out = mqtt.AppendAck(out, mqtt.PUBACK, mqtt.V311, p.PacketID, protocol.Success)
			got++
			return nil
		})
		if err != nil {
			return got, err
		}
		if _, err := c.conn.Write(out); err != nil {
			return got, err
		}
	}
	return got, nil
}
