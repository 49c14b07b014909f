package topics

import (
	"sync"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/protocol"
)

// Delivery is one message for one subscriber. The message is shared with all
// other receivers: read only.
type Delivery struct {
	Message *protocol.Message
	// MoreIDs are the further Subscription Identifiers when several
	// subscriptions matched. Valid until Deliver.Done.
	MoreIDs []uint32
	// SubscriptionID is the first Subscription Identifier; 0 is none.
	SubscriptionID uint32
	// QoS is the granted maximum of the subscription, the highest one if
	// several matched. The message goes out with the lower of this and its own.
	QoS protocol.QoS
	// RetainAsPublished asks to keep the RETAIN flag. [MQTT-3.3.1-13]
	RetainAsPublished bool
	// Shared says that a shared subscription picked this subscriber. For a peer:
	// that nothing but shared subscriptions did (Deliver.Shares).
	Shared bool
	// Sole says that nobody else at this node gets the message.
	Sole bool
}

// Deliver carries all messages of one read of a publisher's socket to one
// subscriber, in the order of publishing. Who receives it calls Done when it
// has taken the items; so does who drops it. Each item is pending in the ledger
// until the receiver says how it has ended.
type Deliver struct {
	Items []Delivery

	to *Subscriber
	// receipt is the publisher's, of which this is a part; nil if it does not
	// wait for the subscriber.
	receipt *store.Receipt
	bytes   int64
	low     int64    // pending bytes at which publishers go on
	ids     []uint32 // what MoreIDs point into
	shares  []Share  // for a peer
	few     [fewItems]Delivery
}

const (
	// fewItems fit into a Deliver itself: a message to many subscribers needs
	// one Deliver each, with one item.
	fewItems = 2
	// manyItems is the least capacity of the others; keptItems the largest
	// that is kept for use again (20 KB).
	manyItems = 64
	keptItems = 512
)

var (
	fewPool  = sync.Pool{New: func() any { return new(Deliver) }}
	manyPool = sync.Pool{New: func() any { return &Deliver{Items: make([]Delivery, 0, manyItems)} }}
)

// newDeliver takes an empty Deliver from the pool of those with few items.
func newDeliver(to *Subscriber, low int64) *Deliver {
	d := fewPool.Get().(*Deliver)
	d.Items = d.few[:0]
	d.to, d.low = to, low
	return d
}

// roomy returns d, or a Deliver with the same content and room for more.
func (d *Deliver) roomy() *Deliver {
	if len(d.Items) < cap(d.Items) || cap(d.Items) > fewItems {
		return d // append does the rest
	}
	m := manyPool.Get().(*Deliver)
	m.Items = append(m.Items[:0], d.Items...)
	m.to, m.low, m.bytes = d.to, d.low, d.bytes
	m.ids, d.ids = d.ids, nil
	m.shares, d.shares = d.shares, nil
	m.receipt, d.receipt = d.receipt, nil
	d.recycle()
	return m
}

// addID notes a further Subscription Identifier of the newest item which has
// any: its ids are the last ones in d.ids.
func (d *Deliver) addID(it *Delivery, id uint32) {
	start := len(d.ids) - len(it.MoreIDs)
	d.ids = append(d.ids, id)
	it.MoreIDs = d.ids[start:len(d.ids):len(d.ids)]
}

// Subscriber is who the items are for.
func (d *Deliver) Subscriber() *Subscriber { return d.to }

// Receipt is what the publisher waits for: the subscriber enters the items there
// that it keeps, before Done. nil if there is nothing to wait for.
func (d *Deliver) Receipt() *store.Receipt { return d.receipt }

// TakeReceipt is Receipt for a subscriber that does its part later than Done: who
// calls it owes the receipt a Part or a Fail.
func (d *Deliver) TakeReceipt() *store.Receipt {
	r := d.receipt
	d.receipt = nil
	return r
}

// Fail says that nobody has taken the items, nor will: the publisher is not to
// acknowledge them. A node that has gone is no reason not to. It stands for Done.
func (d *Deliver) Fail(err error) {
	if r := d.receipt; r != nil && !d.to.is(peer) {
		d.receipt = nil
		r.Fail(err)
	}
	d.Done()
}

// Done says that all items have been taken: it lowers the subscriber's pending
// bytes, lets waiting publishers go on, and takes d and its items back. The
// messages themselves stay. Call it once.
func (d *Deliver) Done() {
	to, bytes, low := d.to, d.bytes, d.low
	d.recycle()
	to.took(bytes, low)
}

func (d *Deliver) recycle() {
	if r := d.receipt; r != nil {
		d.receipt = nil
		r.Part()
	}
	clear(d.Items)
	d.to, d.bytes = nil, 0
	d.ids = d.ids[:0]
	if cap(d.ids) > keptItems {
		d.ids = nil
	}
	d.shares = nil
	switch {
	case cap(d.Items) <= fewItems:
		d.Items = nil
		fewPool.Put(d)
	case cap(d.Items) <= keptItems:
		d.Items = d.Items[:0]
		manyPool.Put(d)
	}
}

// MailboxClass makes application messages wait for everything else.
func (*Deliver) MailboxClass() kernel.Class { return kernel.Deliver }

// MailboxSize is the size of the messages, each as protocol.Message.Size has it.
func (d *Deliver) MailboxSize() int { return int(d.bytes) }
