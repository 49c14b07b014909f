package consul

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/consul/api"

	"emqttd/actors/kernel"
	"emqttd/actors/system/alarm"
	"emqttd/cluster"
	"emqttd/tests/backends/servers"
)

// patience is for a machine that is busy with something else.
const patience = 30 * time.Second

// node is an actor that runs in a tree of its own, and what it has told.
type node struct {
	o      Options
	system *actor.ActorSystem
	root   *actor.PID
	stop   sync.Once

	mu     sync.Mutex
	health Health
	found  []cluster.Candidate
	alarms []alarm.Alarm // raised and cleared, in order
	change chan struct{} // closed with each change
}

// options are those of a node with a name, address and cluster of its own.
func options(consul string) Options {
	id := strconv.FormatUint(rand.Uint64(), 36)
	return Options{
		Self:    cluster.Member{Name: "emq" + id + "@127.0.0.1", Address: "127.0.0.1:1", Incarnation: rand.Uint64(), Version: "0.1.0"},
		Cluster: "cluster " + id, Address: consul, Service: "emqttd-" + id, TTL: 2 * time.Second, Timeout: time.Second,
		ForgetAfter: time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
}

// next is another node of the same cluster.
func next(o Options, number int) Options {
	o.Self.Name = strconv.Itoa(number) + o.Self.Name
	o.Self.Incarnation++
	o.Self.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(number))
	return o
}

// try starts a node.
func try(t *testing.T, o Options) (*node, error) {
	t.Helper()
	n := &node{o: o, change: make(chan struct{}), health: Health{Summary: "alone"}}
	n.o.Health = func() Health {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.health
	}
	n.o.Discovered = func(c []cluster.Candidate) { n.note(func() { n.found = c }) }
	n.o.Alarm = func(a alarm.Alarm) {
		n.note(func() {
			if len(n.alarms) > 0 || !a.Cleared { // the first all-clear says nothing
				n.alarms = append(n.alarms, a)
			}
		})
	}
	spec, err := Spec(n.o)
	if err != nil {
		t.Fatal(err)
	}
	n.system = kernel.NewSystem(n.o.Logger)
	n.root, err = kernel.StartRoot(n.system, "node", []kernel.ChildSpec{spec}, func(err error) { t.Errorf("gave up: %v", err) })
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { n.end(t) })
	return n, nil
}

func start(t *testing.T, o Options) *node {
	t.Helper()
	n, err := try(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) note(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.change)
	n.change = make(chan struct{})
}

// end stops the node gracefully.
func (n *node) end(t *testing.T) {
	t.Helper()
	n.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, n.system, n.root); err != nil {
			t.Error(err)
		}
	})
}

// await waits until the node has told what ok looks for.
func (n *node) await(t *testing.T, what string, ok func(*node) bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		n.mu.Lock()
		done, change := ok(n), n.change
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-change:
		case <-timer.C:
			t.Fatalf("%s did not come; found %v, alarms %v", what, n.found, n.alarms)
		}
	}
}

// raised tells whether the last alarm of an id is on.
func raised(id string) func(*node) bool {
	return func(n *node) bool {
		for i := len(n.alarms) - 1; i >= 0; i-- {
			if n.alarms[i].ID == id {
				return !n.alarms[i].Cleared
			}
		}
		return false
	}
}

func cleared(id string) func(*node) bool {
	return func(n *node) bool { return len(n.alarms) > 0 && !raised(id)(n) }
}

func finds(names ...string) func(*node) bool {
	return func(n *node) bool {
		if len(n.found) != len(names) {
			return false
		}
		for i, c := range n.found {
			if c.Name != names[i] {
				return false
			}
		}
		return true
	}
}

// outside is Consul as others see it.
func outside(t *testing.T, s *servers.Server) *api.Client {
	t.Helper()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{Address: s.Addr, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// entry waits for what Consul says of a node.
func entry(t *testing.T, s *servers.Server, o *Options, ok func(*api.ServiceEntry) bool) *api.ServiceEntry {
	t.Helper()
	var last error
	consul := outside(t, s)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		all, _, err := consul.Health().Service(o.Service, "", false, nil)
		last = err
		for _, e := range all {
			if e.Service.ID == o.Self.Name && ok(e) {
				return e
			}
		}
		wait(t, 20*time.Millisecond)
	}
	t.Fatalf("Consul does not say so of %s: %v", o.Self.Name, last)
	return nil
}

// wait is the pause of a loop that looks at another process.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(errors.New("the test is over"))
	}
}

// registered is all that is asked.
func registered(*api.ServiceEntry) bool { return true }

// listen makes somebody answer at an address, as a live node does.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
