package registry

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster"
	"emqttd/protocol"
)

// core is a slot: its table, and with a cluster the front for the claimants of this
// node. It is a plain value: what it wants sent it leaves in effects.
type core struct {
	table
	number  uint8
	front   // unused without a cluster
	effects []effect
}

// effect is a message for an actor of this node, or a letter for the slot of the
// same number on another.
type effect struct {
	to   *actor.PID
	peer cluster.Peer
	msg  any
}

func newCore(number int, self string, clock *cluster.Clock) *core {
	k := &core{number: uint8(number)}
	k.init(self, clock)
	if clock != nil {
		k.front = newFront()
	}
	return k
}

// alone tells whether there is no cluster: then claimants claim at the table.
func (k *core) alone() bool { return k.clock == nil }

func (k *core) send(to *actor.PID, msg any) { k.effects = append(k.effects, effect{to: to, msg: msg}) }

func (k *core) post(p cluster.Peer, m letter) {
	m.header().Slot = k.number
	k.effects = append(k.effects, effect{peer: p, msg: m})
}

// onClaim is a claim of this node.
func (k *core) onClaim(m *Claim, now int64) {
	if k.alone() {
		k.claim(m.ClientID, claimant{pid: m.By}, manner{stored: m.Stored != 0}, now)
		return
	}
	k.ask(&claimLetter{ClientID: m.ClientID}, claimant{pid: m.By}, m.Stored, now)
}

// onCommit ends a claim of this node. Its session is known to this node's slot
// from now on, and then to those that have gathered. It is entered also if the
// claim was lost meanwhile: sessions of which nobody knows would never end.
func (k *core) onCommit(m *Commit, now int64) {
	by := claimant{pid: m.By}
	if k.alone() {
		if k.holds(m.ClientID, by, m.Generation) {
			k.put(m.ClientID, seat{pid: m.Session})
		}
		k.settle(m.ClientID, by, m.Generation, now)
		return
	}
	s, token := seat{pid: m.Session, rank: m.Generation}, cluster.Stamp(0)
	if a := k.entry(m.ClientID, by); a != nil && a.gen == m.Generation {
		k.drop(m.ClientID, a)
		token, s.rank = a.token, a.last
	} // else another claim has won meanwhile: its session will have the higher rank
	if m.Stored != 0 { // it is as old as it was, but newer than the actor that it was before
		s.rank = max(uint64(m.Stored), k.here[m.ClientID].rank+1)
	}
	k.offer(m.ClientID, s)
	if k.owner && token != 0 {
		k.settle(m.ClientID, claimant{token: token}, m.Generation, now)
	}
	for _, p := range k.listeners() {
		k.post(p, &commitLetter{ClientID: m.ClientID, Token: token, Generation: m.Generation, Session: m.Session.Id, Rank: s.rank})
	}
}

// onAbort ends a claim of this node.
func (k *core) onAbort(m *Abort, now int64) {
	by := claimant{pid: m.By}
	if k.alone() {
		k.abort(m.ClientID, by, m.Generation, m.SessionGone, now)
		return
	}
	a := k.entry(m.ClientID, by)
	if a == nil || m.Generation != 0 && m.Generation != a.gen {
		return
	}
	var gone *actor.PID
	if m.SessionGone {
		gone = a.session
	}
	k.giveBack(m.ClientID, a, gone, now)
}

// onRelease forgets a session of this node that has ended, and takes back what it
// has claimed itself: a grant would find nobody, and all others would wait for it.
func (k *core) onRelease(m *Release, now int64) {
	k.leave(m.ClientID, m.Session)
	k.onAbort(&Abort{ClientID: m.ClientID, By: m.Session}, now)
}

// leave forgets a session of this node, here and at those that have gathered.
func (k *core) leave(id protocol.ClientID, session *actor.PID) {
	if !k.release(id, session) || k.alone() {
		return
	}
	for p := range k.readers {
		k.post(p, &releaseLetter{ClientID: id, Session: session.Id})
	}
}

func (k *core) onWhere(m *WhereQuery) {
	if k.alone() {
		k.send(m.ReplyTo, &WhereResult{ClientID: m.ClientID, Session: k.find(m.ClientID)})
		return
	}
	k.seek(m.ClientID, claimant{pid: m.ReplyTo})
}

func (k *core) onList(m *ListQuery) {
	res := &ListResult{Sessions: make([]Place, 0, len(k.here))}
	for id, s := range k.here {
		res.Sessions = append(res.Sessions, Place{ClientID: id, Session: s.pid})
	}
	k.send(m.ReplyTo, res)
}

// settled turns what the table wants said into effects. What is for the front of
// this node may make the table say more.
func (k *core) settled() {
	for i := 0; i < len(k.out); i++ {
		o := k.out[i]
		switch {
		case o.to.pid != nil:
			k.send(o.to.pid, o.msg)
		case o.to.peer != nil:
			k.post(o.to.peer, written(o.to.token, o.msg))
		default:
			k.answered(o.to.token, o.msg)
		}
	}
	clear(k.out)
	k.out = k.out[:0]
}

// written is a message of the table as a letter.
func written(token cluster.Stamp, msg any) letter {
	switch m := msg.(type) {
	case *Granted:
		l := &grantLetter{ClientID: m.ClientID, Token: token, Generation: m.Generation}
		l.Address, l.Session = split(m.Session)
		return l
	case *Superseded:
		return &supersedeLetter{ClientID: m.ClientID, Token: token}
	case *defeat:
		l := &outlivedLetter{ClientID: m.ClientID, Session: m.session, Generation: m.Generation}
		l.Address, l.Winner = split(m.Winner)
		return l
	}
	return nil
}

func split(pid *actor.PID) (address, id string) {
	if pid == nil {
		return "", ""
	}
	return pid.Address, pid.Id
}

func join(address, id string) *actor.PID {
	if id == "" {
		return nil
	}
	return actor.NewPID(address, id)
}

// read handles a letter of a peer.
func (k *core) read(m letter, now int64) {
	p := m.header().peer
	switch m := m.(type) {
	case *claimLetter:
		k.readClaim(p, m, now)
	case *grantLetter:
		k.clock.Seen(m.Generation)
		k.granted(m.Token, p, &Granted{ClientID: m.ClientID, Generation: m.Generation, Session: join(m.Address, m.Session)})
	case *supersedeLetter:
		k.superseded(m.ClientID, m.Token, p)
	case *commitLetter:
		k.readCommit(p, m, now)
	case *abortLetter:
		by, gone := claimant{peer: p, token: m.Token}, join(m.Address, m.Session)
		if a := k.entry(m.ClientID, by); a != nil {
			k.giveBack(m.ClientID, a, gone, now)
		} else if k.owner {
			k.gone(m.ClientID, gone)
			k.abort(m.ClientID, by, m.Generation, false, now)
		}
	case *releaseLetter:
		k.disown(m.ClientID, p, m.Session)
	case *gatherLetter:
		k.readGather(p, m)
	case *sessionsLetter:
		k.readSessions(p, m, now)
	case *outlivedLetter:
		if s := k.here[m.ClientID].pid; s != nil && s.Id == m.Session {
			k.leave(m.ClientID, s)
			k.send(s, &Outlived{ClientID: m.ClientID, Generation: m.Generation, Winner: join(m.Address, m.Winner)})
		}
	case *whereLetter:
		k.seek(m.ClientID, claimant{peer: p, token: m.Token})
	case *foundLetter:
		k.found(m.ClientID, m.Token, join(m.Address, m.Session))
	case *leaveLetter:
		k.forgetClaims(p, false, now)
	case *againLetter:
		if k.sources[p] != nil {
			k.gather(p)
		}
		if k.up == p {
			k.sayAgain(now)
		}
	}
}

func (k *core) readClaim(p cluster.Peer, m *claimLetter, now int64) {
	k.clock.Seen(max(m.Token, m.Generation))
	by := claimant{peer: p, token: m.Token, origin: m.Origin}
	switch {
	case !k.owner && m.Known: // it was meant for the owner that we were
	case !k.owner || k.entry(m.ClientID, by) != nil:
		stored := int64(0)
		if m.Stored {
			stored = 1
		}
		k.ask(m, by, stored, now)
	case m.Generation != 0:
		k.hold(m.ClientID, by, m.Generation, now)
	default:
		k.claim(m.ClientID, by, m.manner(), now)
	}
}

func (k *core) readCommit(p cluster.Peer, m *commitLetter, now int64) {
	by := claimant{peer: p, token: m.Token}
	if k.owner && m.Session != "" {
		k.clock.Seen(m.Rank)
		k.offer(m.ClientID, seat{peer: p, id: m.Session, rank: m.Rank})
	}
	if a := k.entry(m.ClientID, by); a != nil {
		k.drop(m.ClientID, a)
		if !k.owner {
			if k.up != nil {
				k.post(k.up, &commitLetter{ClientID: m.ClientID, Token: a.token, Generation: a.gen})
			}
			return
		}
		by = claimant{token: a.token}
	}
	if k.owner && m.Token != 0 {
		k.settle(m.ClientID, by, m.Generation, now)
	}
}

// listeners are those to whom the end of a claim is told.
func (k *core) listeners() []cluster.Peer {
	out := make([]cluster.Peer, 0, len(k.readers)+1)
	if k.up != nil {
		out = append(out, k.up)
	}
	for p := range k.readers {
		if p != k.up {
			out = append(out, p)
		}
	}
	return out
}

// belongs tells whether an identifier is one of this slot.
func (k *core) belongs(id protocol.ClientID) bool { return slotOf(id) == int(k.number) }

func slotOf(id protocol.ClientID) int { return int(cluster.Hash(id) % Slots) }

// misplaced tells whether a letter is about an identifier of another slot: its
// sender is broken.
func (k *core) misplaced(m letter) bool {
	switch m := m.(type) {
	case *claimLetter:
		return !k.belongs(m.ClientID) || m.Token == 0
	case *commitLetter:
		return !k.belongs(m.ClientID)
	case *whereLetter:
		return !k.belongs(m.ClientID)
	case *sessionsLetter:
		n := len(m.ClientIDs)
		return len(m.Sessions) != n || len(m.Ranks) != n ||
			slices.ContainsFunc(m.ClientIDs, func(id string) bool { return !k.belongs(id) })
	}
	return false
}
