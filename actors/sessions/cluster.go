package sessions

import (
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
	"emqttd/protocol"
)

// Join makes sessions move between this node and others. shards are where the
// sessions of this node are spawned. Call it before the net starts. The PIDs of
// sessions and connections must be open to other members (cluster.Post).
func (rt *Runtime) Join(n cluster.Net, shards *kernel.Shards) {
	rt.Net, rt.shards = n, shards
	n.Handle(kindBarrier, rt.onBarrier)
	n.HandleData(kindPassed, rt.onPassed)
	n.Handle(kindInvite, rt.onInvite)
	n.Add(travels{rt})
}

// travellers are the sessions of this node that talk to one on another node, by
// their PID; they are told when the conversation with that node is over.
type travellers struct {
	mu sync.Mutex
	m  map[*actor.PID]string // address of the other
}

func (t *travellers) add(s *actor.PID, node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[*actor.PID]string)
	}
	t.m[s] = node
}

func (t *travellers) remove(s *actor.PID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, s)
}

func (t *travellers) to(node string) (all []*actor.PID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, at := range t.m {
		if at == node {
			all = append(all, s)
		}
	}
	return all
}

// parted tells a session that the conversation with a node is over.
type parted struct{ node string }

func (*parted) IgnoreDeadLetterLogging() {}

// travels is the cluster.Service that watches conversations.
type travels struct{ rt *Runtime }

// Begin implements cluster.Service: there is nothing to tell.
func (t travels) Begin(_ cluster.Peer, ready func()) { ready() }

// End implements cluster.Service.
func (t travels) End(p cluster.Peer) {
	rt, node := t.rt, p.Member().Address
	for _, s := range rt.travellers.to(node) {
		rt.System.Root.Send(s, &parted{node})
	}
	rt.passed(func(r *round, _ uint64) {
		if r.missing[node] == p {
			delete(r.missing, node)
		}
	})
}

// Nonsense counts the messages of other nodes about sessions that could not be.
func (rt *Runtime) Nonsense() uint64 { return rt.nonsense.Load() }

// garbage counts what a peer should not have sent.
func (rt *Runtime) garbage(from cluster.Peer, m any) {
	rt.nonsense.Add(1)
	rt.Log.Warn("a member sent what cannot be", "node", from.Member().Name, "message", fmt.Sprintf("%.80T", m))
}

// nonsense counts a message to a session that cannot be: from another version, or
// too late to mean anything.
func (s *session) nonsense(m any) {
	s.rt.nonsense.Add(1)
	s.rt.Log.Warn("a session of another node sent what cannot be", "client_id", s.id, "message", fmt.Sprintf("%.80T", m))
}

// onForgo is that the other side gives a move up.
func (s *session) onForgo(c actor.Context, m *Forgo) {
	if x := s.leaving(); x != nil && x.generation == m.Generation && !x.merge {
		s.remain(nil)
	}
	if a := s.arriving(); a != nil && a.generation == m.Generation {
		s.forsake(c, &Refused{Generation: a.generation, Code: protocol.ServerBusy})
	}
}

// onAnswer is that the other side does not move, or has moved.
func (s *session) onAnswer(c actor.Context) {
	a := s.arriving()
	if a == nil {
		return
	}
	switch m := c.Message().(type) {
	case *Ended:
		if m.ClientID == s.id {
			s.gone(c)
		}
	case *Refused:
		if m.Generation == a.generation {
			s.forsake(c, m)
		}
	case *TakenOver:
		if m.Generation == a.generation {
			s.forsake(c, m)
		}
	}
}

// onParted is that a node cannot be reached any more.
func (s *session) onParted(c actor.Context, m *parted) {
	if a := s.arriving(); a != nil && a.from.Address == m.node {
		s.gone(c)
	}
	if x := s.leaving(); x != nil && x.to.Address == m.node {
		s.remain(nil)
	}
}

func (rt *Runtime) onInvite(p cluster.Peer, m wire.Message) {
	i, ok := m.(*Invite)
	if !ok || i.ClientID == "" || i.Session == "" {
		rt.garbage(p, m)
		return
	}
	rt.System.Root.Send(rt.shards.For(i.ClientID), &kernel.Spawn{
		Props: rt.Props(), First: &invited{ClientID: i.ClientID, from: actor.NewPID(p.Member().Address, i.Session), kept: i.Kept},
	})
}
