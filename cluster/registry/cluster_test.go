package registry

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
)

// node is one of several with registries that know each other.
type node struct {
	*Registry
	name   string
	net    *clustertest.Net
	system *actor.ActorSystem
}

// nodes starts n1, n2 … and does not connect them.
func nodes(t testing.TB, w *clustertest.World, n int) []*node {
	t.Helper()
	out := make([]*node, n)
	for i := range out {
		out[i] = startNode(t, w, fmt.Sprintf("n%d", i+1))
	}
	t.Cleanup(w.Close) // before the systems stop
	return out
}

func startNode(t testing.TB, w *clustertest.World, name string) *node {
	t.Helper()
	x := &node{name: name, net: w.Node(name), system: kernel.NewSystem(slog.New(slog.DiscardHandler))}
	x.system.ProcessRegistry.Address = clustertest.Address(name)
	x.Registry = New(x.system, "node/cluster", x.net)
	cluster.Post(x.system, x.net, "node/")
	specs := []kernel.ChildSpec{{Name: "cluster", Props: kernel.Supervisor([]kernel.ChildSpec{x.Spec()})}}
	root, err := kernel.StartRoot(x.system, "node", specs, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, x.system, root); err != nil {
			t.Error(err)
		}
	})
	return x
}

// ownedBy is a client identifier whose slot the i-th of n nodes owns.
func ownedBy(t testing.TB, all []*node, i int) string {
	t.Helper()
	var others []cluster.Member
	for _, x := range all[1:] {
		others = append(others, x.net.Self())
	}
	v := cluster.NewView(1, all[0].net.Self(), others)
	for n := range 10_000 {
		id := fmt.Sprintf("client-%d", n)
		if v.Owner(slotOf(id)).Name == all[i].name {
			return id
		}
	}
	t.Fatalf("%s owns nothing", all[i].name)
	return ""
}

func (x *node) tell(id string, m any) { x.system.Root.Send(x.Slot(id), m) }

// claim has a new claimant of this node claim.
func (x *node) claim(t testing.TB, id, name string) *inbox {
	t.Helper()
	i := newInbox(t, x.system, "node/connections/"+name)
	x.tell(id, &Claim{ClientID: id, By: i.pid})
	return i
}

// session is a process that stands for a session of this node.
func (x *node) session(t testing.TB, name string) *inbox {
	t.Helper()
	return newInbox(t, x.system, "node/sessions/"+name)
}

func (x *node) commit(id string, by *inbox, g *Granted, s *inbox) {
	x.tell(id, &Commit{ClientID: id, Generation: g.Generation, By: by.pid, Session: s.pid})
}

// connect makes a session of id on this node, as a CONNECT does.
func (x *node) connect(t testing.TB, id, name string) *inbox {
	t.Helper()
	by := x.claim(t, id, name)
	s := x.session(t, name)
	x.commit(id, by, next[*Granted](t, by), s)
	if where := x.where(t, id); !s.pid.Equal(where) { // the owner has it
		t.Errorf("%s has connected and is at %v", id, where)
	}
	return s
}

// where asks this node for the session of id.
func (x *node) where(t testing.TB, id string) *actor.PID {
	t.Helper()
	f := actor.NewFuture(x.system, patience)
	x.tell(id, &WhereQuery{ClientID: id, ReplyTo: f.PID()})
	r, err := f.Result()
	if err != nil {
		t.Fatalf("%s does not know where %s is: %v", x.name, id, err)
	}
	return r.(*WhereResult).Session
}

func TestClaimsOfAllNodesQueueAtOneOwner(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 3)
	w.ConnectAll()
	for owner := range ns {
		id := ownedBy(t, ns, owner)
		first := ns[0].claim(t, id, id+"-first")
		g := next[*Granted](t, first)
		if g.Session != nil {
			t.Fatalf("granted %v", g.Session)
		}
		second := ns[1].claim(t, id, id+"-second")
		if where := ns[1].where(t, id); where != nil { // behind the claim: it waits now
			t.Fatalf("it is at %v", where)
		}
		third := ns[2].claim(t, id, id+"-third")
		next[*Superseded](t, second)
		s := ns[0].session(t, id)
		ns[0].commit(id, first, g, s)
		h := next[*Granted](t, third)
		if h.Generation <= g.Generation || !s.pid.Equal(h.Session) {
			t.Errorf("granted %v after %v", h, g)
		}
		ns[2].tell(id, &Abort{ClientID: id, Generation: h.Generation, By: third.pid})
		for _, x := range ns {
			if where := x.where(t, id); !s.pid.Equal(where) {
				t.Errorf("%s says it is at %v", x.name, where)
			}
		}
	}
}

func TestEveryNodeListsAndCountsItsOwnSessions(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 2)
	w.ConnectAll()
	id := ownedBy(t, ns, 1)
	s := ns[0].connect(t, id, "a")
	if where := ns[1].where(t, id); !s.pid.Equal(where) {
		t.Errorf("it is at %v", where)
	}
	if a, b := ns[0].Len(), ns[1].Len(); a != 1 || b != 0 {
		t.Errorf("%d and %d sessions", a, b)
	}
	ns[0].tell(id, &Release{ClientID: id, Session: s.pid})
	ns[0].where(t, id) // behind the release
	if where := ns[1].where(t, id); where != nil || ns[0].Len() != 0 {
		t.Errorf("a released session is at %v", where)
	}
}

// later waits until a node's clock is ahead of another's: it takes a millisecond.
func later(x, than *node) {
	for limit := than.net.Clock().Now(); x.net.Clock().Now() <= limit; {
		runtime.Gosched()
	}
}

func TestAfterASplitTheNewestClaimWinsAndTheLoserIsTold(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 3)
	w.ConnectAll()
	for owner := range ns {
		id := ownedBy(t, ns, owner)
		w.Cut(ns[0].net, ns[1].net)
		w.Cut(ns[1].net, ns[2].net)
		w.Cut(ns[0].net, ns[2].net)
		old := ns[owner].connect(t, id, id+"-old")
		later(ns[(owner+1)%3], ns[owner])
		won := ns[(owner+1)%3].connect(t, id, id+"-new")
		w.ConnectAll()
		m := next[*Outlived](t, old)
		if !won.pid.Equal(m.Winner) || m.ClientID != id || m.Generation == 0 {
			t.Errorf("told %v", m)
		}
		for _, x := range ns {
			if where := x.where(t, id); !won.pid.Equal(where) {
				t.Errorf("%s says it is at %v", x.name, where)
			}
		}
	}
}

func TestClaimsThatWaitSurviveTheirOwner(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 3)
	w.ConnectAll()
	id := ownedBy(t, ns, 2)
	s := ns[0].connect(t, id, "a")
	holder := ns[0].claim(t, id, "b")
	g := next[*Granted](t, holder)
	waiting := ns[1].claim(t, id, "c")
	ns[1].where(t, id)
	w.Cut(ns[1].net, ns[2].net) // first, so that the owner grants nothing in between
	w.Cut(ns[0].net, ns[2].net)
	ns[0].commit(id, holder, g, s)
	h := next[*Granted](t, waiting)
	if h.Generation <= g.Generation || !s.pid.Equal(h.Session) {
		t.Errorf("granted %v after %v", h, g)
	}
}

func TestWhatASessionHasClaimedEndsWithIt(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 2)
	w.ConnectAll()
	for owner := range ns {
		id := ownedBy(t, ns, owner)
		s := ns[0].connect(t, id, id)
		ns[0].tell(id, &Claim{ClientID: id, By: s.pid, Stored: 1}) // it makes sure of its place,
		ns[0].tell(id, &Release{ClientID: id, Session: s.pid})     // and ends before it hears of it
		for i, x := range ns {
			by := x.claim(t, id, fmt.Sprintf("%s-%d", id, i))
			g := next[*Granted](t, by)
			if g.Session != nil {
				t.Errorf("granted %v", g)
			}
			x.tell(id, &Abort{ClientID: id, Generation: g.Generation, By: by.pid})
		}
	}
}
