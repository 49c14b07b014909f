package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/kernel"
	"emqttd/protocol"
)

// patience is how long a test waits for what must happen; it ends only tests
// that fail.
const patience = 30 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func options(fs vfs.FS) Options {
	return Options{Dir: "data", Node: "emqttd@127.0.0.1", FS: fs, Log: quiet()}
}

// running is a store with its actor under a root of its own.
type running struct {
	*Disk
	system *actor.ActorSystem
	root   *actor.PID
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, d)
}

// run starts the actor of a store.
func run(t testing.TB, d *Disk) *running {
	t.Helper()
	system := kernel.NewSystem(d.log)
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{d.Spec()}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return &running{Disk: d, system: system, root: root}
}

// stop ends the actor and closes the store.
func (r *running) stop(t testing.TB) {
	t.Helper()
	if err := kernel.StopRoot(context.Background(), r.system, r.root); err != nil {
		t.Error(err)
	}
	r.system.Shutdown()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// commit commits and waits until it is safe.
func (r *running) commit(t testing.TB, f func(*Ops)) error {
	t.Helper()
	var o Ops
	if f != nil {
		f(&o)
	}
	safe := make(chan error, 1)
	r.Commit(&o, func(err error) { safe <- err })
	return await(t, safe)
}

func await(t testing.TB, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatal("nobody called back")
		return nil
	}
}

func message(i int) *protocol.Message {
	return &protocol.Message{
		Topic: "devices/0815/temperature", From: "sensor-1", Arrived: 1_700_000_000_000,
		Payload: fmt.Appendf(nil, "%064d", i), QoS: protocol.AtLeastOnce,
	}
}

func TestAQueueIsThereAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	d := start(t, options(fs))
	sid := d.NewSessionID()
	if err := d.commit(t, func(o *Ops) {
		o.PutSession(&Session{ID: sid, ClientID: "c1", Expiry: 3600})
		o.PutSubscription(sid, &Subscription{Text: "$share/g/a/#", QoS: 1, ID: 7})
		for i := range 10 {
			o.PutItem(sid, &Item{Seq: uint64(i), Message: message(i), QoS: 1})
		}
		o.PutWindow(sid, &Window{LastID: 2, NextSeq: 10, Heads: []Head{{Seq: 4}}, Flights: []Flight{{ID: 1, Seq: 2, Phase: 1}, {ID: 2, Seq: 3, Phase: 1}}})
		o.PutAwaiting(sid, 258, 17)
	}); err != nil {
		t.Fatal(err)
	}
	items, err := d.Load(sid, 0, 4, 3)
	if err != nil || len(items) != 3 || items[0].Seq != 4 || string(items[0].Message.Payload) != string(message(4).Payload) {
		t.Fatalf("Load = %v, %v", items, err)
	}
	d.stop(t)

	d = start(t, options(fs))
	defer d.stop(t)
	var all []*Recovered
	report, err := d.Recover(2, func(r *Recovered) { all = append(all, r) })
	if err != nil || len(all) != 1 {
		t.Fatalf("Recover = %+v, %v", report, err)
	}
	r := all[0]
	if r.Session.ClientID != "c1" || len(r.Subscriptions) != 1 || r.Awaiting[258] != 17 || len(r.Inflight) != 2 || r.Inflight[1].Seq != 3 {
		t.Errorf("recovered %+v", r)
	}
	if l := r.Levels; len(l) != 1 || l[0].Waiting != 6 || len(l[0].Head) != 2 || l[0].Head[0].Seq != 4 || l[0].Last != 9 || l[0].Bytes != 6*message(0).Size() {
		t.Errorf("levels %+v", l)
	}
	if report.Dead != 2 || report.Messages != 8 {
		t.Errorf("report %+v", report)
	}
}

func TestAMessageOfSeveralSessionsIsKeptOnce(t *testing.T) {
	d := start(t, options(vfs.NewMem()))
	defer d.stop(t)
	r := d.Begin()
	m := message(1)
	for sid := SessionID(1); sid <= 3; sid++ {
		r.Expect()
		r.Enter(sid, &Item{Seq: 1, Message: m, QoS: 1, Shared: true})
		r.Part()
	}
	safe := make(chan error, 1)
	r.After(func(err error) { safe <- err })
	r.Part()
	if err := await(t, safe); err != nil || !r.Safe() {
		t.Fatal(err)
	}
	items, err := d.Load(2, 0, 0, 10)
	if err != nil || len(items) != 1 || string(items[0].Message.Payload) != string(m.Payload) || items[0].Message.StoreID != m.StoreID {
		t.Fatalf("Load = %v, %v", items, err)
	}
	for range 3 {
		d.Release([]*protocol.Message{m})
	}
	if err := d.commit(t, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Disk.message(m.StoreID, &memory{}); got != nil || err != nil {
		t.Errorf("after the last release there still is %v, %v", got, err)
	}
}

// Sessions may be done with a message before others have entered it, which then needs a record of its own.
func TestAMessageThatSomeSessionsReleaseWhileAnotherEntersItIsKept(t *testing.T) {
	d := start(t, options(vfs.NewMem()))
	defer d.stop(t)
	const quick = 4
	for i := range 500 {
		r := d.Begin()
		m := message(i)
		var sessions sync.WaitGroup
		for sid := range SessionID(quick + 1) {
			sessions.Go(func() {
				r.Enter(sid, &Item{Seq: uint64(i), Message: m, QoS: 1, Shared: true})
				if sid < quick {
					d.Release([]*protocol.Message{m})
				}
			})
		}
		sessions.Wait()
		r.Part()
		if err := d.commit(t, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Disk.message(m.StoreID, &memory{}); got == nil || err != nil {
			t.Fatalf("message %d of the last session: %v, %v", i, got, err)
		}
	}
}

func TestASessionThatEndsLeavesNothingBehind(t *testing.T) {
	d := start(t, options(vfs.NewMem()))
	defer d.stop(t)
	fillSome(t, d)
	r := d.Begin()
	both := message(1)
	for sid := SessionID(1); sid <= 2; sid++ {
		r.Enter(sid, &Item{Seq: someItems, Message: both, QoS: 1, Shared: true})
	}
	r.Part()
	ended := make(chan error, someSessions)
	for sid := SessionID(1); sid <= someSessions; sid++ {
		if sid != 2 {
			d.End(sid, func(err error) { ended <- err })
		}
	}
	for range someSessions - 1 {
		if err := await(t, ended); err != nil {
			t.Fatal(err)
		}
	}
	d.bury() // what has ended is due
	d.bury()
	if err := d.commit(t, nil); err != nil {
		t.Fatal(err)
	}
	check, err := d.Check()
	if err != nil || check.Orphans != 0 || check.Records["sessions"] != 1 || check.Records["queued"] != someItems+1 || check.Unresolved != 0 {
		t.Errorf("%+v, %v", check, err)
	}
	if n := check.Records["shared_messages"]; n != 2 {
		t.Errorf("%d shared messages are left, 2 are waited for", n)
	}
	d.Release([]*protocol.Message{both})
	if err := d.commit(t, nil); err != nil {
		t.Fatal(err)
	}
	if check, err := d.Check(); err != nil || check.Records["shared_messages"] != 1 {
		t.Errorf("%+v, %v", check, err)
	}
}
