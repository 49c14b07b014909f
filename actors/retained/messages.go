package retained

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Store makes Message the retained message of its topic, or, without a payload,
// takes the retained message away [MQTT-3.3.1-6]. Send it with Stores.Store.
type Store struct {
	Message *protocol.Message
	// Receipt, if not nil, has a part for it, done when the change has been handed
	// to the disk store.
	Receipt *store.Receipt
}

// restore puts back what the disk store had.
type restore struct {
	record store.Retained
	done   func()
}

// Lookup asks for the retained messages that match Filter. Send it with
// Stores.Lookup, once. Answered by one or more Found. It keeps its order with
// Store: what is stored later goes to the subscriber live, and not twice.
type Lookup struct {
	Filter  topic.Filter
	Token   uint64 // comes back in the answers
	ReplyTo *actor.PID

	left atomic.Int32 // shards which have not answered
}

// Found carries at most ChunkLen messages, which are shared: read only. Those
// of one shard come oldest first. Last is set on the last answer of all, which
// comes also when there are no messages.
type Found struct {
	Token    uint64
	Messages []*protocol.Message
	Last     bool
}

// ChunkLen is the most messages that one Found carries.
const ChunkLen = 1000

// List asks for a page of the topics that have a retained message, from Cursor
// on, in no order. Send it with Stores.List. Answered by Listed.
type List struct {
	Cursor  Cursor
	Limit   int // most topics in the answer; 1000 if not positive
	Token   uint64
	ReplyTo *actor.PID
}

// Listed answers List. Next is where to go on; zero at the end. A page may be
// shorter than the limit, and even empty, before the end.
type Listed struct {
	Token  uint64
	Topics []topic.Name
	Next   Cursor
}

// Cursor is a place in the listing of topics: shard and place in it. Zero is
// the start.
type Cursor uint64

// Clean takes all retained messages away. Send it with Stores.Clean, once.
// Answered by Cleaned.
type Clean struct {
	Token   uint64
	ReplyTo *actor.PID // nil: no answer

	left  atomic.Int32
	count atomic.Int64

	version lww.Version
	told    func() // not nil: another node or the disk says so; called by each shard
}

// Cleaned answers Clean with the number of messages that were there.
type Cleaned struct {
	Token uint64
	Count int
}

// sweep goes over a part of the table and takes away what has expired.
type sweep struct{ from uint32 }

// MailboxClass keeps retained messages out of the bounds for live ones.
func (*Found) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass makes a listing wait for stores.
func (*List) MailboxClass() kernel.Class { return kernel.Deliver }

// MailboxClass makes sweeping wait for everything else.
func (*sweep) MailboxClass() kernel.Class { return kernel.Deliver }
