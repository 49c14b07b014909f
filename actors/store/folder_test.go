package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"emqttd/cluster/replicas/lww"
)

// filled is a store in which there is something of every kind.
func filled(t testing.TB, o Options) {
	t.Helper()
	d := start(t, o)
	defer d.stop(t)
	fillSome(t, d)
}

const (
	someSessions = 20
	someItems    = 50
)

func fillSome(t testing.TB, d *running) {
	t.Helper()
	for i := range someSessions {
		if i == someSessions/2 { // half in a table, half in the log
			if err := d.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		sid := d.NewSessionID()
		r := d.Begin()
		shared := message(7)
		r.Ops(func(o *Ops) {
			o.PutSession(&Session{ID: sid, ClientID: "client", Expiry: 60, Will: &Will{Message: message(i), Delay: 5}})
			o.PutSubscription(sid, &Subscription{Text: "a/#", QoS: 1})
			o.PutWindow(sid, &Window{LastID: 1, NextSeq: someItems, Heads: []Head{{Seq: 1}}, Flights: []Flight{{ID: 1, Seq: 0, Phase: 1}}})
			o.PutAwaiting(sid, 5, 1)
			m := *message(i)
			m.Topic += "/" + "x"
			o.PutRetained(&Retained{Topic: m.Topic, Message: &m, Version: lww.Version{Stamp: 1 << 40, Origin: 3}})
		})
		for seq := range someItems {
			it := &Item{Seq: uint64(seq), Message: message(seq), QoS: 1}
			if seq == 3 {
				it.Message, it.Shared = shared, true
			}
			r.Enter(sid, it)
		}
		safe := make(chan error, 1)
		r.After(func(err error) { safe <- err })
		r.Part()
		if err := await(t, safe); err != nil {
			t.Fatal(err)
		}
	}
	safe := make(chan error, 1)
	d.Table("users").Put([]byte("ann"), []byte("secret"), func(err error) { safe <- err })
	if err := await(t, safe); err != nil {
		t.Fatal(err)
	}
}

// complete looks whether everything that filled wrote is there.
func complete(t testing.TB, d *Disk) {
	t.Helper()
	report, err := d.Recover(5, func(r *Recovered) {
		if r.Levels[0].Waiting != someItems-1 || len(r.Inflight) != 1 || len(r.Subscriptions) != 1 || r.Session.Will == nil || r.Awaiting[5] != 1 {
			t.Errorf("session %d: %+v", r.Session.ID, r)
		}
		if m := r.Levels[0].Head[2].Message; m.StoreID == 0 || string(m.Payload) != string(message(7).Payload) {
			t.Errorf("session %d: the shared message is %+v", r.Session.ID, m)
		}
	})
	if err != nil || report.Sessions != someSessions || report.Holes+report.Quarantined+report.Orphans != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
	if report, err := d.Retained(func(Retained) {}); err != nil || report.Retained != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	if v, ok, err := d.Table("users").Get([]byte("ann")); !ok || string(v) != "secret" || err != nil {
		t.Errorf("table: %q, %v, %v", v, ok, err)
	}
}

func TestAFolderThatIsNotOursIsRefusedInOneLine(t *testing.T) {
	newer := func(key, value []byte) func(*testing.T, vfs.FS) {
		return func(t *testing.T, fs vfs.FS) {
			d, err := Open(options(fs))
			if err != nil {
				t.Fatal(err)
			}
			if err := d.db.Set(key, value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	header := appendText(binary.AppendUvarint([]byte{recordVersion}, formatVersion+1), "emqttd@127.0.0.1")
	readOnly := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite || op.Kind == errorfs.OpLock {
			return &os.PathError{Op: "open", Path: op.Path, Err: syscall.EROFS}
		}
		return nil
	})
	for name, test := range map[string]struct {
		prepare func(*testing.T, vfs.FS)
		change  func(*Options)
		want    []string
	}{
		"of another node":     {change: func(o *Options) { o.Node = "other@host" }, want: []string{"belongs to node emqttd@127.0.0.1", "this is other@host", "node.name"}},
		"of a newer emqttd":   {prepare: newer(headerKey, binary.AppendVarint(header, 1)), want: []string{"newer emqttd", "format 2"}},
		"with a newer header": {prepare: newer(headerKey, []byte{recordVersion + 1, 1, 2, 3}), want: []string{"newer emqttd", "version 2"}},
		"read-only":           {change: func(o *Options) { o.FS = errorfs.Wrap(o.FS, readOnly) }, want: []string{"is not writable"}},
		"a file":              {change: func(o *Options) { o.Dir = "data/LOCK" }, want: []string{"is not a folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			filled(t, options(fs))
			if test.prepare != nil {
				test.prepare(t, fs)
			}
			o := options(fs)
			if test.change != nil {
				test.change(&o)
			}
			_, err := Open(o)
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q does not say %q in one line", err, want)
				}
			}
			if test.prepare == nil {
				d, err := Open(options(fs))
				if err != nil {
					t.Fatalf("damaged: %v", err)
				}
				complete(t, d)
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestHoldTheLock is the other process of the test below.
func TestHoldTheLock(t *testing.T) {
	dir := os.Getenv("STORE_TEST_HOLD")
	if dir == "" {
		return // it is for the process that TestAFolderInUseIsRefused starts
	}
	o := options(vfs.Default)
	o.Dir = dir
	_, err := Open(o)
	if err == nil {
		t.Fatal("opened")
	}
	t.Logf("refused: %v", err)
}

func TestAFolderInUseIsRefused(t *testing.T) {
	o := options(vfs.Default)
	o.Dir = filepath.Join(t.TempDir(), "data")
	d := start(t, o)
	defer d.stop(t)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second Open: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldTheLock$", "-test.v")
	cmd.Env = append(os.Environ(), "STORE_TEST_HOLD="+o.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("another process: %v\n%s", err, out)
	}
	fillSome(t, d)
}

func TestAFolderThatDisappearsIsNoticed(t *testing.T) {
	o := options(vfs.Default)
	o.Dir = filepath.Join(t.TempDir(), "data")
	told := make(chan State, 1)
	o.OnState = func(s State) { told <- s }
	d := start(t, o)
	defer d.stop(t)
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-told:
		if s.Reason != "folder_gone" || !strings.Contains(s.Text, "removed while the node was running") {
			t.Errorf("state %+v", s)
		}
	case <-time.After(patience):
		t.Fatal("not noticed")
	}
	if err := d.commit(t, func(o *Ops) { o.DropRetained("a") }); err == nil {
		t.Error("what was written nowhere is called safe")
	}
}

// small is a file system with as much room as the test says.
type small struct {
	vfs.FS
	free uint64
}

func (s *small) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.free}, nil
}

func TestALowDiskRefusesNewWorkUntilThereIsRoomAgain(t *testing.T) {
	fs := &small{FS: vfs.NewMem(), free: 1000}
	o := options(fs)
	o.MinFree = 1000
	d := &Disk{opts: o, log: o.Log}
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Create("data/LOCK", vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		free    uint64
		refused bool
	}{{1000, false}, {999, true}, {1000, true}, {1099, true}, {1100, false}, {1000, false}} {
		fs.free = step.free
		d.look(time.Now())
		if d.Refusing() != step.refused {
			t.Errorf("%d bytes free: refusing %v", step.free, d.Refusing())
		}
	}
	d.figures.syncing.Store(time.Now().Add(-time.Minute).UnixNano())
	if d.look(time.Now()); d.State().Reason != "disk_stalled" {
		t.Errorf("a disk that does not answer: %+v", d.State())
	}
	d.figures.syncing.Store(0)
	if d.look(time.Now()); d.Refusing() {
		t.Error("still refusing when the disk has answered")
	}
}

func TestABackupOfALiveStoreIsRestoredWithEverything(t *testing.T) {
	fs := vfs.NewMem()
	d := start(t, options(fs))
	fillSome(t, d)
	if err := d.Backup("backup"); err != nil {
		t.Fatal(err)
	}
	if err := d.Backup("backup"); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("Backup over a backup: %v", err)
	}
	report, err := d.Check()
	if err != nil || !report.Sound() || report.Orphans+report.Unresolved != 0 || report.Records["sessions"] != someSessions ||
		report.Records["queued"] != someSessions*someItems || report.Records["shared_messages"] != someSessions {
		t.Errorf("check %+v, %v", report, err)
	}
	var out bytes.Buffer
	n, err := d.Export(&out)
	if err != nil || n != bytes.Count(out.Bytes(), []byte("\n")) || n != someSessions*(4+someItems)+2 {
		t.Errorf("exported %d, %v", n, err)
	}
	for line := range bytes.Lines(out.Bytes()) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil || v["kind"] == "" {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if err := Restore("backup", "data", options(fs)); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("Restore over a store: %v", err)
	}
	if s := d.Stats(); s.Shared != someSessions || s.Groups == 0 || s.DiskBytes == 0 {
		t.Errorf("stats %+v", s)
	}
	d.stop(t)

	if err := Restore("nothing", "new", options(fs)); err == nil {
		t.Error("restored from nothing")
	}
	if err := Restore("backup", "new", options(fs)); err != nil {
		t.Fatal(err)
	}
	o := options(fs)
	o.Dir = "new"
	d = start(t, o)
	defer d.stop(t)
	complete(t, d.Disk)
}

func TestARecordThatCannotBeDecodedIsSetAside(t *testing.T) {
	fs := vfs.NewMem()
	d := start(t, options(fs))
	fillSome(t, d)
	bad := appendItemKey(nil, 1, 0, someItems/2)
	if err := d.db.Set(bad, []byte{recordVersion, 0xff}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	d.stop(t)
	d = start(t, options(fs))
	defer d.stop(t)
	waiting := 0
	report, err := d.Recover(5, func(r *Recovered) { waiting += r.Levels[0].Waiting })
	if err != nil || report.Quarantined != 1 || waiting != someSessions*(someItems-1)-1 {
		t.Errorf("%d wait, report %+v, %v", waiting, report, err)
	}
	if err := d.commit(t, nil); err != nil {
		t.Fatal(err)
	}
	if check, err := d.Check(); err != nil || check.Quarantined != 1 || !check.Sound() {
		t.Errorf("check %+v, %v", check, err)
	}
}

// damage changes bytes in the middle of a file.
func damage(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 64), info.Size()/3); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNoCorruptFileStopsTheStart(t *testing.T) {
	for _, suffix := range []string{".sst", ".log", "MANIFEST"} {
		t.Run(suffix, func(t *testing.T) {
			fs := vfs.NewMem()
			d := start(t, options(fs))
			fillSome(t, d)
			if suffix == ".sst" || suffix == "MANIFEST" {
				if err := d.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			d.stop(t)
			names, err := fs.List("data")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.Contains(name, suffix) && !strings.HasPrefix(name, "marker") {
					damage(t, fs, "data/"+name)
				}
			}
			d = start(t, options(fs))
			defer d.stop(t)
			sessions := 0
			report, err := d.Recover(5, func(*Recovered) { sessions++ })
			t.Logf("%d sessions, %+v", sessions, report)
			if err != nil || sessions == 0 {
				t.Errorf("%d sessions, %+v, %v", sessions, report, err)
			}
			fillSome(t, d)
		})
	}
}
