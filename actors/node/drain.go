package node

import (
	"time"

	"emqttd/actors/connections"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
	"emqttd/cluster"
	"emqttd/cluster/registry"
	"emqttd/protocol"
)

// drainPage clients are sent away every drainPause: 1,000 a second, which another
// node takes in without noticing. Fewer take longer, more are a storm there.
const (
	drainPage  = 100
	drainPause = 100 * time.Millisecond
)

// drain refuses new clients and begins to send the others away. It returns how
// many there are.
func (n *Node) drain(server string, moved bool) int {
	d := connections.Drain{Code: protocol.UseAnotherServer, Server: server}
	if moved {
		d.Code = protocol.ServerMoved
	}
	n.connections.SetDrain(&d)
	clients := int(n.metrics.Level(metrics.Clients))
	n.log.Info("node is drained", "clients", clients, "server", server)
	go n.sendAway(&d)
	return clients
}

// sendAway goes through the sessions page by page: first those with clients, then,
// where there are other nodes, those that are left without one. Nobody comes in
// meanwhile, so once is enough for each.
func (n *Node) sendAway(d *connections.Drain) {
	n.pace(func(r *sessions.InfoResult) {
		if r.Conn != nil {
			n.system.Root.Send(r.Conn, &connections.Redirect{Drain: *d})
		}
	})
	n.pace(func(r *sessions.InfoResult) {
		if to, ok := n.refuge(r.ID); ok && r.Conn == nil && n.connections.Draining() {
			n.sessions.Evict(r.PID, to)
		}
	})
}

// pace calls f with the sessions of this node, drainPage at a time.
func (n *Node) pace(f func(*sessions.InfoResult)) {
	pause := time.NewTicker(drainPause)
	defer pause.Stop()
	for cursor := ""; ; {
		cursor = n.walk(cursor, drainPage, false, sessionRows, func(r *sessions.InfoResult) int {
			f(r)
			return 1
		})
		if cursor == "" {
			return
		}
		select {
		case <-pause.C:
		case <-n.done:
			return
		}
	}
}

// refuge is the address of the node that a session without a client goes to: the
// one that owns the place of its client identifier, were this node not there.
func (n *Node) refuge(id string) (address string, ok bool) {
	var others []cluster.Member
	for _, m := range n.mesh.net.View().Members {
		if m.Name != n.config.Node.Name && m.State == cluster.Up {
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return "", false
	}
	return cluster.NewView(0, others[0], others[1:]).Owner(int(cluster.Hash(id) % registry.Slots)).Address, true
}
