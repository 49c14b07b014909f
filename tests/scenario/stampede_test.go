package scenario

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/tests/testkit"
)

// children are the ids of the actors two levels below a parent: the children
// of its shards.
func children(t *testing.T, b *testkit.Broker, parent string) (ids []string) {
	t.Helper()
	for _, shard := range b.Tree(t, parent).Children {
		for _, child := range shard.Children {
			ids = append(ids, child.ID)
		}
	}
	return ids
}

func TestKilledConnectionLeavesItsSession(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	c.Connect(testkit.Persistent("phoenix"))
	c.Subscribe(1, "ash/#")

	kill(t, b, children(t, b, "node/connections"))
	c.ExpectClosed()

	other := b.Dial(t)
	other.Connect(testkit.Hello("other"))
	other.Publish("ash/1", "kept", 1, 1)
	other.ExpectAck(4, 1)

	back := b.Dial(t)
	if ack := back.Connect(testkit.Persistent("phoenix")); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	back.ExpectPublish("ash/1", "kept")
	if n := b.Ended("killed"); n != 1 {
		t.Errorf("%d connections counted as killed", n)
	}
}

// kill kills the one actor that there is.
func kill(t *testing.T, b *testkit.Broker, ids []string) {
	t.Helper()
	if len(ids) != 1 {
		t.Fatalf("want one actor, there are %v", ids)
	}
	if !b.Kill(ids[0]) {
		t.Fatalf("%s is gone", ids[0])
	}
}

func inMemory(c *config.Config) { c.DurabilityDisk = false }

func TestKilledSessionEndsAndItsClientMayComeBack(t *testing.T) {
	b := testkit.Start(t, inMemory)
	c := b.Dial(t)
	c.Connect(testkit.Persistent("phoenix"))
	c.Subscribe(1, "ash/#")

	kill(t, b, children(t, b, "node/sessions"))
	c.ExpectClosed()
	testkit.Eventually(t, "its routes go", func() bool { return b.Metrics().Level(metrics.Routes) == 0 })
	testkit.Eventually(t, "it is counted", func() bool { return b.Ended("session_down") == 1 })

	back := b.Dial(t)
	if ack := back.Connect(testkit.Persistent("phoenix")); ack.SessionPresent {
		t.Error("a session that crashed is present")
	}
	back.Subscribe(1, "ash/#")
	back.Publish("ash/1", "x", 0, 0)
	back.ExpectPublish("ash/1", "x")
}

// A session that is kept on disk comes back from there, with all that waited.
func TestKilledSessionOfClassDiskComesBackFromTheStore(t *testing.T) {
	b := testkit.Start(t)
	c := b.Dial(t)
	c.Connect(testkit.Persistent("phoenix"))
	c.Subscribe(2, "ash/#")
	other := b.Dial(t)
	other.Connect(testkit.Hello("other"))
	other.Publish("ash/1", "before", 2, 1)
	other.ExpectAck(5, 1)
	first := c.ExpectPublish("ash/1", "before") // and no PUBREC
	other.Disconnect()
	testkit.Eventually(t, "the other session ends", func() bool { return len(children(t, b, "node/sessions")) == 1 })

	before := children(t, b, "node/sessions")
	kill(t, b, before)
	c.ExpectClosed()
	testkit.Eventually(t, "it is there again", func() bool {
		now := children(t, b, "node/sessions")
		return len(now) == 1 && now[0] != before[0] && b.Metrics().Level(metrics.Routes) == 1
	})

	third := b.Dial(t)
	third.Connect(testkit.Hello("third"))
	third.Publish("ash/2", "after", 1, 1)
	third.ExpectAck(4, 1)
	back := b.Dial(t)
	if ack := back.Connect(testkit.Persistent("phoenix")); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	if p := back.ExpectPublish("ash/1", "before"); !p.Dup || p.PacketID != first.PacketID {
		t.Error("what was in flight does not come again as such")
	}
	back.ExpectPublish("ash/2", "after")
}

func TestWhatWaitedInAKilledSessionIsCountedAsDropped(t *testing.T) {
	b := testkit.Start(t, inMemory)
	c := b.Dial(t)
	c.Connect(testkit.Persistent("phoenix"))
	c.Subscribe(1, "ash/#")
	c.Disconnect()
	other := b.Dial(t)
	other.Connect(testkit.Hello("other"))
	const waiting = 5
	for i := range waiting {
		other.Publish("ash/1", "pending", 1, protocol.PacketID(i+1))
		other.ExpectAck(4, protocol.PacketID(i+1))
	}
	other.Disconnect()
	testkit.Eventually(t, "the messages are in the queue", func() bool {
		type session struct {
			Queue int `json:"mqueue_len"`
		}
		found := testkit.Get[session](t, b, "sessions/phoenix")
		return len(found) == 1 && found[0].Queue == waiting
	})
	testkit.Eventually(t, "the other session ends", func() bool { return len(children(t, b, "node/sessions")) == 1 })
	kill(t, b, children(t, b, "node/sessions"))
	testkit.Eventually(t, "dropped(session_crash) is counted", func() bool {
		return testkit.Value(b.Metrics().Drops(), "session_crash") == waiting
	})
	b.Balanced(t)
}

// TestStampede kills 200 random connections, sessions, topic shards and retained
// stores under load; TEST_STAMPEDE=30m goes on for so long.
func TestStampede(t *testing.T) {
	kills, until := 200, time.Time{}
	if d := duration(t, os.Getenv("TEST_STAMPEDE")); d > 0 {
		kills, until = 0, time.Now().Add(d)
	}
	b := testkit.Start(t)
	w := newWatcher(t, b)
	spared := append(children(t, b, "node/connections"), children(t, b, "node/sessions")...)
	if len(spared) != 2 {
		t.Fatalf("the watcher is %v", spared)
	}
	l := startLoad(t, b.Network, 60)
	defer l.end()

	kinds := map[string]func() []string{
		"connections": func() []string { return children(t, b, "node/connections") },
		"sessions":    func() []string { return children(t, b, "node/sessions") },
		"topics":      func() []string { return numbered("node/topics", b.Config.MQTT.TopicShards) },
		"retained":    func() []string { return numbered("node/retained", b.Config.MQTT.TopicShards) },
	}
	names := slices.Sorted(maps.Keys(kinds))
	killed := map[string]int{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < kills || time.Now().Before(until); {
		kind := names[n%len(names)]
		ids := slices.DeleteFunc(kinds[kind](), func(id string) bool { return slices.Contains(spared, id) })
		if len(ids) == 0 {
			continue // all of them are on their way back
		}
		if b.Kill(ids[rnd.IntN(len(ids))]) {
			killed[kind]++
			n++
		}
		w.check() // meanwhile a PUBLISH still matches, and what is retained is still there
	}
	t.Logf("killed %v; %d messages published, %d received, %d comebacks of which %d to a session",
		killed, l.published.Load(), l.received.Load(), l.comebacks.Load(), l.resumed.Load())

	testkit.Eventually(t, "everybody is back", func() bool { return b.Metrics().Level(metrics.Clients) == int64(l.size+1) })
	before := l.received.Load()
	testkit.Eventually(t, "the load goes on", func() bool { return l.received.Load() > before+int64(l.size) })
	if l.comebacks.Load() < int64(killed["connections"]) || l.resumed.Load() == 0 {
		t.Errorf("%d comebacks, %d resumed", l.comebacks.Load(), l.resumed.Load())
	}
	for _, kind := range []string{"topics", "retained"} {
		if n := restarts(b.Tree(t, "node/"+kind)); n != killed[kind] {
			t.Errorf("%d restarts of %s, %d kills", n, kind, killed[kind])
		}
	}
	l.end()
	l.forget(b)
	testkit.Eventually(t, "no route is left behind but the watcher's", func() bool {
		return b.Metrics().Level(metrics.Routes) == 1 && b.Metrics().Level(metrics.Sessions) == 1
	})
	b.Balanced(t)
	w.check()
}

// forget ends the sessions of the load.
func (l *load) forget(b *testkit.Broker) {
	for i := range l.size {
		c := b.DialMemory(l.t)
		c.Connect(testkit.Hello(clientID(i)))
		c.Disconnect()
	}
}

func numbered(parent string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s/%d", parent, i)
	}
	return ids
}

// restarts sums those of the children of an actor.
func restarts(parent kernel.Node) (sum int) {
	for _, child := range parent.Children {
		sum += child.Restarts
	}
	return sum
}

// watcher is a client that nobody kills: what it sees must be whole.
type watcher struct {
	*testkit.Client
	n int
}

func newWatcher(t *testing.T, b *testkit.Broker) *watcher {
	c := b.Dial(t)
	c.Connect(testkit.Hello("watcher"))
	for i := range 16 { // in several shards
		c.Retain(fmt.Sprintf("kept/%d", i), fmt.Sprint(i))
	}
	c.Subscribe(0, "watch/+")
	c.Ping()
	return &watcher{c, 0}
}

func (w *watcher) check() {
	w.n++
	name, payload := fmt.Sprintf("watch/%d", w.n), fmt.Sprint(w.n)
	w.Publish(name, payload, 0, 0)
	w.ExpectPublish(name, payload)
	i := w.n % 16
	filter := fmt.Sprintf("kept/%d", i)
	w.Subscribe(0, filter)
	w.ExpectPublish(filter, fmt.Sprint(i))
	w.Unsubscribe(filter)
}
