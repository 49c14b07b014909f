package scenario

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// overloadTime is how long the node is overloaded: TEST_OVERLOAD, or a little
// more than it takes to fill its memory.
func overloadTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TEST_OVERLOAD")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// flow is one publisher of QoS 1 and the subscriber that does not keep up with
// it. Its messages are numbered.
type flow struct {
	t        *testing.T
	topic    topic.Name
	pub, sub *testkit.Client
	room     chan struct{} // of what may be unacknowledged
	sent     int
	acked    int
	got      []bool // by number
}

func newFlow(t *testing.T, addr string, i int) *flow {
	t.Helper()
	f := &flow{
		t: t, topic: topic.Name(fmt.Sprintf("overload/%d", i)), room: make(chan struct{}, 64),
		pub: testkit.Dial(t, addr), sub: testkit.Dial(t, addr),
	}
	f.sub.Connect(testkit.Persistent(fmt.Sprintf("sub-%d", i)))
	f.sub.Subscribe(1, string(f.topic))
	f.pub.Connect(testkit.Hello(fmt.Sprintf("pub-%d", i)))
	_ = f.sub.Conn.SetDeadline(time.Time{})
	_ = f.pub.Conn.SetDeadline(time.Time{})
	return f
}

// publish sends as fast as it is let until stop is closed.
func (f *flow) publish(stop <-chan struct{}) {
	payload := make([]byte, 4<<10)
	for {
		select {
		case <-stop:
			return
		case f.room <- struct{}{}:
		}
		binary.BigEndian.PutUint64(payload, uint64(f.sent))
		p := mqtt.Publish{Topic: f.topic, Payload: payload, QoS: protocol.AtLeastOnce, PacketID: protocol.PacketID(f.sent%60000 + 1)}
		if _, err := f.pub.Conn.Write(p.Append(nil, mqtt.V311)); err != nil {
			f.t.Errorf("%s: publish: %v", f.topic, err)
			return
		}
		f.sent++
	}
}

// count counts acknowledgements until the publisher is gone.
func (f *flow) count(acked func()) {
	r := bufio.NewReader(f.pub.Conn)
	for {
		first, _, err := packet(r)
		if err != nil {
			return
		}
		if mqtt.PacketType(first>>4) == mqtt.PUBACK {
			f.acked++
			acked()
			<-f.room
		}
	}
}

// consume takes messages, each after a tick, or at once when ticks is closed,
// until the subscriber is gone.
func (f *flow) consume(ticks <-chan time.Time, got func()) {
	r := bufio.NewReader(f.sub.Conn)
	for {
		<-ticks
		first, body, err := packet(r)
		if err != nil {
			return
		}
		var p mqtt.Publish
		if err := p.Decode(mqtt.Header{Type: mqtt.PUBLISH, Flags: first & 15, Remaining: len(body)}, body, mqtt.V311); err != nil {
			f.t.Errorf("%s: %v", f.topic, err)
			return
		}
		n := int(binary.BigEndian.Uint64(p.Payload))
		for len(f.got) <= n {
			f.got = append(f.got, false)
		}
		if !f.got[n] {
			f.got[n] = true
			got()
		}
		if _, err := f.sub.Conn.Write(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, protocol.Success)); err != nil {
			return
		}
	}
}

// packet reads one packet. It has no deadline, as a publisher that is held back
// has none.
func packet(r *bufio.Reader) (first byte, body []byte, err error) {
	if first, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r) // which is how MQTT writes lengths
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return first, body, err
}

// highestKB is the most memory that a process has had.
func highestKB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOverloadedNodeStaysWithinItsMemoryAndLosesNothingItAcknowledged publishes
// many times as fast as subscribers read, with queues that have no bound.
func TestOverloadedNodeStaysWithinItsMemoryAndLosesNothingItAcknowledged(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc here")
	}
	t.Setenv("GOMEMLIMIT", "256MiB")
	home := testkit.NewHome(t, "mqtt.mqueue.max_length = infinity", "mqtt.mqueue.max_bytes = 1GB")
	p := home.Foreground()
	const flows = 80
	all := make([]*flow, flows)
	for i := range all {
		all[i] = newFlow(t, home.MQTT, i)
	}
	noise := testkit.Dial(t, home.MQTT)
	noise.Connect(testkit.Hello("noise"))

	stop, ticks := make(chan struct{}), make(chan time.Time)
	var publishers, others sync.WaitGroup
	var mu sync.Mutex
	acked, got := 0, 0
	add := func(n *int) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			*n++
		}
	}
	for _, f := range all {
		publishers.Go(func() { f.publish(stop) })
		others.Go(func() { f.count(add(&acked)) })
		others.Go(func() { f.consume(ticks, add(&got)) })
	}
	publishers.Go(func() { // QoS 0, which may be dropped
		b := (&mqtt.Publish{Topic: "overload/0/noise", Payload: make([]byte, 4<<10)}).Append(nil, mqtt.V311)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = noise.Conn.SetWriteDeadline(time.Now().Add(testkit.Patience))
			if _, err := noise.Conn.Write(b); err != nil && !os.IsTimeout(err) {
				t.Error(err)
				return
			}
		}
	})
	refused := overload(t, home, ticks)
	close(stop)
	close(ticks) // they read as fast as they can
	publishers.Wait()
	sent := 0
	for _, f := range all {
		sent += f.sent
	}
	testkit.Eventually(t, "all is acknowledged and arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return acked == sent && got == sent
	})
	for _, f := range all {
		_, _ = f.pub.Conn.Close(), f.sub.Conn.Close()
	}
	others.Wait()
	for _, f := range all {
		missing := 0
		for n := range f.acked {
			if n >= len(f.got) || !f.got[n] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s: %d of %d acknowledged messages are lost", f.topic, missing, f.acked)
		}
	}
	out := home.Ctl("broker", "metrics").Stdout
	for _, level := range []string{"shedding", "slowing", "refusing", "held"} {
		if !strings.Contains(out, "overload/"+level) {
			t.Errorf("the node was never %s", level)
		}
	}
	most := highestKB(t, p.Pid())
	if most >= 256<<10 {
		t.Errorf("it has had %d KB", most)
	}
	t.Logf("%d acknowledged, %d received, %d clients refused, %d MB at most", acked, got, refused, most>>10)
	testkit.Eventually(t, "new clients are let in again", func() bool {
		c := testkit.Dial(t, home.MQTT)
		c.Send(testkit.Hello("after"))
		return c.ExpectConnack().Code == protocol.Success
	})
}

// overload lets subscribers read a little for a while, and counts the new clients
// that are refused meanwhile; there must be one.
func overload(t *testing.T, home *testkit.Home, ticks chan<- time.Time) (refused int) {
	t.Helper()
	end := time.After(overloadTime(t))
	patience := time.After(2*testkit.Patience + overloadTime(t))
	pace := time.NewTicker(10 * time.Millisecond)
	newcomer := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	defer newcomer.Stop()
	for over := false; !over || refused == 0; {
		select {
		case now := <-pace.C:
			select {
			case ticks <- now:
			default:
			}
		case <-newcomer.C:
			c := testkit.Dial(t, home.MQTT)
			c.Send(testkit.Hello(""))
			switch code := c.ExpectConnack().Code; code {
			case protocol.Success:
			case protocol.ServerUnavailable:
				refused++
			default:
				t.Errorf("a new client is told %v", code)
			}
			c.Close()
		case <-end:
			over = true
		case <-patience:
			t.Fatal("no client is refused")
		}
	}
	return refused
}
