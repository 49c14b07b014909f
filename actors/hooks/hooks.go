// Package hooks is where plugins take part in what the broker does: eleven points
// in the life of a client, a session and a message (EMQ 2.0 had the same ones).
//
// A function is called on the goroutine on which the thing happens, so it must be
// quick and must not block: a publisher waits for a slow one. Functions of one
// point are called by priority, lowest first, and in the order in which they were
// added where that is equal. A point without functions costs its callers one load.
//
// A function that panics does not harm its caller: it counts as if it had let the
// thing pass, and Hooks.OnPanic is told, so that its plugin can be ended.
package hooks

import (
	"errors"
	"fmt"
	"slices"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Point names a place where functions are called.
type Point uint8

// The points.
const (
	ClientConnected Point = iota
	ClientDisconnected
	ClientSubscribe
	ClientUnsubscribe
	SessionCreated
	SessionSubscribed
	SessionUnsubscribed
	SessionTerminated
	MessagePublish
	MessageDelivered
	MessageAcked
	points
)

var pointNames = [points]string{
	"client.connected", "client.disconnected", "client.subscribe", "client.unsubscribe",
	"session.created", "session.subscribed", "session.unsubscribed", "session.terminated",
	"message.publish", "message.delivered", "message.acked",
}

// String is EMQ's name of the point.
func (p Point) String() string { return pointNames[p] }

// Client is who something happens to. It is valid during the call only.
type Client struct {
	ID       protocol.ClientID
	Username string
	Peer     string // IP address; empty where the session has no connection
}

// Subscription is one filter of a SUBSCRIBE or UNSUBSCRIBE. A function of
// client.subscribe may change it, or take the filter out by setting Refused.
type Subscription struct {
	Text    string // as the client wrote it, prefixes included
	Filter  topic.Filter
	QoS     protocol.QoS
	Refused bool
}

// Verdict is what a function decides.
type Verdict uint8

// The verdicts. Stop also ends the chain: what is to happen does not, where that
// is possible (a message is not published, though its publisher gets its
// acknowledgement), else only the functions behind are not called.
const (
	Continue Verdict = iota
	Stop
)

// The functions of the points. Arguments are valid during the call; a message is
// shared with others and must not be changed, except by OnPublish, which may
// return another one.
type (
	// OnClient is for client.connected; code is that of the CONNACK.
	OnClient func(c *Client, code protocol.ReasonCode) Verdict
	// OnGone is for client.disconnected and session.terminated.
	OnGone func(c *Client, reason string) Verdict
	// OnFilters is for client.subscribe and client.unsubscribe.
	OnFilters func(c *Client, list []Subscription) Verdict
	// OnSession is for session.created.
	OnSession func(c *Client) Verdict
	// OnFilter is for session.subscribed and session.unsubscribed.
	OnFilter func(c *Client, s *Subscription) Verdict
	// OnPublish is for message.publish. It returns the message to go on with: m, or
	// a copy that it has changed (Message.Clone).
	OnPublish func(c *Client, m *protocol.Message) (*protocol.Message, Verdict)
	// OnMessage is for message.delivered and message.acked.
	OnMessage func(c *Client, m *protocol.Message) Verdict
)

// Hooks are the points of one node. The zero value is ready; OnPanic is set before
// it is used. All methods may be called by any goroutine.
type Hooks struct {
	// OnPanic is told that a function of owner panicked. It must not block. nil:
	// nobody is told.
	OnPanic func(owner string, at Point, reason any)

	clientConnected     chain[OnClient]
	clientDisconnected  chain[OnGone]
	clientSubscribe     chain[OnFilters]
	clientUnsubscribe   chain[OnFilters]
	sessionCreated      chain[OnSession]
	sessionSubscribed   chain[OnFilter]
	sessionUnsubscribed chain[OnFilter]
	sessionTerminated   chain[OnGone]
	messagePublish      chain[OnPublish]
	messageDelivered    chain[OnMessage]
	messageAcked        chain[OnMessage]
}

// ErrHooked says that the owner has a function at this point already.
var ErrHooked = errors.New("already hooked")

// Add has f called at a point. f is one of the function types of this package, or
// a function of the same shape; one that does not fit the point is an error, as is
// a second one of an owner at a point (ErrHooked).
func (h *Hooks) Add(owner string, at Point, priority int, f any) error {
	if at >= points {
		return fmt.Errorf("hooks: there is no point %d", at)
	}
	return h.chains()[at].add(owner, priority, f)
}

// Remove takes the functions of an owner away and returns how many there were.
// Calls that are under way end in their own time.
func (h *Hooks) Remove(owner string) (n int) {
	for _, c := range h.chains() {
		n += c.remove(owner)
	}
	return n
}

// Owners are those that have functions at a point, in the order of their calls.
func (h *Hooks) Owners(at Point) []string { return slices.Clone(h.chains()[at].owners()) }

// Older tells whether a call of an owner's function at a point is under way that was
// so when Older last said no. Where it says yes for seconds, the function blocks that
// caller, though it may let others go. One goroutine at a time asks about an owner.
func (h *Hooks) Older(owner string, at Point) bool { return h.chains()[at].older(owner) }

// attachable is a chain, whatever its functions.
type attachable interface {
	add(owner string, priority int, f any) error
	remove(owner string) int
	owners() []string
	older(owner string) bool
}

func (h *Hooks) chains() [points]attachable {
	return [points]attachable{
		&h.clientConnected, &h.clientDisconnected, &h.clientSubscribe, &h.clientUnsubscribe,
		&h.sessionCreated, &h.sessionSubscribed, &h.sessionUnsubscribed, &h.sessionTerminated,
		&h.messagePublish, &h.messageDelivered, &h.messageAcked,
	}
}

// Used tells whether a point has functions: whoever has to prepare arguments asks
// before. nil Hooks have none.
func (h *Hooks) Used(at Point) bool {
	if h == nil {
		return false
	}
	switch at {
	case MessagePublish:
		return h.messagePublish.load() != nil
	case MessageDelivered:
		return h.messageDelivered.load() != nil
	case MessageAcked:
		return h.messageAcked.load() != nil
	default:
		return len(h.chains()[at].owners()) > 0
	}
}
