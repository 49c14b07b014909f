package sessions

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is all that sessions need, without connections, in virtual time.
type rig struct {
	t      *testing.T
	system *actor.ActorSystem
	rt     *Runtime
	shards *kernel.Shards
	slot   *fakeConn // asks the registry
}

// inRig runs f in a bubble and stops everything afterwards.
func inRig(t *testing.T, limits delivery.Limits, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		system := kernel.NewSystem(log)
		r := &rig{t: t, system: system, shards: kernel.NewShards("sessions", 2)}
		m := new(metrics.Registry)
		r.rt = &Runtime{
			System: system, Router: topics.New(system, topics.Options{
				Shards: 2, Ledger: &m.Ledger, OnGone: func(_ *topics.Subscriber, items []topics.Delivery) {
					m.Drop("session_ended", uint64(len(items)))
				},
			}),
			Retained: retained.New(system, retained.Options{Shards: 2, Logger: log}),
			Registry: registry.New(system, "node", nil), Metrics: m,
			Log: log, Limits: &limits,
		}
		root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{
			r.rt.Retained.Spec(), r.rt.Router.Spec(), r.rt.Registry.Spec(), r.shards.Spec(),
		}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		r.slot = r.conn("slot")
		f(r)
		if err := kernel.StopRoot(context.Background(), system, root); err != nil {
			t.Error(err)
		}
		if n := r.rt.Metrics.Level(metrics.Sessions); n != 0 {
			t.Errorf("%d sessions are counted after the end", n)
		}
		if s := m.Ledger.Sheet(); s.Unaccounted() != 0 || s.Pending != 0 {
			t.Errorf("the ledger does not balance after the end: %+v", s)
		}
		r.rt.Close()
		time.Sleep(time.Minute) // virtual: the framework's timers run out
	})
}

// fakeConn stands for a connection: a process that keeps what it is told, and an
// outbox that keeps what it is to send.
type fakeConn struct {
	pid  *actor.PID
	mu   sync.Mutex
	told []any
	sent []byte
	room int
}

func (c *fakeConn) SendUserMessage(_ *actor.PID, m any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, actor.UnwrapEnvelopeMessage(m))
}
func (c *fakeConn) SendSystemMessage(*actor.PID, any) {}
func (c *fakeConn) Stop(*actor.PID)                   {}

func (c *fakeConn) Send(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, p...)
	return c.room
}

func (c *fakeConn) Room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.room
}

func (c *fakeConn) setRoom(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = n
}

func (r *rig) conn(name string) *fakeConn {
	c := &fakeConn{room: 1 << 20}
	var ok bool
	if c.pid, ok = r.system.ProcessRegistry.Add(c, name); !ok {
		r.t.Fatalf("%s is there already", name)
	}
	return c
}

// heard returns the last message of type T that c was told since the last call
// for that type, and whether there was one.
func heard[T any](c *fakeConn) (last T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = slices.DeleteFunc(c.told, func(m any) bool {
		v, is := m.(T)
		if is {
			last, ok = v, true
		}
		return is
	})
	return last, ok
}

func mustHear[T any](t *testing.T, c *fakeConn) T {
	t.Helper()
	synctest.Wait()
	m, ok := heard[T](c)
	if !ok {
		var kinds []string
		for _, x := range c.told {
			kinds = append(kinds, fmt.Sprintf("%T", x))
		}
		t.Fatalf("%s was not told a %T, but %v", c.pid.Id, m, kinds)
	}
	return m
}

// packet is one Control Packet that a session has sent.
type packet struct {
	typ     mqtt.PacketType
	id      protocol.PacketID
	dup     bool
	retain  bool
	qos     protocol.QoS
	payload string
	present bool
	codes   []protocol.ReasonCode
}

// packets takes apart what c was to send since the last call.
func (c *fakeConn) packets(t *testing.T, v mqtt.Version) (ps []packet) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := c.sent; len(b) > 0; {
		h, n, err := mqtt.ParseHeader(b, 0)
		if err != nil || n == 0 || len(b) < n+h.Remaining {
			t.Fatalf("it sent %x: %v", b, err)
		}
		body := b[n : n+h.Remaining]
		b = b[n+h.Remaining:]
		p := packet{typ: h.Type}
		switch h.Type {
		case mqtt.PUBLISH:
			var m mqtt.Publish
			must(t, m.Decode(h, body, v))
			p.id, p.dup, p.retain, p.qos, p.payload = m.PacketID, m.Dup, m.Retain, m.QoS, string(m.Payload)
		case mqtt.CONNACK:
			var m mqtt.Connack
			must(t, m.Decode(h, body, v))
			p.present, p.codes = m.SessionPresent, []protocol.ReasonCode{m.Code}
		case mqtt.SUBACK:
			var m mqtt.Suback
			must(t, m.Decode(h, body, v))
			p.id, p.codes = m.ID, slices.Clone(m.Codes)
		case mqtt.UNSUBACK:
			var m mqtt.Unsuback
			must(t, m.Decode(h, body, v))
			p.id = m.ID
		default:
			var m mqtt.Ack
			must(t, m.Decode(h, body, v))
			p.id = m.ID
		}
		ps = append(ps, p)
	}
	c.sent = nil
	return ps
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// payloads of the PUBLISH packets among ps.
func payloads(ps []packet) (s []string) {
	for _, p := range ps {
		if p.typ == mqtt.PUBLISH {
			s = append(s, p.payload)
		}
	}
	return s
}

// hello is an Attach of a client of MQTT 3.1.1; expiry 0 is Clean Session 1.
func hello(c *fakeConn, id string, generation uint64, expiry int64) *Attach {
	return &Attach{
		Client: &Client{ClientID: id, Version: mqtt.V311, Clean: expiry == 0},
		Conn:   c.pid, Outbox: c, Generation: generation, Connack: new(mqtt.Connack), Expiry: expiry,
	}
}

func (a *Attach) withWill(text string) *Attach {
	a.Will = &Will{Message: &protocol.Message{Topic: "will", Payload: []byte(text), QoS: 1}}
	return a
}

// open starts a session that is attached to a new connection, and commits it.
func (r *rig) open(name string, a func(c *fakeConn) *Attach) (*fakeConn, *actor.PID) {
	r.t.Helper()
	c := r.conn(name)
	m := a(c)
	slot := r.rt.Registry.Slot(m.Client.ClientID)
	r.system.Root.Send(slot, &registry.Claim{ClientID: m.Client.ClientID, By: c.pid})
	m.Generation = mustHear[*registry.Granted](r.t, c).Generation
	r.system.Root.Send(r.shards.For(m.Client.ClientID), &kernel.Spawn{Props: r.rt.Props(), First: m})
	pid := mustHear[*Attached](r.t, c).Session
	r.system.Root.Send(slot, &registry.Commit{
		ClientID: m.Client.ClientID, Generation: m.Generation, By: c.pid, Session: pid,
	})
	if ps := c.packets(r.t, m.Client.Version); len(ps) != 1 || ps[0].typ != mqtt.CONNACK || ps[0].present {
		r.t.Fatalf("a new session begins with %+v", ps)
	}
	return c, pid
}

// where is the session of a client identifier, as the registry knows it.
func (r *rig) where(id string) *actor.PID {
	r.t.Helper()
	r.system.Root.Send(r.rt.Registry.Slot(id), &registry.WhereQuery{ClientID: id, ReplyTo: r.slot.pid})
	return mustHear[*registry.WhereResult](r.t, r.slot).Session
}

func (r *rig) send(to *actor.PID, m any) { r.system.Root.Send(to, m) }

func request(text string, q protocol.QoS) Request {
	s, err := topic.ParseSubscription(text)
	if err != nil {
		panic(err)
	}
	return Request{Text: text, Subscription: s, Options: Options{QoS: q}}
}

// subscribe subscribes and takes the SUBACK.
func (r *rig) subscribe(c *fakeConn, pid *actor.PID, generation uint64, q protocol.QoS, filters ...string) {
	r.t.Helper()
	m := &Subscribe{Generation: generation, ID: 1}
	for _, f := range filters {
		m.Requests = append(m.Requests, request(f, q))
	}
	r.send(pid, m)
	if ps := c.packets(r.t, mqtt.V311); len(ps) != 1 || ps[0].typ != mqtt.SUBACK {
		r.t.Fatalf("answered with %+v", ps)
	}
}

func (r *rig) publish(name, payload string, q protocol.QoS) {
	r.rt.PublishOne(&protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), QoS: q, Arrived: time.Now().UnixMilli(),
	})
	synctest.Wait()
}

// drops is how often messages were dropped for a reason.
func (r *rig) drops(reason string) uint64 {
	for _, v := range r.rt.Metrics.Drops() {
		if v.Name == reason {
			return v.Value
		}
	}
	return 0
}

// gone checks that nothing is left of the sessions in the tables.
func (r *rig) gone(id string) {
	r.t.Helper()
	synctest.Wait()
	if n := r.rt.Router.Counts(); n != (topics.Counts{}) {
		r.t.Errorf("routes are left: %+v", n)
	}
	if pid := r.where(id); pid != nil {
		r.t.Errorf("the registry still has %v", pid)
	}
	if n := r.rt.Metrics.Level(metrics.Sessions); n != 0 {
		r.t.Errorf("%d sessions are counted", n)
	}
}
