package store

import "emqttd/protocol"

// SessionID names a session in the store for as long as it lives. It is never
// given twice, whatever becomes of the client identifier.
type SessionID uint64

// Session is what is kept of a session besides its subscriptions and messages.
type Session struct {
	ID       SessionID
	ClientID string
	Owner    string // user name that it belongs to; empty for anybody's
	Created  int64  // Unix seconds
	Clean    bool   // Clean Session or Clean Start of its last CONNECT
	// Connected says that its client was connected when this was written.
	Connected bool
	// Moving says that a complete copy of the session was given to another node, or
	// came from one, and that it is not known which of the two goes on: if another
	// session has the client identifier, this one is void.
	Moving  bool
	Expiry  int64 // Session Expiry Interval in seconds; 0xFFFFFFFF is never
	Expires int64 // Unix milliseconds; 0 while connected, or never
	Will    *Will // nil for none
}

// Will is a Will Message that has not been published yet.
type Will struct {
	Message *protocol.Message
	Delay   int64 // Will Delay Interval in seconds
	Expiry  int64 // Message Expiry Interval in seconds, 0 for none
	Due     int64 // Unix milliseconds while it waits to be published, else 0
}

// Subscription is one subscription of a session. Text is what the client wrote,
// with its $share or $queue prefix.
type Subscription struct {
	Text              string
	QoS               protocol.QoS
	NoLocal           bool
	RetainAsPublished bool
	ID                uint32 // Subscription Identifier, 0 for none
}

// Item is one message that waits for one session or is in flight to it.
//
// An item is written once: no two items of a session have the same Priority and
// Seq, not even one after the other.
type Item struct {
	Seq      uint64
	Priority int16
	Message  *protocol.Message
	QoS      protocol.QoS // at which the session gets it
	Retain   bool
	// Shared says that the message is kept once for several sessions.
	Shared  bool
	SubID   uint32
	MoreIDs []uint32 // of overlapping subscriptions
}

// Window says which items of a session are alive: those whose Seq is not below
// the head of their level, and those that a flight names which is not spent. All
// others are dead, whether they have been deleted already or not.
type Window struct {
	LastID  protocol.PacketID // handed out last
	NextSeq uint64
	Heads   []Head   // of levels that are not listed, NextSeq is the head
	Flights []Flight // in sending order
}

// Head is the first sequence number of a priority level that still waits.
type Head struct {
	Priority int16
	Seq      uint64
}

// Flight is a message that has been sent and not been acknowledged in full. Of
// its phases the store knows one, PhaseSpent.
type Flight struct {
	ID       protocol.PacketID
	Priority int16
	Seq      uint64
	Phase    uint8
}

// PhaseSpent is the phase of a flight of QoS 2 for which PUBREC has come: only
// its identifier is still needed, so that its item is dead.
const PhaseSpent uint8 = 3
