package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

func limits() *Limits {
	return &Limits{
		MaxInflight: 4, RetryInterval: 20 * time.Second, MaxAwaitingRel: 3, AwaitRelTimeout: 30 * time.Second,
		QueueBytes: 1 << 20, StoreQoS0: true,
	}
}

func message(text string, q protocol.QoS) *protocol.Message {
	return &protocol.Message{Topic: "t", Payload: []byte(text), QoS: q, From: "publisher"}
}

// wire is a client end: an Out whose packets can be read as a story.
type wire struct {
	*testing.T
	Out
	s   State
	now int64
}

func online(t *testing.T, l *Limits) *wire {
	w := &wire{T: t, s: New(l), now: 1_000_000}
	w.Version, w.Room = mqtt.V311, 1<<20
	w.s.Attach(&w.Out, 0, w.now)
	return w
}

func (w *wire) deliver(text string, q, granted protocol.QoS) {
	w.s.Deliver(&w.Out, message(text, q), Grant{QoS: granted}, w.now)
}

func (w *wire) ack(p mqtt.PacketType, id protocol.PacketID) bool {
	return w.s.Acked(&w.Out, p, id, protocol.Success, w.now)
}

// want compares what was sent since the last call, one word for each packet:
// PUBLISH as text/qos[dup]#id, others as TYPE#id.
func (w *wire) want(story string) {
	w.Helper()
	var words []string
	b := w.Packets
	for len(b) > 0 {
		h, n, err := mqtt.ParseHeader(b, 0)
		if err != nil || n == 0 {
			w.Fatalf("what was sent cannot be read: %v", err)
		}
		words = append(words, word(w.T, h, b[n:n+h.Remaining]))
		b = b[n+h.Remaining:]
	}
	if got := strings.Join(words, " "); got != story {
		w.Errorf("sent %q, want %q", got, story)
	}
	w.Reset()
}

func word(t *testing.T, h mqtt.Header, body []byte) string {
	if h.Type != mqtt.PUBLISH {
		var a mqtt.Ack
		if err := a.Decode(h, body, mqtt.V311); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s#%d", h.Type, a.ID)
	}
	var p mqtt.Publish
	if err := p.Decode(h, body, mqtt.V311); err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%s/%d", p.Payload, p.QoS)
	if p.Dup {
		s += "dup"
	}
	if p.Retain {
		s += "r"
	}
	if p.PacketID != 0 {
		s += fmt.Sprintf("#%d", p.PacketID)
	}
	return s
}

func TestDeliversAtTheLowerOfPublishedAndGrantedQoS(t *testing.T) { // [MQTT-3.8.4-6]
	w := online(t, limits())
	w.deliver("a", 2, 1)
	w.deliver("b", 1, 2)
	w.deliver("c", 2, 0)
	w.deliver("d", 0, 2)
	w.want("a/1#1 b/1#2 c/0 d/0")
}

func TestUpgradeQoSDeliversAtTheHigher(t *testing.T) {
	l := limits()
	l.UpgradeQoS = true
	w := online(t, l)
	w.deliver("a", 0, 2)
	w.deliver("b", 2, 0)
	w.want("a/2#1 b/2#2")
}

func TestWindowHoldsBackWhatTheClientHasNotAcknowledged(t *testing.T) {
	w := online(t, limits())
	for _, x := range "abcdef" {
		w.deliver(string(x), 1, 1)
	}
	w.want("a/1#1 b/1#2 c/1#3 d/1#4")
	w.deliver("now", 0, 0)
	w.want("now/0") // QoS 0 does not wait for the window
	w.ack(mqtt.PUBACK, 2)
	w.want("e/1#5")
	w.ack(mqtt.PUBACK, 1)
	w.want("f/1#6")
	w.ack(mqtt.PUBACK, 3)
	w.want("")
}

func TestQoS2RunsThroughPubrecPubrelPubcomp(t *testing.T) { // [MQTT-4.3.3-1]
	w := online(t, limits())
	w.deliver("a", 2, 2)
	w.want("a/2#1")
	w.ack(mqtt.PUBREC, 1)
	w.want("PUBREL#1")
	w.ack(mqtt.PUBREC, 1)
	w.want("PUBREL#1")
	if w.ack(mqtt.PUBACK, 1) {
		t.Error("a PUBACK ended a QoS 2 exchange")
	}
	if !w.ack(mqtt.PUBCOMP, 1) || w.Acked != 1 {
		t.Error("PUBCOMP did not end the exchange")
	}
	if w.ack(mqtt.PUBCOMP, 1) {
		t.Error("a second PUBCOMP was not missed")
	}
}

func TestPubrecOfAnUnknownIdentifierIsAnsweredWithPubrel(t *testing.T) {
	w := online(t, limits())
	if w.ack(mqtt.PUBREC, 9) {
		t.Error("it was taken for a known one")
	}
	w.want("PUBREL#9")
}

func TestResumeSendsAgainInOrderWithDup(t *testing.T) { // [MQTT-4.4.0-1] [MQTT-4.6.0-1]
	w := online(t, limits())
	w.deliver("a", 1, 1)
	w.deliver("b", 2, 2)
	w.deliver("c", 1, 1)
	w.deliver("d", 2, 2)
	w.want("a/1#1 b/2#2 c/1#3 d/2#4")
	w.ack(mqtt.PUBACK, 3)
	w.ack(mqtt.PUBREC, 2)
	w.want("PUBREL#2")
	w.s.Detach(&w.Out)
	w.deliver("e", 1, 1)
	w.deliver("f", 0, 0)
	w.want("")
	w.s.Attach(&w.Out, 0, w.now)
	w.want("a/1dup#1 PUBREL#2 d/2dup#4 e/1#5 f/0")
}

func TestClientsOfMQTT3GetARetryAfterTheInterval(t *testing.T) {
	w := online(t, limits())
	w.deliver("a", 1, 1)
	w.now += 5_000
	w.deliver("b", 2, 2)
	w.ack(mqtt.PUBREC, 2)
	w.Reset()
	if next := w.s.NextRetry(w.now); next != 1_020_000 {
		t.Errorf("next retry at %d", next)
	}
	w.now = 1_020_000
	w.s.Retry(&w.Out, w.now)
	w.want("a/1dup#1")
	w.now = 1_025_000
	w.s.Retry(&w.Out, w.now)
	w.want("PUBREL#2")
}

func TestClientsOfMQTT5GetNoRetryOnTheSameConnection(t *testing.T) { // [MQTT-4.4.0-1]
	w := &wire{T: t, s: New(limits()), now: 1}
	w.Version, w.Room = mqtt.V5, 1<<20
	w.s.Attach(&w.Out, 0, w.now)
	w.deliver("a", 1, 1)
	if next := w.s.NextRetry(w.now); next != 0 {
		t.Errorf("a retry is planned at %d", next)
	}
}

func TestReceiveMaximumNarrowsTheWindow(t *testing.T) { // [MQTT-3.3.4-9]
	w := &wire{T: t, s: New(limits()), now: 1}
	w.Version, w.Room = mqtt.V311, 1<<20
	w.s.Attach(&w.Out, 2, w.now)
	for _, x := range "abc" {
		w.deliver(string(x), 1, 1)
	}
	w.want("a/1#1 b/1#2")
}

func TestQueueDropsTheOldestWhenFull(t *testing.T) {
	l := limits()
	l.QueueLength = 2
	w := online(t, l)
	w.s.Detach(&w.Out)
	for _, x := range "abc" {
		w.deliver(string(x), 1, 1)
	}
	if w.Dropped[QueueFull] != 1 || w.s.Info().Dropped != 1 {
		t.Errorf("dropped %v", w.Dropped)
	}
	w.s.Attach(&w.Out, 0, w.now)
	w.want("b/1#1 c/1#2")
}

func TestWatermarksAreToldOnceEach(t *testing.T) {
	l := limits()
	l.QueueLength, l.HighWatermark, l.LowWatermark, l.MaxInflight = 10, 6, 2, 1
	w := online(t, l)
	w.s.Detach(&w.Out)
	var told []Watermark
	for range 9 {
		w.deliver("x", 1, 1)
		told = append(told, w.Watermark)
		w.Reset()
	}
	w.s.Attach(&w.Out, 0, w.now)
	for id := protocol.PacketID(1); id <= 9; id++ {
		w.ack(mqtt.PUBACK, id)
		told = append(told, w.Watermark)
		w.Reset()
	}
	got := ""
	for _, x := range told {
		got += string("-HL"[x])
	}
	if got != "------H--"+"------L--" {
		t.Errorf("told %s", got)
	}
}

func TestQueueIsBoundedByBytes(t *testing.T) {
	l := limits()
	l.QueueBytes = 3 * message("x", 1).Size()
	w := online(t, l)
	w.s.Detach(&w.Out)
	for _, x := range "abcd" {
		w.deliver(string(x), 1, 1)
	}
	w.deliver(strings.Repeat("x", 1000), 1, 1)
	if w.Dropped[QueueFull] != 5 {
		t.Errorf("dropped %v, want every message but none left", w.Dropped)
	}
	if i := w.s.Info(); i.Queued != 0 || i.QueuedBytes != 0 {
		t.Errorf("queue is %+v", i)
	}
}

func TestHigherPriorityGoesFirstAndLowerPriorityGivesWay(t *testing.T) {
	l := limits()
	l.Priorities = map[string]int{"alarm": 10, "log": -1}
	l.QueueLength = 3
	w := online(t, l)
	w.s.Detach(&w.Out)
	for i, n := range []topic.Name{"log", "t", "alarm", "alarm"} {
		m := message(fmt.Sprint(n, i), 1)
		m.Topic = n
		w.s.Deliver(&w.Out, m, Grant{QoS: 1}, w.now)
	}
	w.Reset()
	w.s.Attach(&w.Out, 0, w.now)
	w.want("alarm2/1#1 alarm3/1#2 t1/1#3")
}

func TestQoS0ForAnAbsentClientIsKeptOnlyIfConfigured(t *testing.T) {
	l := limits()
	l.StoreQoS0 = false
	w := online(t, l)
	w.s.Detach(&w.Out)
	w.deliver("a", 0, 0)
	if w.Dropped[OfflineQoS0] != 1 {
		t.Errorf("dropped %v", w.Dropped)
	}
}

func TestASlowConnectionQueuesInOrder(t *testing.T) {
	w := online(t, limits())
	w.Room = 1 // one packet fits, then it is full
	w.deliver("a", 0, 0)
	w.deliver("b", 0, 0)
	w.deliver("c", 1, 1)
	w.want("a/0")
	w.Room = 1 << 20
	w.deliver("d", 0, 0)
	w.want("")
	w.s.Fill(&w.Out, w.now)
	w.want("b/0 c/1#1 d/0")
}

func TestAMessageOfAReadIsCopiedBeforeItWaits(t *testing.T) {
	w := online(t, limits())
	w.s.Detach(&w.Out)
	m := message("abc", 0)
	w.s.Deliver(&w.Out, m, Grant{}, w.now)
	copy(m.Payload, "xyz") // the buffer is used again
	w.s.Attach(&w.Out, 0, w.now)
	w.want("abc/0")
}

func TestExpiredMessagesAreDroppedOnArrivalAndInTheQueue(t *testing.T) { // [MQTT-3.3.2-5]
	w := online(t, limits())
	m := message("a", 1)
	m.Expires = w.now
	w.s.Deliver(&w.Out, m, Grant{QoS: 1}, w.now)
	w.s.Detach(&w.Out)
	m = message("b", 1)
	m.Expires = w.now + 10
	w.s.Deliver(&w.Out, m, Grant{QoS: 1}, w.now)
	w.now += 10
	w.s.Attach(&w.Out, 0, w.now)
	if w.Dropped[Expired] != 2 {
		t.Errorf("dropped %v", w.Dropped)
	}
	w.want("")
}

func TestIgnoreLoopDeliverKeepsAClientsOwnMessagesFromIt(t *testing.T) {
	l := limits()
	l.IgnoreLoop = true
	w := online(t, l)
	m := message("a", 0)
	m.From = "c"
	w.s.Deliver(&w.Out, m, Grant{Own: true}, w.now)
	if w.want(""); w.s.Info().Dropped != 1 {
		t.Error("it was not counted")
	}
}

func TestRetainedMessagesGoOutAsTheConnectionTakesThem(t *testing.T) { // [MQTT-3.3.1-8]
	w := online(t, limits())
	w.Room = 1
	var ms []*protocol.Message
	for i := range 3 {
		ms = append(ms, message(fmt.Sprint(i), 1))
	}
	w.s.Replay(&w.Out, ms, Grant{QoS: 1}, w.now)
	w.want("0/1r#1")
	if w.s.Info().Queued != 0 {
		t.Error("they count in the queue while the client is there")
	}
	w.s.Fill(&w.Out, w.now)
	w.want("1/1r#2")
	w.s.Detach(&w.Out)
	if w.s.Info().Queued != 1 {
		t.Error("the rest did not go into the queue")
	}
}

func TestInboundQoS2IsTakenOnceUntilPubrel(t *testing.T) { // [MQTT-4.3.3-10]
	s, out := New(limits()), new(Out)
	for i, c := range []struct {
		id      protocol.PacketID
		release bool
		want    Verdict
	}{{7, false, Fresh}, {7, false, Duplicate}, {7, true, Fresh}, {7, false, Fresh}, {8, false, Fresh}, {9, false, Fresh}, {10, false, Refused}} {
		if c.release {
			if !s.Release(out, c.id) || s.Release(out, c.id) {
				t.Errorf("%d: release", i)
			}
			continue
		}
		if v := s.Receive(out, c.id, 1000); v != c.want {
			t.Errorf("%d: id %d is %d, want %d", i, c.id, v, c.want)
		}
	}
	if v := s.Receive(out, 11, 31_001); v != Fresh {
		t.Error("identifiers older than the timeout do not make room")
	}
}

// A client that gets its messages in bursts does not cost a new window each time,
// nor one that publishes with QoS 2 a new table; and while idle neither holds one.
func TestBurstsUseTheMemoryOfThoseBefore(t *testing.T) {
	const burst = 100
	l := &Limits{MaxInflight: burst}
	m, out := message("x", 2), &Out{Version: mqtt.V311}
	states := []State{New(l), New(l)}
	for i := range states {
		out.Room = 1 << 20
		states[i].Attach(out, 0, 1)
	}
	turn := 0
	round := func() {
		s := &states[turn%len(states)]
		turn++
		for range burst {
			s.Deliver(out, m, Grant{QoS: 1}, 1)
		}
		last := s.window.last
		for i := range burst {
			id := protocol.PacketID((int(last)-burst+i+65535)%65535 + 1)
			if !s.Acked(out, mqtt.PUBACK, id, protocol.Success, 1) {
				t.Fatalf("%d is not in flight", id)
			}
		}
		for id := range protocol.PacketID(burst) {
			if s.Receive(out, id+1, 1) != Fresh {
				t.Fatalf("%d is not fresh", id+1)
			}
		}
		for id := range protocol.PacketID(burst) {
			if !s.Release(out, id+1) {
				t.Fatalf("%d is not there", id+1)
			}
		}
		out.Reset()
		if s.window.ring != nil || s.awaiting != nil {
			t.Fatal("an idle state holds what it had in a burst")
		}
	}
	round()                                           // makes both
	if n := testing.AllocsPerRun(700, round); n > 1 { // the first flights of each burst
		t.Errorf("%v allocations", n)
	}
}

func TestAbandonCountsWhatIsPending(t *testing.T) {
	w := online(t, limits())
	for range 6 {
		w.deliver("x", 1, 1) // four in the window, two in the queue
	}
	w.Reset()
	w.s.Abandon(&w.Out, SessionCrash)
	if w.Dropped[SessionCrash] != 6 {
		t.Errorf("dropped %v", w.Dropped)
	}
}
