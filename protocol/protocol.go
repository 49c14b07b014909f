// Package protocol is the vocabulary that all layers share: client
// identifiers, quality of service, packet identifiers, reason codes and the
// Application Message. It holds values and rules only; nothing in it knows of
// actors, sockets, goroutines, clocks or loggers.
package protocol

import "emqttd/protocol/topic"

// ClientID is a Client Identifier: UTF-8, 1 to 65535 bytes (MQTT 3.1.3.1).
type ClientID = string

// PacketID is a Packet Identifier. Zero means none: it is never on the wire
// (MQTT 2.2.1).
type PacketID uint16

// QoS is a quality of service level. Only 0, 1 and 2 exist (MQTT 4.3).
type QoS uint8

// The three levels.
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Valid tells whether q is one of the three levels. [MQTT-3.3.1-4]
func (q QoS) Valid() bool { return q <= ExactlyOnce }

// Message is an Application Message on its way through the broker. Once it has
// been published it is immutable and shared by every receiver: nobody writes to
// it or to the bytes it refers to.
//
// Topic, Payload and Properties may share one larger allocation with the other
// messages of one read; whoever keeps a message for long takes a Clone.
type Message struct {
	Topic   topic.Name
	Payload []byte
	// Properties are the PUBLISH properties to forward, in MQTT 5 wire form and
	// without their length: all but Topic Alias, Message Expiry Interval and
	// Subscription Identifier, which belong to one hop. nil for none.
	Properties []byte
	// From is the client that published it; empty for the broker itself.
	From ClientID
	// Arrived is when the broker took the message over, in Unix milliseconds.
	Arrived int64
	// Expires is when it may no longer be delivered, in Unix milliseconds; 0 is
	// never. [MQTT-3.3.2-5]
	Expires int64
	// StoreID names the record in which the store keeps the message for several
	// sessions; 0 for none. The store sets it, under the lock of the receipt in
	// which the message is entered; only those who entered it may read it.
	StoreID uint64
	// Origin and Serial tell this message from every other one in a cluster:
	// the incarnation of the node that took it over, and its number there. They
	// are set before anybody else sees the message; zero where there is one node,
	// and on messages that come from the store.
	Origin, Serial uint64
	// QoS is the level at which it was published.
	QoS QoS
	// Retain is the RETAIN flag as published, or true on a message that comes
	// from a retained store.
	Retain bool
	// Sys marks what the broker says of itself ($SYS): it is not counted as
	// traffic.
	Sys bool
	// Tag names what a trace remembers of the message; 0 if it is not traced. It
	// is set before the message is published.
	Tag uint32
}

// Size is what a message counts for in a bound by bytes: its contents and a
// fixed overhead for the bookkeeping around it.
func (m *Message) Size() int {
	const overhead = 128 // struct and queue entry, rounded up to a size class
	return len(m.Topic) + len(m.Payload) + len(m.Properties) + overhead
}

// Clone copies the message into memory of its own, so that keeping it does not
// keep the whole read buffer it came from.
func (m *Message) Clone() *Message {
	c := *m
	c.StoreID = 0 // the copy is in no record
	b := make([]byte, len(m.Topic)+len(m.Payload)+len(m.Properties))
	n := copy(b, m.Topic)
	c.Topic = topic.Name(b[:n])
	if m.Payload != nil {
		k := copy(b[n:], m.Payload)
		c.Payload = b[n : n+k : n+k]
		n += k
	}
	if m.Properties != nil {
		k := copy(b[n:], m.Properties)
		c.Properties = b[n : n+k : n+k]
	}
	return &c
}

// Expired tells whether the message's time is over at now (Unix milliseconds).
func (m *Message) Expired(now int64) bool { return m.Expires != 0 && now >= m.Expires }
