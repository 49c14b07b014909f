package topics

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

// Neighbour is a node that is told what this one wants: all of it once, then each
// change. Its methods are called by the shards, each on its own goroutine, and do
// not block.
type Neighbour interface {
	// Tell has changes applied by the neighbour, behind those that this shard has
	// told it before. Router.Heard says when it has.
	Tell(Tale)
	// Synced says that it knows everything that the shard had to tell at first.
	Synced(shard int)
}

// Tale is what a shard tells a neighbour. Its changes are not changed any more.
type Tale struct {
	Shard   int
	Number  uint64 // counted by shard and neighbour, from 1
	Changes []Change
	First   bool // the telling of everything begins here
	// Digest, if Whole, is that of everything the shard wants after these changes.
	Digest Digest
	Whole  bool
}

// Cluster says that there are other nodes: name is this one's, origin its
// incarnation. Call it before the shards of Spec start and anything is published.
func (r *Router) Cluster(name string, origin uint64) {
	r.node, r.origin = name, origin
	for _, t := range r.tables {
		t.out = new(exports)
	}
}

// Shards is the number of shards, each of which tells for itself.
func (r *Router) Shards() int { return len(r.tables) }

// Meet has all shards tell n what this node wants, from now on until Leave.
func (r *Router) Meet(n Neighbour) { r.toShards(&meet{n}) }

// Leave ends that, and all waiting for n.
func (r *Router) Leave(n Neighbour) { r.toShards(&leave{n}) }

// Mind says whether Subscribed is to wait for n. It does at first, once n is
// synced.
func (r *Router) Mind(n Neighbour, yes bool) { r.toShards(&mind{n, yes}) }

// Audit has all shards tell n the digest of what they want.
func (r *Router) Audit(n Neighbour) { r.toShards(&audit{n}) }

// Repeat has all shards tell n everything again.
func (r *Router) Repeat(n Neighbour) { r.toShards(&repeat{n}) }

// Heard says that n has applied everything up to a Tale of a shard.
func (r *Router) Heard(n Neighbour, shard int, number uint64) {
	if shard >= 0 && shard < len(r.tables) {
		r.system.Root.Send(r.tables[shard].pid.Load(), &heard{n, number})
	}
}

func (r *Router) toShards(m any) {
	for _, t := range r.tables {
		r.system.Root.Send(t.pid.Load(), m)
	}
}

type (
	meet struct{ who Neighbour }
	// goOn is told by a shard to itself: there is more to tell.
	goOn  struct{ who Neighbour }
	leave struct{ who Neighbour }
	mind  struct {
		who Neighbour
		yes bool
	}
	heard struct {
		who    Neighbour
		number uint64
	}
	audit  struct{ who Neighbour }
	repeat struct{ who Neighbour }
)

// What concerns neighbours waits for the changes of subscriptions before it.
func (*meet) MailboxClass() kernel.Class   { return kernel.Subscribe }
func (*goOn) MailboxClass() kernel.Class   { return kernel.Subscribe }
func (*leave) MailboxClass() kernel.Class  { return kernel.Subscribe }
func (*mind) MailboxClass() kernel.Class   { return kernel.Subscribe }
func (*audit) MailboxClass() kernel.Class  { return kernel.Subscribe }
func (*repeat) MailboxClass() kernel.Class { return kernel.Subscribe }

// Acknowledgements overtake: sessions wait for them.
func (*heard) MailboxClass() kernel.Class { return kernel.Ack }

// neighbour is what a shard knows of a node that it tells.
type neighbour struct {
	who    Neighbour
	number uint64 // of the last tale
	sent   []mark // tales that it has not applied yet
	heard  uint64 // changes that it has applied
	minded bool
	synced bool
	next   uint32 // what is to be told of the table goes on at this filter; 0: all has been
	idle   bool   // so much is on its way that the telling waits
}

// mark is a tale that is on its way.
type mark struct {
	number, seq uint64
	first, last bool // of the telling of everything
}

// answer is a Subscribed that waits until the neighbours have applied the changes
// up to seq.
type answer struct {
	to  *actor.PID
	msg *Subscribed
	seq uint64
}

const (
	// tellLen changes are told without waiting for the mailbox to be empty.
	tellLen = 512
	// A chunk of what is told at first has at most chunkLen routes and, but for one
	// filter, chunkBytes of text, and looks at no more than sweepLen filters.
	chunkLen   = 2048
	chunkBytes = 64 << 10
	// chunksAhead of them are on their way: a megabyte for each shard.
	chunksAhead = 16
)

func (x *exports) find(who Neighbour) *neighbour {
	for _, n := range x.neighbours {
		if n.who == who {
			return n
		}
	}
	return nil
}

// flush tells the neighbours what has changed.
func (t *table) flush() {
	x := t.out
	x.handled = 0
	x.collect()
	if len(x.log) == 0 {
		return
	}
	if len(x.neighbours) == 0 {
		x.log = x.log[:0]
		return
	}
	for _, n := range x.neighbours {
		n.tell(t, x.log, mark{seq: x.seq})
	}
	x.log = nil
	t.release()
}

func (n *neighbour) tell(t *table, changes []Change, m mark) {
	n.number++
	m.number = n.number
	n.sent = append(n.sent, m)
	tale := Tale{Shard: t.number, Number: n.number, Changes: changes, First: m.first, Whole: m.last}
	if m.last {
		tale.Digest = t.out.digest
	}
	n.who.Tell(tale)
}

func (t *table) meet(c actor.Context, who Neighbour) {
	x := t.out
	t.flush() // what is in the log is in the table, too
	n := &neighbour{who: who, minded: true, next: 1}
	x.neighbours = append(x.neighbours, n)
	t.goOn(c, n)
}

func (t *table) leave(who Neighbour) {
	x := t.out
	x.neighbours = slices.DeleteFunc(x.neighbours, func(n *neighbour) bool { return n.who == who })
	t.release()
}

// goOn tells a chunk of the table. What changes meanwhile is told as well: a
// change may come twice, or before the chunk that has it already, which makes no
// difference, for each says what is, and they are told in order.
func (t *table) goOn(c actor.Context, n *neighbour) {
	if n.next == 0 {
		return
	}
	if n.idle = len(n.sent) >= chunksAhead; n.idle {
		return
	}
	t.flush()
	first := n.next == 1
	changes, next := t.chunk(n.next)
	n.next = next
	if next != 0 {
		if len(changes) > 0 || first {
			n.tell(t, changes, mark{seq: n.heard, first: first})
		}
		c.Send(c.Self(), &goOn{n.who})
		return
	}
	n.tell(t, changes, mark{seq: t.out.seq, first: first, last: true})
}

// chunk collects what this node wants, from one filter on. next is where to go on,
// 0 at the end.
func (t *table) chunk(from uint32) (changes []Change, next uint32) {
	bytes := 0
	for id := from; id < t.entries.Len(); id++ {
		if id-from >= sweepLen || len(changes) >= chunkLen || bytes >= chunkBytes {
			return changes, id
		}
		if t.standing(id).wanted {
			f := t.filters.Filter(id)
			changes = append(changes, Change{Filter: f})
			bytes += len(f)
		}
		word := t.entries.At(id).Load()
		if word == 0 || !isSet(word) {
			continue
		}
		for _, g := range t.set(word).groupList() {
			if g.told.has {
				changes = append(changes, Change{Filter: g.filter, Group: g.name, Weight: g.told.weight})
				bytes += len(g.filter) + len(g.name)
			}
		}
	}
	return changes, 0
}

// heard takes note of what a neighbour has applied.
func (t *table) heard(c actor.Context, n *neighbour, number uint64) {
	i, synced := 0, false
	for i < len(n.sent) && n.sent[i].number <= number {
		n.heard = max(n.heard, n.sent[i].seq)
		synced = synced || n.sent[i].last
		i++
	}
	n.sent = slices.Delete(n.sent, 0, i)
	if synced && !n.synced {
		n.synced = true
		n.who.Synced(t.number)
	}
	t.release()
	if n.idle {
		t.goOn(c, n)
	}
}

// fence sends an answer to a subscriber when all neighbours know what is in the
// table now.
func (t *table) fence(c actor.Context, to *actor.PID, msg *Subscribed) {
	x := t.out
	if x == nil || len(x.neighbours) == 0 {
		c.Send(to, msg)
		return
	}
	x.collect()
	if x.seq <= x.floor() {
		c.Send(to, msg)
		return
	}
	x.waiting = append(x.waiting, answer{to, msg, x.seq})
}

// floor is the number of changes that all neighbours have applied which are to be
// waited for.
func (x *exports) floor() uint64 {
	floor := x.seq
	for _, n := range x.neighbours {
		if n.synced && n.minded {
			floor = min(floor, n.heard)
		}
	}
	return floor
}

// release sends the answers that need not wait any more.
func (t *table) release() {
	x := t.out
	if len(x.waiting) == 0 {
		return
	}
	floor, i := x.floor(), 0
	for i < len(x.waiting) && x.waiting[i].seq <= floor {
		t.router.system.Root.Send(x.waiting[i].to, x.waiting[i].msg)
		i++
	}
	x.waiting = slices.Delete(x.waiting, 0, i)
}

// audit tells a neighbour that knows everything what it should have.
func (t *table) audit(n *neighbour) {
	if n.synced && n.next == 0 {
		t.flush()
		n.tell(t, nil, mark{seq: t.out.seq, last: true})
	}
}

func (t *table) repeat(c actor.Context, n *neighbour) {
	if n.synced && n.next == 0 {
		n.next = 1
		t.goOn(c, n)
	}
}
