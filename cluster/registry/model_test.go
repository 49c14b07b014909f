package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// line is one node's side of a conversation in the model: what the other has said
// and this one has not heard yet.
type line struct {
	at, to *place
	other  *line
	inbox  []letter
	up     bool // in the view of at
}

func (l *line) Member() cluster.Member { return cluster.Member{Name: l.to.name, Address: l.to.name} }

func (l *line) Send(wire.Message) {}

func (l *line) SendData(uint32, []byte, func(error)) {}

// place is a node in the model: the core of one slot, and the lines to others.
type place struct {
	name  string
	clock cluster.Clock
	core  *core
	lines map[string]*line
}

// ask is what has become of a claim, of a connection or of a session that assures its
// place.
type ask struct {
	at       *place
	session  bool
	pid      *actor.PID
	id       string
	grant    *Granted
	answered bool // by a grant, or by Superseded
	done     bool // committed, aborted or superseded
}

// islands is a cluster in which one thing happens at a time, in an order that
// rapid chooses.
type islands struct {
	t        *rapid.T
	places   []*place
	asks     []*ask
	sessions map[string]string // those that live, and their client identifiers
	told     map[string]bool   // sessions that were told Outlived
	dying    map[string]string // those of them that have not ended yet
	n        int
}

// ahead is a stamp that all clocks of the model begin with: none of them looks at
// the time of day then, and what happens does not depend on it.
var ahead = uint64(time.Now().Add(12*time.Hour).UnixMilli()) << 16

var identifiers = []string{"c", "d"}

func newIslands(t *rapid.T, n int) *islands {
	w := &islands{t: t, sessions: map[string]string{}, told: map[string]bool{}, dying: map[string]string{}}
	for i := range n {
		p := &place{name: fmt.Sprintf("n%d", i+1), lines: map[string]*line{}}
		p.clock.Seen(ahead)
		p.core = newCore(7, p.name, &p.clock)
		w.places = append(w.places, p)
		w.learn(p)
	}
	return w
}

// learn gives a node its view.
func (w *islands) learn(p *place) {
	var members []cluster.Peer
	var others []cluster.Member
	for _, q := range w.places {
		if l := p.lines[q.name]; l != nil && l.up {
			members, others = append(members, l), append(others, l.Member())
		}
	}
	owner := cluster.NewView(0, cluster.Member{Name: p.name}, others).Owner(7).Name
	var up cluster.Peer
	if l := p.lines[owner]; l != nil {
		up = l
	}
	w.t.Logf("%s sees %d others; the owner is %s", p.name, len(members), owner)
	p.core.onView(members, up, up == nil, 0)
	w.take(p)
}

// connect begins a conversation; each side sees it in its view when it learns.
func (w *islands) connect(a, b *place) bool {
	if a == b || a.lines[b.name] != nil || b.lines[a.name] != nil {
		return false
	}
	la, lb := &line{at: a, to: b}, &line{at: b, to: a}
	la.other, lb.other = lb, la
	a.lines[b.name], b.lines[a.name] = la, lb
	return true
}

// end is that a notices the end of a conversation; b may do so later.
func (w *islands) end(l *line) {
	l.inbox = nil
	if l.other != nil {
		l.other.other = nil // what the other says is lost
	}
	delete(l.at.lines, l.to.name)
	l.at.core.onEnded(l, 0)
	w.take(l.at)
	w.learn(l.at)
}

// take does what a core wants done.
func (w *islands) take(p *place) {
	p.core.settled()
	effects := p.core.effects
	p.core.effects = nil
	for _, e := range effects {
		if e.peer != nil {
			w.carry(e.peer.(*line), e.msg.(letter))
			continue
		}
		w.hear(p, e)
	}
}

// carry sends a letter through its frame to the other side.
func (w *islands) carry(l *line, m letter) {
	if l.other == nil || l.at.lines[l.to.name] != l {
		return
	}
	frame, err := m.Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	got := wire.Decode(wire.Open(frame)).(letter)
	got.header().peer = l.other
	l.other.inbox = append(l.other.inbox, got)
}

// hear is what claimants and sessions are told.
func (w *islands) hear(p *place, e effect) {
	if m, ok := e.msg.(*Outlived); ok {
		if e.to.Address != p.name {
			w.t.Fatalf("%s told %v", p.name, e.to)
		}
		w.outlived(key(e.to), m.ClientID)
		if m.Winner == nil || m.Winner.Equal(e.to) {
			w.t.Fatalf("%v was outlived by %v", e.to, m.Winner)
		}
		return
	}
	var a *ask
	for _, b := range w.asks { // the last one: a session may have claimed more than once
		if b.pid.Equal(e.to) {
			a = b
		}
	}
	if a == nil {
		w.t.Fatalf("%v was told a %T", e.to, e.msg)
	}
	switch m := e.msg.(type) {
	case *Granted:
		if a.answered && !a.done {
			w.t.Fatalf("%v was granted twice: %v and %v", a.pid, a.grant, m)
		}
		a.grant, a.answered = m, true
	case *Superseded:
		a.answered, a.done = true, true
	default:
		w.t.Fatalf("%v was told a %T", e.to, e.msg)
	}
}

// outlived is that a session has lost its place: it ends when it has handed over.
func (w *islands) outlived(session, id string) {
	delete(w.sessions, session)
	w.told[session], w.dying[session] = true, id
}

func key(pid *actor.PID) string { return pid.Address + "/" + pid.Id }

func (w *islands) claim(p *place, id string) {
	w.n++
	a := &ask{at: p, id: id, pid: actor.NewPID(p.name, fmt.Sprintf("node/connections/%d", w.n))}
	w.asks = append(w.asks, a)
	p.core.onClaim(&Claim{ClientID: id, By: a.pid}, 0)
	w.take(p)
}

// assure is that a session claims its place, which it has or may have lost.
func (w *islands) assure(session string) {
	node, name, _ := strings.Cut(session, "/")
	p, pid := w.at(node), actor.NewPID(node, name)
	if slices.ContainsFunc(w.asks, func(a *ask) bool { return !a.done && a.pid.Equal(pid) }) {
		return
	}
	w.asks = append(w.asks, &ask{at: p, id: w.sessions[session], pid: pid, session: true})
	p.core.onClaim(&Claim{ClientID: w.sessions[session], By: pid, Stored: 1}, 0)
	w.take(p)
}

// held are the claims that were granted and about which nothing was decided yet.
func (w *islands) held() (out []*ask) {
	for _, a := range w.asks {
		if a.grant != nil && !a.done {
			out = append(out, a)
		}
	}
	return out
}

// commit resumes the session that is there, if it is here, or makes a new one.
func (w *islands) commit(a *ask) {
	s := a.grant.Session
	if a.session && s != nil && !s.Equal(a.pid) { // it gives way
		w.abort(a, false)
		if id := w.sessions[key(a.pid)]; id != "" {
			w.outlived(key(a.pid), id)
		}
		return
	}
	a.done = true
	if a.session {
		s = a.pid
	}
	if s == nil || s.Address != a.at.name || w.sessions[key(s)] == "" {
		w.n++
		s = actor.NewPID(a.at.name, fmt.Sprintf("node/sessions/%d", w.n))
		w.sessions[key(s)] = a.id
	}
	a.at.core.onCommit(&Commit{ClientID: a.id, Generation: a.grant.Generation, By: a.pid, Session: s}, 0)
	w.take(a.at)
}

func (w *islands) abort(a *ask, gone bool) {
	a.done = true
	gen := uint64(0)
	if a.grant != nil {
		gen = a.grant.Generation
		if s := a.grant.Session; gone && s != nil {
			delete(w.sessions, key(s))
		}
	}
	a.at.core.onAbort(&Abort{ClientID: a.id, Generation: gen, By: a.pid, SessionGone: gone}, 0)
	w.take(a.at)
}

// release ends a session.
func (w *islands) release(session string) {
	node, name, _ := strings.Cut(session, "/")
	p, pid := w.at(node), actor.NewPID(node, name)
	for _, a := range w.asks {
		if a.pid.Equal(pid) {
			a.done = true
		}
	}
	id := w.sessions[session] + w.dying[session]
	delete(w.sessions, session)
	delete(w.dying, session)
	p.core.onRelease(&Release{ClientID: id, Session: pid}, 0)
	w.take(p)
}

func (w *islands) at(name string) *place {
	return w.places[slices.IndexFunc(w.places, func(p *place) bool { return p.name == name })]
}

func (w *islands) lines() (out []*line) {
	for _, p := range w.places {
		for _, q := range w.places {
			if l := p.lines[q.name]; l != nil {
				out = append(out, l)
			}
		}
	}
	return out
}

// deliver has a node hear one letter, or crash on it.
func (w *islands) deliver(l *line, crash bool) {
	m := l.inbox[0]
	l.inbox = l.inbox[1:]
	w.t.Logf("%s hears %s (crash %v): %T %+v", l.at.name, l.to.name, crash, m, m)
	if crash {
		w.crash(l.at)
		return
	}
	l.at.core.read(m, 0)
	w.take(l.at)
}

// crash is that the slot's actor begins anew.
func (w *islands) crash(p *place) {
	alive := map[cluster.Peer]bool{}
	for _, l := range p.lines {
		alive[l] = true
	}
	w.learn(p)
	p.core.again(alive, 0)
	w.take(p)
}

// heal connects all with all, and has everybody hear everything.
func (w *islands) heal() {
	for _, l := range w.lines() {
		if l.other == nil {
			w.end(l)
		}
	}
	for i, a := range w.places {
		for _, b := range w.places[i+1:] {
			w.connect(a, b)
		}
	}
	for _, l := range w.lines() {
		l.up = true
	}
	for _, p := range w.places {
		w.learn(p)
	}
	w.quiet()
}

func (w *islands) quiet() {
	for busy, n := true, 0; busy; n++ {
		if n > 10_000 {
			w.t.Fatal("they never stop to talk")
		}
		busy = false
		for _, l := range w.lines() {
			if len(l.inbox) > 0 {
				w.deliver(l, false)
				busy = true
			}
		}
	}
}

// check looks at a cluster that is whole and has nothing more to say.
func (w *islands) check() {
	for _, a := range w.asks {
		if !a.answered && !a.done {
			w.t.Fatalf("%v was never answered", a.pid)
		}
	}
	owner := w.places[0]
	for _, p := range w.places {
		if p.core.owner {
			owner = p
		}
		if len(p.core.claims) > 0 || len(p.core.asked) > 0 || len(p.core.seeks) > 0 {
			for id, c := range p.core.claims {
				w.t.Logf("%s: %+v", id, *c)
			}
			for id, list := range p.core.asked {
				w.t.Logf("%s: %+v", id, *list[0])
			}
			w.t.Fatalf("%s has claims %v, asked %v, questions %v", p.name, p.core.claims, p.core.asked, p.core.seeks)
		}
	}
	for _, id := range identifiers {
		var live []string
		for s, of := range w.sessions {
			if of == id {
				live = append(live, s)
			}
		}
		known := ""
		if at := owner.core.find(id); at != nil {
			known = key(at)
		}
		if len(live) > 1 || len(live) == 1 && known != live[0] {
			w.t.Fatalf("%s has the sessions %v, the owner knows %q", id, live, known)
		}
		if len(live) == 0 && known != "" && w.told[known] {
			w.t.Fatalf("%s: the owner knows %s, which was told that it is outlived", id, known)
		}
	}
}

// choose draws a number, which reads better in a report than what it stands for.
func choose[T any](t *rapid.T, from []T, what string) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)]
}

func TestOnIslandsEveryClaimIsAnsweredAndAfterHealingOneSessionIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newIslands(t, rapid.IntRange(2, 5).Draw(t, "nodes"))
		if rapid.Bool().Draw(t, "connected") {
			w.heal()
		}
		pick := func(what string) *place { return choose(t, w.places, what) }
		someLine := func(ok func(*line) bool) *line {
			all := slices.DeleteFunc(w.lines(), func(l *line) bool { return !ok(l) })
			if len(all) == 0 {
				t.Skip("no such line")
			}
			return choose(t, all, "line")
		}
		someHeld := func() *ask {
			held := w.held()
			if len(held) == 0 {
				t.Skip("nothing is granted")
			}
			return choose(t, held, "claim")
		}
		someSession := func(among map[string]string) string {
			all := slices.Sorted(maps.Keys(among))
			if len(all) == 0 {
				t.Skip("there is none")
			}
			return choose(t, all, "session")
		}
		hear := func(t *rapid.T) { w.deliver(someLine(func(l *line) bool { return len(l.inbox) > 0 }), false) }
		t.Repeat(map[string]func(*rapid.T){
			"claim":  func(t *rapid.T) { w.claim(pick("node"), rapid.SampledFrom(identifiers).Draw(t, "id")) },
			"commit": func(*rapid.T) { w.commit(someHeld()) },
			"abort":  func(t *rapid.T) { w.abort(someHeld(), rapid.Bool().Draw(t, "session gone")) },
			"give up waiting": func(t *rapid.T) {
				var waiting []*ask
				for _, a := range w.asks {
					if !a.answered && !a.done {
						waiting = append(waiting, a)
					}
				}
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				w.abort(choose(t, waiting, "claim"), false)
			},
			"a session assures its place": func(*rapid.T) { w.assure(someSession(w.sessions)) },
			"end of a session":            func(*rapid.T) { w.release(someSession(w.sessions)) },
			"end of an outlived session":  func(*rapid.T) { w.release(someSession(w.dying)) },
			"hear":                        hear, "hear more": hear, "hear even more": hear,
			"hear all": func(*rapid.T) { w.quiet() },
			"crash on a letter": func(*rapid.T) {
				w.deliver(someLine(func(l *line) bool { return len(l.inbox) > 0 }), true)
			},
			"crash": func(*rapid.T) { w.crash(pick("node")) },
			"connect": func(t *rapid.T) {
				if !w.connect(pick("one"), pick("other")) {
					t.Skip("they are connected")
				}
			},
			"see a peer": func(*rapid.T) {
				l := someLine(func(l *line) bool { return !l.up })
				l.up = true
				w.learn(l.at)
			},
			"lose a peer": func(*rapid.T) { w.end(someLine(func(*line) bool { return true })) },
		})
		w.heal()
		for held := w.held(); len(held) > 0; held = w.held() {
			w.commit(held[0])
			w.quiet()
		}
		for _, session := range slices.Sorted(maps.Keys(w.dying)) {
			w.release(session)
			w.quiet()
		}
		w.check()
	})
}
