package node

import (
	"time"

	"emqttd/actors/connections"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
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

// sendAway goes through the sessions page by page. Nobody comes in meanwhile, so
// once is enough.
func (n *Node) sendAway(d *connections.Drain) {
	pause := time.NewTicker(drainPause)
	defer pause.Stop()
	for cursor := ""; ; {
		cursor = n.walk(cursor, drainPage, false, clientRows, func(r *sessions.InfoResult) int {
			if r.Conn != nil {
				n.system.Root.Send(r.Conn, &connections.Redirect{Drain: *d})
			}
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
