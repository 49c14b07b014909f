package link

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// What members is told, by the owner of the net …
type (
	discovered  struct{ list []cluster.Candidate }
	joinAddress struct{ address string }
	leave       struct{}
	forceLeave  struct{ name string }
)

// … by the goroutines of streams …
type (
	// proposal is a stream whose other end is known. It is answered, once, by reply.
	proposal struct {
		hello    *hello
		outbound bool
		join     *join    // of an inbound stream
		welcome  *welcome // of an outbound one that did not resume
		answer   chan any // *decision or error
	}
	// dialled says how a call ended.
	dialled struct {
		address, name string
		err           error
		streamed      bool // it got as far as carrying messages
	}
)

// … by links …
type (
	stateChanged struct {
		peer  *Peer
		state cluster.State
	}
	// linked says whether a node has a stream.
	linked struct {
		peer *Peer
		yes  bool
	}
	learnt   struct{ nodes []contact }
	departed struct {
		peer *Peer
		said *bye
	}
)

// … and by itself.
type dialTick struct{}

// IgnoreDeadLetterLogging: it may come when all is over.
func (*dialTick) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: conversations end after members has.
func (*stateChanged) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: conversations end after members has.
func (*linked) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: conversations end after members has.
func (*departed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: calls end after members has.
func (*dialled) IgnoreDeadLetterLogging() {}

// roster is what members knows. It belongs to the net, so that a crash of the actor
// costs the message it was handling and no member.
type roster struct {
	contacts contacts
	away     bool             // it has left the cluster, until somebody joins it again
	peers    map[string]*Peer // the newest conversation of each node
	links    map[string]bool  // names that have an actor
	timer    *time.Timer
}

func newRoster() *roster {
	return &roster{contacts: newContacts(), peers: map[string]*Peer{}, links: map[string]bool{}}
}

// members owns the membership: whom the node knows, whom it dials, and the view. Its
// parent is the cluster's supervisor. Its mailbox is bounded by the number of nodes:
// each says little.
type members struct {
	net    *Net
	roster *roster
}

// Receive implements actor.Actor.
func (m *members) Receive(c actor.Context) {
	now := time.Now()
	switch msg := c.Message().(type) {
	case *actor.Started:
		m.net.start()
	case *actor.Stopping:
		m.net.stop()
	case *actor.Stopped, *actor.Restarting, *dialTick:
	case *discovered:
		m.onDiscovered(msg, now)
	case *joinAddress:
		m.roster.away = false
		m.roster.contacts.add(msg.address, "", now).joined = true
		m.roster.contacts.targets[msg.address].next = now
	case *leave:
		m.leave("the node leaves the cluster")
	case *forceLeave:
		m.onForceLeave(msg.name)
	case *proposal:
		m.onProposal(msg, now)
	case *dialled:
		m.onDialled(msg, now)
	case *stateChanged:
		m.onState(msg)
	case *linked:
		m.onLinked(msg, now)
	case *learnt:
		m.onLearnt(msg, now)
	case *departed:
		m.onDeparted(msg, now)
	default:
		c.Logger().Warn("unexpected message", "actor", c.Self().Id, "message", msg)
	}
	m.dial(now)
	m.remember()
}

// remember publishes whom the node knows.
func (m *members) remember() {
	if !m.roster.contacts.changed {
		return
	}
	m.roster.contacts.changed = false
	list := m.roster.contacts.list()
	m.net.candidates.Store(&list)
	if tell := m.net.options.OnKnown; tell != nil {
		tell(list)
	}
}

// dial starts the calls that are due and a timer for the next one.
func (m *members) dial(now time.Time) {
	r := m.roster
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.away || m.net.life.Err() != nil {
		return
	}
	due, next := r.contacts.due(now)
	for _, address := range due {
		if address == m.net.Self().Address {
			r.contacts.targets[address].self, r.contacts.targets[address].dialing = true, false
			continue
		}
		if !m.net.enter() {
			return
		}
		go func() {
			defer m.net.running.Done()
			var d dialled
			d.address = address
			d.name, d.streamed, d.err = m.net.call(address)
			m.net.tellMembers(&d)
		}()
	}
	if !next.IsZero() {
		n := m.net
		r.timer = time.AfterFunc(max(next.Sub(now), time.Millisecond), func() { n.tellMembers(&dialTick{}) })
	}
}

func (m *members) onDiscovered(msg *discovered, now time.Time) {
	if m.roster.away {
		return
	}
	addresses := make(map[string]string, len(msg.list))
	for _, c := range msg.list {
		if c.Address != "" && c.Address != m.net.Self().Address {
			addresses[c.Address] = c.Name
		}
	}
	m.roster.contacts.discovered(addresses, now)
}

func (m *members) onLearnt(msg *learnt, now time.Time) {
	if m.roster.away {
		return
	}
	self := m.net.Self()
	for _, n := range msg.nodes {
		if n.Name != self.Name && n.Address != self.Address && n.Name != "" && len(n.Name) <= maxName && len(n.Address) <= maxName && len(m.roster.contacts.targets) < maxTold {
			m.roster.contacts.add(n.Address, n.Name, now)
		}
	}
}

// onProposal sees to it that there is one stream between two nodes, and passes it on to
// the actor of the other one.
func (m *members) onProposal(p *proposal, now time.Time) {
	r, self := m.roster, m.net.Self()
	switch {
	case r.away || m.net.life.Err() != nil:
		p.refuse(refuse(Away, "%s is not in the cluster now", self.Name))
	case !p.outbound && self.Name < p.hello.Name:
		// It is for us to dial: now.
		t := r.contacts.add(p.hello.Address, p.hello.Name, now)
		t.next = now
		p.refuse(refuse(CallBack, "%s calls back", self.Name))
	case p.outbound && p.hello.Name < self.Name:
		p.reply(&decision{}) // to be called back
	case r.links[p.hello.Name]:
		m.net.tellLink(p.hello.Name, p)
	default:
		m.addLink(p)
	}
}

func (m *members) addLink(p *proposal) {
	n, name := m.net, p.hello.Name
	m.roster.links[name] = true
	state := &link{net: n, name: name}
	props := kernel.NewProps(func() actor.Actor { return &linkActor{state} })
	n.system.Root.Send(n.system.NewLocalPID(n.options.Parent+"/link"), &kernel.AddChild{
		Spec: kernel.ChildSpec{Name: n.linkName(name), Props: props},
		Reply: func(_ *actor.PID, err error) {
			if err != nil && !errors.Is(err, kernel.ErrChildExists) {
				p.refuse(refuse(Busy, "the node is starting or stopping"))
				return
			}
			n.tellLink(name, p)
		},
	})
}

func (m *members) onDialled(d *dialled, now time.Time) {
	r := m.roster
	r.contacts.dialled(d.address, d.name, d.streamed, now)
	if d.streamed || d.err == nil {
		return
	}
	reason := reasonFor(d.err)
	m.net.note(&hello{Name: d.name, Address: d.address}, d.err)
	t := r.contacts.targets[d.address]
	switch {
	case t == nil:
	case reason == Oneself:
		t.self, r.contacts.changed = true, true
	case errors.Is(d.err, wire.ErrRefused), reason == Away:
		// Nobody is there: no need to wait for silence.
		if p, ok := m.net.PeerAt(d.address).(*Peer); ok {
			m.net.tellLink(p.member.Name, &gone{p, d.err})
		}
	}
}

// onLinked has a lost stream replaced at once, by whoever dials of the two.
func (m *members) onLinked(msg *linked, now time.Time) {
	name := msg.peer.member.Name
	c := &m.roster.contacts
	c.linked[name] = msg.yes
	if msg.yes {
		c.add(msg.peer.member.Address, name, now)
		c.moved(name, msg.peer.member.Address)
		return
	}
	delete(c.linked, name)
	pause := time.Duration(0)
	if name < m.net.Self().Name {
		pause = grace
	}
	c.soon(name, now, pause)
}

func (m *members) onState(msg *stateChanged) {
	r, p := m.roster, msg.peer
	name := p.member.Name
	was := cluster.State(p.state.Load())
	switch {
	case msg.state != cluster.Down:
		r.peers[name], r.contacts.alive[name] = p, true
	case r.peers[name] == p:
		delete(r.peers, name)
		delete(r.contacts.alive, name)
	}
	if was == msg.state {
		return
	}
	p.state.Store(uint32(msg.state))
	m.log(p, was, msg.state)
	var list []*Peer
	for _, q := range r.peers {
		if cluster.State(q.state.Load()) != cluster.Down {
			list = append(list, q)
		}
	}
	m.net.show(list)
	if was == cluster.Down {
		m.introduce(list)
	}
}

func (m *members) log(p *Peer, was, is cluster.State) {
	args := []any{"node", p.member.Name, "address", p.member.Address, "version", p.member.Version}
	switch {
	case is == cluster.Down:
		p.mu.Lock()
		why := p.ended
		p.mu.Unlock()
		m.net.log.Warn("node is down", append(args, "reason", why)...)
	case is == cluster.Suspect:
		m.net.log.Warn("node is silent", args...)
	case was == cluster.Suspect:
		m.net.log.Info("node is heard again", args...)
	default:
		m.net.log.Info("node is up", args...)
	}
}

// introduce tells all members of each other.
func (m *members) introduce(list []*Peer) {
	msg := &known{}
	for _, p := range list {
		msg.Nodes = append(msg.Nodes, contact{p.member.Name, p.member.Address})
	}
	for _, p := range list {
		p.Send(msg)
	}
}

func (m *members) onDeparted(msg *departed, now time.Time) {
	c := &m.roster.contacts
	name := msg.peer.member.Name
	switch {
	case msg.said.Expel:
		m.net.log.Warn("this node was told to leave the cluster", "by", name)
		m.leave("it was told to leave by " + name)
	case msg.said.Left:
		c.forget(name)
		c.soon(name, now, longPause)
	default:
		c.soon(name, now, time.Second)
	}
}

func (m *members) onForceLeave(name string) {
	m.roster.contacts.forget(name)
	if m.roster.links[name] {
		m.net.tellLink(name, &hangUp{&bye{Expel: true, Because: "told to leave"}})
	}
}

func (m *members) leave(why string) {
	r := m.roster
	r.away = true
	r.contacts.clear()
	for name := range r.links {
		m.net.tellLink(name, &hangUp{&bye{Left: true, Because: why}})
	}
}
