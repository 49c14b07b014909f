package registry

import (
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
	"emqttd/protocol"
)

// Registry finds the slot of a client identifier. It is made before the slots
// run and may be used from any goroutine once they do.
type Registry struct {
	system *actor.ActorSystem
	net    cluster.Net // nil without a cluster
	cores  [Slots]*core
	pids   [Slots]*actor.PID

	mu    sync.Mutex // orders what the slots hear about peers
	alive map[cluster.Peer]bool
	view  *viewed
}

// New makes the tables of a node. prefix is the name of the actor under which
// Spec will be started. net is nil on a node without a cluster; else New adds the
// registry to it, so it must not run yet. The slots must run before the net does.
func New(system *actor.ActorSystem, prefix string, net cluster.Net) *Registry {
	r := &Registry{system: system, net: net, alive: make(map[cluster.Peer]bool), view: &viewed{}}
	var clock *cluster.Clock
	self := ""
	if net != nil {
		clock, self = net.Clock(), net.Self().Name
	}
	for i := range r.cores {
		r.cores[i] = newCore(i, self, clock)
		r.pids[i] = system.NewLocalPID(prefix + "/registry/" + strconv.Itoa(i))
	}
	if net != nil {
		r.view = r.look()
		for kind := range letters {
			net.Handle(kind, r.deliver)
		}
		net.Add(r)
		net.OnView(func(*cluster.View) { r.refresh() })
	}
	return r
}

// Spec is the subtree "registry" with one child for each slot.
func (r *Registry) Spec() kernel.ChildSpec {
	children := make([]kernel.ChildSpec, Slots)
	for i := range children {
		k := r.cores[i]
		children[i] = kernel.ChildSpec{
			Name:    strconv.Itoa(i),
			Props:   kernel.NewProps(func() actor.Actor { return &slot{core: k, registry: r} }),
			Restart: kernel.Permanent,
		}
	}
	return kernel.ChildSpec{Name: "registry", Props: kernel.Supervisor(children)}
}

// Slot is this node's slot of a client identifier.
func (r *Registry) Slot(id protocol.ClientID) *actor.PID { return r.pids[slotOf(id)] }

// At is slot i of this node, for listings.
func (r *Registry) At(i int) *actor.PID { return r.pids[i] }

// Len counts the sessions on this node.
func (r *Registry) Len() int {
	n := int64(0)
	for _, k := range r.cores {
		n += k.size.Load()
	}
	return int(n)
}

// viewed tells the slots who the members are and whose they are. It is shared by
// all of them.
type viewed struct {
	members []cluster.Peer
	owners  [Slots]cluster.Peer // nil: this node
}

// ended tells the slots that a conversation is over.
type ended struct{ peer cluster.Peer }

// Begin implements cluster.Service. The sessions of a peer are asked for by those
// who need them, when they do: it may count as up.
func (r *Registry) Begin(p cluster.Peer, ready func()) {
	r.mu.Lock()
	r.alive[p] = true
	r.mu.Unlock()
	ready()
}

// End implements cluster.Service.
func (r *Registry) End(p cluster.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.alive, p)
	r.tell(&ended{p})
	r.view = r.look()
	r.tell(r.view)
}

// refresh tells the slots of a new view.
func (r *Registry) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view = r.look()
	r.tell(r.view)
}

func (r *Registry) tell(m any) {
	for _, pid := range r.pids {
		r.system.Root.Send(pid, m)
	}
}

// look makes a view of the conversations: of those that are in the view of the net
// and have not ended meanwhile.
func (r *Registry) look() *viewed {
	v := &viewed{}
	byName := make(map[string]cluster.Peer)
	var others []cluster.Member
	for _, p := range r.net.Peers() {
		if r.alive[p] {
			m := p.Member()
			v.members, others = append(v.members, p), append(others, m)
			byName[m.Name] = p
		}
	}
	view := cluster.NewView(0, r.net.Self(), others)
	for i := range v.owners {
		v.owners[i] = byName[view.Owner(i).Name]
	}
	return v
}

// deliver hands a letter to its slot.
func (r *Registry) deliver(p cluster.Peer, m wire.Message) {
	l, ok := m.(letter)
	if !ok {
		r.system.Logger().Warn("a member sent the registry what it cannot read", "node", p.Member().Name)
		return
	}
	l.header().peer = p
	r.system.Root.Send(r.pids[l.header().Slot], l)
}

// slot is the actor that owns one core.
type slot struct {
	core     *core
	registry *Registry
}

// Receive implements actor.Actor.
func (s *slot) Receive(c actor.Context) {
	k := s.core
	now := time.Now().UnixMilli()
	switch m := c.Message().(type) {
	case *actor.Started:
		s.begin(now)
	case *Claim:
		k.onClaim(m, now)
	case *Commit:
		k.onCommit(m, now)
	case *Abort:
		k.onAbort(m, now)
	case *Release:
		k.onRelease(m, now)
	case *WhereQuery:
		k.onWhere(m)
	case *ListQuery:
		k.onList(m)
	case *viewed:
		s.view(m, now)
	case *ended:
		k.onEnded(m.peer, now)
	case letter:
		if k.misplaced(m) {
			s.registry.system.Logger().Warn("a member sent a registry slot what is not for it", "node", m.header().peer.Member().Name, "slot", k.number)
			return
		}
		k.read(m, now)
	}
	k.settled()
	s.flush(c)
}

// begin is the start of the actor, and each that follows a crash.
func (s *slot) begin(now int64) {
	k := s.core
	k.effects, k.out = nil, nil // of the message that crashed it
	if k.alone() {
		return
	}
	r := s.registry
	r.mu.Lock()
	view, alive := r.view, make(map[cluster.Peer]bool, len(r.alive))
	for p := range r.alive {
		alive[p] = true
	}
	r.mu.Unlock()
	s.view(view, now)
	k.again(alive, now)
}

func (s *slot) view(m *viewed, now int64) {
	up := m.owners[s.core.number]
	s.core.onView(m.members, up, up == nil, now)
}

// flush sends what the core wants sent.
func (s *slot) flush(c actor.Context) {
	k := s.core
	for _, e := range k.effects {
		if e.peer == nil {
			c.Send(e.to, e.msg)
		} else {
			e.peer.Send(e.msg.(wire.Message))
		}
	}
	clear(k.effects)
	k.effects = k.effects[:0]
}
