package registry

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster"
	"emqttd/protocol"
)

// front is the part of a slot that speaks for the claimants of its node, and for
// peers that take this node for the owner when it is not.
type front struct {
	up      cluster.Peer // who is asked; nil: nobody, or we are the owner
	owner   bool
	members []cluster.Peer                 // by the last view
	readers map[cluster.Peer]struct{}      // who has gathered, and is told of what changes
	sources map[cluster.Peer]*source       // the owner's: whom it has asked
	asked   map[protocol.ClientID][]*asked // claims under way
	seeks   map[cluster.Stamp]seek         // questions under way
}

// asked is a claim at the front. There are as many as there are CONNECTs under way.
type asked struct {
	token   cluster.Stamp
	by      claimant
	gen     uint64     // that the claimant was granted; 0: it waits
	last    uint64     // that the owner has granted: more than gen if it did so twice
	session *actor.PID // that the grant named
	stored  int64
}

// seek is a question at the front.
type seek struct {
	id protocol.ClientID
	by claimant
}

func newFront() front {
	return front{
		readers: make(map[cluster.Peer]struct{}), sources: make(map[cluster.Peer]*source),
		asked: make(map[protocol.ClientID][]*asked), seeks: make(map[cluster.Stamp]seek),
	}
}

// entry finds a claimant's claim.
func (f *front) entry(id protocol.ClientID, by claimant) *asked {
	for _, a := range f.asked[id] {
		if a.by.is(by) {
			return a
		}
	}
	return nil
}

// numbered finds a claim by its number.
func (f *front) numbered(id protocol.ClientID, token cluster.Stamp) *asked {
	for _, a := range f.asked[id] {
		if a.token == token {
			return a
		}
	}
	return nil
}

func (f *front) drop(id protocol.ClientID, a *asked) {
	list := slices.DeleteFunc(f.asked[id], func(b *asked) bool { return a == b })
	if len(list) == 0 {
		delete(f.asked, id)
		return
	}
	f.asked[id] = list
}

// ask enters a claim and passes it on.
func (k *core) ask(m *claimLetter, by claimant, stored int64, now int64) {
	id, again := m.ClientID, m.Again
	a := k.entry(id, by)
	if a == nil {
		a = &asked{token: by.token, by: by, stored: stored}
		if a.token == 0 || k.numbered(id, a.token) != nil {
			a.token = k.clock.Now()
		}
		k.asked[id] = append(k.asked[id], a)
	}
	switch {
	case m.Generation != 0:
		a.gen, a.last = m.Generation, max(a.last, m.Generation)
	case a.gen != 0: // it says so again, and may not have heard
		k.reply(a.by, &Granted{ClientID: id, Generation: a.gen, Session: a.session})
	}
	k.submit(id, a, again, now)
}

// submit says a claim to who decides about it, if anybody does.
func (k *core) submit(id protocol.ClientID, a *asked, again bool, now int64) {
	switch {
	case k.owner && a.gen != 0:
		k.hold(id, k.own(a), a.last, now)
	case k.owner:
		k.claim(id, k.own(a), manner{a.stored != 0, again}, now)
	case k.up != nil:
		k.post(k.up, k.letter(id, a, again))
	}
}

// own is a claim of the front at the table of this node.
func (k *core) own(a *asked) claimant {
	c := claimant{token: a.token}
	if a.by.peer != nil {
		c.origin = k.origin(a.by)
	}
	return c
}

func (k *core) letter(id protocol.ClientID, a *asked, again bool) *claimLetter {
	return &claimLetter{
		ClientID: id, Token: a.token, Stored: a.stored != 0, Generation: a.last,
		Again: again, Origin: k.own(a).origin,
	}
}

func (m *claimLetter) manner() manner { return manner{m.Stored, m.Again} }

// sayAgain says all claims and questions of this front to the owner.
func (k *core) sayAgain(now int64) {
	for id, list := range k.asked {
		for _, a := range slices.Clone(list) {
			k.submit(id, a, true, now)
		}
	}
	for token, s := range k.seeks {
		k.submitSeek(token, s)
	}
}

// answered is what the table of this node says to its front.
func (k *core) answered(token cluster.Stamp, msg any) {
	switch m := msg.(type) {
	case *Granted:
		k.granted(token, nil, m)
	case *Superseded:
		k.superseded(m.ClientID, token, nil)
	}
}

// granted passes a grant of p on; nil is this node. One that nobody waits for any
// more goes back.
func (k *core) granted(token cluster.Stamp, p cluster.Peer, m *Granted) {
	a := k.numbered(m.ClientID, token)
	switch {
	case a == nil && p != nil:
		k.post(p, &abortLetter{ClientID: m.ClientID, Token: token, Generation: m.Generation})
	case a == nil:
		k.abort(m.ClientID, claimant{token: token}, m.Generation, false, 0)
	case p != k.up: // an owner that was left has been told so
	case a.gen != 0:
		a.last = max(a.last, m.Generation)
	default:
		a.gen, a.last = m.Generation, m.Generation
		if m.Session == nil { // an owner that does not see this node does not see its sessions
			m.Session = k.here[m.ClientID].pid
		}
		a.session = m.Session
		k.reply(a.by, m)
	}
}

// superseded passes on what p says, if it is the owner still.
func (k *core) superseded(id protocol.ClientID, token cluster.Stamp, p cluster.Peer) {
	if p != nil { // it may be on its way once more
		k.post(p, &abortLetter{ClientID: id, Token: token})
	}
	if a := k.numbered(id, token); a != nil && p == k.up {
		k.drop(id, a)
		k.reply(a.by, &Superseded{ClientID: id})
	}
}

// reply answers a claimant of the front.
func (k *core) reply(by claimant, msg any) {
	if by.peer == nil {
		k.send(by.pid, msg)
		return
	}
	k.post(by.peer, written(by.token, msg))
}

// giveBack ends a claim without a session. gone is the granted one if it does not
// answer.
func (k *core) giveBack(id protocol.ClientID, a *asked, gone *actor.PID, now int64) {
	k.drop(id, a)
	k.gone(id, gone)
	if k.owner {
		k.abort(id, claimant{token: a.token}, a.last, false, now)
	}
	for _, p := range k.listeners() {
		l := &abortLetter{ClientID: id, Token: a.token, Generation: a.last}
		l.Address, l.Session = split(gone)
		k.post(p, l)
	}
}

// gone forgets a session that does not answer, if it is still the one that is known.
func (k *core) gone(id protocol.ClientID, session *actor.PID) {
	if session == nil {
		return
	}
	k.leave(id, session)
	if session.Equal(k.find(id)) {
		k.vacate(id)
	}
}

// seek asks for the session of an identifier.
func (k *core) seek(id protocol.ClientID, by claimant) {
	token, s := k.clock.Now(), seek{id, by}
	k.seeks[token] = s
	k.submitSeek(token, s)
}

func (k *core) submitSeek(token cluster.Stamp, s seek) {
	switch {
	case k.owner && !k.shut:
		k.found(s.id, token, k.find(s.id))
	case !k.owner && k.up != nil:
		k.post(k.up, &whereLetter{ClientID: s.id, Token: token})
	}
}

func (k *core) found(id protocol.ClientID, token cluster.Stamp, session *actor.PID) {
	s, ok := k.seeks[token]
	if !ok || s.id != id {
		return
	}
	delete(k.seeks, token)
	if s.by.peer == nil {
		k.send(s.by.pid, &WhereResult{ClientID: id, Session: session})
		return
	}
	l := &foundLetter{ClientID: id, Token: s.by.token}
	l.Address, l.Session = split(session)
	k.post(s.by.peer, l)
}
