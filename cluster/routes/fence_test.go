package routes

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/protocol"
)

// TestAfterSubscribedAPublishAnywhereIsFound subscribes at one node and publishes
// at others right after the answer, while what nodes tell each other is delayed.
func TestAfterSubscribedAPublishAnywhereIsFound(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 500
	}
	w := &clustertest.World{}
	var delay atomic.Bool
	w.Hold = func(string, string) {
		if delay.Load() && rand.IntN(8) == 0 {
			for range rand.IntN(1000) {
				runtime.Gosched()
			}
		}
	}
	n := []*node{start(t, w, "a", setup{}), start(t, w, "b", setup{}), start(t, w, "c", setup{})}
	w.ConnectAll()
	t.Cleanup(w.Close)
	delay.Store(true)
	var workers sync.WaitGroup
	const each = 8
	for i := range each {
		workers.Go(func() {
			at := n[i%3]
			c := at.join(nil)
			second := at.join(nil)
			for k := range rounds / each {
				name := fmt.Sprintf("t/%d/%d", i, k)
				text := name
				if k%3 == 0 {
					text += "/#"
				}
				c.subscribe(text)
				for _, o := range n {
					if o.publish(name, 0) != 1 {
						t.Errorf("%s at %s, subscribed at %s: missed", name, o.name, at.name)
					}
				}
				second.subscribe(text) // not the first, and its filter may be on its way
				c.unsubscribe(text)
				second.unsubscribe(text)
			}
		})
	}
	workers.Wait()
}

// gate stops what one node tells another until it is opened.
type gate struct {
	mu      sync.Mutex
	from    string
	open    chan struct{}
	reached chan struct{} // told when something is stopped, if somebody listens
}

func (g *gate) hold(from, _ string) {
	g.mu.Lock()
	open := g.open
	if from != g.from {
		open = nil
	}
	g.mu.Unlock()
	if open == nil {
		return
	}
	select {
	case g.reached <- struct{}{}:
	default:
	}
	<-open
}

// shut stops what a node tells, until release.
func (g *gate) shut(from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.from, g.open = from, make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

func gated(t *testing.T, s setup) (*clustertest.World, *gate, *node, *node) {
	g := &gate{}
	w := &clustertest.World{Hold: g.hold}
	a, b := start(t, w, "a", s), start(t, w, "b", s)
	w.Connect(a.net, b.net)
	t.Cleanup(w.Close)
	t.Cleanup(g.release)
	return w, g, a, b
}

func TestSubscribedWaitsForAPeerThatHasNotAppliedTheRoute(t *testing.T) {
	_, g, a, b := gated(t, setup{})
	first, second := a.join(nil), a.join(nil)
	g.shut("a")
	first.ask("t")
	second.ask("t") // the filter is there, but the peer does not know
	settle(a)
	if len(first.answers)+len(second.answers) > 0 {
		t.Fatal("answered while the peer cannot know")
	}
	g.release()
	first.confirmed()
	second.confirmed()
	if b.publish("t", 0) != 1 {
		t.Error("the route is not there")
	}
}

func TestSubscribedDoesNotWaitForAPeerThatIsSuspectOrGone(t *testing.T) {
	for _, how := range []string{"suspect", "gone"} {
		t.Run(how, func(t *testing.T) {
			w, g, a, b := gated(t, setup{})
			c := a.join(nil)
			g.shut("a")
			c.ask("t")
			settle(a)
			if len(c.answers) > 0 {
				t.Fatal("answered while the peer cannot know")
			}
			if how == "suspect" {
				a.routes.conversation(a.net.PeerAt(b.net.Self().Address)).suspect(true)
				c.confirmed()
				return
			}
			go func() {
				eventually(t, "the cut has begun", func() bool { return a.net.PeerAt(b.net.Self().Address) == nil })
				g.release() // the lane that is stopped ends when what it delivers has returned
			}()
			w.Cut(a.net, b.net)
			c.confirmed()
		})
	}
}

// settle waits until the shards have handled what they have been sent.
func settle(n *node) {
	n.t.Helper()
	answers := make(chan struct{}, n.router.Shards())
	probe := n.join(nil)
	seen := map[string]bool{}
	for i := 0; len(seen) < n.router.Shards(); i++ {
		f := fmt.Sprintf("$local/settle/%d", i)
		id := n.router.ShardFor(parse(f).Filter).Id
		if seen[id] {
			continue
		}
		seen[id] = true
		pid, ok := n.system.ProcessRegistry.Add(&signal{answers}, fmt.Sprintf("settle/%s/%d", id, rand.Uint64()))
		if !ok {
			n.t.Fatal("name is taken")
		}
		n.router.Unsubscribe(&topics.Unsubscribe{Subscriber: probe.sub, Subscription: parse(f), ReplyTo: pid})
	}
	for range seen {
		<-answers
	}
}

func TestAPeerWithBothKindsOfSubscriptionsGetsOneCopy(t *testing.T) {
	_, _, a, b := gated(t, setup{})
	c := a.join(nil).subscribe("$share/g/t", "t", "u")
	if k := b.publish("t", protocol.AtLeastOnce); k != 1 {
		t.Errorf("%d deliveries to a peer, want one for both facts", k)
	}
	c.take(2)
}
