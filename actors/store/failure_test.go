package store

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"emqttd/actors/kernel"
	"emqttd/protocol"
)

// load commits work and counts what is called back. Every tenth commit waits, so
// that there are many groups.
type load struct {
	d            *running
	commits      int
	called, safe atomic.Int64
	last         atomic.Int64 // the last item that is safe
}

func (l *load) commit(t *testing.T) {
	l.commits++
	seq := uint64(l.commits)
	var o Ops
	if seq == 1 {
		o.PutSession(&Session{ID: 1, ClientID: "c"})
	}
	o.PutItem(1, &Item{Seq: seq, Message: message(int(seq)), QoS: 1})
	l.d.Commit(&o, func(err error) {
		l.called.Add(1)
		if err == nil {
			l.safe.Add(1)
			l.last.Store(int64(seq))
		}
	})
	if seq%10 == 0 {
		_ = l.d.commit(t, nil) // whether it is safe is not the question here
	}
}

// TestNoWriteErrorEndsTheProcessOrLosesAnAcknowledgement lets every single
// operation that writes fail, one after the other, from there on for ever. The
// store must go on answering: with errors, if what failed was the log.
func TestNoWriteErrorEndsTheProcessOrLosesAnAcknowledgement(t *testing.T) {
	for n := int64(0); ; n += stride() {
		if !failFrom(t, n) {
			t.Logf("up to operation %d each failed", n)
			return
		}
	}
}

// stride leaves out most operations where each takes too long.
func stride() int64 {
	if raceOn {
		return 7
	}
	return 1
}

// failFrom lets operation n and all following ones fail, and tells whether there
// were as many.
func failFrom(t *testing.T, n int64) (reached bool) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var count atomic.Int64
	var on atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) > n {
			return errorfs.ErrInjected
		}
		return nil
	}))
	o := options(fs)
	o.memTable = 20 << 10
	l := &load{d: start(t, o)}
	on.Store(true)
	for range 300 {
		l.commit(t)
	}
	_ = l.d.commit(t, nil) // whether it is safe is not the question here
	reached = count.Load() > n
	on.Store(false)
	if called := int(l.called.Load()); called != l.commits {
		t.Fatalf("operation %d: %d of %d were called back", n, called, l.commits)
	}
	if failed := l.called.Load() != l.safe.Load(); failed != l.d.Refusing() || failed && l.last.Load() != l.safe.Load() {
		t.Fatalf("operation %d: %d of %d are safe, the last is %d, refusing %v", n, l.safe.Load(), l.called.Load(), l.last.Load(), l.d.Refusing())
	}
	after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(n), 2))})
	l.d.stop(t)
	l.compare(t, n, after)
	return reached
}

// compare looks whether what was safe is there.
func (l *load) compare(t *testing.T, n int64, fs vfs.FS) {
	t.Helper()
	d, err := Open(options(fs))
	if err != nil {
		t.Fatalf("operation %d: %v", n, err)
	}
	waiting := 0
	if _, err := d.Recover(1, func(r *Recovered) { waiting = r.Levels[0].Waiting }); err != nil {
		t.Fatal(err)
	}
	if waiting < int(l.safe.Load()) {
		t.Fatalf("operation %d: %d are safe, %d are there", n, l.safe.Load(), waiting)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFailedStoreSaysSoAndAnswersEverybody(t *testing.T) {
	toggle := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileSyncData {
			return errorfs.ErrInjected
		}
		return nil
	})}
	told := make(chan State, 4)
	o := options(errorfs.Wrap(vfs.NewMem(), &toggle))
	o.OnState = func(s State) { told <- s }
	d := start(t, o)
	defer d.stop(t)
	if err := d.commit(t, func(o *Ops) { o.DropRetained("a") }); err != nil {
		t.Fatal(err)
	}
	toggle.On()
	if err := d.commit(t, func(o *Ops) { o.DropRetained("a") }); err == nil {
		t.Error("what could not be written is called safe")
	}
	if s := <-told; !s.Refusing || s.Reason != "disk_failed" || !d.Refusing() || d.State() != s {
		t.Errorf("state is %+v, told was %+v", d.State(), s)
	}
	toggle.Off()
	if err := d.commit(t, func(o *Ops) { o.DropRetained("a") }); err == nil {
		t.Error("a failed store came back by itself")
	}
	if _, err := d.Load(1, 0, 0, 1); err == nil {
		t.Error("a failed store can be read")
	}
	var fail *failure
	if err := d.Backup("elsewhere"); !errors.As(err, &fail) {
		t.Errorf("Backup of a failed store: %v", err)
	}
}

func TestABackupThatFailsIsNoFailureOfTheStore(t *testing.T) {
	var refuse atomic.Bool
	d := start(t, options(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if refuse.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasPrefix(op.Path, "elsewhere") {
			return errorfs.ErrInjected
		}
		return nil
	}))))
	defer d.stop(t)
	refuse.Store(true)
	if err := d.Backup("elsewhere/backup"); !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("Backup to where nothing can be written: %v", err)
	}
	if err := d.Backup(d.opts.Dir + "/backup"); err == nil {
		t.Error("a backup can be made inside the store")
	}
	refuse.Store(false)
	if err := d.commit(t, func(o *Ops) { o.DropRetained("a") }); err != nil || d.Refusing() {
		t.Errorf("behind a backup that failed, the store takes nothing: %v, %+v", err, d.State())
	}
	if err := d.Backup("elsewhere/backup"); err != nil {
		t.Errorf("the next backup: %v", err)
	}
}

func TestAnInterruptedWriterGoesOn(t *testing.T) {
	l := &load{d: start(t, options(vfs.NewCrashableMem()))}
	for i := range 1000 {
		l.commit(t)
		if i%50 == 0 {
			if err := kernel.KillByID(l.d.system, "node/store"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.d.commit(t, nil); err != nil {
		t.Fatal(err)
	}
	if l.safe.Load() != 1000 {
		t.Errorf("%d of 1000 commits were called back", l.safe.Load())
	}
	l.d.stop(t)
	safe := make(chan error, 1)
	l.d.Commit(nil, func(err error) { safe <- err })
	if err := await(t, safe); !errors.Is(err, ErrClosed) {
		t.Errorf("a commit after Close: %v", err)
	}
}

func TestAReceiptOfAFailedStoreIsNeverSafe(t *testing.T) {
	d := start(t, options(vfs.NewMem()))
	defer d.stop(t)
	d.fail(reasonDisk, errors.New("for the test"))
	r := d.Begin()
	r.Enter(1, &Item{Seq: 1, Message: &protocol.Message{Topic: "a"}, QoS: 1})
	safe := make(chan error, 1)
	r.After(func(err error) { safe <- err })
	r.Part()
	if err := await(t, safe); err == nil || r.Safe() {
		t.Errorf("receipt: %v, safe %v", err, r.Safe())
	}
}

// TestNoErrorWhileOpeningDamagesTheStore lets every operation of a start fail in
// turn, reading ones too. Either the store does not open, or everything is there.
func TestNoErrorWhileOpeningDamagesTheStore(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := options(mem)
	o.memTable = 128 << 10 // a few tables, and a log to read
	l := &load{d: start(t, o)}
	for range 500 {
		l.commit(t)
	}
	l.d.stop(t)
	for n := int64(0); ; n += stride() {
		var count atomic.Int64
		mem := mem.CrashClone(vfs.CrashCloneCfg{})
		o := options(errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
			if count.Add(1) == n+1 {
				return errorfs.ErrInjected
			}
			return nil
		})))
		if d, err := Open(o); err == nil {
			_, _ = d.Recover(1, func(*Recovered) {}) // it may meet the error: holes are passed over
			_ = d.Close()                            // may meet it, too
		}
		l.compare(t, n, mem)
		if count.Load() <= n {
			t.Logf("up to operation %d each failed", n)
			return
		}
	}
}
