package registry

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol"
)

// lease is how long a claim may take before a newer one no longer waits for it,
// in milliseconds. A claimant that dies gives its claim back; the lease is for
// one that cannot.
const lease = 30_000

// claim is what a slot knows of a client identifier about which somebody is
// deciding. There are as many as there are CONNECTs under way.
type claim struct {
	holder  *actor.PID // has the grant
	next    *actor.PID // newest claimant that waits; nil: none
	gen     uint64     // of the grant
	granted int64      // when, Unix milliseconds
}

// table is the state of one slot. Its actor is its only writer; it belongs to
// the supervisor's side, so that a crash of the actor does not forget who is
// where.
type table struct {
	sessions map[protocol.ClientID]*actor.PID
	claims   map[protocol.ClientID]*claim
	gen      uint64
	size     atomic.Int64 // of sessions
}

func newTable() *table {
	return &table{sessions: make(map[protocol.ClientID]*actor.PID), claims: make(map[protocol.ClientID]*claim)}
}

// told is one message that a step of the table wants sent.
type told struct {
	to  *actor.PID
	msg any
}

// claim enters a claim. The first gets a grant, a later one waits for it and
// pushes out the one that waited before: the newest CONNECT wins.
func (t *table) claim(id protocol.ClientID, by *actor.PID, now int64) []told {
	c := t.claims[id]
	if c == nil {
		return t.grant(id, &claim{holder: by}, now)
	}
	var out []told
	if c.next != nil && !c.next.Equal(by) {
		out = append(out, told{c.next, &Superseded{ClientID: id}})
	}
	if now-c.granted >= lease {
		return append(out, t.grant(id, &claim{holder: by}, now)...)
	}
	c.next = by
	return out
}

func (t *table) grant(id protocol.ClientID, c *claim, now int64) []told {
	t.gen++
	c.gen, c.granted = t.gen, now
	t.claims[id] = c
	return []told{{c.holder, &Granted{ClientID: id, Generation: c.gen, Session: t.sessions[id]}}}
}

// settle ends the claim with generation gen and grants the next one. A claim
// that lost its lease meanwhile is answered with Superseded.
func (t *table) settle(id protocol.ClientID, gen uint64, by, session *actor.PID, now int64) []told {
	c := t.claims[id]
	if c == nil || c.gen != gen {
		return []told{{by, &Superseded{ClientID: id}}}
	}
	t.place(id, session)
	return t.end(id, c, now)
}

// end takes a claim away and grants the one that waits.
func (t *table) end(id protocol.ClientID, c *claim, now int64) []told {
	if c.next != nil {
		return t.grant(id, &claim{holder: c.next}, now)
	}
	delete(t.claims, id)
	return nil
}

// abort gives a claim back, or takes a waiting claimant out of the queue. gone
// says that the session of the grant is not there any more. A claimant that ends
// while its grant is on the way to it does not know the generation: it is 0 then.
func (t *table) abort(id protocol.ClientID, gen uint64, by *actor.PID, gone bool, now int64) []told {
	c := t.claims[id]
	if c == nil {
		return nil
	}
	if c.next != nil && c.next.Equal(by) {
		c.next = nil
	}
	if c.gen != gen && !(gen == 0 && c.holder.Equal(by)) {
		return nil
	}
	if gone {
		t.place(id, nil)
	}
	return t.end(id, c, now)
}

// release forgets a session that ended.
func (t *table) release(id protocol.ClientID, session *actor.PID) {
	if session.Equal(t.sessions[id]) {
		t.place(id, nil)
	}
}

func (t *table) place(id protocol.ClientID, session *actor.PID) {
	if session == nil {
		delete(t.sessions, id)
	} else {
		t.sessions[id] = session
	}
	t.size.Store(int64(len(t.sessions)))
}
