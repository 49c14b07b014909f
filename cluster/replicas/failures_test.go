package replicas_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/replicas"
	"emqttd/cluster/wire"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func pair(t failer, w *clustertest.World, o retained.Options, ro replicas.Options) (a, b *node) {
	return newNode(t, w, "a", o, ro), newNode(t, w, "b", o, ro)
}

// TestTheClockOfANodeMayBeWrong: a is ten seconds ahead, but who changes what has
// come from a is later all the same. A node that is a day ahead is not believed.
func TestTheClockOfANodeMayBeWrong(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	c := newNode(t, &w, "c", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b, c)
	ahead := func(d time.Duration) uint64 { return uint64(time.Now().Add(d).UnixMilli()) << 16 }
	a.net.Clock().Seen(ahead(10 * time.Second))
	a.store("x", "from a")
	w.Connect(a.net, b.net)
	b.store("x", "from b")
	same(t, a, b)
	if got := a.all(t, "#")["x"]; got != "from b" {
		t.Errorf("a has what %s", got)
	}
	entry := entryOf(t, "x", ahead(48*time.Hour))
	if err := b.stores.Apply("c", entry, func() {}); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if got := b.all(t, "#")["x"]; got != "from b" {
		t.Errorf("b has what %s", got)
	}
}

func TestWhatIsOnTheDiskIsReplicatedAfterARestart(t *testing.T) {
	var w clustertest.World
	fs := vfs.NewCrashableMem()
	disk := openDisk(t, fs)
	a := newNode(t, &w, "a", retained.Options{Disk: disk}, replicas.Options{})
	b := newNode(t, &w, "b", retained.Options{}, replicas.Options{})
	a.store("kept", "old")
	a.store("gone", "x")
	w.Connect(a.net, b.net)
	b.store("from b", "y")
	same(t, a, b)
	w.Cut(a.net, b.net)
	a.store("gone", "")
	a.store("kept", "new")
	want := a.settle()
	w.Close()
	a.stop(t)
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	disk = openDisk(t, fs)
	again := newNode(t, &w, "a2", retained.Options{Disk: disk}, replicas.Options{})
	if got := again.settle(); *got != *want || again.stores.Tombstones() != 1 {
		t.Errorf("after the restart it is another table; %d tombstones", again.stores.Tombstones())
	}
	w.Connect(again.net, b.net)
	same(t, again, b)
	if got := b.all(t, "#"); !maps.Equal(got, map[string]string{"kept": "new", "from b": "y"}) {
		t.Errorf("got %v", got)
	}
	stopAll(t, &w, again, b)
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMessagesOfABrokerWithoutVersionsGiveWay: two nodes had a topic before they
// knew of each other. One of the messages wins, on both; a newer one wins over it.
func TestMessagesOfABrokerWithoutVersionsGiveWay(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	for _, n := range []*node{a, b} {
		for _, name := range []string{"both", "newer"} {
			var done sync.WaitGroup
			done.Add(1)
			n.stores.Restore(store.Retained{Topic: topic.Name(name), Message: &protocol.Message{
				Topic: topic.Name(name), Payload: []byte("old, of " + n.name), Arrived: 1,
			}}, done.Done)
			done.Wait()
		}
	}
	b.store("newer", "new")
	w.Connect(a.net, b.net)
	same(t, a, b)
	if got := a.all(t, "#"); got["newer"] != "new" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestWhatTheBrokerSaysOfItselfGoesWithIt(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	c := newNode(t, &w, "c", retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b, c)
	say := func(n *node, name, payload string) {
		n.stores.Store(&protocol.Message{Topic: topic.Name(name), Payload: []byte(payload), Retain: true, Sys: true, Arrived: 1}, nil)
		n.settle()
	}
	say(a, "$SYS/brokers/a/version", "1")
	say(a, "$SYS/brokers", "a")
	say(b, "$SYS/brokers", "b")
	a.store("$SYS/brokers/a/by-a-client", "x")
	w.ConnectAll()
	say(a, "$SYS/brokers/a/uptime", "2")
	want := map[string]string{"$SYS/brokers/a/version": "1", "$SYS/brokers/a/uptime": "2", "$SYS/brokers": "b", "$SYS/brokers/a/by-a-client": "x"}
	until(t, "b has it", func() bool { return maps.Equal(b.all(t, "$SYS/#"), want) })
	w.Cut(a.net, b.net)
	delete(want, "$SYS/brokers/a/version")
	delete(want, "$SYS/brokers/a/uptime")
	until(t, "b has forgotten it", func() bool { return maps.Equal(b.all(t, "$SYS/#"), want) })
	w.Cut(b.net, c.net)
	w.Connect(b.net, c.net)
	if got := b.all(t, "$SYS/#"); !maps.Equal(got, want) {
		t.Errorf("another node, which sees a, brings it back: %v", got)
	}
}

func TestAnExpiredMessageBringsNoOlderOneBack(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	b.store("x", "old")
	w.Connect(a.net, b.net)
	w.Cut(a.net, b.net)
	// It has expired by the time that b hears of it.
	now := time.Now().UnixMilli()
	a.stores.Store(&protocol.Message{Topic: "x", Payload: []byte("short"), Arrived: now, Expires: now + 1}, nil)
	a.settle()
	until(t, "it expires", func() bool { return time.Now().UnixMilli() > now+1 })
	w.Connect(a.net, b.net)
	same(t, a, b)
	if got := b.all(t, "#"); len(got) != 0 {
		t.Errorf("b has %v", got)
	}
	if n := b.stores.Tombstones(); n != 1 {
		t.Errorf("b has %d tombstones", n)
	}
}

// TestAPeerThatTakesNothingMissesNothing: what does not fit into the backlog comes
// with the next round.
func TestAPeerThatTakesNothingMissesNothing(t *testing.T) {
	var held atomic.Bool
	release := make(chan struct{})
	w := clustertest.World{Hold: func(from, _ string) {
		if from == "a" && held.Load() {
			<-release
		}
	}}
	a, b := pair(t, &w, retained.Options{}, replicas.Options{Backlog: 10_000})
	defer stopAll(t, &w, a, b)
	w.Connect(a.net, b.net)
	held.Store(true)
	for i := range 2000 {
		a.stores.Store(&protocol.Message{Topic: topic.Name(fmt.Sprint("t/", i)), Payload: []byte("0123456789"), Arrived: time.Now().UnixMilli()}, nil)
	}
	a.settle()
	sent := a.table.SentEntryBytes.Load()
	close(release)
	same(t, a, b)
	if a.table.Late.Load() == 0 || sent > 30_000 || b.stores.Count() != 2000 {
		t.Errorf("late %d times with %d bytes under way; b has %d", a.table.Late.Load(), sent, b.stores.Count())
	}
}

func TestALargeMessageGoesInPieces(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	large := strings.Repeat("x", 3<<20)
	a.store("before", large)
	w.Connect(a.net, b.net)
	b.store("live", large+"!")
	same(t, a, b)
	if got := b.all(t, "#"); got["before"] != large || got["live"] != large+"!" {
		t.Errorf("%d and %d bytes", len(got["before"]), len(got["live"]))
	}
}

// TestANodeIsUpInTimeThoughAnotherIsSilent: b never answers; a does not wait for ever.
func TestANodeIsUpInTimeThoughAnotherIsSilent(t *testing.T) {
	var w clustertest.World
	a := newNode(t, &w, "a", retained.Options{}, replicas.Options{Ready: time.Millisecond})
	silent := w.Node("b")
	silent.HandleData(wire.KindRetained, nobody)
	defer stopAll(t, &w, a)
	w.Connect(a.net, silent)
	if n := len(a.net.View().Members); n != 2 {
		t.Errorf("a sees %d", n)
	}
}

func TestGarbageIsCountedAndHarmless(t *testing.T) {
	var w clustertest.World
	a, b := pair(t, &w, retained.Options{}, replicas.Options{})
	defer stopAll(t, &w, a, b)
	a.store("x", "y")
	w.Connect(a.net, b.net)
	for _, body := range []string{"", "\x02", "\x01", "\x01\x81\xa1w\x01", "\x01\x82\xa1w\x04\xa1b\xc4\x01\x94", "\x01\x82\xa1w\x03\xa1b\xc4\x01\x00", "\x01\x81\xa1w\x63"} {
		a.net.Peers()[0].SendData(wire.KindRetained, []byte(body), nil)
	}
	until(t, "it is counted", func() bool { return b.table.Unreadable.Load() >= 5 })
	a.store("z", "y")
	same(t, a, b)
}

var testContext = context.Background()
