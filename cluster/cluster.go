// Package cluster says what the parts of a node may ask of the cluster, whoever
// carries the bytes: who the members are, how to reach one of them, and whose a
// slot is. Package link implements it over secured streams; package clustertest
// does in memory, for tests.
//
// Between two nodes that see each other there is a conversation. Within it every
// message arrives once and in order, also across connections that break and come
// back in time; it ends when one of the two gives the other up (down). A new
// conversation starts from nothing: both sides forget what they knew of each
// other and tell it anew (Service).
package cluster

import (
	"emqttd/cluster/wire"
)

// Member is a node as the others know it.
type Member struct {
	Name    string // node.name
	Address string // host:port of its remoting: the address of its PIDs
	// Incarnation is different for each start of a node.
	Incarnation uint64
	Version     string // of the broker
	State       State
}

// State of a member, as one node sees it.
type State uint8

// The states.
const (
	Down    State = iota // no conversation, or one that has not begun in earnest
	Up                   // both have told each other what the other must know
	Suspect              // up, but silent for some heartbeats
)

var stateNames = [...]string{"down", "up", "suspect"}

// String is the state's name as operators see it.
func (s State) String() string { return stateNames[s] }

// Candidate is a node that discovery has found. Name and Incarnation may be empty:
// then only the address is known.
type Candidate struct {
	Name        string
	Address     string
	Incarnation uint64
}

// Peer is the other end of a conversation. A new conversation with the same node
// has a new Peer. All methods may be called from any goroutine and do not block.
type Peer interface {
	Member() Member
	// Send tells the peer a message of a registered kind (wire.Register), behind
	// all that was sent before. After the conversation has ended it is dropped.
	Send(m wire.Message)
	// SendData hands body over, whose bytes must not change any more, for the
	// handler of kind on the peer, in its own order (the data lane): it neither
	// waits for Send nor does Send wait for it. done, if not nil, is called once:
	// with nil when the handler has returned, with an error when the conversation
	// has ended before that was known. It must not block. What is on its way is
	// kept in memory until then: the caller bounds it.
	SendData(kind uint32, body []byte, done func(error))
}

// Service is a part of a node that has something to tell each peer.
type Service interface {
	// Begin says that a conversation with p has begun. The service sends what p
	// must know before it counts as up, and calls ready, once and from any
	// goroutine, when p has it and this node has p's. What p sends may arrive
	// before Begin is called, but not after End has returned.
	Begin(p Peer, ready func())
	// End says that the conversation is over: what p was is to be forgotten.
	End(p Peer)
}

// Net is the cluster as seen from one node. Handlers, services and listeners are
// added before the net starts; everything else may be called at any time, from
// any goroutine, and does not block.
type Net interface {
	Self() Member
	// View is who counts now. It is never nil and contains at least this node.
	View() *View
	// Peers are the conversations with all members of View but this node. One that has
	// ended is not among them any more when services are told so (Service.End).
	Peers() []Peer
	// PeerAt is the conversation with the node at an address, nil if there is
	// none; it may not be up yet.
	PeerAt(address string) Peer
	// Handle has f called for each message of a kind that a peer sends. It is
	// called by one goroutine for each peer and must not block.
	Handle(kind uint32, f func(p Peer, m wire.Message))
	// HandleData has f called for what peers hand over with SendData. It may
	// block: that stops the data lane of this peer and nothing else. body belongs
	// to f.
	HandleData(kind uint32, f func(p Peer, body []byte))
	// Add adds a service.
	Add(s Service)
	// OnView has f called, on one goroutine, with each new view; it must not block.
	OnView(f func(*View))
	Clock() *Clock
}
