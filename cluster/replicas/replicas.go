// Package replicas keeps tables the same on all nodes. The last writer wins (package
// lww); a Source has the table, and every node has all of it.
//
//	live      a change ── entries ──▶ every peer
//	meeting   puller ── have: digest ──▶ holder
//	                 ◀── want: buckets ──
//	                 ── marks, marks … ─▶
//	                 ◀── entries … ──────      those that the puller has not
//	                 ◀── end ────────────
//	                 ── thanks ─────────▶
//
// When a conversation begins, each side pulls from the other: what was changed on
// either side of a split, or while a node was away, comes to both, in chunks and
// shard by shard. Where the puller has nothing at all, as on a node that joins, no
// marks are asked for. A node counts as up only when both pulls are done, or have
// taken Options.Ready: then who connects to a node that has just joined finds what
// there is.
//
// Live changes go out at once while the peer keeps up, else together. What waits
// for a peer is bounded: beyond it changes are forgotten, and the peer is told to
// pull again as soon as it takes something (late). So no change is lost to a slow
// peer, and none costs more memory than the bound. Nothing is asked for or sent
// twice because of the order in which messages arrive: an older version never
// replaces a newer one.
//
// Everything goes over the data lane, in order. A marks list takes 8 B for each
// entry in the buckets that differ, on the holder, until the round is over.
package replicas

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/replicas/lww"
)

// Source is a table. The methods return at once and call back later, or call back
// before they return; in any case from any goroutine.
type Source interface {
	Digest(f func(*lww.Digest))
	// Marks calls f once with those of all entries in some buckets.
	Marks(in lww.Set, f func(lww.Marks))
	// Scan calls emit with chunks (lww.AppendEntry) of the entries in some buckets
	// that are not among had, and of those that this node alone may tell. Chunks of
	// 128 KB are a good size; the next one of the same part of the table comes when
	// next was called. done is called when there is no more.
	Scan(in lww.Set, had lww.Marks, emit func(chunk []byte, next func()), done func())
	// Apply takes over what is newer than what is there. The chunk is its own. done
	// is called once, also after an error.
	Apply(from string, chunk []byte, done func()) error
	// Forget takes away what only the node itself may tell: it is down.
	Forget(node string)
}

// Options of a Table. Zero values have the meaning in parentheses.
type Options struct {
	// Kind is the one that frames are sent under.
	Kind uint32
	// Ready bounds how long a node that joins waits for the table (30 s). A pull goes
	// on after that, and begins again if it does not come to its end in this time.
	Ready time.Duration
	// Backlog is how many bytes of live changes wait for one peer at most (4 MB).
	Backlog int
	Log     *slog.Logger // nil is silent
}

// Table is what keeps a Source the same on all nodes.
type Table struct {
	source Source
	o      Options

	mu    sync.Mutex
	peers map[string]*peer        // by name
	live  atomic.Pointer[[]*peer] // the same, for those who must not wait

	Counters
}

// Counters say what a Table has done since its start.
type Counters struct {
	SentEntryBytes     atomic.Uint64
	ReceivedEntryBytes atomic.Uint64
	Rounds             atomic.Uint64 // pulls that came to their end
	Late               atomic.Uint64 // times that a peer was too slow for live changes
	Unreadable         atomic.Uint64 // frames
}

// New makes the Table of a source and adds it to the net, which has not started.
func New(net cluster.Net, source Source, o Options) *Table {
	if o.Ready <= 0 {
		o.Ready = 30 * time.Second
	}
	if o.Backlog <= 0 {
		o.Backlog = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Table{source: source, o: o, peers: map[string]*peer{}}
	t.live.Store(new([]*peer))
	net.HandleData(o.Kind, t.receive)
	net.Add(t)
	return t
}

// Begin implements cluster.Service.
func (t *Table) Begin(to cluster.Peer, ready func()) {
	p := t.meet(to)
	p.mu.Lock()
	p.ready = ready
	p.timer = time.AfterFunc(t.o.Ready, p.overdue)
	p.mu.Unlock()
	p.pull()
}

// meet is the state of a conversation, from the first that is heard of it on.
func (t *Table) meet(to cluster.Peer) *peer {
	name := to.Member().Name
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[name]
	if p != nil && p.to == to {
		return p
	}
	if p != nil {
		p.close()
	}
	p = &peer{table: t, to: to, name: name}
	t.peers[name] = p
	t.changed()
	return p
}

// changed makes the list of peers anew. t.mu is held.
func (t *Table) changed() {
	live := slices.Collect(maps.Values(t.peers))
	t.live.Store(&live)
}

// End implements cluster.Service.
func (t *Table) End(to cluster.Peer) {
	name := to.Member().Name
	t.mu.Lock()
	p := t.peers[name]
	if p == nil || p.to != to {
		t.mu.Unlock()
		return
	}
	delete(t.peers, name)
	t.changed()
	t.mu.Unlock()
	p.close()
	t.source.Forget(name)
}

// Changed tells all peers of a change that this node has made. It implements what
// sources call a replicator, and may be called from any goroutine.
func (t *Table) Changed(key string, v lww.Version, value func([]byte) []byte) {
	live := *t.live.Load()
	if len(live) == 0 {
		return
	}
	entry := lww.AppendEntry(nil, key, v, value)
	for _, p := range live {
		p.tell(entry)
	}
}

// receive handles a frame of a peer.
func (t *Table) receive(from cluster.Peer, body []byte) {
	f, err := decodeFrame(body)
	if err == nil {
		err = t.meet(from).take(&f)
	}
	if err != nil {
		t.Unreadable.Add(1)
		t.o.Log.Warn("a replica cannot be read", "node", from.Member().Name, "error", err)
	}
}
