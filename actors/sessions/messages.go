package sessions

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// Client describes a connected client. It is written once, before it is sent.
type Client struct {
	ClientID    protocol.ClientID
	Username    string
	Peer        string // IP address
	Listener    string
	Mount       string // stands before its topics, and is not told to it
	ConnectedAt uint32 // Unix seconds
	MaxPacket   uint32 // largest Control Packet it takes; 0 for any
	Port        uint16
	KeepAlive   uint16
	Version     mqtt.Version
	Clean       bool // Clean Session, or Clean Start in MQTT 5
	Bridge      bool
	// NoProblemInfo says that the client wants no Reason String. [MQTT-3.1.2-29]
	NoProblemInfo bool
}

// Will is the message to publish when the client is lost.
type Will struct {
	Message *protocol.Message
	Delay   int64 // seconds to wait for the client to come back (Will Delay Interval)
	Expiry  int64 // seconds until the message expires, once published; 0 for never
	due     int64 // Unix milliseconds, while it waits
}

// Never is the expiry, in seconds, of a session that does not expire (MQTT 5.0,
// 3.1.2.11.2).
const Never = 0xFFFFFFFF

// Outbox is where a session puts what its client is to get. It never blocks and
// may be used from any goroutine.
type Outbox interface {
	// Send takes encoded Control Packets over: it has written or copied them
	// when it returns. It returns how many bytes more may wait. Once that is
	// not positive, Drained is told to the session when there is room again.
	Send(packets []byte) (room int)
	// Room is what Send would return for nothing.
	Room() int
}

// Attach binds the session to a live Network Connection. The session sends
// Connack with the Session Present flag it knows, then whatever is pending, and
// answers Attached. A connection that it had before gets TakenOver. A session
// that lives only as long as its connection cannot be taken over: it ends, and
// answers Ended.
type Attach struct {
	Client     *Client
	Conn       *actor.PID
	Outbox     Outbox
	Generation uint64 // of the registry's grant; later ones are higher
	Connack    *mqtt.Connack
	Will       *Will
	Quota      int   // Receive Maximum of the client; 0 for none
	Aliases    int   // Topic Alias Maximum of the client
	Expiry     int64 // seconds that the session outlives the connection; Never
	// Owner is the user name that has been proved, empty without authentication.
	// A session that has an owner is not given to anybody else: Refused.
	Owner string
	// Judge says what the client may do; nil: everything. Subscriptions of a
	// session that was there are looked at before the client has it.
	Judge  Judge
	judged bool
	// From is the session that the client has on another node. The actor, which is
	// a new one, fetches it from there first, and says Moving meanwhile; if there is
	// nothing to be had, it answers Ended.
	From *actor.PID
}

// Attached tells the connection that it owns the session now.
type Attached struct {
	Session        *actor.PID
	Generation     uint64
	SessionPresent bool
}

// Stillborn tells a connection that the session which was made for it was killed
// before it had read the Attach.
type Stillborn struct{ Generation uint64 }

// Refused tells a connection that a session cannot be made for it. Code is for
// its CONNACK.
type Refused struct {
	Generation uint64              `msgpack:"g"`
	Code       protocol.ReasonCode `msgpack:"r"`
}

// TakenOver tells a connection that another one owns its session now, or that
// the session was discarded. It has no session to detach from any more.
type TakenOver struct {
	Generation uint64 `msgpack:"g"`
}

// Down tells a connection that its session ended while it was attached.
type Down struct{ Generation uint64 }

// Detach says that the Network Connection has ended. Normal is set after a
// DISCONNECT: the will is not published then. [MQTT-3.14.4-3]
type Detach struct {
	Generation uint64
	Normal     bool
	// Expiry, if HasExpiry, replaces that of the CONNECT.
	Expiry    int64
	HasExpiry bool
	// End ends the session whatever its expiry: the connection has made it and
	// does not want it.
	End bool
}

// Violation tells the connection that what its client sent broke the protocol in
// a way that only the session can see.
type Violation struct {
	Generation uint64
	Code       protocol.ReasonCode
	Reason     string
}

// Drained says that the outbox has room again.
type Drained struct{ Generation uint64 }

// Discard ends the session and everything in it. Ended is told to ReplyTo, if
// it is not nil, when the session's actor has stopped.
type Discard struct {
	ReplyTo *actor.PID
	// Owned says that it is a client that asks, who is Owner: see Attach. Then
	// the answer may be Refused with Generation.
	Owned      bool
	Owner      string
	Generation uint64
}

// Ended answers Discard.
type Ended struct {
	ClientID protocol.ClientID `msgpack:"c"`
}

// Input is what one read of the socket brought for the session: acknowledgements,
// PUBREL and PUBLISH of QoS 2, in their order.
type Input struct {
	Flow       *Flow // of the reader
	Generation uint64
	Items      []InputItem
}

// InputItem is one such packet. Message is set for PUBLISH.
type InputItem struct {
	Message *protocol.Message
	Type    mqtt.PacketType
	Reason  protocol.ReasonCode
	ID      protocol.PacketID
}

// Request is one filter of a SUBSCRIBE. Denied, when it is an error, is the
// code to answer for it instead of subscribing.
type Request struct {
	Text           string // as the client wrote it
	Subscription   topic.Subscription
	Options        Options
	RetainHandling mqtt.RetainHandling
	Denied         protocol.ReasonCode
}

// Options are those of a subscription.
type Options struct {
	ID                uint32 // Subscription Identifier; 0 for none
	QoS               protocol.QoS
	NoLocal           bool
	RetainAsPublished bool
}

// Subscribe is a SUBSCRIBE. The session answers the client with SUBACK when
// every filter is in effect.
type Subscribe struct {
	Flow       *Flow // of the reader
	Generation uint64
	ID         protocol.PacketID
	Requests   []Request
}

// Unsubscribe is an UNSUBSCRIBE.
type Unsubscribe struct {
	Flow       *Flow // of the reader
	Generation uint64
	ID         protocol.PacketID
	Requests   []Request
}

// Change subscribes or unsubscribes on behalf of an operator. Answered by
// Changed when it is in effect.
type Change struct {
	Request Request
	Remove  bool
	ReplyTo *actor.PID
}

// Changed answers Change; Reason is that of the SUBACK or UNSUBACK.
type Changed struct{ Reason protocol.ReasonCode }

// InfoQuery asks a session to describe itself. Answered by InfoResult.
type InfoQuery struct {
	Subscriptions bool
	ReplyTo       *actor.PID
}

// ContentsQuery asks a session for the messages it holds, at most Limit of those
// on their way and of those that wait. Answered by ContentsResult.
type ContentsQuery struct {
	Limit   int
	ReplyTo *actor.PID
}

// ContentsResult answers ContentsQuery. Its messages must not be changed. PID is
// nil where there is no session yet.
type ContentsResult struct {
	PID      *actor.PID
	Contents delivery.Contents
}

// InfoResult describes a session. Client is nil while nobody is connected; PID is
// nil where there is no session yet.
type InfoResult struct {
	ID            protocol.ClientID
	PID           *actor.PID
	Client        *Client
	Conn          *actor.PID
	Clean         bool
	CreatedAt     int64 // Unix seconds
	Delivered     uint64
	Enqueued      uint64
	Subscriptions int
	Delivery      delivery.Info
	Filters       []SubscriptionInfo // if asked for
	// Oldest is when what has waited longest for its acknowledgement was sent,
	// Unix milliseconds; 0 if nothing does. If Filters were asked for.
	Oldest int64
}

// SubscriptionInfo is one subscription.
type SubscriptionInfo struct {
	Text    string
	Options Options
}

// Which messages wait for which: what comes from one connection keeps its order
// among itself (class Ack), and nothing waits behind deliveries.
//
// The end of a connection waits for the SUBSCRIBE that came before it, and the
// next connection, or the end of the session, waits for the end of the one
// before: a client that has said DISCONNECT must not have its will published.
func (*Attach) MailboxClass() kernel.Class      { return kernel.Subscribe }
func (*Detach) MailboxClass() kernel.Class      { return kernel.Subscribe }
func (*Discard) MailboxClass() kernel.Class     { return kernel.Subscribe }
func (*Drained) MailboxClass() kernel.Class     { return kernel.Ack }
func (*Rejudge) MailboxClass() kernel.Class     { return kernel.Subscribe }
func (*judged) MailboxClass() kernel.Class      { return kernel.Subscribe }
func (*Input) MailboxClass() kernel.Class       { return kernel.Ack }
func (*Subscribe) MailboxClass() kernel.Class   { return kernel.Subscribe }
func (*Unsubscribe) MailboxClass() kernel.Class { return kernel.Subscribe }
func (*Change) MailboxClass() kernel.Class      { return kernel.Subscribe }

func (*InfoQuery) IgnoreDeadLetterLogging()     {}
func (*ContentsQuery) IgnoreDeadLetterLogging() {}

// These may come too late in the ordinary course of things: sessions and
// connections end independently of each other.
func (*Attached) IgnoreDeadLetterLogging()  {}
func (*Refused) IgnoreDeadLetterLogging()   {}
func (*Rejudge) IgnoreDeadLetterLogging()   {}
func (*judged) IgnoreDeadLetterLogging()    {}
func (*TakenOver) IgnoreDeadLetterLogging() {}
func (*Down) IgnoreDeadLetterLogging()      {}
func (*Detach) IgnoreDeadLetterLogging()    {}
func (*Drained) IgnoreDeadLetterLogging()   {}
func (*Input) IgnoreDeadLetterLogging()     {}
func (*Attach) IgnoreDeadLetterLogging()    {}
func (*Discard) IgnoreDeadLetterLogging()   {}
func (*Ended) IgnoreDeadLetterLogging()     {}
func (*Stillborn) IgnoreDeadLetterLogging() {}
