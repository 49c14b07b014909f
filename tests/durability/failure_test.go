package durability

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/durability/checker"
	"emqttd/tests/testkit"
)

// failing is a disk on which operations that write fail from the n-th on.
type failing struct {
	on    atomic.Bool
	count atomic.Int64
	from  atomic.Int64
	once  bool // only the n-th one does
}

// MaybeError implements errorfs.Injector.
func (f *failing) MaybeError(op errorfs.Op) error {
	if !f.on.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	n := f.count.Add(1)
	if from := f.from.Load(); n > from && (!f.once || n == from+1) {
		return errorfs.ErrInjected
	}
	return nil
}

func (f *failing) String() string { return "failing" }

// broken tells whether the disk has failed.
func (f *failing) broken() bool { return f.count.Load() > f.from.Load() }

// TestNoFailureOfTheDiskCostsWhatWasAcknowledged lets one operation on a file
// after the other fail under a real node with clients at work: once, or from then
// on. What was acknowledged is there when the node has been started again on the
// same files; and meanwhile the broker serves who needs no disk, and refuses who
// does.
func TestNoFailureOfTheDiskCostsWhatWasAcknowledged(t *testing.T) {
	const points = 12
	rng := rand.New(rand.NewPCG(seed(t), 2))
	c := settings(t)
	all := crashPoints(points)
	for i := range all {
		f := &failing{once: i%3 == 2}
		f.from.Store(int64(i))
		if all <= points && i > points/2 || i > 1000 {
			f.from.Store(rng.Int64N(1000))
		}
		failAt(t, c, f, rng)
		if t.Failed() {
			t.Fatalf("when operation %d fails (once: %v)", f.from.Load(), f.once)
		}
	}
}

func failAt(t *testing.T, c *config.Config, f *failing, rng *rand.Rand) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	m := mustBoot(t, c, errorfs.Wrap(fs, f))
	w := checker.New(rng.Uint64(), checker.Everybody())
	w.Use(m.dial)
	w.Run(300, nil)
	m.keeps(t)
	f.on.Store(true)
	w.Run(1500, nil)
	if !f.broken() {
		f.from.Store(f.count.Load()) // the world has not come that far: now
		w.Run(1500, nil)
	}
	m.servesMemory(t)
	if m.refuses() {
		m.refusesDurable(t)
	} else if !f.once {
		t.Errorf("every operation fails, and the node refuses nothing\n%s", m.log)
	}
	f.on.Store(false)
	var left *vfs.MemFS
	cut := w.Clone(rng.Uint64(), func() {
		left = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	})
	w.Hang()
	m.down()
	p := &plant{t: t, config: c, limit: 30 * time.Second}
	if faults := p.inspect(cut, left); len(faults) > 0 {
		t.Errorf("after a power loss:\n%s", strings.Join(faults, "\n"))
	}
	// A node that has failed keeps its lock until its process ends.
	same := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	if faults := p.inspect(w.Clone(rng.Uint64(), func() {}), same); len(faults) > 0 {
		t.Errorf("after a restart:\n%s", strings.Join(faults, "\n"))
	}
}

// keeps leaves a durable session behind that keeps what is published to keep/.
func (m *machine) keeps(t *testing.T) {
	t.Helper()
	c := m.client(t)
	c.Connect(testkit.Persistent("keeper"))
	c.Subscribe(1, "keep/#")
	c.Disconnect()
}

// refuses tells whether the node says that it refuses durable work.
func (m *machine) refuses() bool {
	return strings.Contains(m.log.String(), "store refuses durable work")
}

func (m *machine) client(t testing.TB) *testkit.Client {
	t.Helper()
	conn, err := m.network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return testkit.NewClient(t, conn)
}

// servesMemory publishes and receives where nothing is kept.
func (m *machine) servesMemory(t *testing.T) {
	t.Helper()
	s, p := m.client(t), m.client(t)
	s.Connect(testkit.Hello("memory-sub"))
	s.Subscribe(1, "memory/+")
	p.Connect(testkit.Hello("memory-pub"))
	p.Publish("memory/1", "still here", 1, 7)
	p.ExpectAck(mqtt.PUBACK, 7)
	s.ExpectPublish("memory/1", "still here")
	s.Close()
	p.Close()
}

// refusesDurable asks for what needs the disk.
func (m *machine) refusesDurable(t *testing.T) {
	t.Helper()
	c := m.client(t)
	c.Version = mqtt.V5
	hello := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "durable"}
	hello.Properties.SessionExpiry = 60
	c.Send(hello)
	if ack := c.ExpectConnack(); ack.Code != protocol.QuotaExceeded {
		t.Errorf("a new durable session got CONNACK %v", ack.Code)
	}
	c.Close()

	p := m.client(t)
	p.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "durable-pub"})
	for qos := protocol.QoS(1); qos <= 2; qos++ {
		p.Publish("keep/durable", "refuse me", qos, 9)
		h, body, err := p.TryRead()
		var a mqtt.Ack
		if err == nil {
			err = a.Decode(h, body, mqtt.V5)
		}
		if err != nil || a.Code != protocol.QuotaExceeded {
			t.Errorf("QoS %d for a durable session: %v %v %v", qos, h.Type, a.Code, err)
			break
		}
	}
	p.Close()

	old := m.client(t)
	old.Connect(testkit.Hello("durable-311"))
	old.Publish("keep/durable", "hold me", 1, 11)
	_ = old.Conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := old.Conn.Read(make([]byte, 16)); n > 0 {
		t.Errorf("a publisher of MQTT 3.1.1 got an answer (%v)", err)
	}
	old.Close()
}
