package link

import (
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// What links tell each other. The first four open a stream, one message each.
const (
	kindHello = wire.KindLink + iota
	kindJoin
	kindWelcome
	kindRefusal
	kindStatus
	kindBye
	kindReady // on the control lane: behind all that the services have sent before
	kindKnown // on the control lane
)

// hello says who one is; the dialler begins. Names and numbers in it are signed by
// proofs, the acceptor's in its hello, the dialler's in its join.
type hello struct {
	Oldest, Version uint8 // of the bodies that this node reads
	Cluster         string
	Name            string
	Address         string // of its PIDs, where it can be dialled
	Incarnation     uint64
	Broker          string // version of the program
	Nonce           []byte
	Proof           []byte // of the acceptor
	Stamp           cluster.Stamp
}

// join asks to resume a conversation, or for a new one if its number is 0.
type join struct {
	Proof        []byte
	Conversation uint64
	Control      uint64 // the last message that was received in each lane
	Data         uint64
	Stamp        cluster.Stamp
}

// welcome says which conversation it is.
type welcome struct {
	Conversation  uint64
	Control, Data uint64 // as in join
}

// refusal says why there will be none.
type refusal struct {
	Reason string
	Detail string
}

// status is the heartbeat, and whatever acknowledges.
type status struct {
	Control uint64 // acknowledged: handlers up to this one have returned
	Data    uint64
	Bytes   int   // credit: how much data may be unacknowledged
	Count   int   // and how many messages of it
	Time    int64 // when this was written, nanoseconds of the writer's own
	Echo    int64 // the newest Time that was heard from the reader of this
	Held    int64 // for how many nanoseconds it has been held
	Ask     bool  // answer at once
	Stamp   cluster.Stamp
}

// bye ends a conversation.
type bye struct {
	Left    bool // not to come back by itself
	Expel   bool // the reader is to leave the cluster
	Because string
}

// ready says that the services of one side have what they need.
type ready struct{}

// known tells whom one knows, so that everybody finds everybody.
type known struct{ Nodes []contact }

type contact struct{ Name, Address string }

// Serialize makes it a wire.Message.
func (m *hello) Serialize() (wire.Serialized, error) { return wire.Encode(kindHello, m) }

// Serialize makes it a wire.Message.
func (m *join) Serialize() (wire.Serialized, error) { return wire.Encode(kindJoin, m) }

// Serialize makes it a wire.Message.
func (m *welcome) Serialize() (wire.Serialized, error) { return wire.Encode(kindWelcome, m) }

// Serialize makes it a wire.Message.
func (m *refusal) Serialize() (wire.Serialized, error) { return wire.Encode(kindRefusal, m) }

// Serialize makes it a wire.Message.
func (m *status) Serialize() (wire.Serialized, error) { return wire.Encode(kindStatus, m) }

// Serialize makes it a wire.Message.
func (m *bye) Serialize() (wire.Serialized, error) { return wire.Encode(kindBye, m) }

// Serialize makes it a wire.Message.
func (m *ready) Serialize() (wire.Serialized, error) { return wire.Encode(kindReady, m) }

// Serialize makes it a wire.Message.
func (m *known) Serialize() (wire.Serialized, error) { return wire.Encode(kindKnown, m) }

func init() {
	wire.Register(kindHello, func() any { return new(hello) })
	wire.Register(kindJoin, func() any { return new(join) })
	wire.Register(kindWelcome, func() any { return new(welcome) })
	wire.Register(kindRefusal, func() any { return new(refusal) })
	wire.Register(kindStatus, func() any { return new(status) })
	wire.Register(kindBye, func() any { return new(bye) })
	wire.Register(kindReady, func() any { return new(ready) })
	wire.Register(kindKnown, func() any { return new(known) })
}
