package sessions

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster/wire"
	"emqttd/protocol"
)

// The kinds of messages between sessions of different nodes. A number is never
// used for something else.
const (
	kindDiscard = wire.KindSessions + iota
	kindEnded
	kindRefused
	kindTakenOver
	kindExport
	kindChunk
	kindTaken
	kindReady
	kindImported
	kindForgo
	kindInvite
	kindMerge
	kindMerged
	kindBarrier
	kindPassed // data lane
)

// address is a PID on the wire.
type address struct {
	Node string `msgpack:"n,omitempty"`
	ID   string `msgpack:"i,omitempty"`
}

func addressOf(p *actor.PID) address { return address{Node: p.GetAddress(), ID: p.GetId()} }

// pid is nil for no address.
func (a address) pid() *actor.PID {
	if a.ID == "" {
		return nil
	}
	return actor.NewPID(a.Node, a.ID)
}

// discardOnWire is a Discard for another node.
type discardOnWire struct {
	ReplyTo    address `msgpack:"r"`
	Owned      bool    `msgpack:"o,omitempty"`
	Owner      string  `msgpack:"u,omitempty"`
	Generation uint64  `msgpack:"g,omitempty"`
}

// Serialize makes Discard a wire.Message.
func (m *Discard) Serialize() (wire.Serialized, error) {
	return wire.Encode(kindDiscard, &discardOnWire{
		ReplyTo: addressOf(m.ReplyTo), Owned: m.Owned, Owner: m.Owner, Generation: m.Generation,
	})
}

// Serialize makes it a wire.Message.
func (m *discardOnWire) Serialize() (wire.Serialized, error) { return wire.Encode(kindDiscard, m) }

// MailboxClass is that of Discard.
func (*discardOnWire) MailboxClass() kernel.Class { return kernel.Subscribe }

// IgnoreDeadLetterLogging is that of Discard.
func (*discardOnWire) IgnoreDeadLetterLogging() {}

func (m *discardOnWire) discard() *Discard {
	return &Discard{ReplyTo: m.ReplyTo.pid(), Owned: m.Owned, Owner: m.Owner, Generation: m.Generation}
}

// Serialize makes it a wire.Message.
func (m *Ended) Serialize() (wire.Serialized, error) { return wire.Encode(kindEnded, m) }

// Serialize makes it a wire.Message.
func (m *Refused) Serialize() (wire.Serialized, error) { return wire.Encode(kindRefused, m) }

// Serialize makes it a wire.Message.
func (m *TakenOver) Serialize() (wire.Serialized, error) { return wire.Encode(kindTakenOver, m) }

// Export asks a session to move to the sender, a session on another node. It
// answers with Chunk, or with Ended, Refused, TakenOver or Forgo. From then on it
// has no client any more; but it is whole until it is told Imported.
type Export struct {
	ClientID   protocol.ClientID `msgpack:"c"`
	Generation uint64            `msgpack:"g"`
	// Client says that a client wants it, who is Owner (see Attach). Else the
	// session moves as it is, if it has no client.
	Client bool   `msgpack:"a,omitempty"`
	Owner  string `msgpack:"u,omitempty"`
}

// Chunk is a piece of a session that moves: see records. Answered by Taken.
type Chunk struct {
	Generation uint64 `msgpack:"g"`
	N          uint32 `msgpack:"n"` // from 0 on
	Data       []byte `msgpack:"d,omitempty"`
	// CaughtUp says that everything has been sent that came before this moment.
	// The receiver subscribes and says Ready.
	CaughtUp bool `msgpack:"u,omitempty"`
	// Last says that the receiver has everything that it does not get itself.
	Last bool `msgpack:"l,omitempty"`
}

// Taken says that a chunk is as safe as the receiver keeps it.
type Taken struct {
	Generation uint64 `msgpack:"g"`
	N          uint32 `msgpack:"n"`
}

// Ready says that whatever is published from now on, wherever, reaches the
// receiver of the chunks.
type Ready struct {
	Generation uint64 `msgpack:"g"`
}

// Imported says that the receiver has everything, and can keep it: the session
// that has moved ends and answers Ended.
type Imported struct {
	Generation uint64 `msgpack:"g"`
}

// Forgo says that one side gives up a move.
type Forgo struct {
	Generation uint64 `msgpack:"g"`
}

// Invite asks a node to take a session over that has no client.
type Invite struct {
	ClientID protocol.ClientID `msgpack:"c"`
	Session  string            `msgpack:"s"`           // id of its actor
	Kept     bool              `msgpack:"k,omitempty"` // durability class disk
}

// Merge is a piece of the queue of a session that has lost its place to the
// receiver. Answered by Merged.
type Merge struct {
	ClientID protocol.ClientID `msgpack:"c"`
	N        uint32            `msgpack:"n"`
	Data     []byte            `msgpack:"d,omitempty"`
	Last     bool              `msgpack:"l,omitempty"`
}

// Merged says that a piece is as safe as the receiver keeps it.
type Merged struct {
	N uint32 `msgpack:"n"`
}

// barrier asks a peer to say passed when whatever its clients had published
// before has been sent.
type barrier struct {
	Token uint64 `msgpack:"t"`
}

// These make them wire.Messages.

func (m *Export) Serialize() (wire.Serialized, error)   { return wire.Encode(kindExport, m) }
func (m *Chunk) Serialize() (wire.Serialized, error)    { return wire.Encode(kindChunk, m) }
func (m *Taken) Serialize() (wire.Serialized, error)    { return wire.Encode(kindTaken, m) }
func (m *Ready) Serialize() (wire.Serialized, error)    { return wire.Encode(kindReady, m) }
func (m *Imported) Serialize() (wire.Serialized, error) { return wire.Encode(kindImported, m) }
func (m *Forgo) Serialize() (wire.Serialized, error)    { return wire.Encode(kindForgo, m) }
func (m *Invite) Serialize() (wire.Serialized, error)   { return wire.Encode(kindInvite, m) }
func (m *Merge) Serialize() (wire.Serialized, error)    { return wire.Encode(kindMerge, m) }
func (m *Merged) Serialize() (wire.Serialized, error)   { return wire.Encode(kindMerged, m) }
func (m *barrier) Serialize() (wire.Serialized, error)  { return wire.Encode(kindBarrier, m) }

func init() {
	wire.Register(kindDiscard, func() any { return new(discardOnWire) })
	wire.Register(kindEnded, func() any { return new(Ended) })
	wire.Register(kindRefused, func() any { return new(Refused) })
	wire.Register(kindTakenOver, func() any { return new(TakenOver) })
	wire.Register(kindExport, func() any { return new(Export) })
	wire.Register(kindChunk, func() any { return new(Chunk) })
	wire.Register(kindTaken, func() any { return new(Taken) })
	wire.Register(kindReady, func() any { return new(Ready) })
	wire.Register(kindImported, func() any { return new(Imported) })
	wire.Register(kindForgo, func() any { return new(Forgo) })
	wire.Register(kindInvite, func() any { return new(Invite) })
	wire.Register(kindMerge, func() any { return new(Merge) })
	wire.Register(kindMerged, func() any { return new(Merged) })
	wire.Register(kindBarrier, func() any { return new(barrier) })
}

// What moves a session waits for what its last client has sent, as Attach does.
func (*Export) MailboxClass() kernel.Class   { return kernel.Subscribe }
func (*Taken) MailboxClass() kernel.Class    { return kernel.Ack }
func (*Imported) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxSize is that of the messages in it.
func (m *Chunk) MailboxSize() int { return len(m.Data) }

// Both sides of a move may end at any time.
func (*Export) IgnoreDeadLetterLogging()   {}
func (*Chunk) IgnoreDeadLetterLogging()    {}
func (*Taken) IgnoreDeadLetterLogging()    {}
func (*Ready) IgnoreDeadLetterLogging()    {}
func (*Imported) IgnoreDeadLetterLogging() {}
func (*Forgo) IgnoreDeadLetterLogging()    {}
func (*Merge) IgnoreDeadLetterLogging()    {}
func (*Merged) IgnoreDeadLetterLogging()   {}
