// Package linegate is an example of a gateway: a protocol of lines, for which netcat is
// a client.
//
//	CONNECT name          → OK, or REFUSED code
//	SUB filter            → SUBBED
//	PUB topic text        (and for subscribers: MSG topic text)
//	BYE
package linegate

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"emqttd/actors/plugins"
	"emqttd/actors/plugins/gateway"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// Plugin is the plugin; etc/plugins/linegate.conf has its address.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{Name: "linegate", Version: "1.0", Description: "Clients that speak lines", Start: func(e *plugins.Env) error {
		r := e.Settings.Read()
		o := gateway.Options{
			Protocol: "line", Address: r.String("linegate.listen", "127.0.0.1:7070"), MaxMessage: 64 << 10,
			TLS: gateway.TLS(e, r, "linegate"), New: func(net.Addr) gateway.Codec { return new(codec) },
		}
		if err := r.Err(); err != nil {
			return err
		}
		addr, err := gateway.Serve(e, o)
		if err == nil {
			e.Log.Info("lines are spoken", "address", addr.String())
		}
		return err
	}}
}

// codec is the protocol of one client.
type codec struct{ connected bool }

// FromClient implements gateway.Codec.
func (c *codec) FromClient(dst, src []byte) ([]byte, int, error) {
	used := 0
	for {
		line, _, whole := bytes.Cut(src[used:], []byte("\n"))
		if !whole {
			return dst, used, nil
		}
		used += len(line) + 1
		packet, err := c.line(bytes.TrimSuffix(line, []byte("\r")))
		if err != nil {
			return dst, used, err
		}
		dst = packet.Append(dst, mqtt.V311)
	}
}

// packet is a Control Packet.
type packet interface {
	Append(dst []byte, v mqtt.Version) []byte
}

func (c *codec) line(line []byte) (packet, error) {
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	switch {
	case string(verb) == "CONNECT" && !c.connected:
		c.connected = true
		return &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: string(rest)}, nil
	case !c.connected:
		return nil, errors.New("the first line is not CONNECT name")
	case string(verb) == "SUB":
		return &mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: string(rest)}}}, nil
	case string(verb) == "PUB":
		name, text, _ := bytes.Cut(rest, []byte(" "))
		return &mqtt.Publish{Topic: topic.Name(name), Payload: text}, nil
	case string(verb) == "BYE":
		return &mqtt.Disconnect{}, nil
	default:
		return nil, fmt.Errorf("%q is no line", line)
	}
}

// ToClient implements gateway.Codec.
func (c *codec) ToClient(dst []byte, h mqtt.Header, body []byte) ([]byte, error) {
	switch h.Type {
	case mqtt.CONNACK:
		var p mqtt.Connack
		if err := p.Decode(h, body, mqtt.V311); err != nil {
			return dst, err
		}
		if p.Code != 0 {
			return fmt.Appendf(dst, "REFUSED %d\n", p.Code), nil
		}
		return append(dst, "OK\n"...), nil
	case mqtt.SUBACK:
		return append(dst, "SUBBED\n"...), nil
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(h, body, mqtt.V311); err != nil {
			return dst, err
		}
		return fmt.Appendf(dst, "MSG %s %s\n", p.Topic, p.Payload), nil
	default:
		return dst, nil
	}
}
