package sessions

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/actors/system/metrics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// fuse calls f when so many messages have been sent between nodes; it is armed by
// set.
type fuse struct {
	left atomic.Int64
	f    func()
}

func (f *fuse) set(n int, do func()) {
	f.f = do
	f.left.Store(int64(n))
}

func (f *fuse) hold(string, string) {
	if f.left.Add(-1) == 0 {
		go f.f()
	}
}

// TestAMoveThatIsCutAnywhereLeavesOneWholeSession cuts the conversation between two
// nodes after 1, 2, 3 … messages of a move. Either the client has the session, with
// everything in it, or a new one, and then the old one is whole where it was.
func TestAMoveThatIsCutAnywhereLeavesOneWholeSession(t *testing.T) {
	both(t, func(t *testing.T, o worldOptions) {
		for n, moved := 1, 0; moved < 3 && n < 100; n++ {
			t.Run(fmt.Sprintf("after=%d", n), func(t *testing.T) {
				var f fuse
				o.hold = f.hold
				inWorld(t, o, func(w *world) {
					if cutAfter(w, &f, n) {
						moved++ // the cut comes after the end
					}
				})
			})
			if n == 99 {
				t.Error("a move takes too many messages")
			}
		}
	})
}

// cutAfter tells whether the session moved in spite of the cut.
func cutAfter(w *world, f *fuse, n int) bool {
	a, b := w.nodes[0], w.nodes[1]
	r := &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool)}
	s := r.visit(a, nil, nil).joined()
	a.send(s, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x", 2)}})
	a.send(a.rt.Registry.Slot("c"), &registry.Claim{ClientID: "c", By: a.slot.pid})
	g := mustHear[*registry.Granted](w.t, a.slot)
	a.send(a.rt.Registry.Slot("c"), &registry.Commit{ClientID: "c", Generation: g.Generation, By: a.slot.pid, Session: s})
	a.send(s, &Detach{Generation: 1})
	time.Sleep(time.Second)
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("x:", i))
		a.say("x", want[i], 2)
	}
	time.Sleep(time.Second)
	f.set(n, func() { w.net.Cut(a.net, b.net) })
	v := r.visit(b, s, nil)
	select {
	case <-v.in:
	case <-v.over:
	case <-time.After(2 * time.Minute):
		w.t.Fatal("the client was left alone")
	}
	time.Sleep(time.Minute)
	whole := func() {
		w.t.Helper()
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Equal(r.got, want) {
			w.t.Errorf("the client got %v", r.got)
		}
	}
	r.mu.Lock()
	moved := v.ended == nil && v.present
	r.mu.Unlock()
	if moved {
		whole()
		return true
	}
	r.mu.Lock()
	early := len(r.got)
	r.mu.Unlock()
	if early > 0 {
		w.t.Errorf("a client without its session got %d messages", early)
	}
	if at := a.where("c"); !s.Equal(at) {
		w.t.Fatalf("the registry of the old node has %v, not %v", at, s)
	}
	back := r.visit(a, s, nil)
	back.joined()
	time.Sleep(time.Minute)
	if !back.present {
		w.t.Error("the old session is gone")
	}
	whole()
	return false
}

// TestASessionThatLostItsPlaceHandsItsQueueOver is what happens after a split.
func TestASessionThatLostItsPlaceHandsItsQueueOver(t *testing.T) {
	both(t, func(t *testing.T, o worldOptions) {
		inWorld(t, o, func(w *world) {
			a, b := w.nodes[0], w.nodes[1]
			old, now := &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool)}, &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool)}
			s := old.visit(a, nil, nil).joined()
			a.send(s, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x", 2), request("y", 1)}})
			time.Sleep(time.Second)
			a.send(s, &Detach{Generation: 1})
			for i := range 3000 {
				a.say("x", fmt.Sprint("x:", i), 2)
				a.say("y", fmt.Sprint("y:", i), 1)
			}
			time.Sleep(time.Second)
			now.gen = 1
			v := now.visit(b, nil, nil)
			winner := v.joined()
			a.send(s, &registry.Outlived{ClientID: "c", Generation: 2, Winner: winner})
			time.Sleep(time.Minute)
			now.judge("x", 3000, 2)
			now.judge("y", 3000, 1)
			a.gone("c")
		})
	})
}

// TestWhatMayHaveArrivedIsNotMergedAtQoS2 leaves messages of each phase in flight.
func TestWhatMayHaveArrivedIsNotMergedAtQoS2(t *testing.T) {
	o := worldOptions{nodes: []string{"a", "b"}, limits: delivery.Limits{MaxInflight: 4}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		c, s := a.open("test/c", come("c", 1))
		a.subscribe(c, s, 1, 2, "x")
		for i, q := range []protocol.QoS{1, 2, 2, 1, 2} {
			a.say("x", fmt.Sprint(i), q)
		}
		c.packets(w.t, 4)
		now := &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool), gen: 1}
		winner := now.visit(b, nil, nil).joined()
		a.send(s, &registry.Outlived{ClientID: "c", Generation: 2, Winner: winner})
		time.Sleep(time.Minute)
		now.mu.Lock()
		defer now.mu.Unlock()
		if want := []string{"0", "3", "4"}; !slices.Equal(now.got, want) {
			w.t.Errorf("the winner sent %v, want %v", now.got, want)
		}
		mustHear[*TakenOver](w.t, c)
		if n := a.drops(mergedReason); n != 2 {
			w.t.Errorf("%d messages are counted as dropped", n)
		}
	})
}

// TestALoserWhoseWinnerIsGoneClaimsItsPlaceAgain loses the winner in the middle.
func TestALoserWhoseWinnerIsGoneClaimsItsPlaceAgain(t *testing.T) {
	both(t, func(t *testing.T, o worldOptions) {
		var f fuse
		o.hold = f.hold
		inWorld(t, o, func(w *world) {
			a, b := w.nodes[0], w.nodes[1]
			r, now := &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool)}, &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool), gen: 1}
			s := r.visit(a, nil, nil).joined()
			a.send(s, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x", 1)}})
			time.Sleep(time.Second)
			a.send(s, &Detach{Generation: 1})
			for i := range 100 {
				a.say("x", fmt.Sprint("x:", i), 1)
			}
			time.Sleep(time.Second)
			winner := now.visit(b, nil, nil).joined()
			f.set(1, func() { w.net.Cut(a.net, b.net) })
			a.send(s, &registry.Outlived{ClientID: "c", Generation: 2, Winner: winner})
			time.Sleep(time.Minute)
			at := a.where("c")
			if at == nil { // the winner had all of it before the cut
				now.judge("x", 100, 1)
				return
			}
			if !s.Equal(at) {
				w.t.Fatalf("the registry has %v, not %v", at, s)
			}
			a.say("x", "x:100", 1)
			r.visit(a, s, nil).joined()
			time.Sleep(time.Minute)
			r.judge("x", 101, 1)
		})
	})
}

// TestAnEvictedSessionGoesOnElsewhere moves one that has no client.
func TestAnEvictedSessionGoesOnElsewhere(t *testing.T) {
	both(t, func(t *testing.T, o worldOptions) {
		inWorld(t, o, func(w *world) {
			a, b := w.nodes[0], w.nodes[1]
			c, s := a.open("test/c", come("c", 1))
			a.subscribe(c, s, 1, 1, "x")
			// Its place is known on both nodes, as one registry would have it.
			b.send(b.rt.Registry.Slot("c"), &registry.Claim{ClientID: "c", By: b.slot.pid})
			g := mustHear[*registry.Granted](w.t, b.slot)
			b.send(b.rt.Registry.Slot("c"), &registry.Commit{ClientID: "c", Generation: g.Generation, By: b.slot.pid, Session: s})
			a.rt.Evict(s, "b:1")
			time.Sleep(time.Second)
			a.send(s, &Detach{Generation: 1})
			a.say("x", "1", 1)
			time.Sleep(time.Second)
			a.rt.Evict(s, "b:1")
			time.Sleep(time.Minute)
			a.say("x", "2", 1)
			at := b.where("c")
			if at == nil || at.Address != "b:1" {
				w.t.Fatalf("it is at %v", at)
			}
			if n := a.rt.Metrics.Level(metrics.Sessions); n != 0 {
				w.t.Errorf("%d sessions are left where it was", n)
			}
			d := b.conn("test/d")
			b.send(at, hello(d, "c", g.Generation+9, 3600))
			if got := payloads(d.packets(w.t, 4)); !slices.Equal(got, []string{"1", "2"}) {
				w.t.Errorf("the client got %v", got)
			}
			time.Sleep(2 * time.Hour) // its client is there: it does not expire
			if !at.Equal(b.where("c")) {
				w.t.Error("it is gone")
			}
		})
	})
}
