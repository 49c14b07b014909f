package connections

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/access"
	"emqttd/actors/connections/memnet"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is all that connections need, in virtual time, with a network in memory.
type rig struct {
	polled bool // else a goroutine waits for each client
	t      *testing.T
	system *actor.ActorSystem
	rt     *Runtime
	l      *Listener
	root   *actor.PID
	net    *clustertest.Net // nil on a node alone

	mu     sync.Mutex
	closed []string // what Listener.Closed was told
}

// inRig runs a test with both kinds of readers.
func inRig(t *testing.T, f func(r *rig)) {
	t.Helper()
	for _, reader := range []string{"waiting", "polled"} {
		t.Run(reader, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.polled = reader == "polled"
				f(r)
				r.stop()
				time.Sleep(time.Minute) // virtual: the framework's timers run out
			})
		})
	}
}

func newRig(t *testing.T) *rig {
	log := slog.New(slog.DiscardHandler)
	system := kernel.NewSystem(log)
	m := new(metrics.Registry)
	r := &rig{t: t, system: system}
	ss := &sessions.Runtime{
		System: system, Router: topics.New(system, topics.Options{
			Shards: 2, Ledger: &m.Ledger, OnGone: func(_ *topics.Subscriber, items []topics.Delivery) {
				m.Drop("session_ended", uint64(len(items)))
			},
		}),
		Retained: retained.New(system, retained.Options{Shards: 2, Logger: log}),
		Registry: registry.New(system, "node", nil), Metrics: m,
		Log: log, Limits: new(delivery.Limits),
	}
	r.rt = &Runtime{
		System: system, Sessions: ss, SessionShards: kernel.NewShards("sessions", 2),
		Shards: kernel.NewShards("connections", 2), Access: access.New(true, true, nil), Metrics: m, Log: log,
	}
	r.rt.Set(&Settings{
		MaxPacket: 1 << 20, MaxClientID: 100, IdleTimeout: 30 * time.Second, KeepAliveFactor: 1.5,
		SessionExpiry: time.Hour, Features: Features{MaximumQoS: protocol.ExactlyOnce},
	})
	r.l = &Listener{Name: "test", SendTimeout: 15 * time.Second, Closed: func(reason string) {
		r.mu.Lock()
		r.closed = append(r.closed, reason)
		r.mu.Unlock()
	}}
	var err error
	r.root, err = kernel.StartRoot(system, "node", []kernel.ChildSpec{
		ss.Retained.Spec(), ss.Router.Spec(), ss.Registry.Spec(), r.rt.SessionShards.Spec(), r.rt.Shards.Spec(),
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) stop() {
	r.rt.ShuttingDown.Store(true)
	if err := kernel.StopRoot(context.Background(), r.system, r.root); err != nil {
		r.t.Error(err)
	}
	r.rt.Close()
	r.rt.Sessions.Close()
	if n := r.rt.Metrics.Level(metrics.Clients); n != 0 {
		r.t.Errorf("%d clients are counted after the end", n)
	}
	if s := r.rt.Metrics.Ledger.Sheet(); s.Unaccounted() != 0 || s.Pending != 0 {
		r.t.Errorf("the ledger does not balance after the end: %+v", s)
	}
}

// ends are the reasons for which connections have ended, in order.
func (r *rig) ends() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.closed)
}

// peer is the client's end of a connection. It reads all the time.
type peer struct {
	t    *testing.T
	conn net.Conn
	mu   sync.Mutex
	got  []byte
	over bool
}

func (r *rig) dial() *peer {
	client, server := net.Pipe()
	if r.polled {
		n := memnet.New()
		client, _ = n.Dial()
		server, _ = n.Accept()
	}
	p := &peer{t: r.t, conn: client}
	go r.rt.Handshake(server, r.l)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := client.Read(buf)
			p.mu.Lock()
			p.got = append(p.got, buf[:n]...)
			p.over = err != nil
			p.mu.Unlock()
			if err != nil {
				_ = client.Close()
				return
			}
		}
	}()
	return p
}

type appender interface {
	Append(dst []byte, v mqtt.Version) []byte
}

func (p *peer) send(v mqtt.Version, packets ...appender) {
	p.t.Helper()
	var b []byte
	for _, m := range packets {
		b = m.Append(b, v)
	}
	p.write(b)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
	synctest.Wait()
}

// take returns what has come since the last call, and whether that is all.
func (p *peer) take() (got []byte, over bool) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got, p.got = p.got, nil
	return got, p.over
}

// expect checks what has come since the last call.
func (p *peer) expect(v mqtt.Version, packets ...appender) {
	p.t.Helper()
	var want []byte
	for _, m := range packets {
		want = m.Append(want, v)
	}
	if got, _ := p.take(); !bytes.Equal(got, want) {
		p.t.Errorf("got %x, want %x", got, want)
	}
}

func (p *peer) expectClosed() {
	p.t.Helper()
	if _, over := p.take(); !over {
		p.t.Error("the connection is still open")
	}
}

func hello(id string, clean bool) *mqtt.Connect {
	return &mqtt.Connect{Version: mqtt.V311, ClientID: id, CleanStart: clean, KeepAlive: 60}
}

var welcome = &mqtt.Connack{}

// join connects and takes the CONNACK.
func (r *rig) join(c *mqtt.Connect, present bool) *peer {
	r.t.Helper()
	p := r.dial()
	p.send(c.Version, c)
	p.expect(c.Version, &mqtt.Connack{SessionPresent: present})
	return p
}
