package cluster

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/protocol"
)

// routes is a node's table, a line for each filter and node.
func (n *node) routes() []string {
	n.rig.t.Helper()
	lines := strings.Split(strings.TrimSpace(n.ctl("routes", "list")), "\n")
	slices.Sort(lines)
	return lines
}

// equalRoutes checks that the tables become equal in the time that is promised after a
// fault, and hold what they must: a route for each of want, "filter -> node".
func (r *rig) equalRoutes(nodes []*node, want ...string) {
	r.t.Helper()
	var wrong string
	for end := time.Now().Add(equalIn + slack); ; {
		if wrong = differ(nodes, want); wrong == "" {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("route tables are not equal: %s", wrong)
		}
		pass(r.t, look)
	}
}

// differ says what is wrong with the tables, "" if nothing is.
func differ(nodes []*node, want []string) string {
	first := nodes[0].routes()
	for _, w := range want {
		if !slices.Contains(first, w) {
			return fmt.Sprintf("%s has no %q among %q", nodes[0].NodeName(), w, first)
		}
	}
	for _, n := range nodes[1:] {
		if table := n.routes(); !slices.Equal(table, first) {
			return fmt.Sprintf("%s has %q, %s has %q", nodes[0].NodeName(), first, n.NodeName(), table)
		}
	}
	return ""
}

// route is a line of a table.
func (n *node) route(filter string) string { return filter + " -> " + n.NodeName() }

// places says on which nodes a client identifier is connected, and has a session.
func places(id string, nodes []*node) (connected, sessions []string) {
	for _, n := range nodes { // what is asked for by name is looked for on all nodes
		if strings.Contains("\n"+n.ctl("clients", "list"), "\nClient("+id+",") {
			connected = append(connected, n.NodeName())
		}
		if strings.Contains("\n"+n.ctl("sessions", "list"), "\nSession("+id+",") {
			sessions = append(sessions, n.NodeName())
		}
	}
	return connected, sessions
}

// oneSession checks that a client identifier comes to have one session, on the node
// where it is connected.
func (r *rig) oneSession(id string, at *node, nodes []*node) {
	r.t.Helper()
	want := []string{at.NodeName()}
	for end := time.Now().Add(patience); ; {
		connected, sessions := places(id, nodes)
		if slices.Equal(connected, want) && slices.Equal(sessions, want) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s is connected to %q and has sessions on %q, want %q", id, connected, sessions, want)
		}
		pass(r.t, look)
	}
}

// reachable checks that every node reaches subscribers on every node.
func (r *rig) reachable(nodes []*node) {
	r.t.Helper()
	for i, from := range nodes {
		for j, to := range nodes {
			name := fmt.Sprintf("reach/%d/%d", i, j)
			sub, pub := to.mustConnect("", true), from.mustConnect("", true)
			if err := sub.subscribe(protocol.AtLeastOnce, name); err != nil {
				r.t.Fatal(err)
			}
			if err := pub.publish(name, name, protocol.AtLeastOnce); err != nil {
				r.t.Fatal(err)
			}
			if err := sub.awaits(name); err != nil {
				r.t.Fatalf("%s does not reach %s: %v", from.NodeName(), to.NodeName(), err)
			}
			sub.close()
			pub.close()
		}
	}
}

// actors is how many sessions and connections a node has.
func (n *node) actors() (sessions, connections int) {
	for line := range strings.Lines(n.ctl("broker", "stats")) {
		_, _ = fmt.Sscanf(line, "sessions/count : %d", &sessions)
		_, _ = fmt.Sscanf(line, "clients/count : %d", &connections)
	}
	return sessions, connections
}

// nothingLeft checks that no actor is left when all clients have gone.
func (r *rig) nothingLeft(nodes []*node) {
	r.t.Helper()
	for _, n := range nodes {
		r.eventually(n.NodeName()+" has no clients left", func() bool {
			s, c := n.actors()
			return s == 0 && c == 0
		})
	}
}

// traffic is a flow of numbered messages from a publisher on each of some nodes to a
// subscriber on each of them.
type traffic struct {
	t    *testing.T
	qos  protocol.QoS
	subs []*client
	pubs []*client
	stop chan struct{}
	work sync.WaitGroup
	mu   sync.Mutex
	sent []string // accepted by the broker
}

// flow starts traffic. Publishers end with stop, or when their connection does.
func flow(t *testing.T, qos protocol.QoS, nodes ...*node) *traffic {
	t.Helper()
	f := &traffic{t: t, qos: qos, stop: make(chan struct{})}
	filter := fmt.Sprintf("flow/%d", qos)
	for i, n := range nodes {
		sub := n.mustConnect(fmt.Sprintf("sub-%d-%d", qos, i), true)
		if err := sub.subscribe(qos, filter); err != nil {
			t.Fatal(err)
		}
		f.subs = append(f.subs, sub)
	}
	for i, n := range nodes {
		pub := n.mustConnect(fmt.Sprintf("pub-%d-%d", qos, i), true)
		f.pubs = append(f.pubs, pub)
		f.work.Go(func() { f.publish(pub, filter, i) })
	}
	t.Cleanup(f.end)
	return f
}

func (f *traffic) publish(c *client, filter string, who int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		payload := fmt.Sprintf("%d/%d", who, i)
		if err := c.publish(filter, payload, f.qos); err != nil {
			f.t.Errorf("QoS %d: %s: %v", f.qos, payload, err)
			return
		}
		f.mu.Lock()
		f.sent = append(f.sent, payload)
		f.mu.Unlock()
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
	}
}

// count is how many messages the broker has accepted.
func (f *traffic) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

// end ends the publishers, once all that they have sent is accepted.
func (f *traffic) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.work.Wait()
}

// check ends the traffic and checks that every subscriber got every message; with QoS 2
// exactly once.
func (f *traffic) check() {
	f.t.Helper()
	for end := time.Now().Add(patience); f.count() < 10; pass(f.t, look) {
		if time.Now().After(end) {
			f.t.Fatalf("QoS %d: only %d messages were sent", f.qos, f.count())
		}
	}
	f.end()
	for _, c := range f.subs {
		for _, payload := range f.sent {
			if err := c.awaits(payload); err != nil {
				f.t.Fatalf("QoS %d, %d sent: %v", f.qos, len(f.sent), err)
			}
			if got := c.has(payload); f.qos == protocol.ExactlyOnce && got != 1 {
				f.t.Errorf("QoS 2: %s got %s %d times", c.id, payload, got)
			}
		}
		c.close()
	}
	for _, c := range f.pubs {
		c.close()
	}
}
