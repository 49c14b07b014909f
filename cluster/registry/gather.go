package registry

import (
	"slices"

	"emqttd/cluster"
)

// chunk bounds the identifiers and names of one sessionsLetter, in bytes.
const chunk = 200 << 10

// source is a member that the owner of a slot has asked for its sessions.
type source struct {
	number cluster.Stamp
	done   bool
}

// onView takes note of who is there and who decides: a peer, or this node if mine.
// Members are without this node.
func (k *core) onView(members []cluster.Peer, up cluster.Peer, mine bool, now int64) {
	k.members = members
	was, wasUp := k.owner, k.up
	if was != mine || wasUp != up {
		k.follow(up, mine, now)
	}
	if !k.owner {
		return
	}
	for _, p := range members {
		if k.sources[p] == nil {
			k.gather(p)
		}
	}
	k.look(now)
}

// follow is that another one decides.
func (k *core) follow(up cluster.Peer, mine bool, now int64) {
	if k.owner {
		k.stepDown()
	}
	if k.up != nil && k.up != up && slices.Contains(k.members, k.up) {
		k.post(k.up, &leaveLetter{})
	}
	k.up, k.owner = up, mine
	k.shut = mine // until look has seen that all sessions are known
	k.sayAgain(now)
}

// stepDown forgets what the owner of the slot knows. Who has claimed here says its
// claims again, to the new owner, or to us if it does not know that one.
func (k *core) stepDown() {
	for _, c := range k.claims {
		for _, by := range c.claimants() {
			if by.peer != nil && k.sources[by.peer] == nil {
				k.sources[by.peer] = &source{}
			}
		}
	}
	for p := range k.sources {
		k.post(p, &gatherLetter{})
	}
	clear(k.sources)
	clear(k.away)
	clear(k.claims)
}

// gather asks a member for its sessions.
func (k *core) gather(p cluster.Peer) {
	s := &source{number: k.clock.Now()}
	k.sources[p] = s
	k.shut = true
	k.post(p, &gatherLetter{Number: s.number})
}

// look begins to grant when all members have told of their sessions.
func (k *core) look(now int64) {
	if !k.owner || !k.shut {
		return
	}
	for _, s := range k.sources {
		if !s.done {
			return
		}
	}
	k.shut = false
	for token, s := range k.seeks {
		k.submitSeek(token, s)
	}
	for id, c := range k.claims {
		if c.holder.nobody() {
			k.advance(id, c, now)
		}
	}
}

// readGather answers with the sessions of this node, and with the claims of its
// front: all if the peer decides about them, else those that were granted.
func (k *core) readGather(p cluster.Peer, m *gatherLetter) {
	if m.Number == 0 {
		delete(k.readers, p)
		if k.up == p {
			k.sayAgain(0)
		}
		return
	}
	k.clock.Seen(m.Number)
	k.readers[p] = struct{}{}
	k.post(p, &sessionsLetter{Number: m.Number, First: true})
	for id, list := range k.asked {
		for _, a := range list {
			if a.gen != 0 || k.up == p {
				c := k.letter(id, a, true)
				c.Known = k.up != p
				k.post(p, c)
			}
		}
	}
	l, size := &sessionsLetter{Number: m.Number}, 0
	for id, s := range k.here {
		if size += len(id) + len(s.pid.Id) + 16; size > chunk && len(l.ClientIDs) > 0 {
			k.post(p, l)
			l, size = &sessionsLetter{Number: m.Number}, len(id)+len(s.pid.Id)+16
		}
		l.ClientIDs, l.Sessions = append(l.ClientIDs, id), append(l.Sessions, s.pid.Id)
		l.Ranks = append(l.Ranks, s.rank)
	}
	l.Last = true
	k.post(p, l)
}

// readSessions takes a part of a member's answer.
func (k *core) readSessions(p cluster.Peer, m *sessionsLetter, now int64) {
	s := k.sources[p]
	if s == nil || s.done || s.number != m.Number {
		return
	}
	if m.First { // all that it said before is said again now
		k.forgetSessions(p)
		k.forgetClaims(p, true, now)
	}
	for i, id := range m.ClientIDs {
		k.clock.Seen(m.Ranks[i])
		k.offer(id, seat{peer: p, id: m.Sessions[i], rank: m.Ranks[i]})
	}
	if m.Last {
		s.done = true
		k.look(now)
	}
}

func (k *core) forgetSessions(p cluster.Peer) {
	for id, f := range k.away {
		if f.peer == p {
			delete(k.away, id)
		}
	}
}

// onEnded is that the conversation with a peer is over, and with it all that was
// said in it.
func (k *core) onEnded(p cluster.Peer, now int64) {
	k.members = slices.DeleteFunc(slices.Clone(k.members), func(q cluster.Peer) bool { return p == q })
	delete(k.readers, p)
	delete(k.sources, p)
	if k.up == p {
		k.up = nil
	}
	for token, s := range k.seeks {
		if s.by.peer == p {
			delete(k.seeks, token)
		}
	}
	k.forgetSessions(p)
	k.forgetClaims(p, true, now)
	k.look(now)
}

// forgetClaims takes back the claims of a peer. One that has left, and has not
// ended, says to the next owner itself what it was granted.
func (k *core) forgetClaims(p cluster.Peer, ended bool, now int64) {
	for id, list := range k.asked {
		for _, a := range slices.Clone(list) {
			switch {
			case a.by.peer != p:
			case a.gen != 0 && !ended && !k.owner && k.up != nil:
				k.drop(id, a) // but not what it has said to the owner itself
				k.post(k.up, &abortLetter{ClientID: id, Token: a.token})
			default:
				k.giveBack(id, a, nil, now)
			}
		}
	}
	for id, c := range k.claims {
		for _, by := range c.claimants() {
			if by.peer == p {
				k.abort(id, by, 0, false, now)
			}
		}
	}
}

// claimants are the holder and all that wait; some may be nobody.
func (c *claim) claimants() []claimant {
	return append([]claimant{c.holder, c.next}, c.stored...)
}

// again is that the slot's actor has begun, for the first time or after a crash:
// what was said to it last may be lost. Alive are the conversations that there are.
func (k *core) again(alive map[cluster.Peer]bool, now int64) {
	for _, p := range k.known() {
		if !alive[p] {
			k.onEnded(p, now)
		}
	}
	for p := range alive { // also those that see us and that we do not see yet
		k.forgetClaims(p, true, now)
		k.post(p, &againLetter{})
	}
	for p := range k.sources {
		k.gather(p)
	}
	k.sayAgain(now)
	k.look(now)
}

// known are all peers of which something is known.
func (k *core) known() (out []cluster.Peer) {
	seen := map[cluster.Peer]bool{nil: true}
	note := func(p cluster.Peer) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	note(k.up)
	for p := range k.readers {
		note(p)
	}
	for p := range k.sources {
		note(p)
	}
	for _, f := range k.away {
		note(f.peer)
	}
	for _, c := range k.claims {
		for _, by := range c.claimants() {
			note(by.peer)
		}
	}
	for _, list := range k.asked {
		for _, a := range list {
			note(a.by.peer)
		}
	}
	return out
}
