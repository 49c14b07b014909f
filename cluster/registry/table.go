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

// entry is what a slot knows of one client identifier.
type entry struct {
	session *actor.PID // nil: no session
	holder  *actor.PID // claimant whose claim is under way; nil: none
	next    *actor.PID // newest claimant that waits
	gen     uint64     // of the last grant
	granted int64      // when, Unix milliseconds
}

// table is the state of one slot. Its actor is its only writer; it belongs to
// the supervisor's side, so that a crash of the actor does not forget who is
// where.
type table struct {
	entries map[protocol.ClientID]*entry
	gen     uint64
	size    atomic.Int64 // entries with a session
}

func newTable() *table { return &table{entries: make(map[protocol.ClientID]*entry)} }

// told is one message that a step of the table wants sent.
type told struct {
	to  *actor.PID
	msg any
}

// claim enters a claim. The first gets a grant, a later one waits for it and
// pushes out the one that waited before: the newest CONNECT wins.
func (t *table) claim(id protocol.ClientID, by *actor.PID, now int64) []told {
	e := t.entries[id]
	if e == nil {
		e = &entry{}
		t.entries[id] = e
	}
	if e.holder != nil && now-e.granted < lease {
		var out []told
		if e.next != nil {
			out = append(out, told{e.next, &Superseded{ClientID: id}})
		}
		e.next = by
		return out
	}
	return t.grant(id, e, by, now)
}

func (t *table) grant(id protocol.ClientID, e *entry, to *actor.PID, now int64) []told {
	t.gen++
	e.holder, e.gen, e.granted = to, t.gen, now
	return []told{{to, &Granted{ClientID: id, Generation: e.gen, Session: e.session}}}
}

// settle ends the claim with generation gen and grants the next one. A claim
// that lost its lease meanwhile is answered with Superseded.
func (t *table) settle(id protocol.ClientID, gen uint64, by, session *actor.PID, now int64) []told {
	e := t.entries[id]
	if e == nil || e.gen != gen || e.holder == nil {
		return []told{{by, &Superseded{ClientID: id}}}
	}
	t.place(e, session)
	e.holder = nil
	if next := e.next; next != nil {
		e.next = nil
		return t.grant(id, e, next, now)
	}
	t.tidy(id, e)
	return nil
}

// abort gives a claim back, or takes a waiting claimant out of the queue. gone
// says that the session of the grant is not there any more.
func (t *table) abort(id protocol.ClientID, gen uint64, by *actor.PID, gone bool, now int64) []told {
	e := t.entries[id]
	if e == nil {
		return nil
	}
	if e.next != nil && e.next.Equal(by) {
		e.next = nil
	}
	if e.holder == nil || e.gen != gen {
		return nil
	}
	session := e.session
	if gone {
		session = nil
	}
	return t.settle(id, gen, by, session, now)
}

// release forgets a session that ended.
func (t *table) release(id protocol.ClientID, session *actor.PID) {
	e := t.entries[id]
	if e == nil || !session.Equal(e.session) {
		return
	}
	t.place(e, nil)
	t.tidy(id, e)
}

func (t *table) place(e *entry, session *actor.PID) {
	switch {
	case e.session == nil && session != nil:
		t.size.Add(1)
	case e.session != nil && session == nil:
		t.size.Add(-1)
	}
	e.session = session
}

func (t *table) tidy(id protocol.ClientID, e *entry) {
	if e.session == nil && e.holder == nil {
		delete(t.entries, id)
	}
}
