package sessions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

func TestSubackComesWhenEveryFilterIsInEffect(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", clean("c"))
		var q []Request
		for i := range 50 { // of both shards
			q = append(q, request(fmt.Sprintf("x/%d", i), 1))
		}
		q[7].Denied = protocol.NotAuthorized
		r.send(pid, &Subscribe{Generation: 1, ID: 9, Requests: q})
		ps := c.packets(t, mqtt.V311)
		if len(ps) != 1 || ps[0].typ != mqtt.SUBACK || ps[0].id != 9 || len(ps[0].codes) != 50 {
			t.Fatalf("answered with %+v", ps)
		}
		for i, code := range ps[0].codes {
			if want := protocol.ReasonCode(1); i == 7 && code != 0x80 || i != 7 && code != want {
				t.Errorf("filter %d is answered with %#x", i, code)
			}
		}
		if n := r.rt.Router.Counts().Subscriptions; n != 49 {
			t.Errorf("there are %d subscriptions", n)
		}
	})
}

func TestAnUnsubscribedFilterGetsNothingMore(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", clean("c"))
		r.subscribe(c, pid, 1, 0, "x", "y")
		r.send(pid, &Unsubscribe{Generation: 1, ID: 5, Requests: []Request{request("x", 0), request("never", 0)}})
		if ps := c.packets(t, mqtt.V311); len(ps) != 1 || ps[0].typ != mqtt.UNSUBACK || ps[0].id != 5 {
			t.Fatalf("answered with %+v", ps)
		}
		r.publish("x", "no", 0)
		r.publish("y", "yes", 0)
		if got := payloads(c.packets(t, mqtt.V311)); !slices.Equal(got, []string{"yes"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestSubscriptionsOfAnotherConnectionAreNotTakenOver(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		synctest.Wait()
		r.send(pid, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("late", 0)}})
		synctest.Wait()
		if n := r.rt.Router.Counts().Subscriptions; n != 0 {
			t.Errorf("a connection that lost the session made %d subscriptions", n)
		}
		if ps := c.packets(t, mqtt.V311); len(ps) != 0 {
			t.Errorf("it was answered with %+v", ps)
		}
	})
}

func TestTooManySubscriptionsAreRefusedOneByOne(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		r.rt.MaxSubscriptions = 2
		c, pid := r.open("a", clean("c"))
		r.send(pid, &Subscribe{Generation: 1, ID: 1, Requests: []Request{
			request("a", 0), request("b", 0), request("c", 0), request("a", 1),
		}})
		want := []protocol.ReasonCode{0, 0, 0x80, 1}
		if ps := c.packets(t, mqtt.V311); len(ps) != 1 || !slices.Equal(ps[0].codes, want) {
			t.Errorf("answered with %+v, want %v", ps, want)
		}
	})
}

func TestAnOperatorLearnsWhenAChangeIsInEffectEvenIfTheClientLeaves(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		_, pid := r.open("a", persistent("c"))
		op := r.conn("operator")
		block(r, func() {
			r.send(pid, &Change{Request: request("x", 1), ReplyTo: op.pid})
			r.send(pid, &Detach{Generation: 1})
		})
		if m := mustHear[*Changed](t, op); m.Reason != protocol.ReasonCode(1) {
			t.Errorf("told %+v", m)
		}
		if n := r.rt.Router.Counts().Subscriptions; n != 1 {
			t.Errorf("there are %d subscriptions", n)
		}
		r.send(pid, &Change{Request: request("x", 0), Remove: true, ReplyTo: op.pid})
		if m := mustHear[*Changed](t, op); m.Reason.IsError() {
			t.Errorf("told %+v", m)
		}
		if n := r.rt.Router.Counts().Subscriptions; n != 0 {
			t.Errorf("there are %d subscriptions", n)
		}
	})
}

func (r *rig) retain(name, payload string) {
	r.rt.PublishOne(&protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), Retain: true, Arrived: time.Now().UnixMilli(),
	})
	synctest.Wait()
}

func TestRetainedMessagesFollowTheSuback(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		r.retain("x/1", "one")
		r.retain("x/2", "two")
		r.retain("y", "other")
		c, pid := r.open("a", clean("c"))
		r.send(pid, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x/+", 1)}})
		ps := c.packets(t, mqtt.V311)
		if len(ps) != 3 || ps[0].typ != mqtt.SUBACK {
			t.Fatalf("sent %+v", ps)
		}
		got := payloads(ps)
		slices.Sort(got)
		if !slices.Equal(got, []string{"one", "two"}) || !ps[1].retain || !ps[2].retain {
			t.Errorf("sent %+v", ps)
		}
	})
}

func TestRetainHandlingIsHonoured(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		r.retain("x", "kept")
		c, pid := r.open("a", clean("c"))
		for i, tc := range []struct {
			handling mqtt.RetainHandling
			want     int
		}{{mqtt.SendNoRetained, 0}, {mqtt.SendRetainedIfNew, 0}, {mqtt.SendRetained, 1}} {
			q := request("x", 0)
			q.RetainHandling = tc.handling
			r.send(pid, &Subscribe{Generation: 1, ID: protocol.PacketID(i + 1), Requests: []Request{q}})
			if got := payloads(c.packets(t, mqtt.V311)); len(got) != tc.want {
				t.Errorf("step %d: got %v", i, got)
			}
		}
		q := request("+", 0)
		q.RetainHandling = mqtt.SendRetainedIfNew
		r.send(pid, &Subscribe{Generation: 1, ID: 8, Requests: []Request{q}})
		if got := payloads(c.packets(t, mqtt.V311)); len(got) != 1 {
			t.Errorf("a new subscription got %v", got)
		}
	})
}

// The outbox takes everything at once, so that it never says that it has room
// again.
func TestAReplayLongerThanTheOutboxComesInFull(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		const n = 100
		text := strings.Repeat("x", 1000)
		for i := range n {
			r.retain(fmt.Sprintf("x/%d", i), text)
		}
		c, pid := r.open("a", clean("c"))
		c.setRoom(10_000)
		r.send(pid, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x/+", 0)}})
		if got := payloads(c.packets(t, mqtt.V311)); len(got) != n {
			t.Errorf("%d of %d messages came", len(got), n)
		}
	})
}

func TestAQueueLongerThanTheOutboxComesInFull(t *testing.T) {
	inRig(t, delivery.Limits{StoreQoS0: true}, func(r *rig) {
		const n = 100
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 0, "x")
		r.send(pid, &Detach{Generation: 1})
		for range n {
			r.publish("x", strings.Repeat("x", 1000), 0)
		}
		d := r.conn("b")
		d.setRoom(10_000)
		r.send(pid, hello(d, "c", 2, 100))
		if got := payloads(d.packets(t, mqtt.V311)); len(got) != n {
			t.Errorf("%d of %d messages came", len(got), n)
		}
	})
}

func TestASlowClientGetsTheRestWhenItsOutboxHasDrained(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", clean("c"))
		r.subscribe(c, pid, 1, 0, "x")
		c.setRoom(0)
		r.publish("x", "1", 0)
		r.publish("x", "2", 0)
		if got := c.packets(t, mqtt.V311); len(got) != 0 {
			t.Errorf("a full outbox got %v", got)
		}
		c.setRoom(1 << 20)
		r.send(pid, &Drained{Generation: 1})
		if got := payloads(c.packets(t, mqtt.V311)); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestQoS2IsPublishedOnceAndAcknowledgedTwice(t *testing.T) {
	inRig(t, delivery.Limits{MaxAwaitingRel: 1}, func(r *rig) {
		w, wpid := r.open("watcher", clean("w"))
		r.subscribe(w, wpid, 1, 2, "x")
		c, pid := r.open("a", clean("c"))
		input := func(items ...InputItem) []packet {
			in := NewInput(nil, 1)
			in.Items = append(in.Items, items...)
			r.send(pid, in)
			return c.packets(t, mqtt.V311)
		}
		m := &protocol.Message{Topic: "x", Payload: []byte("m"), QoS: 2}
		other := &protocol.Message{Topic: "x", Payload: []byte("refused"), QoS: 2}
		ps := input(
			InputItem{Type: mqtt.PUBLISH, ID: 7, Message: m}, InputItem{Type: mqtt.PUBLISH, ID: 7, Message: m},
			InputItem{Type: mqtt.PUBLISH, ID: 8, Message: other},
		)
		if len(ps) != 2 || ps[0].typ != mqtt.PUBREC || ps[1].typ != mqtt.PUBREC || ps[1].id != 7 {
			t.Errorf("answered with %+v", ps)
		}
		if ps = input(InputItem{Type: mqtt.PUBREL, ID: 7}, InputItem{Type: mqtt.PUBREL, ID: 7}); len(ps) != 2 || ps[1].typ != mqtt.PUBCOMP {
			t.Errorf("answered with %+v", ps)
		}
		if got := payloads(w.packets(t, mqtt.V311)); !slices.Equal(got, []string{"m"}) {
			t.Errorf("published %v", got)
		}
		if n := r.drops("max_awaiting_rel"); n != 1 {
			t.Errorf("%d are counted as refused", n)
		}
	})
}

func TestASessionThatDiesUnderLoadOpensTheGateOfItsPublishers(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", clean("c"))
		r.subscribe(c, pid, 1, 1, "x")
		done := make(chan struct{})
		block(r, func() {
			go func() {
				defer close(done)
				for range 40 { // 4 MB, more than may be pending
					b := r.rt.Router.NewBatch()
					b.Publish(&protocol.Message{Topic: "x", Payload: make([]byte, 100_000), QoS: 1})
					b.Flush(true)
					b.Release()
				}
			}()
			r.send(pid, &kernel.Kill{})
			synctest.Wait()
		})
		<-done
		r.gone("c")
	})
}

func TestSubscriptionsKeepTheirIndexWhenTheyGrowAndShrink(t *testing.T) {
	var s subscriptions
	name := func(i int) string { return fmt.Sprintf("t/%d", i) }
	for i := range 3 * indexAbove {
		if !s.put(name(i), Options{ID: uint32(i)}) || s.put(name(i), Options{ID: uint32(i)}) {
			t.Fatalf("%d is not new once", i)
		}
	}
	for i := 0; i < 3*indexAbove; i += 2 {
		if !s.remove(name(i)) || s.remove(name(i)) {
			t.Fatalf("%d is not removed once", i)
		}
	}
	for i := range 3 * indexAbove {
		switch at := s.find(name(i)); {
		case i%2 == 0 && at >= 0:
			t.Errorf("%d is still there", i)
		case i%2 == 1 && (at < 0 || s.list[at].options.ID != uint32(i)):
			t.Errorf("%d is found at %d", i, at)
		}
	}
	for i := 1; i < 3*indexAbove; i += 2 {
		s.remove(name(i))
	}
	if s.len() != 0 || s.index != nil || s.list != nil {
		t.Error("an empty one holds memory")
	}
}
