package mqtt

import (
	"encoding/binary"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Publish is a PUBLISH packet (3.3).
type Publish struct {
	// Topic is empty only in MQTT 5 and with a TopicAlias.
	Topic   topic.Name
	Payload []byte
	// Properties are the MQTT 5 properties that travel with the message, in wire
	// form without their length: what MessageProperties reads. Topic Alias,
	// Message Expiry Interval and Subscription Identifier are never among them:
	// they belong to one hop. nil for none; not sent to 3.x.
	Properties []byte
	// SubscriptionIDs are sent by a server only. [MQTT-3.3.4-6]
	SubscriptionIDs []uint32
	// MessageExpiry is in seconds and counts if HasMessageExpiry.
	MessageExpiry    uint32
	HasMessageExpiry bool
	// TopicAlias is 0 if there is none.
	TopicAlias uint16
	// PacketID is 0 exactly if QoS is 0.
	PacketID protocol.PacketID
	QoS      protocol.QoS
	Retain   bool
	Dup      bool
	// PayloadFormat is what Properties say: 1 if the payload is UTF-8. Decode
	// sets it, Append does not look at it.
	PayloadFormat byte
}

// Decode reads the body of a PUBLISH. It overwrites all of p. Topic, Payload and
// Properties alias body, or if hop-by-hop properties stand between others,
// Properties is a copy; all of it is valid until body is reused.
func (p *Publish) Decode(h Header, body []byte, v Version) error {
	*p = Publish{
		QoS:             protocol.QoS(h.Flags >> 1 & 3),
		Retain:          h.Flags&1 != 0,
		Dup:             h.Flags&dupFlag != 0,
		SubscriptionIDs: p.SubscriptionIDs[:0],
	}
	if !p.QoS.Valid() {
		return ErrInvalidQoS // [MQTT-3.3.1-4]
	}
	if p.Dup && p.QoS == protocol.AtMostOnce {
		return ErrDupQoS0 // [MQTT-3.3.1-2]
	}
	if len(body) < 2 {
		return ErrTruncated
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n {
		return ErrTruncated
	}
	if e := checkTopicName(body[2:n]); e != nil {
		return e
	}
	p.Topic = topic.Name(alias(body[2:n]))
	body = body[n:]
	if p.QoS != protocol.AtMostOnce {
		if len(body) < 2 {
			return ErrTruncated
		}
		p.PacketID = protocol.PacketID(binary.BigEndian.Uint16(body))
		if p.PacketID == 0 {
			return ErrPacketIDZero // [MQTT-2.3.1-1]
		}
		body = body[2:]
	}
	if v == V5 {
		return p.decodeProperties(h, body)
	}
	if p.Topic == "" {
		return ErrTopicEmpty // [MQTT-4.7.3-1]
	}
	p.Payload = body
	return nil
}

// decodeProperties reads what follows the Packet Identifier in MQTT 5.
func (p *Publish) decodeProperties(h Header, body []byte) error {
	if err := h.Check(V5); err != nil {
		return err
	}
	if len(body) > 0 && body[0] == 0 {
		p.Payload = body[1:]
	} else {
		x := hop{ids: p.SubscriptionIDs}
		r := reader{b: body}
		if x.decode(&r, inPublish); r.err != nil {
			return r.err
		}
		p.Properties, p.Payload, p.SubscriptionIDs = x.rest, r.b, x.ids
		p.MessageExpiry, p.HasMessageExpiry = x.expiry, x.hasExpiry
		p.TopicAlias, p.PayloadFormat = x.alias, x.format
	}
	if p.Topic == "" && p.TopicAlias == 0 {
		return ErrTopicEmpty
	}
	return nil
}

// CheckFromClient applies the rules for a PUBLISH that a client sent to a
// server.
func (p *Publish) CheckFromClient() error {
	if len(p.SubscriptionIDs) != 0 {
		return ErrSubscriptionIDSent // [MQTT-3.3.4-6]
	}
	return nil
}

// propertiesSize is the Property Length.
func (p *Publish) propertiesSize() int {
	n := len(p.Properties)
	if p.TopicAlias != 0 {
		n += 3
	}
	if p.HasMessageExpiry {
		n += 5
	}
	for _, id := range p.SubscriptionIDs {
		n += 1 + varintSize(id)
	}
	return n
}

// remaining is the Remaining Length, given the Property Length.
func (p *Publish) remaining(v Version, props int) int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS != protocol.AtMostOnce {
		n += 2
	}
	if v == V5 {
		n += varintSize(uint32(props)) + props
	}
	return n
}

// Size is the length on the wire in version v, fixed header included.
func (p *Publish) Size(v Version) int {
	props := 0
	if v == V5 {
		props = p.propertiesSize()
	}
	return packetSize(p.remaining(v, props))
}

// Append writes the packet to the end of dst. It panics if the topic is longer
// than 65535 bytes or the packet than MaxRemaining; what the values mean is not
// checked.
func (p *Publish) Append(dst []byte, v Version) []byte { return AppendPublish(dst, v, p) }

// AppendPublish is Publish.Append. It does not allocate if dst has room.
func AppendPublish(dst []byte, v Version, p *Publish) []byte {
	flags := byte(p.QoS&3) << 1
	if p.Retain {
		flags |= 1
	}
	if p.Dup {
		flags |= dupFlag
	}
	props := 0
	if v == V5 {
		props = p.propertiesSize()
	}
	dst = appendHeader(dst, PUBLISH, flags, p.remaining(v, props))
	dst = appendString(dst, p.Topic)
	if p.QoS != protocol.AtMostOnce {
		dst = append(dst, byte(p.PacketID>>8), byte(p.PacketID))
	}
	if v == V5 {
		dst = p.appendProperties(appendVarint(dst, uint32(props)))
	}
	return append(dst, p.Payload...)
}

func (p *Publish) appendProperties(dst []byte) []byte {
	w := propWriter{dst: dst}
	if p.TopicAlias != 0 {
		w.u16(propTopicAlias, p.TopicAlias)
	}
	if p.HasMessageExpiry {
		w.u32(propMessageExpiry, p.MessageExpiry)
	}
	for _, id := range p.SubscriptionIDs {
		w.varint(propSubscriptionID, id)
	}
	return append(w.dst, p.Properties...)
}
