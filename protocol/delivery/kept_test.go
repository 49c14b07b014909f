package delivery

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// keeper is a store of one session, as small as can be: what was entered, and the
// window that says what of it is alive.
type keeper struct {
	items  map[uint64]Item
	window Window
}

// enter takes what a step has left for the store.
func (k *keeper) enter(s *State, out *Out) {
	for _, it := range out.Taken {
		k.items[it.Seq] = it
	}
	out.Taken, out.Finished = out.Taken[:0], out.Finished[:0]
	var w Window
	if s.Window(&w) {
		k.window = w
	}
}

// alive are the items of a priority that wait, oldest first, from a sequence
// number on.
func (k *keeper) alive(priority int, from uint64) []Item {
	head := k.window.Next
	for _, h := range k.window.Heads {
		if h.Priority == priority {
			head = h.Seq
		}
	}
	var found []Item
	for seq, it := range k.items {
		flies := slices.ContainsFunc(k.window.Flights, func(f Flight) bool { return f.Seq == seq })
		if it.Priority == priority && seq >= max(from, head) && !flies {
			found = append(found, it)
		}
	}
	slices.SortFunc(found, func(a, b Item) int { return int(a.Seq) - int(b.Seq) })
	return found
}

// saved is what a recovery would find, with the first items in memory.
func (k *keeper) saved(priorities []int) *Saved {
	sv := &Saved{Window: k.window}
	sv.Window.Flights = nil
	for _, f := range k.window.Flights {
		if it, ok := k.items[f.Seq]; ok && f.Phase != AwaitPubcomp {
			f.Item = it
		}
		sv.Window.Flights = append(sv.Window.Flights, f)
	}
	for seq := range k.items {
		sv.Window.Next = max(sv.Window.Next, seq+1)
	}
	for _, p := range priorities {
		all := k.alive(p, 0)
		if len(all) == 0 {
			continue
		}
		l := Level{Priority: p, Waiting: len(all), Items: all[:min(len(all), 3)]}
		for _, it := range all {
			l.Bytes += it.Message.Size()
		}
		sv.Levels = append(sv.Levels, l)
	}
	return sv
}

// receiver is the client's side: what came, and what it has not finished of QoS 2.
type receiver struct {
	t       *rapid.T
	got     []string
	pending map[protocol.PacketID]string // QoS 2 between PUBLISH and PUBREL
	answers []mqtt.Ack
}

func (c *receiver) read(packets []byte) {
	for len(packets) > 0 {
		h, n, err := mqtt.ParseHeader(packets, 0)
		if err != nil || n == 0 {
			c.t.Fatalf("%v in what was sent", err)
		}
		c.packet(h, packets[n:n+h.Remaining])
		packets = packets[n+h.Remaining:]
	}
}

func (c *receiver) packet(h mqtt.Header, body []byte) {
	if h.Type == mqtt.PUBREL {
		var a mqtt.Ack
		if err := a.Decode(h, body, mqtt.V311); err != nil {
			c.t.Fatal(err)
		}
		delete(c.pending, a.ID)
		c.answers = append(c.answers, mqtt.Ack{Type: mqtt.PUBCOMP, ID: a.ID})
		return
	}
	var p mqtt.Publish
	if err := p.Decode(h, body, mqtt.V311); err != nil {
		c.t.Fatal(err)
	}
	name := string(p.Payload)
	switch p.QoS {
	case protocol.AtLeastOnce:
		c.got = append(c.got, name)
		c.answers = append(c.answers, mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
	case protocol.ExactlyOnce:
		if _, again := c.pending[p.PacketID]; !again { // [MQTT-4.3.3-10]
			c.got = append(c.got, name)
			c.pending[p.PacketID] = name
		}
		c.answers = append(c.answers, mqtt.Ack{Type: mqtt.PUBREC, ID: p.PacketID})
	}
}

// bench is a kept state between a store and a client.
type keptBench struct {
	t      *rapid.T
	limits Limits
	s      State
	k      keeper
	c      receiver
	out    Out
	online bool
	sent   []string
	now    int64
}

// turn ends a step: the store has what changed before the client has what was
// sent.
func (b *keptBench) turn() {
	for {
		priority, from, n, ok := b.s.Want(&b.out)
		if !ok {
			break
		}
		b.k.enter(&b.s, &b.out)
		items := b.k.alive(priority, from)
		b.s.Loaded(&b.out, priority, items[:min(n, len(items))], true)
		b.s.Fill(&b.out, b.now)
	}
	b.k.enter(&b.s, &b.out)
	if b.online {
		b.c.read(b.out.Packets)
	}
	b.out.Reset()
}

func (b *keptBench) attach() {
	b.online = true
	b.c.answers = nil
	b.out.Version, b.out.Room = mqtt.V311, 1<<20
	b.s.Attach(&b.out, 0, b.now)
	b.turn()
}

func (b *keptBench) detach() {
	b.online = false
	b.s.Detach(&b.out)
	b.turn()
}

func (b *keptBench) publish(qos protocol.QoS, name topic.Name, sole bool) {
	payload := fmt.Sprintf("%d", len(b.sent))
	b.sent = append(b.sent, payload)
	m := &protocol.Message{Topic: name, Payload: []byte(payload), QoS: qos}
	b.s.Deliver(&b.out, m, Grant{QoS: qos, Sole: sole}, b.now)
	b.turn()
}

// answer lets the client send the acknowledgement that is due next.
func (b *keptBench) answer() {
	if !b.online || len(b.c.answers) == 0 {
		return
	}
	a := b.c.answers[0]
	b.c.answers = b.c.answers[1:]
	b.s.Acked(&b.out, a.Type, a.ID, protocol.Success, b.now)
	b.turn()
}

// crash loses everything but the store and the client.
func (b *keptBench) crash(priorities []int) {
	b.online = false
	b.out.Reset()
	b.s = Restore(&b.limits, b.k.saved(priorities))
}

// What a store was told before the packets left brings the session back as it
// was, whenever the process ends: nothing is lost, QoS 2 comes once, and what the
// client got for the first time came in its order.
func TestAKeptStateIsRestoredAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		priorities := []int{0}
		b := &keptBench{t: t, limits: Limits{MaxInflight: rapid.IntRange(1, 5).Draw(t, "window")}}
		if rapid.Bool().Draw(t, "priorities") {
			b.limits.Priorities = map[string]int{"high": 7}
			priorities = []int{7, 0}
		}
		b.s = NewKept(&b.limits)
		b.k.items = map[uint64]Item{}
		b.c = receiver{t: t, pending: map[protocol.PacketID]string{}}
		qos := map[string]protocol.QoS{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			b.now++
			switch rapid.SampledFrom([]string{"publish", "publish", "publish", "answer", "answer", "on", "off", "crash"}).Draw(t, "step") {
			case "publish":
				q := rapid.SampledFrom([]protocol.QoS{1, 2}).Draw(t, "qos")
				qos[fmt.Sprint(len(b.sent))] = q
				b.publish(q, rapid.SampledFrom([]topic.Name{"low", "high"}).Draw(t, "topic"), rapid.Bool().Draw(t, "sole"))
			case "answer":
				b.answer()
			case "on":
				if !b.online {
					b.attach()
				}
			case "off":
				if b.online {
					b.detach()
				}
			case "crash":
				b.crash(priorities)
			}
		}
		if !b.online {
			b.attach()
		}
		for len(b.c.answers) > 0 {
			b.answer()
		}
		count := map[string]int{}
		for _, name := range b.c.got {
			count[name]++
		}
		for _, name := range b.sent {
			if n := count[name]; n == 0 || n > 1 && qos[name] == protocol.ExactlyOnce {
				t.Fatalf("message %s of QoS %d came %d times; all that came: %v", name, qos[name], n, b.c.got)
			}
		}
		if b.s.Busy() {
			t.Fatalf("it still holds %+v", b.s.Info())
		}
		if b.crash(priorities); b.s.Busy() {
			t.Fatalf("what was acknowledged is there again: %+v", b.s.Info())
		}
	})
}

func TestOnlyTheBeginningOfALongQueueIsInMemory(t *testing.T) {
	b := &keptBench{t: nil, limits: Limits{MaxInflight: 10}}
	b.s = NewKept(&b.limits)
	b.k.items = map[uint64]Item{}
	for range 5000 {
		b.publish(1, "t", true)
	}
	i := b.s.Info()
	if i.Queued != 5000 {
		t.Errorf("%d are queued", i.Queued)
	}
	if n := b.s.queue.levels[0].ring.n; n > keepOffline {
		t.Errorf("%d are in memory", n)
	}
}

func TestAFullKeptStateDropsNothingAndSaysSo(t *testing.T) {
	b := &keptBench{limits: Limits{MaxInflight: 10, QueueLength: 20}}
	b.s = NewKept(&b.limits)
	b.k.items = map[uint64]Item{}
	for i := range 30 {
		if full := b.s.Full(); full != (i >= 20) {
			t.Fatalf("after %d messages, full is %t", i, full)
		}
		b.publish(1, "t", true)
	}
	if i := b.s.Info(); i.Queued != 30 || i.Dropped != 0 {
		t.Errorf("%d are queued, %d dropped", i.Queued, i.Dropped)
	}
}

func TestWhatHasExpiredMakesRoomInAFullKeptState(t *testing.T) {
	b := &keptBench{limits: Limits{MaxInflight: 10, QueueLength: 3}}
	b.s = NewKept(&b.limits)
	b.k.items = map[uint64]Item{}
	for range 3 {
		m := &protocol.Message{Topic: "t", QoS: 1, Expires: 50}
		b.s.Deliver(&b.out, m, Grant{QoS: 1}, 10)
		b.turn()
	}
	if !b.s.Full() {
		t.Fatal("it is not full")
	}
	b.now = 100
	b.s.Deliver(&b.out, &protocol.Message{Topic: "t", QoS: 1}, Grant{QoS: 1}, 100)
	if i := b.s.Info(); i.Queued != 1 || i.Dropped != 3 || b.s.Full() {
		t.Errorf("%d are queued, %d dropped, full is %t", i.Queued, i.Dropped, b.s.Full())
	}
}
