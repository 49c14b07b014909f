package node

import (
	"maps"
	"slices"

	"emqttd/actors/system/prometheus"
	"emqttd/cluster"
	"emqttd/cluster/link"
)

// clusterFigures are those of the other nodes. The label peer is the name of one of them: there are as many as nodes that
// this one has a conversation with.
func (n *Node) clusterFigures() []prometheus.Figure {
	all := slices.Concat(n.memberFigures(), linkFigures(n.mesh.net.Stats()), n.serviceFigures())
	for _, p := range n.mesh.net.Info() {
		all = append(all, peerFigures(&p)...)
	}
	return all
}

func gauge(name, help string, v float64, labels ...string) prometheus.Figure {
	return prometheus.Figure{Name: name, Help: help, Value: v, Labels: labels}
}

func total(name, help string, v uint64, labels ...string) prometheus.Figure {
	return prometheus.Figure{Name: name, Help: help, Value: float64(v), Labels: labels, Counter: true}
}

func (n *Node) memberFigures() (all []prometheus.Figure) {
	count := map[string]int{}
	for _, m := range (clusterView{n}).Members() {
		count[m.State]++
	}
	for _, s := range []cluster.State{cluster.Up, cluster.Suspect, cluster.Down} {
		all = append(all, gauge("cluster_nodes", "Nodes of the cluster that are not forgotten, this one among them, by state.",
			float64(count[s.String()]), "state", s.String()))
	}
	return all
}

// linkFigures are those of all conversations together.
func linkFigures(s link.Stats) []prometheus.Figure {
	all := []prometheus.Figure{
		total("cluster_link_received_bytes_total", "Bytes from other nodes, before TLS.", s.BytesIn),
		total("cluster_link_sent_bytes_total", "Bytes to other nodes, before TLS.", s.BytesOut),
		total("cluster_link_resent_total", "Messages that were sent again on a new stream.", s.Resent),
		total("cluster_link_duplicates_total", "Messages that came again and were dropped.", s.Duplicates),
		total("cluster_link_unknown_total", "Messages of kinds that this node does not know.", s.Unknown),
		total("cluster_link_unreadable_total", "Messages whose body could not be read.", s.Unreadable),
		total("cluster_link_panics_total", "Messages that made this node's code panic: each is a bug.", s.Panics),
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		all = append(all, total("cluster_link_refused_total", "Streams that did not come about, in either direction, by reason.",
			s.Refused[reason], "reason", reason))
	}
	return all
}

// serviceFigures are those of what is kept the same on all nodes.
func (n *Node) serviceFigures() []prometheus.Figure {
	routes, retained := n.mesh.routes.Counts(), n.mesh.retained
	return []prometheus.Figure{
		total("cluster_routes_mismatches_total", "Times that the routes of another node were not what it said they were, and were told again.", routes.Mismatches),
		total("cluster_routes_unreadable_total", "Messages about routes that could not be read.", routes.Unreadable),
		total("cluster_retained_sent_bytes_total", "Retained messages sent to other nodes, in bytes.", retained.SentEntryBytes.Load()),
		total("cluster_retained_received_bytes_total", "Retained messages from other nodes, in bytes.", retained.ReceivedEntryBytes.Load()),
		total("cluster_retained_rounds_total", "Comparisons of the retained messages with another node's.", retained.Rounds.Load()),
		total("cluster_retained_late_total", "Times that another node was too slow for changes, and is compared with again.", retained.Late.Load()),
		total("cluster_retained_unreadable_total", "Messages about retained messages that could not be read.", retained.Unreadable.Load()),
		total("cluster_sessions_unreadable_total", "Messages of other nodes about sessions that could not be.", n.sessions.Nonsense()),
	}
}

// peerFigures are those of the conversation with one node.
func peerFigures(p *link.Info) []prometheus.Figure {
	figure := func(name, help string, v float64, more ...string) prometheus.Figure {
		return gauge("cluster_peer_"+name, help, v, append([]string{"peer", p.Name}, more...)...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	const messages, size = "Messages that another node has not taken yet, by class.", "Their size, by class."
	return []prometheus.Figure{
		figure("connected", "1 while there is a stream to a node.", is(p.Attached)),
		figure("ready", "1 while all services of both nodes take part.", is(p.Ready)),
		figure("streams", "Streams to a node in this conversation: each but the first is one that broke.", float64(p.Streams)),
		figure("rtt_seconds", "Round trip of the newest heartbeat.", p.RTT.Seconds()),
		figure("silence_seconds", "For how long nothing was known to go both ways.", p.Silence.Seconds()),
		figure("waiting_messages", messages, float64(p.Control), "class", "control"),
		figure("waiting_messages", messages, float64(p.Data), "class", "data"),
		figure("waiting_bytes", size, float64(p.ControlBytes), "class", "control"),
		figure("waiting_bytes", size, float64(p.DataBytes), "class", "data"),
		figure("inbox_bytes", "What has come from a node and waits for this one.", float64(p.Inbox)),
	}
}
