package link

import (
	"slices"
	"strings"
	"time"

	"emqttd/cluster"
)

// Info is what an operator may know of another node.
type Info struct {
	cluster.Member
	Wire     uint8         // version of messages that both nodes read
	Since    time.Time     // when the conversation began
	RTT      time.Duration // of the newest heartbeat, 0 before the first
	Silence  time.Duration // for how long nothing was known to go both ways
	Attached bool          // there is a stream now
	Streams  int           // how many there have been in this conversation
	Ready    bool          // the services of both sides are
	BytesIn  uint64
	BytesOut uint64
	// What is kept until the other node has taken it.
	Control, ControlBytes int
	Data, DataBytes       int
	// Inbox is data that waits for a handler of this node, in bytes.
	Inbox int
}

// Info describes all conversations, those too that are not up yet, by name. It may be
// called from any goroutine.
func (n *Net) Info() []Info {
	n.mu.Lock()
	peers := make([]*Peer, 0, len(n.peers))
	for _, p := range n.peers {
		peers = append(peers, p)
	}
	n.mu.Unlock()
	out := make([]Info, len(peers))
	for i, p := range peers {
		out[i] = p.info(time.Now())
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (p *Peer) info(now time.Time) Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Info{
		Member: p.Member(), Wire: p.wire, Since: p.begun, RTT: time.Duration(p.rtt.Load()),
		Silence:  now.Sub(earlier(p.heard, p.confirmed)),
		Attached: p.stream != nil, Streams: p.streams, Ready: p.readyHere && p.readyThere,
		BytesIn: p.bytesIn.Load(), BytesOut: p.bytesOut.Load(),
		Control: p.out[0].len(), ControlBytes: p.out[0].bytes,
		Data: p.out[1].len(), DataBytes: p.out[1].bytes, Inbox: p.inboxed,
	}
}

// Known are the nodes that this one dials, and those it has a conversation with: what
// must be remembered to find the cluster again. Names are empty where only the address
// is known.
func (n *Net) Known() []cluster.Candidate { return *n.candidates.Load() }
