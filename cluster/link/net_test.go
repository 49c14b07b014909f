package link

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/wire"
)

const kindNote = 0xf002

type note struct{ N int }

func (n *note) Serialize() (wire.Serialized, error) { return wire.Encode(kindNote, n) }

func init() { wire.Register(kindNote, func() any { return new(note) }) }

// rig is a node with a net and nothing else.
type rig struct {
	*Net
	t    *testing.T
	host *clustertest.Host
	root *actor.PID

	mu    sync.Mutex
	notes []int    // what came in the control lane
	data  []string // and in the data lane
	views []string
	begun []cluster.Peer
	ended []cluster.Peer
	block chan struct{} // not nil: the data handler waits for it
	ready []func()
	late  bool // ready is not called by Begin
}

func testLogger() *slog.Logger {
	if os.Getenv("LINK_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

func newRig(t *testing.T, network *clustertest.Network, name string, edit func(*Options)) *rig {
	t.Helper()
	address := name + ":1"
	host := network.Host(address)
	r := &rig{t: t, host: host}
	o := Options{
		Self: cluster.Member{Name: name, Address: address, Version: "test"}, Cluster: "c", Cookie: "secret",
		Transport: host, Logger: testLogger().With("at", name),
	}
	if edit != nil {
		edit(&o)
	}
	r.Net = New(kernel.NewSystem(slog.New(slog.DiscardHandler)), o)
	r.wireUp()
	return r
}

func (r *rig) wireUp() {
	r.Handle(kindNote, func(_ cluster.Peer, m wire.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notes = append(r.notes, m.(*note).N)
	})
	r.HandleData(kindNote, func(_ cluster.Peer, b []byte) {
		r.mu.Lock()
		block := r.block
		r.mu.Unlock()
		if block != nil {
			<-block
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.data = append(r.data, string(b))
	})
	r.Net.OnView(func(v *cluster.View) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.views = append(r.views, show(v))
	})
	r.Net.Add(r)
}

// show is a view in one line: names, with a question mark behind suspects.
func show(v *cluster.View) string {
	var names []string
	for _, m := range v.Members {
		name := m.Name
		if m.State == cluster.Suspect {
			name += "?"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (r *rig) Begin(p cluster.Peer, ready func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, p)
	if r.late {
		r.ready = append(r.ready, ready)
		return
	}
	ready()
}

func (r *rig) End(p cluster.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, p)
	if slices.Contains(r.Peers(), p) {
		r.t.Errorf("the services of %s are told of an end, and the peer is still there", r.Self().Name)
	}
}

// hold has the data handler wait until block is closed.
func (r *rig) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.block = make(chan struct{})
}

func (r *rig) conversations() (begun, ended []cluster.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(begun, r.begun...), append(ended, r.ended...)
}

func (r *rig) endings() int {
	_, ended := r.conversations()
	return len(ended)
}

// start starts the actors; the test stops them.
func (r *rig) start() *rig {
	r.t.Helper()
	root, err := kernel.StartRoot(r.system, "node", []kernel.ChildSpec{{Name: "cluster", Props: kernel.Supervisor(r.Specs())}}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.root = root
	if r.host != nil {
		r.host.Listen(r.Accept)
	}
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := kernel.StopRoot(ctx, r.system, r.root); err != nil {
		r.t.Error(err)
	}
	if err := r.Wait(ctx); err != nil {
		r.t.Error(err)
	}
	if r.host != nil {
		r.host.Kill()
	}
	r.system.Shutdown()
}

// kill ends the node as kill -9 does: nobody is told.
func (r *rig) kill() {
	r.host.Kill()
	r.stop()
}

func (r *rig) peer(name string) *Peer {
	r.t.Helper()
	p := r.PeerAt(name + ":1")
	if p == nil {
		r.t.Fatalf("%s has no conversation with %s", r.Self().Name, name)
	}
	return p.(*Peer)
}

func (r *rig) got() (notes []int, data []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(notes, r.notes...), append(data, r.data...)
}

func (r *rig) expectView(want string) {
	r.t.Helper()
	if got := show(r.View()); got != want {
		r.t.Errorf("%s sees %q, want %q", r.Self().Name, got, want)
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T, network *clustertest.Network)) {
	synctest.Test(t, func(t *testing.T) { f(t, clustertest.NewNetwork()) })
}

// settle lets d pass, and everything that can happen happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pair are two nodes that see each other.
func pair(t *testing.T, network *clustertest.Network) (a, b *rig) {
	t.Helper()
	a, b = newRig(t, network, "a", nil).start(), newRig(t, network, "b", nil).start()
	a.Join("b:1")
	settle(time.Second)
	a.expectView("a b")
	b.expectView("a b")
	return a, b
}

func TestTwoNodesFindEachOtherWhoeverIsTold(t *testing.T) {
	for _, told := range []string{"a", "b"} {
		t.Run(told, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				a, b := newRig(t, network, "a", nil).start(), newRig(t, network, "b", nil).start()
				defer a.stop()
				defer b.stop()
				map[string]*rig{"a": a, "b": b}[told].Join(map[string]string{"a": "b:1", "b": "a:1"}[told])
				settle(time.Second)
				a.expectView("a b")
				b.expectView("a b")
				if n := network.Streams("a:1", "b:1"); n != 1 {
					t.Errorf("%d streams, want 1", n)
				}
				for i := range 10 {
					a.peer("b").Send(&note{i})
					b.peer("a").SendData(kindNote, fmt.Append(nil, i), nil)
				}
				settle(time.Millisecond)
				if notes, _ := b.got(); fmt.Sprint(notes) != "[0 1 2 3 4 5 6 7 8 9]" {
					t.Errorf("b got the notes %v", notes)
				}
				if _, data := a.got(); fmt.Sprint(data) != "[0 1 2 3 4 5 6 7 8 9]" {
					t.Errorf("a got the data %v", data)
				}
			})
		})
	}
}
