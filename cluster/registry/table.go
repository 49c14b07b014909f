package registry

import (
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster"
	"emqttd/protocol"
)

// lease is how long a claim may take before a newer one no longer waits for it,
// in milliseconds. A claimant that dies gives its claim back; the lease is for
// one that cannot.
const lease = 30_000

// claimant is who has a claim in a table: an actor of a node without a cluster, or
// the claim's number at the front of a node, which is this one if peer is nil.
// Numbers are stamps of the front's clock: never used twice, and later claims have
// higher ones.
type claimant struct {
	pid   *actor.PID
	peer  cluster.Peer
	token cluster.Stamp
	// origin is the node whose claim it is, if peer has only passed it on: it was
	// taken for the owner by one that does not see us, or not yet.
	origin string
}

func (c claimant) nobody() bool { return c.pid == nil && c.token == 0 }

func (c claimant) is(o claimant) bool {
	return c.token == o.token && c.peer == o.peer && (c.pid == o.pid || c.pid != nil && c.pid.Equal(o.pid))
}

// twins tells whether two claims are the same one, on two ways.
func (t *table) twins(a, b claimant) bool {
	return a.token == b.token && a.pid == nil && b.pid == nil && t.origin(a) == t.origin(b)
}

func (t *table) origin(c claimant) string {
	switch {
	case c.origin != "":
		return c.origin
	case c.peer == nil:
		return t.self
	}
	return c.peer.Member().Name
}

// seat is where a session is, and how new its right to the client identifier.
type seat struct {
	pid  *actor.PID   // on this node, or
	peer cluster.Peer // on another
	id   string       // of its actor there
	// rank is the generation of the claim that the session was last committed with.
	// A session that came from the store and has had no client since has the Unix
	// second at which it was made, which is lower than any generation.
	rank uint64
}

func (s *seat) address() *actor.PID {
	if s.peer == nil {
		return s.pid
	}
	return actor.NewPID(s.peer.Member().Address, s.id)
}

func (s *seat) node(self string) string {
	if s.peer == nil {
		return self
	}
	return s.peer.Member().Name
}

func (s *seat) same(o *seat) bool {
	if s.peer != o.peer {
		return false
	}
	if s.peer != nil {
		return s.id == o.id
	}
	return s.pid == o.pid || s.pid.Equal(o.pid)
}

// near is the part of a seat that is kept of a session on this node. There are as
// many as clients: one map is enough.
type near struct {
	pid  *actor.PID
	rank uint64
}

// far is the part of a seat that is kept of a session on another node.
type far struct {
	peer cluster.Peer
	id   string
	rank uint64
}

// claim is what a slot knows of a client identifier about which somebody is
// deciding. There are as many as there are CONNECTs under way.
type claim struct {
	holder  claimant   // has the grant; nobody while grants are held back
	next    claimant   // newest claimant that waits
	stored  []claimant // sessions from the store, which come after all clients
	gen     uint64     // of the grant
	granted int64      // when, Unix milliseconds
	session *actor.PID // that the grant named
}

// manner is how somebody claims.
type manner struct {
	stored bool // a session from the store
	again  bool // not for the first time
}

func (c *claim) idle() bool { return c.holder.nobody() && c.next.nobody() && len(c.stored) == 0 }

// table is what the owner of a slot decides with: the sessions and the claims. Of a
// slot that another node owns it has the sessions of this node and nothing else.
// Its actor is its only writer; it belongs to the supervisor's side, so that a
// crash of the actor does not forget who is where.
type table struct {
	self   string // node.name
	here   map[protocol.ClientID]near
	away   map[protocol.ClientID]far
	claims map[protocol.ClientID]*claim
	clock  *cluster.Clock // nil without a cluster
	gen    uint64         // of the last grant, without a cluster
	shut   bool           // claims are taken and not granted: not all sessions are known
	size   atomic.Int64   // of here
	out    []told
}

// init makes an empty table, of a node without a cluster if clock is nil.
func (t *table) init(self string, clock *cluster.Clock) {
	t.self, t.clock = self, clock
	t.here, t.claims = make(map[protocol.ClientID]near), make(map[protocol.ClientID]*claim)
	if clock != nil {
		t.away = make(map[protocol.ClientID]far)
	}
}

// told is one message that a step of the table wants sent.
type told struct {
	to  claimant
	msg any
}

func (t *table) tell(to claimant, msg any) { t.out = append(t.out, told{to, msg}) }

// claim enters a claim. The first gets a grant, a later one waits for it and
// pushes out the one that waited before: the newest CONNECT wins. A session from
// the store pushes nobody out. A claim that is said again, to a new owner, is as new
// as its number: those of several nodes come in any order.
func (t *table) claim(id protocol.ClientID, by claimant, how manner, now int64) {
	c := t.claims[id]
	if c == nil {
		c = &claim{}
		t.claims[id] = c
	}
	switch {
	case c.holder.is(by): // it says so again, and may not have heard of its grant
		t.tell(by, &Granted{ClientID: id, Generation: c.gen, Session: c.session})
		return
	case !c.holder.nobody() && t.twins(c.holder, by):
		if by.origin == "" {
			c.holder = by
			t.tell(by, &Granted{ClientID: id, Generation: c.gen, Session: c.session})
		}
		return
	case how.stored:
		if !slices.ContainsFunc(c.stored, by.is) {
			c.stored = append(c.stored, by)
		}
	case c.next.is(by):
	case !c.next.nobody() && t.twins(c.next, by):
		if by.origin == "" { // the direct way counts
			c.next = by
		}
	case how.again && c.next.token > by.token:
		t.tell(by, &Superseded{ClientID: id})
		return
	default:
		if !c.next.nobody() {
			t.tell(c.next, &Superseded{ClientID: id})
		}
		c.next = by
	}
	if c.holder.nobody() || !how.stored && now-c.granted >= lease {
		t.advance(id, c, now)
	}
}

// advance grants a claim to who is next.
func (t *table) advance(id protocol.ClientID, c *claim, now int64) {
	if t.shut && !c.idle() {
		return
	}
	switch {
	case !c.next.nobody():
		c.holder, c.next = c.next, claimant{}
	case len(c.stored) > 0:
		c.holder, c.stored = c.stored[0], c.stored[1:]
	default:
		delete(t.claims, id)
		return
	}
	c.session = t.find(id)
	c.gen, c.granted = t.generation(id), now
	t.tell(c.holder, &Granted{ClientID: id, Generation: c.gen, Session: c.session})
}

// generation is higher than that of every grant of the identifier which can be
// known here.
func (t *table) generation(id protocol.ClientID) uint64 {
	if t.clock == nil {
		t.gen++
		return t.gen
	}
	return max(t.clock.Now(), t.current(id).rank+1)
}

// hold enters a claim that another owner has granted. Of two the newer counts.
func (t *table) hold(id protocol.ClientID, by claimant, gen uint64, now int64) {
	c := t.claims[id]
	if c == nil {
		c = &claim{}
		t.claims[id] = c
	}
	if c.next.is(by) {
		c.next = claimant{}
	}
	switch {
	case c.gen == gen: // the same grant, on another way: the direct one counts
		if by.origin == "" {
			c.holder = by
		}
	case c.holder.nobody() || c.gen < gen:
		if !c.holder.nobody() {
			t.tell(c.holder, &Superseded{ClientID: id})
		}
		c.holder, c.gen, c.granted, c.session = by, gen, now, t.find(id)
	default:
		t.tell(by, &Superseded{ClientID: id})
	}
}

// holds tells whether a claimant has the grant of a generation. Of a front either
// says enough: a claim may have been granted twice when its owner crashed, and a
// grant may have come on two ways when it was said again.
func (t *table) holds(id protocol.ClientID, by claimant, gen uint64) bool {
	c := t.claims[id]
	switch {
	case c == nil || c.holder.nobody():
		return false
	case by.pid != nil:
		return c.holder.is(by) && (c.gen == gen || gen == 0)
	default:
		return c.holder.is(by) || c.gen == gen
	}
}

// settle ends the claim of a claimant that has committed and grants the next one.
// One that lost its lease meanwhile is told so.
func (t *table) settle(id protocol.ClientID, by claimant, gen uint64, now int64) {
	if !t.holds(id, by, gen) {
		t.tell(by, &Superseded{ClientID: id})
		return
	}
	t.end(id, t.claims[id], now)
}

// end takes the grant away and gives it to the one that waits.
func (t *table) end(id protocol.ClientID, c *claim, now int64) {
	c.holder, c.gen = claimant{}, 0
	t.advance(id, c, now)
}

// abort gives a claim back, or takes a waiting claimant out of the queue. gone
// says that the session of the grant is not there any more. A claimant that ends
// while its grant is on the way to it does not know the generation: it is 0 then.
func (t *table) abort(id protocol.ClientID, by claimant, gen uint64, gone bool, now int64) {
	c := t.claims[id]
	if c == nil {
		return
	}
	if c.next.is(by) {
		c.next = claimant{}
	}
	c.stored = slices.DeleteFunc(c.stored, by.is)
	if !t.holds(id, by, gen) {
		if c.idle() {
			delete(t.claims, id)
		}
		return
	}
	if gone && c.session != nil && c.session.Equal(t.find(id)) {
		t.vacate(id)
	}
	t.end(id, c, now)
}

// current is where the session of an identifier is; its zero value is nowhere.
func (t *table) current(id protocol.ClientID) seat {
	if f, ok := t.away[id]; ok {
		return seat{peer: f.peer, id: f.id, rank: f.rank}
	}
	if n := t.here[id]; n.pid != nil {
		return seat{pid: n.pid, rank: n.rank}
	}
	return seat{}
}

// find is the session of an identifier, nil if there is none.
func (t *table) find(id protocol.ClientID) *actor.PID {
	s := t.current(id)
	return s.address()
}

// offer enters a session of which its node says that it has it. Of two the one with
// the higher rank stays, and the other is told.
func (t *table) offer(id protocol.ClientID, s seat) {
	cur := t.current(id)
	switch {
	case cur.pid == nil && cur.peer == nil:
	case cur.same(&s):
		s.rank = max(s.rank, cur.rank)
	case cur.rank > s.rank || cur.rank == s.rank && cur.node(t.self) > s.node(t.self):
		t.outlive(id, &s, &cur)
		return
	default:
		t.outlive(id, &cur, &s)
	}
	t.put(id, s)
}

// outlive tells a session that it has lost. Where there is no cluster nobody needs
// to be told: a new session is only made when the old one does not answer.
func (t *table) outlive(id protocol.ClientID, loser, winner *seat) {
	if t.clock == nil {
		return
	}
	m := &Outlived{ClientID: id, Generation: winner.rank, Winner: winner.address()}
	if loser.peer == nil {
		t.tell(claimant{pid: loser.pid}, m)
		return
	}
	t.tell(claimant{peer: loser.peer}, &defeat{session: loser.id, Outlived: m})
}

// defeat is Outlived for a session on another node.
type defeat struct {
	*Outlived
	session string
}

func (t *table) put(id protocol.ClientID, s seat) {
	if s.peer != nil {
		t.remove(id)
		t.away[id] = far{s.peer, s.id, s.rank}
		return
	}
	if t.clock != nil {
		delete(t.away, id)
	}
	t.here[id] = near{s.pid, s.rank}
	t.size.Store(int64(len(t.here)))
}

// vacate forgets the session of an identifier.
func (t *table) vacate(id protocol.ClientID) {
	if _, far := t.away[id]; far {
		delete(t.away, id)
		return
	}
	t.remove(id)
}

func (t *table) remove(id protocol.ClientID) {
	delete(t.here, id)
	t.size.Store(int64(len(t.here)))
}

// release forgets a session of this node that ended, if it is the one that is known.
func (t *table) release(id protocol.ClientID, session *actor.PID) bool {
	if here := t.here[id].pid; here == nil || !here.Equal(session) {
		return false
	}
	t.remove(id)
	return true
}

// disown forgets a session of another node.
func (t *table) disown(id protocol.ClientID, p cluster.Peer, session string) {
	if f := t.away[id]; f.peer == p && f.id == session {
		delete(t.away, id)
	}
}
