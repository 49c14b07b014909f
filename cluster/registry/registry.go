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
package registry

import (
	"hash/maphash"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
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
// what waits in it goes to Winner, which may be on another node.
type Outlived struct {
	ClientID   protocol.ClientID
	Generation uint64 // of the winner's claim
	Winner     *actor.PID
}

// Commit ends a claim: Session is the client's session from now on.
type Commit struct {
	ClientID   protocol.ClientID
	Generation uint64
	By         *actor.PID
	Session    *actor.PID
}

// Abort gives a claim back, or gives up waiting for it. SessionGone says that
// the granted session does not answer: it is forgotten.
type Abort struct {
	ClientID    protocol.ClientID
	Generation  uint64
	By          *actor.PID
	SessionGone bool
}

// Release says that a session has ended.
type Release struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}

// WhereQuery asks which session a client identifier has.
type WhereQuery struct {
	ClientID protocol.ClientID
	ReplyTo  *actor.PID
}

// WhereResult answers WhereQuery; Session is nil if there is none.
type WhereResult struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}

// ListQuery asks a slot for all its sessions. Answered by ListResult.
type ListQuery struct{ ReplyTo *actor.PID }

// ListResult are the sessions of one slot, in no particular order.
type ListResult struct{ Sessions []Place }

// Place says which session a client identifier has.
type Place struct {
	ClientID protocol.ClientID
	Session  *actor.PID
}

// Registry finds the slot of a client identifier. It is made before the slots
// run and may be used from any goroutine once they do.
type Registry struct {
	system *actor.ActorSystem
	tables [Slots]*table
	pids   [Slots]*actor.PID
	seed   maphash.Seed
}

// New makes the tables of a node. prefix is the name of the actor under which
// Spec will be started.
func New(system *actor.ActorSystem, prefix string) *Registry {
	r := &Registry{system: system, seed: maphash.MakeSeed()}
	for i := range r.tables {
		r.tables[i] = newTable()
		r.pids[i] = system.NewLocalPID(prefix + "/registry/" + strconv.Itoa(i))
	}
	return r
}

// Spec is the subtree "registry" with one child for each slot.
func (r *Registry) Spec() kernel.ChildSpec {
	children := make([]kernel.ChildSpec, Slots)
	for i := range children {
		t := r.tables[i]
		children[i] = kernel.ChildSpec{
			Name:    strconv.Itoa(i),
			Props:   kernel.NewProps(func() actor.Actor { return &slot{table: t} }),
			Restart: kernel.Permanent,
		}
	}
	return kernel.ChildSpec{Name: "registry", Props: kernel.Supervisor(children)}
}

// Slot is the slot of a client identifier.
func (r *Registry) Slot(id protocol.ClientID) *actor.PID {
	return r.pids[maphash.String(r.seed, id)%Slots]
}

// At is slot i, for listings.
func (r *Registry) At(i int) *actor.PID { return r.pids[i] }

// Len counts the sessions of all slots.
func (r *Registry) Len() int {
	n := int64(0)
	for _, t := range r.tables {
		n += t.size.Load()
	}
	return int(n)
}

// slot is the actor that owns one table.
type slot struct{ table *table }

// Receive implements actor.Actor.
func (s *slot) Receive(c actor.Context) {
	now := time.Now().UnixMilli()
	var out []told
	switch m := c.Message().(type) {
	case *Claim:
		out = s.table.claim(m.ClientID, m.By, now)
	case *Commit:
		out = s.table.settle(m.ClientID, m.Generation, m.By, m.Session, now)
	case *Abort:
		out = s.table.abort(m.ClientID, m.Generation, m.By, m.SessionGone, now)
	case *Release:
		s.table.release(m.ClientID, m.Session)
	case *WhereQuery:
		out = []told{{m.ReplyTo, s.where(m)}}
	case *ListQuery:
		out = []told{{m.ReplyTo, s.list()}}
	}
	for _, t := range out {
		c.Send(t.to, t.msg)
	}
}

func (s *slot) where(m *WhereQuery) *WhereResult {
	return &WhereResult{ClientID: m.ClientID, Session: s.table.sessions[m.ClientID]}
}

func (s *slot) list() *ListResult {
	res := &ListResult{Sessions: make([]Place, 0, len(s.table.sessions))}
	for id, session := range s.table.sessions {
		res.Sessions = append(res.Sessions, Place{ClientID: id, Session: session})
	}
	return res
}
