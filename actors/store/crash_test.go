package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// model is what a store should hold: plain maps, copied at each commit.
type model struct {
	sessions map[SessionID]string // client identifiers
	subs     map[SessionID]map[string]protocol.QoS
	items    map[SessionID]map[uint64]string // payloads of what waits
	heads    map[SessionID]uint64
	awaiting map[SessionID]map[protocol.PacketID]int64
	retained map[string]string
}

func newModel() *model {
	return &model{
		sessions: map[SessionID]string{}, subs: map[SessionID]map[string]protocol.QoS{},
		items: map[SessionID]map[uint64]string{}, heads: map[SessionID]uint64{},
		awaiting: map[SessionID]map[protocol.PacketID]int64{}, retained: map[string]string{},
	}
}

func copyAll[K comparable, V any](m map[SessionID]map[K]V) map[SessionID]map[K]V {
	c := map[SessionID]map[K]V{}
	for sid, inner := range m {
		c[sid] = maps.Clone(inner)
	}
	return c
}

func (m *model) clone() *model {
	return &model{
		sessions: maps.Clone(m.sessions), subs: copyAll(m.subs), items: copyAll(m.items), heads: maps.Clone(m.heads),
		awaiting: copyAll(m.awaiting), retained: maps.Clone(m.retained),
	}
}

// put sets an entry of a map in a map.
func put[K comparable, V any](m map[SessionID]map[K]V, sid SessionID, k K, v V) {
	if m[sid] == nil {
		m[sid] = map[K]V{}
	}
	m[sid][k] = v
}

// world is a store, what it should hold after each commit, and how many commits
// it has acknowledged.
type world struct {
	t       *rapid.T
	disk    *Disk
	fs      *vfs.MemFS
	history []*model // after so many commits
	acked   *atomic.Int64
	next    map[SessionID]uint64
	ids     []SessionID
	crashes int
}

func (w *world) open(fs *vfs.MemFS) {
	d, err := Open(options(fs))
	if err != nil {
		w.t.Fatalf("after %d commits the store does not open: %v", len(w.history)-1, err)
	}
	w.disk, w.fs, w.acked = d, fs, new(atomic.Int64)
}

// now is what the store should hold if nothing is lost.
func (w *world) now() *model { return w.history[len(w.history)-1] }

// counterKey is the entry that tells which commit was the last.
var counterKey = []byte("commits")

// committed notes the next state and returns the changes' own number and the
// callback which says that it is safe.
func (w *world) committed(next *model) (number []byte, done func(error)) {
	w.history = append(w.history, next)
	n := int64(len(w.history) - 1)
	acked, t := w.acked, w.t
	return binary.BigEndian.AppendUint64(nil, uint64(n)), func(err error) {
		if err != nil {
			t.Errorf("commit %d: %v", n, err)
		}
		if before := acked.Swap(n); before >= n {
			t.Errorf("commit %d was called back after %d", n, before)
		}
	}
}

func (w *world) commit(next *model, f func(*Ops)) {
	number, done := w.committed(next)
	var o Ops
	f(&o)
	o.putTable("test", counterKey, number)
	w.disk.Commit(&o, done)
}

func (w *world) session() SessionID { return rapid.SampledFrom(w.ids).Draw(w.t, "session") }

func (w *world) connect(*rapid.T) {
	next, sid := w.now().clone(), w.disk.NewSessionID()
	if _, kept := next.sessions[sid]; kept {
		w.t.Fatalf("session identifier %d was given twice", sid)
	}
	w.ids = append(w.ids, sid)
	next.sessions[sid] = fmt.Sprint("client-", sid)
	w.commit(next, func(o *Ops) { o.PutSession(&Session{ID: sid, ClientID: next.sessions[sid], Expiry: 100}) })
}

func (w *world) subscribe(t *rapid.T) {
	sid := w.session()
	next := w.now().clone()
	filter := rapid.SampledFrom([]string{"a", "a/#", "+/b"}).Draw(t, "filter")
	if next.subs[sid][filter] != 0 {
		delete(next.subs[sid], filter)
		w.commit(next, func(o *Ops) { o.DropSubscription(sid, filter) })
		return
	}
	put(next.subs, sid, filter, protocol.ExactlyOnce)
	w.commit(next, func(o *Ops) { o.PutSubscription(sid, &Subscription{Text: filter, QoS: 2}) })
}

// publish sends some messages to some sessions, and with them the identifier of
// a QoS 2 message of the publisher's session: all or nothing.
func (w *world) publish(t *rapid.T) {
	next := w.now().clone()
	publisher := w.session()
	receivers := rapid.SliceOfNDistinct(rapid.SampledFrom(w.ids), 1, min(3, len(w.ids)), rapid.ID).Draw(t, "receivers")
	r := w.disk.Begin()
	for range rapid.IntRange(1, 8).Draw(t, "messages") {
		m := message(len(w.history)*100 + int(w.next[publisher]))
		for _, sid := range receivers {
			w.next[sid]++
			r.Enter(sid, &Item{Seq: w.next[sid], Message: m, QoS: 2, Shared: len(receivers) > 1})
			put(next.items, sid, w.next[sid], string(m.Payload))
		}
	}
	id := protocol.PacketID(len(w.history)%65535 + 1)
	put(next.awaiting, publisher, id, 5)
	number, done := w.committed(next)
	r.Ops(func(o *Ops) {
		o.PutAwaiting(publisher, id, 5)
		o.putTable("test", counterKey, number)
	})
	r.After(done)
	r.Part()
}

// deliver moves the window of a session on, and deletes what is behind it now
// and then.
func (w *world) deliver(t *rapid.T) {
	sid := w.session()
	next := w.now().clone()
	next.heads[sid] = min(next.heads[sid]+uint64(rapid.IntRange(1, 20).Draw(t, "delivered")), w.next[sid]+1)
	head := next.heads[sid]
	var done []*protocol.Message
	if items, err := w.disk.Load(sid, 0, w.now().heads[sid], 1000); err != nil {
		t.Fatal(err)
	} else {
		for _, it := range items {
			// what cannot be loaded yet stays a reference, which only costs room
			if it.Seq < head && it.Shared {
				done = append(done, it.Message)
			}
		}
	}
	maps.DeleteFunc(next.items[sid], func(seq uint64, _ string) bool { return seq < head })
	w.commit(next, func(o *Ops) {
		o.PutWindow(sid, &Window{NextSeq: w.next[sid] + 1, Heads: []Head{{Seq: head}}})
		if rapid.Bool().Draw(t, "sweep") {
			o.DropItems(sid, 0, 0, head)
		}
	})
	w.disk.Release(done)
}

func (w *world) retain(t *rapid.T) {
	next := w.now().clone()
	name := rapid.SampledFrom([]string{"x", "x/y", "z"}).Draw(t, "topic")
	v := lww.Version{Stamp: uint64(len(w.history)), Origin: 7}
	if _, ok := next.retained[name]; ok {
		switch rapid.SampledFrom([]string{"drop", "bury", "replace"}).Draw(t, "change") {
		case "drop":
			delete(next.retained, name)
			w.commit(next, func(o *Ops) { o.DropRetained(name) })
			return
		case "bury":
			next.retained[name] = "gone"
			w.commit(next, func(o *Ops) { o.PutRetained(&Retained{Topic: topic.Name(name), Version: v}) })
			return
		}
	}
	m := message(len(w.history))
	m.Topic = topic.Name(name)
	next.retained[name] = string(m.Payload)
	w.commit(next, func(o *Ops) { o.PutRetained(&Retained{Topic: m.Topic, Message: m, Version: v}) })
}

// apply lets the writer write.
func (w *world) apply(*rapid.T) { w.disk.writeNext() }

// crash cuts the power and looks at what is left; then it goes on with that, or
// as if nothing had happened.
func (w *world) crash(t *rapid.T) {
	acked := w.acked.Load() // before the power goes: all this has been promised
	seed := rapid.Uint64().Draw(t, "seed")
	fs := w.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 100}).Draw(t, "unsynced"),
		RNG:                 rand.New(rand.NewPCG(seed, 1)),
	})
	w.crashes++
	if rapid.Bool().Draw(t, "stay down") {
		w.stop()
		w.open(fs)
		n := w.inspect(w.disk, acked)
		w.history = w.history[:n+1]
		w.ids = slices.DeleteFunc(w.ids, func(sid SessionID) bool { return w.now().sessions[sid] == "" })
		if len(w.ids) == 0 {
			w.connect(t)
		}
		return
	}
	other := *w
	other.open(fs)
	other.inspect(other.disk, acked)
	other.stop()
}

func (w *world) stop() {
	if err := w.disk.Close(); err != nil {
		w.t.Error(err)
	}
}

// inspect recovers a store and compares it with the model after as many commits
// as it has kept, which must be all that were acknowledged at least.
func (w *world) inspect(d *Disk, acked int64) (kept int) {
	t := w.t
	number, ok, err := d.Table("test").Get(counterKey)
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		kept = int(binary.BigEndian.Uint64(number))
	}
	if int64(kept) < acked {
		t.Fatalf("%d commits were acknowledged, %d are left", acked, kept)
	}
	got := newModel()
	if _, err := d.Recover(4, func(r *Recovered) { w.read(got, d, r) }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Retained(func(r Retained) {
		got.retained[string(r.Topic)] = "gone"
		if r.Message != nil {
			got.retained[string(r.Topic)] = string(r.Message.Payload)
		}
		if r.Origin != 7 {
			t.Errorf("%s has the version %v", r.Topic, r.Version)
		}
	}); err != nil {
		t.Fatal(err)
	}
	want := w.history[kept].clone()
	want.heads = got.heads // the items show it
	maps.DeleteFunc(want.items, func(_ SessionID, m map[uint64]string) bool { return len(m) == 0 })
	maps.DeleteFunc(want.subs, func(_ SessionID, m map[string]protocol.QoS) bool { return len(m) == 0 })
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("after %d commits of %d (%d acknowledged)\n got %+v\nwant %+v", kept, len(w.history)-1, acked, got, want)
	}
	return kept
}

func (w *world) read(got *model, d *Disk, r *Recovered) {
	sid := r.Session.ID
	got.sessions[sid] = r.Session.ClientID
	for _, s := range r.Subscriptions {
		put(got.subs, sid, s.Text, s.QoS)
	}
	for id, at := range r.Awaiting {
		put(got.awaiting, sid, id, at)
	}
	for _, l := range r.Levels {
		items, err := d.Load(sid, l.Priority, r.Window.head(0), 1<<20)
		if len(r.Window.Heads) == 0 {
			items, err = d.Load(sid, l.Priority, 0, 1<<20)
		}
		if err != nil || len(items) != l.Waiting {
			w.t.Fatalf("session %d: %d items can be loaded, %d wait (%v)", sid, len(items), l.Waiting, err)
		}
		for _, it := range items {
			put(got.items, sid, it.Seq, string(it.Message.Payload))
		}
	}
}

// TestPowerLoss cuts the power at random points of random work. What is left is
// always what the store was after some commit: none of those before is missing,
// none of those behind is there in part; and none that was acknowledged is lost.
func TestPowerLoss(t *testing.T) {
	crashes := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, history: []*model{newModel()}, next: map[SessionID]uint64{}}
		w.open(vfs.NewCrashableMem())
		defer func() { w.stop() }()
		w.connect(t)
		w.connect(t)
		actions := []func(*rapid.T){w.connect, w.subscribe, w.publish, w.publish, w.deliver, w.retain, w.apply, w.apply, w.apply, w.crash, w.crash}
		steps := 150
		if raceOn {
			steps = 30
		}
		for range steps {
			rapid.SampledFrom(actions).Draw(t, "action")(t)
		}
		crashes += w.crashes
	})
	t.Logf("%d crashes", crashes)
}
