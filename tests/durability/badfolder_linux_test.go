package durability

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// filled is the home of a node in whose store a session waits with a message.
func filled(t *testing.T, lines ...string) *testkit.Home {
	t.Helper()
	h := testkit.NewHome(t, lines...)
	p := h.Foreground()
	fill(t, h)
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	return h
}

func fill(t *testing.T, h *testkit.Home) {
	t.Helper()
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Persistent("waits"))
	c.Subscribe(1, "a/#")
	c.Disconnect()
	kept(t, h.MQTT, message("a/1", "still here"))
}

// undamaged starts the node and looks whether what filled left is there.
func undamaged(t *testing.T, h *testkit.Home) {
	t.Helper()
	h.Foreground()
	c := testkit.Dial(t, h.MQTT)
	if ack := c.Connect(testkit.Persistent("waits")); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	c.ExpectPublish("a/1", "still here")
}

// refused starts the node, which must not start, and say why in one line.
func refused(t *testing.T, h *testkit.Home, want ...string) {
	t.Helper()
	out := h.Emqttd("foreground")
	if out.Code != 1 {
		t.Errorf("exit code %d", out.Code)
	}
	var last string
	n := 0
	for line := range strings.Lines(out.Stderr) {
		if !strings.HasPrefix(line, "warning: ") && !strings.Contains(line, "[warning]") {
			last = line
			n++
		}
	}
	for _, w := range want {
		if !strings.Contains(last, w) {
			t.Errorf("stderr does not say %q:\n%s", w, out.Stderr)
		}
	}
	if n != 1 {
		t.Errorf("%d lines say why:\n%s", n, out.Stderr)
	}
}

func storeDir(h *testkit.Home) string { return filepath.Join(h.Dir, "data", "store") }

func TestFolderOfAnotherNodeIsRefused(t *testing.T) {
	h := filled(t)
	h.Rewrite(regexp.MustCompile(`node\.name = .*`), "node.name = other@127.0.0.1")
	refused(t, h, "belongs to node", h.NodeName(), "other@127.0.0.1")
	h.Rewrite(regexp.MustCompile(`node\.name = .*`), "node.name = "+h.NodeName())
	undamaged(t, h)
}

// format sets the version of the folder's format: the byte behind the version of
// the record.
func format(t *testing.T, h *testkit.Home, change int) {
	t.Helper()
	db, err := pebble.Open(storeDir(h), &pebble.Options{FormatMajorVersion: pebble.FormatWALSyncChunks, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	value, closer, err := db.Get([]byte("h"))
	if err != nil {
		t.Fatal(err)
	}
	header := append([]byte(nil), value...)
	header[1] += byte(change)
	_ = closer.Close()
	if err := db.Set([]byte("h"), header, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func TestFolderOfANewerVersionIsRefused(t *testing.T) {
	h := filled(t)
	format(t, h, 1)
	refused(t, h, "newer emqttd")
	format(t, h, -1)
	undamaged(t, h)
}

func TestFolderInUseIsRefused(t *testing.T) {
	h := testkit.NewHome(t)
	h.Foreground()
	fill(t, h)
	second := testkit.NewHome(t, "node.data_dir = "+filepath.Join(h.Dir, "data"), "node.name = "+h.NodeName())
	refused(t, second, "already running")
	// Somebody who goes past the folder of the node meets the lock of the store.
	third := testkit.NewHome(t, "node.name = "+h.NodeName())
	if err := os.Mkdir(filepath.Join(third.Dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(storeDir(h), storeDir(third)); err != nil {
		t.Fatal(err)
	}
	refused(t, third, "in use by another process")
	c := testkit.Dial(t, h.MQTT) // which the second has not disturbed
	c.Connect(testkit.Persistent("waits"))
	c.ExpectPublish("a/1", "still here")
}

// mounted makes a file system of so many bytes for a test. Only root can.
func mounted(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" && os.Getuid() == 0 {
			t.Fatalf("mount a file system: %v", err)
		}
		t.Skipf("needs a file system of its own, which only root can mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestReadOnlyFolderIsRefused(t *testing.T) {
	dir := mounted(t, "64m")
	h := filled(t, "node.data_dir = "+dir, "store.min_free = 1MB")
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, h, "node.data_dir", "read-only file system")
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	undamaged(t, h)
}

// watchAlarms subscribes to the alarms of the node.
func watchAlarms(t *testing.T, h *testkit.Home) *testkit.Client {
	t.Helper()
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Hello("operator"))
	c.Subscribe(0, "$SYS/brokers/"+h.NodeName()+"/alarms/#")
	return c
}

// answer publishes a message that a durable session waits for and returns the
// code of its acknowledgement.
func answer(t *testing.T, c *testkit.Client, id protocol.PacketID) protocol.ReasonCode {
	t.Helper()
	c.Publish("a/1", "for the disk", 1, id)
	h, body, err := c.TryRead()
	var a mqtt.Ack
	if err == nil {
		err = a.Decode(h, body, mqtt.V5)
	}
	if err != nil || a.ID != id {
		t.Fatalf("%v of %d: %v", h.Type, a.ID, err)
	}
	return a.Code
}

// goesOn sends a message between two clients without a lasting session.
func goesOn(t *testing.T, h *testkit.Home) {
	t.Helper()
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Hello("memory"))
	c.Subscribe(1, "memory")
	p := testkit.Dial(t, h.MQTT)
	p.Connect(testkit.Hello("memory-publisher"))
	p.Publish("memory", "goes on", 1, 1)
	p.ExpectAck(mqtt.PUBACK, 1)
	c.ExpectPublish("memory", "goes on")
}

// heldBack publishes as a client of MQTT 3.1.1, which gets no answer.
func heldBack(t *testing.T, h *testkit.Home) *testkit.Client {
	t.Helper()
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Hello("publisher-311"))
	c.Publish("a/1", "from 3.1.1", 1, 5)
	_ = c.Conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Conn.Read(make([]byte, 8)); n > 0 {
		t.Errorf("the publisher of MQTT 3.1.1 got an answer (%v)", err)
	}
	return c
}

func TestFullDiskRefusesWhatIsNewUntilThereIsRoom(t *testing.T) {
	dir := mounted(t, "96m")
	h := testkit.NewHome(t, "node.data_dir = "+dir, "store.min_free = 8MB")
	h.Foreground()
	fill(t, h)
	alarms := watchAlarms(t, h)
	p := testkit.Dial(t, h.MQTT)
	p.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "publisher-5"})

	ballast := filepath.Join(dir, "ballast")
	fillUp(t, ballast)
	if a := alarms.AnyPublish(); !strings.Contains(string(a.Topic), "/alert") || !strings.Contains(string(a.Payload), "refused") {
		t.Errorf("alarm %s %s", a.Topic, a.Payload)
	}
	if code := answer(t, p, 1); code != protocol.QuotaExceeded {
		t.Errorf("PUBACK %v", code)
	}
	old := heldBack(t, h)
	goesOn(t, h)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if a := alarms.AnyPublish(); !strings.Contains(string(a.Topic), "/clear") {
		t.Errorf("alarm %s %s", a.Topic, a.Payload)
	}
	old.ExpectAck(mqtt.PUBACK, 5)
	if code := answer(t, p, 2); code != protocol.Success {
		t.Errorf("PUBACK %v", code)
	}
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Persistent("waits"))
	c.ExpectPublish("a/1", "still here")
	c.ExpectPublish("a/1", "from 3.1.1")
	c.ExpectPublish("a/1", "for the disk")
}

// fillUp writes until 1 MB is free: less than store.min_free, which makes the
// node refuse, and enough that nothing fails meanwhile.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(name), &s); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-1<<20); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskAtTheStartIsNotTheEnd(t *testing.T) {
	dir := mounted(t, "64m")
	h := filled(t, "node.data_dir = "+dir, "store.min_free = 8MB")
	ballast := filepath.Join(dir, "ballast")
	fillUp(t, ballast)
	h.Foreground()
	p := testkit.Dial(t, h.MQTT)
	p.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "publisher-5"})
	testkit.Eventually(t, "durable work is refused", func() bool { return answer(t, p, 1) == protocol.QuotaExceeded })
	goesOn(t, h)
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Persistent("waits"))
	c.ExpectPublish("a/1", "still here")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "durable work is taken again", func() bool { return answer(t, p, 1) == protocol.Success })
}

func TestFolderThatIsDeletedUnderTheNode(t *testing.T) {
	h := testkit.NewHome(t)
	p := h.Foreground()
	fill(t, h)
	alarms := watchAlarms(t, h)
	if err := os.RemoveAll(storeDir(h)); err != nil {
		t.Fatal(err)
	}
	if a := alarms.AnyPublish(); !strings.Contains(string(a.Topic), "/alert") || !strings.Contains(string(a.Payload), "refused") {
		t.Errorf("alarm %s %s", a.Topic, a.Payload)
	}
	c := testkit.Dial(t, h.MQTT)
	c.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "publisher-5"})
	if code := answer(t, c, 1); code != protocol.QuotaExceeded {
		t.Errorf("PUBACK %v", code)
	}
	heldBack(t, h)
	goesOn(t, h)
	if n := strings.Count(p.Log(), "store refuses durable work"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, p.Log())
	}
}
