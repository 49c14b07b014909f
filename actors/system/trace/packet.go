package trace

import (
	"fmt"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// Received writes a packet that has come from the client.
func (p *Tap) Received(h mqtt.Header, body []byte, v mqtt.Version) {
	p.Say("RECV " + packetText(h, body, v))
}

// Sent writes the packets that go to the client.
func (p *Tap) Sent(packets []byte, v mqtt.Version) {
	for len(packets) > 0 {
		h, n, err := mqtt.ParseHeader(packets, 0)
		if err != nil || n == 0 || n+h.Remaining > len(packets) {
			return // our own packets are whole
		}
		p.Say("SEND " + packetText(h, packets[n:n+h.Remaining], v))
		packets = packets[n+h.Remaining:]
	}
}

// packetText is a packet in one line, without its payload.
func packetText(h mqtt.Header, body []byte, v mqtt.Version) string {
	switch h.Type {
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(h, body, v); err != nil {
			return "PUBLISH: " + err.Error()
		}
		return fmt.Sprintf("PUBLISH(qos=%d retain=%t dup=%t topic=%s alias=%d packet_id=%d payload=%d bytes)",
			p.QoS, p.Retain, p.Dup, quote(string(p.Topic)), p.TopicAlias, p.PacketID, len(p.Payload))
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var p mqtt.Ack
		if err := p.Decode(h, body, v); err != nil {
			return h.Type.String() + ": " + err.Error()
		}
		return fmt.Sprintf("%s(packet_id=%d code=%s)", h.Type, p.ID, p.Code)
	case mqtt.SUBSCRIBE, mqtt.UNSUBSCRIBE:
		return filtersText(h, body, v)
	case mqtt.SUBACK, mqtt.UNSUBACK:
		if len(body) < 2 {
			return h.Type.String()
		}
		return fmt.Sprintf("%s(packet_id=%d)", h.Type, protocol.PacketID(body[0])<<8|protocol.PacketID(body[1]))
	default:
		return h.Type.String()
	}
}

func filtersText(h mqtt.Header, body []byte, v mqtt.Version) string {
	text := ""
	id := protocol.PacketID(0)
	if h.Type == mqtt.SUBSCRIBE {
		var p mqtt.Subscribe
		if err := p.Decode(h, body, v); err != nil {
			return "SUBSCRIBE: " + err.Error()
		}
		id = p.ID
		for _, s := range p.Subscriptions {
			text += fmt.Sprintf(" %s:%d", quote(s.Filter), s.QoS)
		}
	} else {
		var p mqtt.Unsubscribe
		if err := p.Decode(h, body, v); err != nil {
			return "UNSUBSCRIBE: " + err.Error()
		}
		id = p.ID
		for _, f := range p.Filters {
			text += " " + quote(f)
		}
	}
	return fmt.Sprintf("%s(packet_id=%d%s)", h.Type, id, text)
}
