package sessions

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

type (
	sessionPID = *actor.PID
	deadLetter = *actor.DeadLetterResponse
)

func persistent(id string) func(*fakeConn) *Attach {
	return func(c *fakeConn) *Attach { return hello(c, id, 0, 100) }
}

func clean(id string) func(*fakeConn) *Attach {
	return func(c *fakeConn) *Attach { return hello(c, id, 0, 0) }
}

func TestACleanSessionEndsWithItsConnection(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", clean("c"))
		r.subscribe(c, pid, 1, 1, "x", "y/#")
		r.send(pid, &Detach{Generation: 1, Normal: true})
		r.gone("c")
	})
}

func TestAPersistentSessionQueuesWhileItsClientIsAwayAndPresentsItself(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		r.send(pid, &Detach{Generation: 1, Normal: true})
		for i := range 3 {
			r.publish("x", fmt.Sprint(i), 1)
		}
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		if m := mustHear[*Attached](t, d); !m.SessionPresent || !m.Session.Equal(pid) {
			t.Errorf("attached %+v", m)
		}
		ps := d.packets(t, mqtt.V311)
		if ps[0].typ != mqtt.CONNACK || !ps[0].present {
			t.Errorf("it begins with %+v", ps[0])
		}
		if got := payloads(ps); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestASessionExpiresAtItsTime(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		r.send(pid, &Detach{Generation: 1, Normal: true})
		r.publish("x", "pending", 1)
		time.Sleep(99 * time.Second)
		synctest.Wait()
		if !pid.Equal(r.where("c")) {
			t.Fatal("it expired too early")
		}
		time.Sleep(3 * time.Second)
		r.gone("c")
		if n := r.drops("session_ended"); n != 1 {
			t.Errorf("%d messages are counted as dropped", n)
		}
	})
}

func TestAClientThatCameBackIsNotExpired(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		_, pid := r.open("a", persistent("c"))
		r.send(pid, &Detach{Generation: 1, Normal: true})
		time.Sleep(50 * time.Second)
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		time.Sleep(10 * time.Minute)
		if !pid.Equal(r.where("c")) {
			t.Error("it expired while its client was there")
		}
	})
}

func TestTheNewConnectionTakesOver(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		if m := mustHear[*TakenOver](t, c); m.Generation != 1 {
			t.Errorf("told %+v", m)
		}
		r.send(pid, &Detach{Generation: 1}) // the old one says good-bye late
		d.packets(t, mqtt.V311)
		r.publish("x", "m", 0)
		if got := payloads(d.packets(t, mqtt.V311)); !slices.Equal(got, []string{"m"}) {
			t.Errorf("the new connection got %v", got)
		}
		if got := c.packets(t, mqtt.V311); len(got) != 0 {
			t.Errorf("the old connection got %v", got)
		}
	})
}

func TestAnOlderConnectionCannotTakeOverANewerOne(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		d, e := r.conn("b"), r.conn("c")
		r.send(pid, hello(e, "c", 3, 100))
		r.send(pid, hello(d, "c", 2, 100))
		if m := mustHear[*TakenOver](t, d); m.Generation != 2 {
			t.Errorf("told %+v", m)
		}
		mustHear[*TakenOver](t, c)
		if _, ok := heard[*TakenOver](e); ok {
			t.Error("the newest connection was told that it lost")
		}
	})
}

// Detach leaves scratch space behind that belongs to no connection; the next
// client may come in the same turn.
func TestAClientThatComesBackInTheSameTurnIsSpokenToInItsOwnVersion(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		r.publish("x", "in flight", 1)
		d := r.conn("b")
		a := hello(d, "c", 2, 100)
		a.Client.Version = mqtt.V5
		block(r, func() {
			r.send(pid, &Detach{Generation: 1, Normal: true})
			r.send(pid, a)
		})
		if ps := d.packets(t, mqtt.V5); len(ps) != 2 || ps[0].typ != mqtt.CONNACK || ps[1].payload != "in flight" {
			t.Errorf("it begins with %+v", ps)
		}
	})
}

func TestADisconnectBehindASubscribeKeepsTheSubscription(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		_, pid := r.open("a", persistent("c"))
		block(r, func() {
			r.send(pid, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("x", 1)}})
			r.send(pid, &Detach{Generation: 1, Normal: true})
		})
		r.publish("x", "m", 1)
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		if got := payloads(d.packets(t, mqtt.V311)); !slices.Equal(got, []string{"m"}) {
			t.Errorf("got %v", got)
		}
	})
}

// block keeps the sessions' goroutines busy while f sends, so that all of it
// waits in the mailboxes at once.
func block(r *rig, f func()) {
	r.rt.Props()
	release := make(chan struct{})
	for range 64 { // more than there are
		r.rt.pool.Schedule(func() { <-release })
	}
	synctest.Wait()
	f()
	close(release)
	synctest.Wait()
}

func TestTheWillIsPublishedUnlessTheClientSaidDisconnect(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *rig, c *fakeConn, s sessionPID)
		want []string
	}{
		{"lost", func(r *rig, _ *fakeConn, s sessionPID) { r.send(s, &Detach{Generation: 1}) }, []string{"bye"}},
		{"normal", func(r *rig, _ *fakeConn, s sessionPID) { r.send(s, &Detach{Generation: 1, Normal: true}) }, nil},
		{"taken over", func(r *rig, _ *fakeConn, s sessionPID) {
			r.send(s, hello(r.conn("b"), "c", 2, 100))
		}, []string{"bye"}},
		{"discarded", func(r *rig, _ *fakeConn, s sessionPID) { r.send(s, &Discard{}) }, []string{"bye"}},
		{"killed", func(r *rig, _ *fakeConn, s sessionPID) { r.send(s, &kernel.Kill{}) }, []string{"bye"}},
		{"normal, then a clean session at once", func(r *rig, _ *fakeConn, s sessionPID) {
			block(r, func() {
				r.send(s, &Detach{Generation: 1, Normal: true})
				r.send(s, &Discard{})
			})
		}, nil},
		{"normal, then resumed at once", func(r *rig, _ *fakeConn, s sessionPID) {
			block(r, func() {
				r.send(s, &Detach{Generation: 1, Normal: true})
				r.send(s, hello(r.conn("b"), "c", 2, 100))
			})
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRig(t, delivery.Limits{}, func(r *rig) {
				w, wpid := r.open("watcher", clean("w"))
				r.subscribe(w, wpid, 1, 0, "will")
				c, pid := r.open("a", func(c *fakeConn) *Attach { return hello(c, "c", 0, 100).withWill("bye") })
				tc.end(r, c, pid)
				if got := payloads(w.packets(t, mqtt.V311)); !slices.Equal(got, tc.want) {
					t.Errorf("published %v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestADiscardedSessionLeavesNothingAndSaysSo(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x", "$share/g/y", "z/+")
		r.publish("x", "in flight", 1)
		d := r.conn("b")
		r.send(pid, &Discard{ReplyTo: d.pid})
		if m := mustHear[*Ended](t, d); m.ClientID != "c" {
			t.Errorf("told %+v", m)
		}
		mustHear[*TakenOver](t, c)
		r.gone("c")
		if n := r.drops("session_ended"); n != 1 {
			t.Errorf("%d messages are counted as dropped", n)
		}
	})
}

func TestAKilledSessionLeavesNothingAndTellsItsConnection(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x", "$share/g/y", "z/+")
		for range 3 {
			r.publish("x", "in flight", 1)
		}
		r.send(pid, &kernel.Kill{})
		if m := mustHear[*Down](t, c); m.Generation != 1 {
			t.Errorf("told %+v", m)
		}
		r.gone("c")
		if n := r.drops("session_crash"); n != 3 {
			t.Errorf("%d messages are counted as dropped", n)
		}
	})
}

func TestASessionWhoseMakerNeverHeardOfItEnds(t *testing.T) {
	inRig(t, delivery.Limits{}, func(r *rig) {
		c := r.conn("a")
		m := hello(c, "c", 1, 100)
		r.system.ProcessRegistry.Remove(c.pid)
		r.send(r.shards.For("c"), &kernel.Spawn{Props: r.rt.Props(), First: m})
		r.gone("c")
	})
}

func TestASessionThatIsEndingSendsBackWhatItDoesNotAnswer(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  func(c *fakeConn) any
	}{
		{"Attach", func(c *fakeConn) any { return hello(c, "c", 2, 100) }},
		{"Discard", func(c *fakeConn) any { return &Discard{ReplyTo: c.pid} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRig(t, delivery.Limits{}, func(r *rig) {
				_, pid := r.open("a", clean("c"))
				d := r.conn("b")
				block(r, func() {
					r.send(pid, &Detach{Generation: 1, Normal: true})
					r.system.Root.RequestWithCustomSender(pid, tc.ask(d), d.pid)
				})
				mustHear[deadLetter](t, d)
			})
		})
	}
}

func TestUnacknowledgedMessagesAreSentAgainAfterAReconnect(t *testing.T) {
	inRig(t, delivery.Limits{RetryInterval: 20 * time.Second}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		r.publish("x", "m", 1)
		c.packets(t, mqtt.V311)
		time.Sleep(25 * time.Second)
		if ps := c.packets(t, mqtt.V311); len(ps) != 1 || !ps[0].dup {
			t.Errorf("after the retry interval it sent %+v", ps)
		}
		r.send(pid, &Detach{Generation: 1})
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		ps := d.packets(t, mqtt.V311)
		if len(ps) != 2 || !ps[1].dup || ps[1].payload != "m" {
			t.Errorf("after the reconnect it sent %+v", ps)
		}
		time.Sleep(25 * time.Second)
		if ps := d.packets(t, mqtt.V311); len(ps) != 1 || !ps[0].dup {
			t.Errorf("after the retry interval of the new connection it sent %+v", ps)
		}
		in := NewInput(nil, 2)
		in.Items = append(in.Items, InputItem{Type: mqtt.PUBACK, ID: ps[1].id})
		r.send(pid, in)
		time.Sleep(time.Minute)
		if ps := d.packets(t, mqtt.V311); len(ps) != 0 {
			t.Errorf("after PUBACK it sent %+v", ps)
		}
	})
}

// The wake-up for the expiry, far away, must not keep the nearer ones away.
func TestWhatWaitedForAnAbsentClientIsSentAgainToo(t *testing.T) {
	inRig(t, delivery.Limits{RetryInterval: 20 * time.Second}, func(r *rig) {
		c, pid := r.open("a", persistent("c"))
		r.subscribe(c, pid, 1, 1, "x")
		r.send(pid, &Detach{Generation: 1})
		r.publish("x", "m", 1)
		d := r.conn("b")
		r.send(pid, hello(d, "c", 2, 100))
		d.packets(t, mqtt.V311)
		time.Sleep(25 * time.Second)
		if ps := d.packets(t, mqtt.V311); len(ps) != 1 || !ps[0].dup {
			t.Errorf("after the retry interval it sent %+v", ps)
		}
	})
}

func TestMailboxClassesKeepTheOrderOfOneConnection(t *testing.T) {
	last := (*Detach)(nil).MailboxClass()
	for _, m := range []kernel.Classed{(*Subscribe)(nil), (*Unsubscribe)(nil), (*Attach)(nil), (*Discard)(nil)} {
		if m.MailboxClass() != last {
			t.Errorf("%T does not keep its order with Detach", m)
		}
	}
	if (*Input)(nil).MailboxClass() > last {
		t.Error("Detach overtakes Input")
	}
}
