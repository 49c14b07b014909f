package topics

import (
	"time"

	"emqttd/actors/store"
	"emqttd/protocol"
	"emqttd/protocol/index"
)

// Batch collects what the messages of one read of a publisher's socket mean for
// each receiving subscriber, and tells each of them once. It belongs to one
// goroutine; get it from Router.NewBatch, end it with Release.
type Batch struct {
	router *Router
	stripe uint32
	seq    uint32 // number of the message
	last   int    // the receiver found last
	ids    []uint32
	to     []receiver
	places placeTable
	probe  index.Probe
	// accepted counts the deliveries that the ledger does not know of yet.
	accepted int
	remote   bool   // what it publishes comes from another node
	serial   uint64 // of the last message that was stamped
	left     uint64 // how many numbers are left
	// receipt is the promise of what is in the batch to subscribers that keep
	// messages; nil while there are none.
	receipt *store.Receipt
	// open is held from the first match on until everything has been told.
	open   index.Guard
	opened bool
}

// receiver is a subscriber and what the batch has for it.
type receiver struct {
	sub  *Subscriber
	out  *Deliver
	seq  uint32 // the message whose ordinary delivery is out.Items[item]
	item int32
}

// Publish finds the subscribers of m, which must be complete and is not changed
// any more, and returns the number of deliveries; 0 means that nobody at this
// node wants it. Several ordinary subscriptions of one subscriber become one
// delivery [MQTT-3.3.5-1]; each shared group is a delivery of its own.
func (b *Batch) Publish(m *protocol.Message) (deliveries int) {
	r := b.router
	b.Stamp(m)
	if r.origin != 0 && !b.opened {
		b.begin()
	}
	b.seq++
	guard := r.space.Enter(b.stripe)
	p := &b.probe
	p.Reset(r.space, m.Topic)
	t := r.tables[r.shardOf(p.Hash())]
	if id, ok := t.filters.Exact(p); ok {
		deliveries += b.entry(t, id, m)
	}
	if r.wildcards.Load() > 0 {
		first := r.shardOf(p.FirstLevel())
		if first != 0 {
			deliveries += b.wild(r.tables[0], m)
		}
		deliveries += b.wild(r.tables[first], m)
	}
	guard.Leave()
	b.accepted += deliveries
	if deliveries == 1 {
		d := b.to[b.last].out
		d.Items[len(d.Items)-1].Sole = true
	}
	return deliveries
}

func (b *Batch) wild(t *table, m *protocol.Message) (deliveries int) {
	b.ids = t.filters.Wild(&b.probe, b.ids[:0])
	for _, id := range b.ids {
		deliveries += b.entry(t, id, m)
	}
	return deliveries
}

// entry delivers m to the rows of one matching filter.
func (b *Batch) entry(t *table, id uint32, m *protocol.Message) (deliveries int) {
	word := t.word(id)
	if word == 0 {
		return 0
	}
	if !isSet(word) {
		return b.plain(row(word), m)
	}
	s := t.set(word)
	all := s.plain.all()
	for i := range all {
		if at := row(all[i].Load()); at != 0 {
			deliveries += b.plain(at, m)
		}
	}
	if b.remote {
		return deliveries // the groups' members were picked where it was published
	}
	for _, g := range s.groupList() {
		if far := g.far.Load(); far != nil {
			deliveries += b.spread(g, far, m)
		} else if at, to := g.pick(b, m); to != nil {
			b.add(b.receiver(to), at, m, true)
			deliveries++
		}
	}
	return deliveries
}

// plain delivers m to one ordinary row.
func (b *Batch) plain(at row, m *protocol.Message) (deliveries int) {
	s := b.router.subscriber(at.subscriber())
	if s == nil || at.noLocal() && m.From == s.id && m.From != "" { // [MQTT-3.8.3-3]
		return 0
	}
	if b.remote && (at.local() || s.is(peer)) {
		return 0
	}
	to := b.receiver(s)
	if to.seq == b.seq {
		to.merge(at)
		return 0
	}
	to.seq, to.item = b.seq, int32(len(to.out.Items))
	b.add(to, at, m, false)
	return 1
}

func (b *Batch) add(to *receiver, at row, m *protocol.Message, shared bool) {
	d := to.out.roomy()
	d.Items = append(d.Items, Delivery{
		Message: m, SubscriptionID: at.subscriptionID(), QoS: at.qos(),
		RetainAsPublished: at.retainAsPublished(), Shared: shared,
	})
	d.bytes += int64(m.Size())
	to.out = d
	if d.receipt == nil && m.QoS > protocol.AtMostOnce && at.qos() > protocol.AtMostOnce && to.sub.is(kept) && b.router.awaits(m) {
		if d.receipt = b.Receipt(); d.receipt != nil {
			d.receipt.Expect()
		}
	}
}

// merge adds a further matching subscription to the delivery of this message:
// the highest QoS and all identifiers. [MQTT-3.3.4-2] [MQTT-3.3.4-4]
func (to *receiver) merge(at row) {
	it := &to.out.Items[to.item]
	it.Shared = false
	it.QoS = max(it.QoS, at.qos())
	it.RetainAsPublished = it.RetainAsPublished || at.retainAsPublished()
	switch id := at.subscriptionID(); {
	case id == 0:
	case it.SubscriptionID == 0:
		it.SubscriptionID = id
	default:
		to.out.addID(it, id)
	}
}

// receiver returns what the batch has for s.
func (b *Batch) receiver(s *Subscriber) *receiver {
	if b.last < len(b.to) && b.to[b.last].sub == s {
		return &b.to[b.last]
	}
	i, ok := b.places.find(b.to, s)
	if !ok {
		i = len(b.to)
		b.to = append(b.to, receiver{sub: s, out: newDeliver(s, b.router.bound(s)/2)})
		b.places.added(b.to)
	}
	b.last = i
	return &b.to[i]
}

// Flush tells each receiving subscriber once and empties the batch. With block,
// which is for the goroutines that read sockets, it waits for subscribers that
// have too much pending: that stops the reading, and so the publisher. Without,
// which is for actors, it never waits: such a subscriber does not get what goes
// out with QoS 0, but everything else.
func (b *Batch) Flush(block bool) {
	b.router.options.Ledger.Accept(b.stripe, b.accepted)
	b.accepted = 0
	slow := 0
	for i := range b.to {
		to := &b.to[i]
		if to.sub.pending.Load() > b.router.bound(to.sub) {
			if block {
				b.to[slow] = *to // wait later: the others need not
				slow++
				continue
			}
			b.router.shed(to.out)
		}
		b.router.tell(to.out)
	}
	if slow > 0 {
		b.router.tellSlow(b.to[:slow])
	}
	b.reset()
}

// tell hands d over to its subscriber.
func (r *Router) tell(d *Deliver) {
	if len(d.Items) == 0 || d.to.is(closed) {
		if f := r.options.OnGone; f != nil && len(d.Items) > 0 {
			f(d.to, d.Items)
		}
		d.recycle()
		return
	}
	d.to.pending.Add(d.bytes)
	r.system.Root.Send(d.to.pid, d)
}

// tellSlow waits for each of the receivers before it tells it, all in all not
// longer than MaxWait.
func (r *Router) tellSlow(slow []receiver) {
	limit := time.NewTimer(r.options.MaxWait)
	defer limit.Stop()
	patient := true
	for i := range slow {
		to := &slow[i]
		bound := r.bound(to.sub)
		if patient {
			patient = to.sub.wait(bound, closed|stalled, limit.C)
		}
		if to.sub.is(stalled) {
			r.shed(to.out) // it may be seconds until it is given up
			if patient && len(to.out.Items) > 0 {
				patient = to.sub.wait(bound, closed, limit.C)
			}
		}
		if !patient && to.sub.pending.Load() > bound {
			r.shed(to.out)
		}
		r.tell(to.out)
	}
}

// shed drops from d what would go out with QoS 0.
func (r *Router) shed(d *Deliver) {
	var dropped []Delivery
	kept := d.Items[:0]
	for i := range d.Items {
		if it := d.Items[i]; effective(&it) == protocol.AtMostOnce {
			dropped = append(dropped, it)
			d.bytes -= int64(it.Message.Size())
		} else {
			kept = append(kept, it)
		}
	}
	clear(d.Items[len(kept):])
	d.Items = kept
	r.overflow(d.to, dropped)
}

// Release gives the batch back. What has not been flushed is told without
// waiting.
func (b *Batch) Release() {
	if len(b.to) > 0 {
		b.Flush(false)
	}
	if r := b.Promise(); r != nil {
		r.Part() // nobody waits for it
	}
	b.probe.Reset(b.router.space, "") // keep no topic alive
	b.remote = false
	b.close()
	b.router.batches.Put(b)
}

func (b *Batch) reset() {
	b.places.reset()
	clear(b.to)
	b.to, b.last, b.seq = b.to[:0], 0, 0
	if cap(b.to) > maxKept {
		b.to = nil
	}
	b.close()
}

// maxKept receivers and their places are kept for the next use (100 KB).
const maxKept = 2048
