package routes

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/store"
	"emqttd/actors/system/ledger"
	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/protocol"
)

// kept are two nodes of which both have a store.
func kept(t *testing.T, o Options) (w *clustertest.World, g *gate, a, b *node) {
	t.Helper()
	options := func() setup {
		d, err := store.Open(store.Options{Dir: "store", Node: "n", FS: vfs.NewMem(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() }) // nothing is to be kept
		return setup{topics: topics.Options{Begin: d.Begin}, routes: o}
	}
	g = &gate{}
	w = &clustertest.World{Hold: g.hold}
	a, b = start(t, w, "a", options()), start(t, w, "b", options())
	w.Connect(a.net, b.net)
	t.Cleanup(w.Close)
	t.Cleanup(g.release)
	return w, g, a, b
}

// promised publishes a message and returns what tells when it is safe.
func (n *node) promised(name string) chan error {
	n.t.Helper()
	b := n.router.NewBatch()
	defer b.Release()
	b.Publish(message(name, protocol.AtLeastOnce))
	b.Flush(true)
	r := b.Promise()
	if r == nil {
		n.t.Fatal("nothing to wait for")
	}
	done := make(chan error, 1)
	r.After(func(err error) { done <- err })
	r.Part()
	return done
}

func safe(t *testing.T, done chan error) {
	t.Helper()
	if err := <-done; err != nil {
		t.Errorf("the publisher is told: %v", err)
	}
}

func open(t *testing.T, done chan error, why string) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("settled (%v) although %s", err, why)
	default:
	}
}

// keeper is a session that keeps what it gets when it is told to.
func keeper(n *node, text string) (*client, chan *topics.Deliver) {
	got := make(chan *topics.Deliver, 16)
	c := n.join(func(d *topics.Deliver) { got <- d })
	c.sub.SetKept()
	return c.subscribe(text), got
}

func TestAPublisherWaitsUntilAKeptSessionOfAPeerHasTheMessage(t *testing.T) {
	_, _, a, b := kept(t, Options{})
	_, got := keeper(b, "t")
	done := a.promised("t")
	d := <-got
	if d.Receipt() == nil {
		t.Fatal("the session has nothing to enter the message with")
	}
	open(t, done, "the session has not entered the message")
	d.Done()
	safe(t, done)
}

func TestAPublisherWaitsForTheAnswerAlsoWhereNobodyKeeps(t *testing.T) {
	_, g, a, b := kept(t, Options{})
	c := b.join(nil).subscribe("t")
	g.shut("b")
	done := a.promised("t")
	c.take(1)
	open(t, done, "the peer has not answered")
	g.release()
	safe(t, done)
}

func TestAPublisherIsToldWhenAPeerCouldNotKeepTheMessage(t *testing.T) {
	_, _, a, b := kept(t, Options{})
	_, got := keeper(b, "t")
	done := a.promised("t")
	(<-got).Fail(io.ErrUnexpectedEOF)
	if err := <-done; !errors.Is(err, errNotKept) {
		t.Errorf("the publisher is told %v", err)
	}
}

func TestAFullSessionOfAPeerHoldsThePublisher(t *testing.T) {
	for _, how := range []string{"has room again", "ends"} {
		t.Run(how, func(t *testing.T) {
			_, _, a, b := kept(t, Options{})
			full, got := keeper(b, "t")
			b.router.SetFull(full.sub, true)
			done := a.promised("t")
			(<-got).Done() // it gets the message all the same
			free := b.join(nil).subscribe("u")
			safe(t, a.promised("u")) // others are not held
			free.take(1)
			open(t, done, "the session is full")
			if how == "ends" {
				b.router.Unregister(full.sub)
			} else {
				b.router.SetFull(full.sub, false)
			}
			safe(t, done)
		})
	}
}

func TestAPublisherDoesNotWaitForAPeerThatIsGone(t *testing.T) {
	w, _, a, b := kept(t, Options{})
	_, got := keeper(b, "t")
	done := a.promised("t")
	d := <-got
	open(t, done, "the session has not entered the message")
	w.Cut(a.net, b.net)
	safe(t, done)
	d.Done()
}

func TestMessagesThatAPeerDoesNotGetAreCounted(t *testing.T) {
	_, g, a, b := kept(t, Options{Frames: 1})
	b.join(nil).subscribe("t")
	g.reached = make(chan struct{}, 1)
	g.shut("a")
	all := []chan error{a.promised("t")}
	<-g.reached // it is on its way, and no other can be
	const n = 20
	for range n - 1 {
		all = append(all, a.promised("t"))
	}
	a.routes.End(a.net.PeerAt(b.net.Self().Address))
	for _, done := range all {
		safe(t, done)
	}
	g.release()
	eventually(t, "all have ended", func() bool { s := a.metrics.Ledger.Sheet(); return s.Pending == 0 && s.Unaccounted() == 0 })
	forwarded := a.metrics.Ledger.Sheet().Ended[ledger.Forwarded]
	down := uint64(0)
	for _, v := range a.metrics.Drops() {
		if v.Name == "peer_down" {
			down = v.Value
		}
	}
	if down != n-1 || forwarded != 1 {
		t.Errorf("%d of %d are counted as dropped(peer_down), %d as forwarded", down, n, forwarded)
	}
	if a.publish("t", 0) != 0 {
		t.Error("a peer that is gone still matches")
	}
}
