package scenario

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/actors/system/metrics"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// ring is clients that each publish to the next, of QoS 1, one message after the
// other, and get all of the one before.
type ring struct {
	members []*member
	ended   atomic.Bool
	quiet   sync.WaitGroup // of those that publish no more
	done    sync.WaitGroup
	broken  chan error // of a member each
}

// member is one client of a ring.
type member struct {
	c       *testkit.Client
	next    topic.Name
	from    *member
	sent    atomic.Uint64 // and acknowledged
	got     uint64
	slowest time.Duration // from a PUBLISH to its PUBACK
}

// startRing has its clients on TCP, or in memory; not some here and some there, as those
// in memory would leave little of the processors to the others.
func startRing(t *testing.T, b *testkit.Broker, n int, inMemory bool) *ring {
	t.Helper()
	r := &ring{members: make([]*member, n), broken: make(chan error, n)}
	for i := range r.members {
		m := &member{next: topic.Name(fmt.Sprintf("ring/%d", (i+1)%n))}
		if inMemory {
			m.c = b.DialMemory(t)
		} else {
			m.c = b.Dial(t)
		}
		m.c.Connect(testkit.Hello(fmt.Sprintf("ring-%d", i)))
		m.c.Subscribe(1, fmt.Sprintf("ring/%d", i))
		r.members[i] = m
	}
	r.quiet.Add(n)
	for i, m := range r.members {
		m.from = r.members[(i+n-1)%n]
		r.done.Go(func() {
			if err := m.play(r); err != nil {
				r.broken <- fmt.Errorf("client %d: %w", i, err)
			}
		})
	}
	return r
}

// play publishes until the ring ends, and then gets what is still on its way.
func (m *member) play(r *ring) error {
	err := m.publishes(r)
	r.quiet.Done()
	if err != nil {
		return err
	}
	r.quiet.Wait()
	for m.got < m.from.sent.Load() {
		if _, err := m.read(); err != nil {
			return err
		}
	}
	m.c.SendBytes([]byte{byte(mqtt.PINGREQ) << 4, 0})
	if h, _, err := m.c.TryRead(); err != nil || h.Type != mqtt.PINGRESP {
		return fmt.Errorf("%v instead of a PINGRESP, %w", h.Type, err)
	}
	return nil
}

func (m *member) publishes(r *ring) error {
	for n := uint64(1); !r.ended.Load(); n++ {
		runtime.Gosched() // in memory those that wake each other would leave the others none of the processors
		began := time.Now()
		m.c.Send(&mqtt.Publish{Topic: m.next, Payload: strconv.AppendUint(nil, n, 10), QoS: 1, PacketID: 1})
		for acked := false; !acked; {
			var err error
			if acked, err = m.read(); err != nil {
				return err
			}
		}
		m.slowest = max(m.slowest, time.Since(began))
		m.sent.Store(n)
	}
	return nil
}

// read takes the next packet: the acknowledgement of the own message, or the message
// that is the next of the one before.
func (m *member) read() (acked bool, err error) {
	h, body, err := m.c.TryRead()
	if err != nil {
		return false, fmt.Errorf("after %d messages: %w", m.got, err)
	}
	switch h.Type {
	case mqtt.PUBACK:
		return true, nil
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(h, body, m.c.Version); err != nil {
			return false, err
		}
		m.got++
		if want := strconv.FormatUint(m.got, 10); string(p.Payload) != want || p.Dup {
			return false, fmt.Errorf("got message %s (DUP %t), want %s", p.Payload, p.Dup, want)
		}
		m.c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
		return false, nil
	}
	return false, fmt.Errorf("got a %v", h.Type)
}

// sent is how many messages were acknowledged to the slowest member, and to all.
func (r *ring) sent() (least, all uint64) {
	least = r.members[0].sent.Load()
	for _, m := range r.members {
		n := m.sent.Load()
		least, all = min(least, n), all+n
	}
	return least, all
}

// goesOn waits until each member has published a message more, or one cannot.
func (r *ring) goesOn(t *testing.T) {
	t.Helper()
	before := make([]uint64, len(r.members))
	for i, m := range r.members {
		before[i] = m.sent.Load()
	}
	testkit.Eventually(t, "all publish one more", func() bool {
		if len(r.broken) > 0 {
			return true
		}
		for i, m := range r.members {
			if m.sent.Load() == before[i] {
				return false
			}
		}
		return true
	})
}

// end waits until everybody has got everything, and tells what went wrong.
func (r *ring) end() (slowest time.Duration, broken []error) {
	r.ended.Store(true)
	r.done.Wait()
	close(r.broken)
	for err := range r.broken {
		broken = append(broken, err)
	}
	for _, m := range r.members {
		slowest = max(slowest, m.slowest)
	}
	return slowest, broken
}

// reloads are what emq.conf ends with, one after the other: narrow limits that do not
// concern who is there already, mistakes, and then the file as it was.
var reloads = []struct {
	what, text string
	refused    bool
}{
	{what: "other limits of sessions and connections", text: `
mqtt.session.max_inflight = 16
mqtt.session.max_subscriptions = 1
mqtt.session.retry_interval = 30s
mqtt.mqueue.max_length = 500
mqtt.max_packet_size = 1KB
mqtt.max_clientid_len = 23
mqtt.max_qos_allowed = 0
mqtt.client.max_publish_rate = 1
mqtt.session.expiry_interval = 0
`},
	{what: "a key with a typing error", text: "mqtt.mqueu.max_length = 1\n", refused: true},
	{what: "nobody may enter any more", text: `
mqtt.allow_anonymous = false
listener.tcp.test.max_clients = 1
listener.tcp.memory.max_clients = 1
listener.tcp.test.max_conn_rate = 1
listener.tcp.test.max_clients_per_ip = 1
listener.tcp.test.access.1 = deny all
listener.tcp.test.message_rate_limit = 1,1
listener.tcp.test.send_timeout = 100ms
`},
	{what: "a file that is half written", text: "mqtt.allow_anonymous = true\nmqtt.mqueue.max_len", refused: true},
	{what: "another cache, log and back-off", text: `
mqtt.cache_acl = false
acl.strict_wildcards = false
access.backoff.size = 16
log.console.level = error
mqtt.broker.sys_interval = 1s
retainer.max_message_num = 1
`},
	{what: "a value that cannot be", text: "mqtt.mqueue.max_length = 5\nmqtt.session.max_inflight = many\n", refused: true},
	{what: "the file as it was"},
}

// TestAReloadUnderTrafficDisturbsNoConnection: while the configuration is reloaded, with
// good files and bad ones, 300 clients publish; no connection ends, and no message is
// lost, repeated or out of order. TEST_RELOAD=10000 has as many clients, all in memory.
func TestAReloadUnderTrafficDisturbsNoConnection(t *testing.T) {
	n, long := 300, os.Getenv("TEST_RELOAD")
	if long != "" {
		var err error
		if n, err = strconv.Atoi(long); err != nil || n < 2 {
			t.Fatalf("TEST_RELOAD=%s: want a number of clients", long)
		}
	}
	b := testkit.StartFrom(t, nil, "mqtt.session.retry_interval = 1h", "listener.tcp.memory.max_clients = 100000")
	good, err := os.ReadFile(b.File)
	if err != nil {
		t.Fatal(err)
	}
	r := startRing(t, b, n, long != "")
	r.goesOn(t)
	var longest time.Duration
	for _, row := range append(reloads, reloads...) {
		if err := os.WriteFile(b.File, append(good[:len(good):len(good)], row.text...), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		out, code := b.Command(t, "conf", "reload")
		longest = max(longest, time.Since(began))
		if (code != 0) != row.refused {
			t.Errorf("%s: %d %s", row.what, code, out)
		}
		r.goesOn(t)
	}
	slowest, broken := r.end()
	if len(broken) > 0 {
		t.Errorf("%d clients were disturbed, such as: %v", len(broken), broken[0])
	}
	least, all := r.sent()
	t.Logf("%d clients, %d reloads of at most %v; %d messages, at least %d of each; the slowest PUBACK after %v",
		n, 2*len(reloads), longest.Round(time.Millisecond), all, least, slowest.Round(time.Millisecond))
	if ends := b.Metrics().Closes(); slices.ContainsFunc(ends, func(v metrics.Value) bool { return v.Value > 0 }) {
		t.Errorf("connections ended: %v", ends)
	}
}
