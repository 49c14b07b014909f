package connections

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/sessions"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// readTransport takes writes and notes read deadlines; reading is left to the test.
type readTransport struct {
	fakeTransport
	read []time.Time
}

func (f *readTransport) SetReadDeadline(t time.Time) error {
	f.read = append(f.read, t)
	return nil
}

// listening is a process that keeps what it is told.
type listening struct {
	told []any
	book *ledger.Ledger // of what it is delivered
}

func (l *listening) SendUserMessage(_ *actor.PID, m any) {
	m = actor.UnwrapEnvelopeMessage(m)
	if d, ok := m.(*topics.Deliver); ok {
		for _, it := range d.Items {
			l.told = append(l.told, string(it.Message.Topic)+"="+string(it.Message.Payload))
		}
		l.book.End(ledger.Delivered, len(d.Items))
		d.Done()
		return
	}
	l.told = append(l.told, m)
}
func (l *listening) SendSystemMessage(*actor.PID, any) {}
func (l *listening) Stop(*actor.PID)                   {}

// desk is a reader without its goroutines: the test is the socket.
type desk struct {
	r          *reader
	t          *readTransport
	subscriber *listening // of "#"
	session    *listening
}

func newDesk(t *testing.T, g *rig) *desk {
	d := &desk{t: &readTransport{}, subscriber: &listening{book: &g.rt.Metrics.Ledger}, session: new(listening)}
	d.t.budget = -1
	c := &connection{
		rt: g.rt, settings: g.rt.Settings(), t: d.t, gen: 7, listener: g.l,
		client: &sessions.Client{ClientID: "me", Version: mqtt.V311},
	}
	c.identity, _, _ = g.rt.Access.Admit(t.Context(), &access.Credentials{ClientID: "me"})
	c.box = outbox{t: d.t, owner: &fakeOwner{}}
	d.r = &c.reader
	d.r.c, d.r.waiter = c, &waiter{t: d.t}
	suffix := g.rt.System.ProcessRegistry.NextId()
	d.r.session, _ = g.system.ProcessRegistry.Add(d.session, "session"+suffix)
	pid, _ := g.system.ProcessRegistry.Add(d.subscriber, "subscriber"+suffix)
	s := topics.NewSubscriber("other"+suffix, pid)
	sub, err := topic.ParseSubscription("#")
	if err != nil {
		t.Fatal(err)
	}
	g.rt.Sessions.Router.Subscribe(&topics.Subscribe{Subscriber: s, Subscription: sub, QoS: 2, ReplyTo: d.r.session})
	synctest.Wait()
	d.session.told = nil
	return d
}

// feed is one or more reads that bring data.
func (d *desk) feed(data []byte) (done *readerDone) {
	for len(data) > 0 && done == nil {
		b := takeBuffer(d.r.prefix())
		n := copy(b.rest(), data)
		b.grew(n)
		data = data[n:]
		if done = d.r.handle(b, nil); done == nil {
			d.r.watchStall()
		}
	}
	return done
}

// stream is one packet of each kind, and what is to come of it.
func stream() (b []byte, delivered []string, answer []byte, kinds string) {
	b = (&mqtt.Publish{Topic: "a", Payload: []byte("zero")}).Append(b, mqtt.V311)
	b = (&mqtt.Publish{Topic: "b", Payload: []byte("one"), QoS: 1, PacketID: 1}).Append(b, mqtt.V311)
	b = (&mqtt.Publish{Topic: "c", Payload: []byte("two"), QoS: 2, PacketID: 2}).Append(b, mqtt.V311)
	b = mqtt.AppendAck(b, mqtt.PUBREL, mqtt.V311, 2, 0)
	b = (&mqtt.Subscribe{ID: 3, Subscriptions: []mqtt.Subscription{{Filter: "x/#", QoS: 1}}}).Append(b, mqtt.V311)
	b = (&mqtt.Unsubscribe{ID: 4, Filters: []string{"x/#"}}).Append(b, mqtt.V311)
	b = mqtt.AppendPingreq(b)
	b = mqtt.AppendAck(b, mqtt.PUBACK, mqtt.V311, 9, 0)
	answer = mqtt.AppendPingresp(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, 1, 0))
	return b, []string{"a=zero", "b=one"}, answer, "PUBLISH 2 c=two, PUBREL 2, subscribe 3 x/#, unsubscribe 4 x/#, PUBACK 9"
}

// kinds says what a session was told, acknowledgements and QoS 2 first: those of
// one read may come behind its SUBSCRIBE.
func kinds(told []any) string {
	var input, subs []string
	for _, m := range told {
		switch m := m.(type) {
		case *sessions.Input:
			for _, it := range m.Items {
				s := fmt.Sprintf("%v %d", it.Type, it.ID)
				if it.Message != nil {
					s += " " + string(it.Message.Topic) + "=" + string(it.Message.Payload)
				}
				input = append(input, s)
			}
		case *sessions.Subscribe:
			subs = append(subs, fmt.Sprintf("subscribe %d %s", m.ID, m.Requests[0].Text))
		case *sessions.Unsubscribe:
			subs = append(subs, fmt.Sprintf("unsubscribe %d %s", m.ID, m.Requests[0].Text))
		}
	}
	return strings.Join(append(input, subs...), ", ")
}

func sorted(s string) string {
	parts := strings.Split(s, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func TestPacketsMayBeSplitAnywhere(t *testing.T) {
	inRig(t, func(g *rig) {
		b, delivered, answer, told := stream()
		check := func(what string, d *desk, done *readerDone) {
			t.Helper()
			var got []string
			for _, m := range d.subscriber.told {
				got = append(got, m.(string))
			}
			switch {
			case done != nil:
				t.Errorf("%s: closed: %+v", what, done)
			case !slices.Equal(got, delivered):
				t.Errorf("%s: delivered %v", what, got)
			case !bytes.Equal(d.t.bytes(), answer):
				t.Errorf("%s: answered %x, want %x", what, d.t.bytes(), answer)
			case sorted(kinds(d.session.told)) != sorted(told):
				t.Errorf("%s: the session was told %s", what, kinds(d.session.told))
			case len(d.r.held) != 0:
				t.Errorf("%s: %d bytes are held", what, len(d.r.held))
			}
		}
		for at := range len(b) + 1 {
			d := newDesk(t, g)
			done := d.feed(b[:at])
			if done == nil {
				done = d.feed(b[at:])
			}
			check(fmt.Sprintf("split at %d", at), d, done)
		}
		d := newDesk(t, g)
		var done *readerDone
		for i := 0; i < len(b) && done == nil; i++ {
			done = d.feed(b[i : i+1])
		}
		check("byte by byte", d, done)
	})
}

func TestAPacketLargerThanABufferComesInFullAndIsCounted(t *testing.T) {
	inRig(t, func(g *rig) {
		for _, size := range []int{bufferSize - 20, bufferSize, bufferSize + 1, 5*bufferSize + 17} {
			d := newDesk(t, g)
			before := g.rt.Metrics.Get(metrics.BytesReceived)
			text := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			b := mqtt.AppendPingreq((&mqtt.Publish{Topic: "x", Payload: text}).Append(nil, mqtt.V311))
			if done := d.feed(b); done != nil {
				t.Fatalf("%d bytes: closed: %+v", size, done)
			}
			if len(d.subscriber.told) != 1 || d.subscriber.told[0] != "x="+string(text) {
				t.Errorf("%d bytes: it came differently", size)
			}
			if got := d.t.bytes(); !bytes.Equal(got, mqtt.AppendPingresp(nil)) {
				t.Errorf("%d bytes: answered %x", size, got)
			}
			if n := g.rt.Metrics.Get(metrics.BytesReceived) - before; n != uint64(len(b)) {
				t.Errorf("%d of %d bytes are counted", n, len(b))
			}
		}
	})
}

func TestAPacketThatStallsHasADeadlineAndOneThatStreamsHasANewOne(t *testing.T) {
	inRig(t, func(g *rig) {
		d := newDesk(t, g)
		half := (&mqtt.Publish{Topic: "x", Payload: []byte("0123456789")}).Append(nil, mqtt.V311)
		whole := half
		half = half[:len(half)/2]
		d.feed(half)
		first := time.Now().Add(g.rt.Settings().IdleTimeout)
		if len(d.t.read) != 1 || !d.t.read[0].Equal(first) {
			t.Fatalf("deadlines %v", d.t.read)
		}
		time.Sleep(10 * time.Second)
		d.feed(whole[len(half) : len(half)+1]) // a drip
		if len(d.t.read) != 1 {
			t.Errorf("a drip moved the deadline: %v", d.t.read)
		}
		d.feed(slices.Concat(whole[len(half)+1:], half)) // ends it and begins the next
		if n := len(d.t.read); n != 2 || !d.t.read[1].Equal(time.Now().Add(g.rt.Settings().IdleTimeout)) {
			t.Errorf("the next packet has the deadlines %v", d.t.read)
		}
		d.feed(whole[len(half):])
		if n := len(d.t.read); n != 3 || !d.t.read[2].IsZero() {
			t.Errorf("with nothing under way the deadlines are %v", d.t.read)
		}
	})
}

func TestWhatAClientMayNotSendEndsTheReadWithItsReason(t *testing.T) {
	inRig(t, func(g *rig) {
		for name, tc := range map[string]struct {
			send   []byte
			reason string
		}{
			"second CONNECT":       {hello("c", true).Append(nil, mqtt.V311), "second_connect"},
			"a packet of servers":  {welcome.Append(nil, mqtt.V311), "packet_not_from_client"},
			"too large":            {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, "frame_too_large"},
			"a filter that is bad": {(&mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a/#/b"}}}).Append(nil, mqtt.V311), "topic_filter_invalid"},
		} {
			d := newDesk(t, g)
			good := (&mqtt.Publish{Topic: "x", Payload: []byte("before")}).Append(nil, mqtt.V311)
			done := d.feed(slices.Concat(good, tc.send, good))
			if done == nil || done.reason != tc.reason || done.normal || done.code < protocol.UnspecifiedError {
				t.Errorf("%s: %+v", name, done)
			}
			if len(d.subscriber.told) != 1 {
				t.Errorf("%s: %d messages were published, want the one before it", name, len(d.subscriber.told))
			}
		}
		d := newDesk(t, g)
		if done := d.feed((&mqtt.Disconnect{}).Append(nil, mqtt.V311)); done == nil || !done.normal || done.reason != "normal" {
			t.Errorf("DISCONNECT: %+v", done)
		}
	})
}

func TestDeniedPublishesAreAcknowledgedAndDropped(t *testing.T) {
	inRig(t, func(g *rig) {
		g.rt.Access = access.New(true, false, nil)
		d := newDesk(t, g)
		var b, want []byte
		for q := range protocol.QoS(3) {
			p := &mqtt.Publish{Topic: "x", QoS: q}
			if q > 0 {
				p.PacketID = protocol.PacketID(q)
			}
			b = p.Append(b, mqtt.V311)
		}
		want = mqtt.AppendAck(want, mqtt.PUBACK, mqtt.V311, 1, 0)
		want = mqtt.AppendAck(want, mqtt.PUBREC, mqtt.V311, 2, 0)
		if done := d.feed(b); done != nil {
			t.Fatalf("closed: %+v", done)
		}
		if !bytes.Equal(d.t.bytes(), want) || len(d.subscriber.told)+len(d.session.told) != 0 {
			t.Errorf("answered %x; told %v, %v", d.t.bytes(), d.subscriber.told, d.session.told)
		}
		if v := g.rt.Metrics.Drops(); len(v) != 1 || v[0] != (metrics.Value{Name: "acl_denied", Value: 3}) {
			t.Errorf("counted %v", v)
		}
	})
}
