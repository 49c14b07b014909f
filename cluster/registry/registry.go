// Package registry knows, for each client identifier, the session that it
// belongs to. The identifiers are spread over slots; each slot is an actor and
// the only writer of its table, so that two CONNECTs of one client identifier
// meet in one mailbox and need no lock (EMQ's session manager did the same).
//
//	connection                    slot                      session
//	   ── Claim ──────────────────▶
//	   ◀───────────── Granted{Session, Generation}
//	   ── Attach, or Discard and a new one ──────────────────▶
//	   ── Commit{Session} ────────▶         (or Abort)
//	                               ◀───────────── Release, when it ends
//
// While a claim is under way later claims of the same identifier wait; of those
// only the newest is kept. The parent of the slots is the cluster supervisor. A
// crash of a slot costs the message it was handling: the table belongs to the
// supervisor's side and survives. A slot's mailbox is bounded by the number of
// connections that are in their CONNECT.
//
// # Between nodes
//
// Every node has every slot, and its connections and sessions speak with its own.
// Of the slots of one number one decides, its owner: the member with the highest
// weight in View. The others are fronts.
//
//	claimants ──▶ front ── claims ──▶ owner     answers go back the same way
//	               │  ◀── gather ────── │       who has become owner, of everybody
//	               └── sessions, then ─▶│       what comes and goes
//	                   each change
//
// A front passes claims on to the owner by its own view. If that one thinks that a
// third node is the owner, it passes them on in turn: each step goes to a higher
// weight, so that there are no circles, and while views differ nobody has to ask
// twice. When a front sees the owner change it says its claims again to the new
// one, those that were granted with their grant.
//
// Who becomes the owner asks each member for the sessions that it has and grants
// nothing before all have answered, or gone down. It is told of each change from
// then on. So what an owner knows of a session comes from the node on which the
// session is, in order, and ends with the conversation with that node.
//
// Generations are stamps of the cluster's clock, later than all that are known
// here. When two nodes have sessions of one identifier, as after a split, the one
// with the higher generation stays and the other is told Outlived.
package registry

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol"
)

// Slots is the number of slots. It is fixed, so that every node of a cluster
// finds the same slot for a client identifier; more would spread the load of a
// dead node more evenly, fewer would make the tables of slots shorter.
const Slots = 256

// Claim asks for the right to decide about a client identifier. Answered by
// Granted or Superseded.
type Claim struct {
	ClientID protocol.ClientID
	By       *actor.PID
	// Stored is not 0 when the claimant is a session that was read from the store:
	// the Unix second at which it was made. It waits for all clients, is not told
	// Superseded while it does, and loses against every session that has had a
	// client since its node started.
	Stored int64
}

// Granted gives the right, until Commit or Abort. Session is the session that
// exists, on this node or another, nil if there is none. Generation fences: a later grant of the same
// identifier has a higher one.
type Granted struct {
	ClientID   protocol.ClientID
	Generation uint64
	Session    *actor.PID
}

// Superseded says that a newer claim of the same client identifier won.
type Superseded struct{ ClientID protocol.ClientID }

// Outlived tells a session that another one of its client identifier has the newer
// claim, as happens when nodes meet again that had lost each other: it ends, and
// what waits in it goes to Winner, which may be on another node. The registry has
// forgotten the session already. It is also told to a session that was there when
// another one was committed in its place: one that is moving to Winner, or has
// ended, has nothing more to do.
type Outlived struct {
	ClientID   protocol.ClientID
	Generation uint64 // of the winner's claim
	Winner     *actor.PID
}

// IgnoreDeadLetterLogging: the session may have ended.
func (*Outlived) IgnoreDeadLetterLogging() {}

// Commit ends a claim: Session, which is on this node, is the client's session
// from now on. If another claim has won meanwhile the claimant is told Superseded
// or, in a cluster, the session Outlived.
type Commit struct {
	ClientID   protocol.ClientID
	Generation uint64
	By         *actor.PID
	Session    *actor.PID
	Stored     int64 // as in the Claim
}

// Abort gives a claim back, or gives up waiting for it. SessionGone says that
// the granted session does not answer: it is forgotten.
type Abort struct {
	ClientID    protocol.ClientID
	Generation  uint64
	By          *actor.PID
	SessionGone bool
}

// Release says that a session of this node has ended. Claims that it made itself
// end with it.
type Release struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}

// WhereQuery asks which session a client identifier has, on any node.
type WhereQuery struct {
	ClientID protocol.ClientID
	ReplyTo  *actor.PID
}

// WhereResult answers WhereQuery; Session is nil if there is none.
type WhereResult struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}

// ListQuery asks a slot for all its sessions on this node. Answered by ListResult.
type ListQuery struct{ ReplyTo *actor.PID }

// ListResult are the sessions of one slot on this node, in no particular order.
type ListResult struct{ Sessions []Place }

// Place says which session a client identifier has.
type Place struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}
