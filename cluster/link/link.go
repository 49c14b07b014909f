package link

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

const (
	heartbeat = time.Second
	// suspectAfter is three heartbeats that were missed.
	suspectAfter = 3 * heartbeat
	// downAfter is longer than the pauses that virtual machines and collectors make.
	downAfter = 8 * heartbeat
	// look is how often silence is looked at.
	look = heartbeat / 4
)

// What a link is told, besides proposals.
type (
	attached struct{ peer *Peer }
	detached struct {
		peer *Peer
		turn uint64
	}
	readied struct{ peer *Peer } // the services of one side
	over    struct{ peer *Peer } // nothing of the conversation is left
	gone    struct {             // its port refuses
		peer *Peer
		err  error
	}
	hangUp struct{ last *bye }
	pulse  struct{ peer *Peer }
)

// IgnoreDeadLetterLogging: streams and conversations end after the link has.
func (*detached) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: streams and conversations end after the link has.
func (*over) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: streams and conversations end after the link has.
func (*pulse) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: streams and conversations end after the link has.
func (*readied) IgnoreDeadLetterLogging() {}

var (
	errSilent = errors.New("it was silent")
	errNewer  = errors.New("it has been started anew")
	errOther  = errors.New("it does not know of the conversation any more")
	errLinkUp = errors.New("the link was restarted")
	errNever  = errors.New("it did not come about")
)

// decision is the answer to a proposal: the stream belongs to the conversation, once
// both have said so.
type decision struct {
	peer         *Peer // nil: there is none yet
	turn         uint64
	conversation uint64
	received     [lanes]uint64
	used         bool
}

// run carries the conversation.
func (d *decision) run(s wire.Stream, received [lanes]uint64) error {
	d.used = true
	return d.peer.run(s, d.turn, received)
}

// giveBack says that nothing has come of it, if so.
func (d *decision) giveBack() {
	if d != nil && d.peer != nil && !d.used {
		d.used = true
		d.peer.net.tellLink(d.peer.member.Name, &detached{d.peer, d.turn})
	}
}

// propose asks for a decision.
func (n *Net) propose(p *proposal) (*decision, error) {
	p.answer = make(chan any, 1)
	n.tellMembers(p)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-p.answer:
		if d, ok := a.(*decision); ok {
			return d, nil
		}
		return nil, a.(error)
	case <-timer.C:
		return nil, refuse(Busy, "the node is busy")
	case <-n.life.Done():
		return nil, refuse(Away, "the node is stopping")
	}
}

func (p *proposal) reply(d *decision) { p.answer <- d }
func (p *proposal) refuse(r *refused) { p.answer <- error(r) }

// link is the state of one link actor. It outlives a crash of that.
type link struct {
	net     *Net
	name    string
	peer    *Peer     // the conversation there is
	ending  *Peer     // the one before it, of which something is left
	waiting *proposal // until the stream or the conversation before has gone
	beats   uint
}

// linkActor is the actor. Its mailbox is bounded by the streams that the other node
// can open at a time.
type linkActor struct{ *link }

// Receive implements actor.Actor.
func (l *linkActor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started, *actor.Stopped:
	case *actor.Stopping:
		l.hangUp(errors.New("this node stops"), &bye{Because: "the node stops"})
		l.refuseWaiting()
	case *actor.Restarting:
		l.hangUp(errLinkUp, nil)
		l.refuseWaiting()
	case *proposal:
		l.onProposal(m)
	case *attached:
		l.net.tellMembers(&linked{m.peer, true})
	case *detached:
		l.onDetached(m)
	case *readied:
		if m.peer == l.peer && m.peer.bothReady() {
			l.net.tellMembers(&stateChanged{m.peer, cluster.Up})
		}
	case *over:
		if m.peer == l.ending {
			l.ending = nil
		}
		l.resume()
	case *gone:
		if m.peer == l.peer && !m.peer.attached() {
			l.hangUp(m.err, nil)
		}
	case *hangUp:
		l.hangUp(errors.New(m.last.Because), m.last)
	case *pulse:
		l.onPulse(m)
	default:
		c.Logger().Warn("unexpected message", "actor", c.Self().Id, "message", fmt.Sprintf("%T", m))
	}
}

// onProposal decides about a stream.
func (l *link) onProposal(m *proposal) {
	p := l.peer
	switch {
	case l.ending != nil:
		l.wait(m)
	case p == nil:
		l.begin(m)
	case p.member.Incarnation != m.hello.Incarnation:
		// The one who has the address now is the node; an older process cannot be.
		if p.member.Address != m.hello.Address || m.hello.Incarnation < p.member.Incarnation {
			m.refuse(refuse(NameTaken, "a node with the name %s is running at %s", l.name, p.member.Address))
			return
		}
		l.hangUp(errNewer, nil)
		l.wait(m)
	case p.attached():
		if m.outbound {
			m.refuse(refuse(Busy, "there is a stream")) // by another address of the same node
			return
		}
		p.detach() // it would not call if it still had it
		l.wait(m)
	case m.outbound && m.welcome == nil, !m.outbound && m.join.Conversation == p.id:
		m.reply(p.admit())
	default:
		l.hangUp(errOther, nil)
		l.wait(m)
	}
}

// begin answers when there is no conversation.
func (l *link) begin(m *proposal) {
	id := uint64(0)
	switch {
	case !m.outbound:
		var b [8]byte
		_, _ = rand.Read(b[:]) // it never fails: the program ends first
		id = binary.BigEndian.Uint64(b[:]) | 1
	case m.welcome == nil:
		m.reply(&decision{}) // the acceptor names it
		return
	default:
		id = m.welcome.Conversation
	}
	p, ok := l.net.converse(m.hello, id)
	if !ok {
		m.refuse(refuse(Away, "the node is stopping"))
		return
	}
	l.peer, l.beats = p, 0
	l.schedule(p)
	m.reply(p.admit())
}

func (l *link) wait(m *proposal) {
	l.refuseWaiting()
	l.waiting = m
}

func (l *link) refuseWaiting() {
	if l.waiting != nil {
		l.waiting.refuse(refuse(Busy, "another stream came"))
		l.waiting = nil
	}
}

func (l *link) resume() {
	if m := l.waiting; m != nil {
		l.waiting = nil
		l.onProposal(m)
	}
}

func (l *link) onDetached(m *detached) {
	p := m.peer
	if !p.attached() {
		l.net.tellMembers(&linked{p, false})
	}
	if p == l.peer {
		switch said := p.lastSaid(); {
		case said != nil:
			l.hangUp(fmt.Errorf("%w: %.200s", errSaidBye, said.Because), nil)
			l.net.tellMembers(&departed{p, said})
		case p.hasEnded(), !p.everAttached():
			l.hangUp(errNever, nil)
		}
	}
	l.resume()
}

// hangUp ends the conversation there is.
func (l *link) hangUp(why error, last *bye) {
	if l.peer == nil {
		return
	}
	l.ending, l.peer = l.peer, nil
	l.net.hangUp(l.ending, why, last)
}

func (l *link) schedule(p *Peer) {
	n, name := l.net, l.name
	time.AfterFunc(look, func() { n.tellLink(name, &pulse{p}) })
}

// onPulse looks at the silence, and sends the heartbeat.
func (l *link) onPulse(m *pulse) {
	p := m.peer
	if p != l.peer {
		return
	}
	silence := p.silence(time.Now())
	if silence >= downAfter || p.hasEnded() {
		l.hangUp(fmt.Errorf("%w for %v", errSilent, silence.Round(time.Millisecond)), nil)
		return
	}
	if p.bothReady() {
		state := cluster.Up
		if silence >= suspectAfter {
			state = cluster.Suspect
		}
		if state != cluster.State(p.state.Load()) {
			l.net.tellMembers(&stateChanged{p, state})
		}
	}
	if l.beats++; l.beats%uint(heartbeat/look) == 0 {
		p.ask()
	}
	l.schedule(p)
}
