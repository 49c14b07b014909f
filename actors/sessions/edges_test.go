package sessions

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/actors/system/metrics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

func TestAWillIsTreatedAsAtATakeOver(t *testing.T) { // [MQTT-3.1.3-9]
	o := worldOptions{nodes: []string{"a", "b"}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		l, ls := a.open("test/l", come("listener", 1))
		a.subscribe(l, ls, 1, 1, "will")
		_, s := a.open("test/c", func(c *fakeConn) *Attach { return come("c", 1)(c).withWill("at once") })
		d := b.move("d", func(c *fakeConn) *Attach {
			m := come("c", 2)(c).withWill("late")
			m.Will.Delay = 60
			return m
		}, s)
		at := mustHear[*Attached](w.t, d).Session
		if got := payloads(l.packets(w.t, 4)); !slices.Equal(got, []string{"at once"}) {
			w.t.Fatalf("published %v", got)
		}
		// One that waits for the client to come back is not published if it does, on
		// whichever node; nor when the move fails before its time.
		e := a.move("e", come("c", 3), at)
		mustHear[*Attached](w.t, e)
		time.Sleep(time.Hour)
		if got := payloads(l.packets(w.t, 4)); len(got) > 0 {
			w.t.Errorf("published %v", got)
		}
	})
}

func TestAWillThatWaitsIsPublishedIfTheMoveFails(t *testing.T) {
	var left atomic.Int64 // messages that still pass
	left.Store(math.MaxInt64)
	var gate chan struct{}
	o := worldOptions{nodes: []string{"a", "b"}, hold: func(string, string) {
		if left.Add(-1) < 0 {
			<-gate
		}
	}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		l, ls := a.open("test/l", come("listener", 1))
		a.subscribe(l, ls, 1, 1, "will")
		_, s := a.open("test/c", func(c *fakeConn) *Attach {
			m := come("c", 1)(c).withWill("lost")
			m.Will.Delay = 60
			return m
		})
		synctest.Wait()
		gate = make(chan struct{})
		left.Store(0)
		d := b.move("d", come("c", 2), s)
		synctest.Wait() // the move stands still
		go w.net.Cut(a.net, b.net)
		synctest.Wait()
		close(gate)
		mustHear[*Ended](w.t, d)
		time.Sleep(30 * time.Second)
		if got := payloads(l.packets(w.t, 4)); len(got) > 0 {
			w.t.Errorf("published %v at once", got)
		}
		time.Sleep(time.Minute)
		if got := payloads(l.packets(w.t, 4)); !slices.Equal(got, []string{"lost"}) {
			w.t.Errorf("published %v", got)
		}
	})
}

func TestTheSessionOfAnotherUserDoesNotMove(t *testing.T) {
	o := worldOptions{nodes: []string{"a", "b"}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		c, s := a.open("test/c", func(c *fakeConn) *Attach {
			m := come("c", 1)(c)
			m.Owner = "alice"
			return m
		})
		d := b.move("d", func(c *fakeConn) *Attach {
			m := come("c", 2)(c)
			m.Owner = "mallory"
			return m
		}, s)
		if m := mustHear[*Refused](w.t, d); m.Code != protocol.NotAuthorized {
			w.t.Errorf("refused with %v", m.Code)
		}
		if _, over := heard[*TakenOver](c); over {
			w.t.Error("the owner lost his session")
		}
	})
}

func TestASessionThatExpiresWhileItMovesOnlyDoesIfItStays(t *testing.T) {
	o := worldOptions{nodes: []string{"a", "b"}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		_, s := a.open("test/c", func(c *fakeConn) *Attach { return hello(c, "c", 1, 10) })
		a.send(s, &Detach{Generation: 1})
		time.Sleep(9 * time.Second)
		d := b.move("d", func(c *fakeConn) *Attach { return hello(c, "c", 2, 10) }, s)
		at := mustHear[*Attached](w.t, d).Session
		time.Sleep(time.Minute)
		b.send(at, &Detach{Generation: 2})
		time.Sleep(9 * time.Second)
		if n := b.rt.Metrics.Level(metrics.Sessions); n != 1 {
			w.t.Errorf("there are %d sessions before its time", n)
		}
		time.Sleep(9 * time.Second)
		if n := b.rt.Metrics.Level(metrics.Sessions); n != 0 {
			w.t.Errorf("there are %d sessions after its time", n)
		}
	})
}

// TestAStoredSessionGivesWayToALiveOne restores one whose client has another.
func TestAStoredSessionGivesWayToALiveOne(t *testing.T) {
	for _, copied := range []bool{false, true} {
		t.Run(fmt.Sprintf("copied=%t", copied), func(t *testing.T) {
			o := worldOptions{nodes: []string{"a"}, kept: true}
			inWorld(t, o, func(w *world) {
				a := w.nodes[0]
				c, _ := a.open("test/c", come("c", 1))
				rec := &store.Recovered{
					Session: store.Session{ID: a.disk.NewSessionID(), ClientID: "c", Expiry: 3600, Moving: copied},
					Window:  store.Window{NextSeq: 3},
				}
				level := store.Level{Priority: 0, Last: 2}
				var ops store.Ops
				ops.PutSession(&rec.Session)
				for i := range uint64(2) {
					it := store.Item{Seq: i + 1, QoS: 1, Message: &protocol.Message{Topic: "x", Payload: []byte{'1' + byte(i)}, QoS: 1}}
					ops.PutItem(rec.Session.ID, &it)
					level.Head, level.Waiting = append(level.Head, it), level.Waiting+1
					level.Bytes += it.Message.Size()
				}
				ops.PutWindow(rec.Session.ID, &store.Window{NextSeq: 1, Heads: []store.Head{{Seq: 1}}})
				safe := make(chan error, 1)
				a.disk.Commit(&ops, func(err error) { safe <- err })
				must(w.t, <-safe)
				rec.Levels = []store.Level{level}
				done := make(chan struct{})
				a.send(a.shards.For("c"), &kernel.Spawn{Props: a.rt.Props(), First: &Restore{Record: rec, Done: func() { close(done) }}})
				<-done
				time.Sleep(time.Minute)
				want := []string{"1", "2"}
				if copied {
					want = nil // the live one has them, or had
				}
				if got := payloads(c.packets(w.t, 4)); !slices.Equal(got, want) {
					w.t.Errorf("the client got %v, want %v", got, want)
				}
				if left, err := a.disk.Session(rec.Session.ID, 1); left != nil || err != nil {
					w.t.Errorf("the store still has %+v, %v", left, err)
				}
			})
		})
	}
}

// TestNonsenseFromAnotherNodeIsCountedAndHarmless sends a session what it did not
// ask for.
func TestNonsenseFromAnotherNodeIsCountedAndHarmless(t *testing.T) {
	o := worldOptions{nodes: []string{"a", "b"}}
	inWorld(t, o, func(w *world) {
		a, b := w.nodes[0], w.nodes[1]
		c, s := a.open("test/c", come("c", 1))
		for _, m := range []any{
			&Export{ClientID: "other", Generation: 9, Client: true},
			&Chunk{Generation: 1, Data: []byte{1, 2, 3}}, &Taken{Generation: 1, N: 7}, &Ready{Generation: 1},
			&Forgo{Generation: 1}, &Merge{ClientID: "other"}, &Merge{ClientID: "c", N: 3},
			&Merge{ClientID: "c", Data: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, &Merged{N: 1},
			&Imported{Generation: 1}, &TakenOver{Generation: 1}, &Refused{Generation: 1}, &Ended{ClientID: "c"},
			&registry.Outlived{ClientID: "c", Winner: s},
		} {
			b.system.Root.RequestWithCustomSender(s, m, b.system.NewLocalPID("node/sessions/0/none"))
		}
		time.Sleep(time.Second)
		if n := a.rt.Nonsense(); n < 3 {
			w.t.Errorf("%d messages are counted", n)
		}
		if len(c.told) > 0 {
			w.t.Errorf("its connection was told %T", c.told[0])
		}
		a.subscribe(c, s, 1, 1, "x") // it lives, and has its client
	})
}

func FuzzUnpack(f *testing.F) {
	var p packer
	for _, r := range []record{
		{Facts: &factsRecord{ClientID: "c", Owner: "o", Expiry: 7, LastID: 3}},
		{Sub: &subscriptionRecord{Text: "$share/g/x", QoS: 2}},
		{Awaiting: &awaitingRecord{ID: 7, At: 1}},
		{Item: &itemRecord{Message: &messageRecord{Topic: "x", Payload: []byte("p")}, QoS: 1}},
		{Item: &itemRecord{Flight: 9, Phase: uint8(delivery.AwaitPubcomp), QoS: 2}},
	} {
		if err := p.add(&r); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(p.take(), 10)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		read := func(chunks ...[]byte) (n int, rest []byte, err error) {
			var u unpacker
			for _, c := range chunks {
				if err = u.each(c, func(r *record) error {
					n++
					if r.Item != nil {
						it, err := r.Item.item()
						if err == nil && it.Message == nil && (r.Item.Flight == 0 || delivery.Phase(r.Item.Phase) != delivery.AwaitPubcomp) {
							t.Error("an item without a message")
						}
					}
					return nil
				}); err != nil {
					return n, nil, err
				}
			}
			return n, u.rest, nil
		}
		n, rest, err := read(data)
		at = min(max(at, 0), len(data))
		m, left, failed := read(data[:at], data[at:])
		if n != m || (err == nil) != (failed == nil) || !bytes.Equal(rest, left) {
			t.Errorf("cut at %d it is %d records, %v; else %d, %v", at, m, failed, n, err)
		}
	})
}
