package connections

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/registry"
	"emqttd/cluster/routes"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

// inPair runs f with two nodes of a cluster, as inRig does with one: with the
// routes and the registry of the broker between them.
func inPair(t *testing.T, f func(w *clustertest.World, a, b *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := new(clustertest.World)
		a, b := newMember(t, w, "a"), newMember(t, w, "b")
		w.ConnectAll()
		synctest.Wait()
		f(w, a, b)
		w.Close()
		a.stop()
		b.stop()
		time.Sleep(time.Minute) // virtual: the framework's timers run out
	})
}

func newMember(t *testing.T, w *clustertest.World, name string) *rig {
	log := slog.New(slog.DiscardHandler)
	system := kernel.NewSystem(log)
	system.ProcessRegistry.Address = clustertest.Address(name)
	net := w.Node(name)
	m := new(metrics.Registry)
	r := &rig{t: t, system: system, net: net}
	ss := &sessions.Runtime{
		System: system, Router: topics.New(system, topics.Options{Shards: 2, Ledger: &m.Ledger}),
		Retained: retained.New(system, retained.Options{Shards: 2, Logger: log}),
		Registry: registry.New(system, "node/cluster", net), Metrics: m,
		Log: log, Limits: new(delivery.Limits),
	}
	paths := routes.New(system, ss.Router, net, routes.Options{Metrics: m})
	r.rt = &Runtime{
		System: system, Sessions: ss, SessionShards: kernel.NewShards("sessions", 2),
		Shards: kernel.NewShards("connections", 2), Access: access.New(true, true, nil), Metrics: m, Log: log,
	}
	r.rt.Set(&Settings{
		MaxPacket: 1 << 20, MaxClientID: 100, IdleTimeout: 30 * time.Second, KeepAliveFactor: 1.5,
		SessionExpiry: time.Hour, Features: Features{MaximumQoS: protocol.ExactlyOnce},
	})
	ss.Join(net, r.rt.SessionShards)
	ss.Behind = paths.Behind
	cluster.Post(system, net, "node/cluster/registry/", "node/sessions/", "node/connections/")
	r.l = &Listener{Name: "test", SendTimeout: 15 * time.Second, Closed: func(reason string) {
		r.mu.Lock()
		r.closed = append(r.closed, reason)
		r.mu.Unlock()
	}}
	var err error
	r.root, err = kernel.StartRoot(system, "node", []kernel.ChildSpec{
		ss.Retained.Spec(), ss.Router.Spec(),
		{Name: "cluster", Props: kernel.Supervisor([]kernel.ChildSpec{paths.Spec(), ss.Registry.Spec()})},
		r.rt.SessionShards.Spec(), r.rt.Shards.Spec(),
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// joinSoon is join for a session that comes from another node.
func (r *rig) joinSoon(c *mqtt.Connect, present bool) *peer {
	r.t.Helper()
	p := r.dial()
	p.send(c.Version, c)
	time.Sleep(time.Second)
	p.expect(c.Version, &mqtt.Connack{SessionPresent: present})
	return p
}

func subscribe(id protocol.PacketID, filter string) *mqtt.Subscribe {
	return &mqtt.Subscribe{ID: id, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: 1}}}
}

func TestASessionFollowsItsClientFromNodeToNode(t *testing.T) {
	inPair(t, func(_ *clustertest.World, a, b *rig) {
		nodes := [2]*rig{a, b}
		p := a.join(hello("c", false), false)
		p.send(mqtt.V311, subscribe(1, "x"))
		p.expect(mqtt.V311, &mqtt.Suback{ID: 1, Codes: []protocol.ReasonCode{1}})
		for i := range 20 {
			next := nodes[(i+1)%2]
			q := next.joinSoon(hello("c", false), true)
			p.expectClosed()
			nodes[i%2].rt.Sessions.PublishOne(&protocol.Message{Topic: "x", Payload: []byte{byte(i)}, QoS: 1})
			time.Sleep(time.Second)
			id := protocol.PacketID(i + 1)
			q.expect(mqtt.V311, &mqtt.Publish{Topic: "x", Payload: []byte{byte(i)}, QoS: 1, PacketID: id})
			q.send(mqtt.V311, &mqtt.Ack{Type: mqtt.PUBACK, ID: id})
			p = q
		}
		if x, y := a.rt.Metrics.Level(metrics.Sessions), b.rt.Metrics.Level(metrics.Sessions); x+y != 1 {
			t.Errorf("%d and %d sessions are counted", x, y)
		}
	})
}

func TestACleanStartEndsTheSessionOnAnotherNode(t *testing.T) {
	inPair(t, func(_ *clustertest.World, a, b *rig) {
		p := a.join(hello("c", false), false)
		p.send(mqtt.V311, subscribe(1, "x"))
		p.take()
		q := b.joinSoon(hello("c", true), false)
		p.expectClosed()
		time.Sleep(time.Second)
		if n := a.rt.Metrics.Level(metrics.Sessions); n != 0 {
			t.Errorf("%d sessions are left on the first node", n)
		}
		// That of a clean client ends with its connection: there is nothing to move.
		a.joinSoon(hello("c", false), false)
		q.expectClosed()
	})
}

func TestAClientGetsANewSessionIfTheNodeOfItsOldOneIsGone(t *testing.T) {
	inPair(t, func(w *clustertest.World, a, b *rig) {
		a.join(hello("c", false), false)
		w.Cut(a.net, b.net)
		b.joinSoon(hello("c", false), false)
	})
}

func TestAfterASplitTheNewerSessionStaysAndHasWhatWaited(t *testing.T) {
	inPair(t, func(w *clustertest.World, a, b *rig) {
		p := a.join(hello("c", false), false)
		p.send(mqtt.V311, subscribe(1, "x"))
		p.take()
		w.Cut(a.net, b.net)
		q := b.joinSoon(hello("c", false), false)
		a.rt.Sessions.PublishOne(&protocol.Message{Topic: "x", Payload: []byte("1"), QoS: 1})
		p.expect(mqtt.V311, &mqtt.Publish{Topic: "x", Payload: []byte("1"), QoS: 1, PacketID: 1})
		w.Connect(a.net, b.net)
		time.Sleep(time.Minute)
		p.expectClosed()
		q.expect(mqtt.V311, &mqtt.Publish{Topic: "x", Payload: []byte("1"), QoS: 1, PacketID: 1})
		if n := a.rt.Metrics.Level(metrics.Sessions); n != 0 {
			t.Errorf("%d sessions are left on the first node", n)
		}
	})
}

func TestAClientIsKickedFromAnotherNode(t *testing.T) {
	inPair(t, func(_ *clustertest.World, a, b *rig) {
		p := a.join(hello("c", false), false)
		at := a.rt.roster.matching(access.Selector{})[0].self
		b.system.Root.Send(actor.NewPID(at.Address, at.Id), &Kick{})
		p.expectClosed()
	})
}
