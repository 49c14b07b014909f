package sessions

import (
	"encoding/binary"
	"sync"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// barriers find out when whatever had been published before a moment, by any
// client of any node that can be seen, has been told to the subscribers of this
// node. Each peer is asked to say so behind all that it has forwarded; at home the
// batches that are open have to be told.
//
//	this node                                   each peer
//	   ── barrier ──────────────────────────────▶ open batches are told …
//	   ◀───── … what it has forwarded … ── passed (data lane)
//
// One barrier is under way at a time; who comes meanwhile shares the next.
type barriers struct {
	mu    sync.Mutex
	token uint64
	now   *round   // nil: none is under way
	next  []func() // wait for the one after it
}

// round is one barrier.
type round struct {
	missing map[string]cluster.Peer // by address
	home    bool                    // batches of this node are open that were before
	then    []func()
}

// barrier calls f when all that was published before now has come in. f must not
// block.
func (rt *Runtime) barrier(f func()) {
	b := &rt.barriers
	b.mu.Lock()
	b.next = append(b.next, f)
	start := b.now == nil
	if start {
		b.begin(rt.peers())
	}
	r, token := b.now, b.token
	b.mu.Unlock()
	if start {
		rt.ask(r, token)
	}
}

// peers are those that may have something for this node.
func (rt *Runtime) peers() []cluster.Peer {
	if rt.Net == nil {
		return nil
	}
	return rt.Net.Peers()
}

// begin makes the next round of those who wait. The caller holds the lock.
func (b *barriers) begin(peers []cluster.Peer) {
	b.token++
	b.now = &round{missing: make(map[string]cluster.Peer, len(peers)), home: true, then: b.next}
	b.next = nil
	for _, p := range peers {
		b.now.missing[p.Member().Address] = p
	}
}

func (rt *Runtime) ask(r *round, token uint64) {
	b := &rt.barriers
	b.mu.Lock()
	peers := make([]cluster.Peer, 0, len(r.missing))
	for _, p := range r.missing {
		peers = append(peers, p)
	}
	b.mu.Unlock()
	for _, p := range peers {
		p.Send(&barrier{Token: token})
	}
	rt.Router.Settle(func() {
		rt.passed(func(now *round, current uint64) {
			if current == token {
				now.home = false
			}
		})
	})
}

// passed strikes something off the round under way, and ends it if that was the
// last.
func (rt *Runtime) passed(strike func(*round, uint64)) {
	b := &rt.barriers
	b.mu.Lock()
	r := b.now
	if r == nil {
		b.mu.Unlock()
		return
	}
	strike(r, b.token)
	if r.home || len(r.missing) > 0 {
		b.mu.Unlock()
		return
	}
	b.now = nil
	if len(b.next) > 0 {
		b.begin(rt.peers())
	}
	next, token := b.now, b.token
	b.mu.Unlock()
	for _, f := range r.then {
		f()
	}
	if next != nil {
		rt.ask(next, token)
	}
}

// onBarrier answers a peer when what was published here has been forwarded.
func (rt *Runtime) onBarrier(p cluster.Peer, m wire.Message) {
	ask, ok := m.(*barrier)
	if !ok {
		rt.garbage(p, m)
		return
	}
	rt.Router.Settle(func() {
		token := binary.BigEndian.AppendUint64(nil, ask.Token)
		if rt.Behind != nil {
			rt.Behind(p, kindPassed, token)
		} else {
			p.SendData(kindPassed, token, nil)
		}
	})
}

// onPassed is the answer of a peer, behind what it has forwarded.
func (rt *Runtime) onPassed(p cluster.Peer, body []byte) {
	if len(body) != 8 {
		rt.garbage(p, body)
		return
	}
	token, from := binary.BigEndian.Uint64(body), p.Member().Address
	rt.passed(func(r *round, current uint64) {
		if token == current && r.missing[from] == p {
			delete(r.missing, from)
		}
	})
}
