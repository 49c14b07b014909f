package routes

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/store"
	"emqttd/actors/system/ledger"
	"emqttd/actors/topics"
	"emqttd/cluster"
)

// sent is told to a forwarder when the peer has taken a frame.
type sent struct{}

// settled is told to a forwarder when it is known what has become of messages that
// came from the peer.
type settled struct {
	ids []uint64
	err error
}

// silence says whether the peer is suspect.
type silence struct{ yes bool }

// look is sent by a forwarder to itself, later: has anything moved?
type look struct{ taken uint64 }

// mark is handed over behind everything that was told to the forwarder before.
type mark struct {
	kind uint32
	body []byte
}

func (*mark) MailboxClass() kernel.Class { return kernel.Deliver }
func (*mark) IgnoreDeadLetterLogging()   {}

// Behind hands body over to a peer, as cluster.Peer.SendData does, behind all
// messages that were told to it before (topics.Router.Settle).
func (r *Routes) Behind(p cluster.Peer, kind uint32, body []byte) {
	c := r.conversation(p)
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	if pid == nil { // nothing has been told to it yet
		p.SendData(kind, body, nil)
		return
	}
	r.system.Root.Send(pid, &mark{kind, body})
}

func (*sent) MailboxClass() kernel.Class     { return kernel.Ack }
func (*settled) MailboxClass() kernel.Class  { return kernel.Ack }
func (*silence) MailboxClass() kernel.Class  { return kernel.Ack }
func (*look) MailboxClass() kernel.Class     { return kernel.Ack }
func (*accepted) MailboxClass() kernel.Class { return kernel.Ack }
func (*failed) MailboxClass() kernel.Class   { return kernel.Ack }

// These come too late in the ordinary course of things.
func (*sent) IgnoreDeadLetterLogging()     {}
func (*settled) IgnoreDeadLetterLogging()  {}
func (*silence) IgnoreDeadLetterLogging()  {}
func (*look) IgnoreDeadLetterLogging()     {}
func (*accepted) IgnoreDeadLetterLogging() {}
func (*failed) IgnoreDeadLetterLogging()   {}

// outbound is the state of a forwarder. It belongs to the conversation, so that a
// new instance goes on where an old one crashed.
type outbound struct {
	*conversation
	frame  frameWriter
	queue  []waiting // until the peer has taken a frame
	flying int       // frames that it has not taken
	taken  uint64    // frames that it has

	lastID   uint64
	receipts map[uint64]*store.Receipt // parts of them, of messages that the peer has not accepted

	accepts, fails []uint64 // to be told to the peer

	looking bool // look is on its way
	stuck   bool // it has not taken a frame for some time
	hushed  bool // it is suspect
}

// waiting is something for the peer; one of the two.
type waiting struct {
	deliver *topics.Deliver
	mark    *mark
}

func (c *conversation) spec() kernel.ChildSpec {
	return kernel.ChildSpec{
		Name:    c.actor,
		Restart: kernel.Transient,
		Props: kernel.NewProps(func() actor.Actor { return &forwarder{&c.out} },
			kernel.WithMailbox(kernel.MailboxOptions{NotifyEmpty: true, OnLost: c.lost})),
	}
}

// lost accounts for a message that no forwarder will handle.
func (c *conversation) lost(_ kernel.Class, m any) {
	if d, ok := m.(*topics.Deliver); ok {
		c.drop(len(d.Items))
		d.Done()
	}
}

func (c *conversation) drop(n int) {
	if n > 0 {
		c.routes.options.Metrics.Drop("peer_down", uint64(n))
	}
}

// forwarder is the actor behind the subscriber that a peer is.
type forwarder struct{ *outbound }

// Receive implements actor.Actor.
func (f *forwarder) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *topics.Deliver:
		f.take(waiting{deliver: m})
	case *mark:
		f.take(waiting{mark: m})
	case *sent:
		f.flying--
		f.taken++
		f.unstick(false)
		f.work()
	case *settled:
		if m.err == nil {
			f.accepts = append(f.accepts, m.ids...)
		} else {
			f.fails = append(f.fails, m.ids...)
		}
	case *accepted:
		f.resolve(m.IDs, nil)
	case *failed:
		f.resolve(m.IDs, errNotKept)
	case *silence:
		f.hushed = m.yes
		f.sub.SetStalled(f.hushed || f.stuck)
	case *look:
		f.look(m)
	case *kernel.Empty:
		f.flush()
	case *actor.Started:
	case *actor.Stopping:
		f.abandon()
	case *actor.Stopped, *actor.Restarting:
	default:
		c.Logger().Warn("unexpected message", "actor", c.Self().GetId(), "type", fmt.Sprintf("%T", m))
	}
}

var errNotKept = errors.New("another node could not keep the message")

// take takes what one read of a publisher brought for the peer, or a mark.
func (f *outbound) take(w waiting) {
	if len(f.queue) > 0 || f.full() {
		f.queue = append(f.queue, w)
		return
	}
	f.pass(w)
}

func (f *outbound) pass(w waiting) {
	if w.deliver != nil {
		f.encode(w.deliver)
		return
	}
	f.send()
	f.peer.SendData(w.mark.kind, w.mark.body, nil)
}

func (f *outbound) full() bool { return f.flying >= f.routes.options.Frames }

// work encodes what waits, as far as the peer takes it.
func (f *outbound) work() {
	n := 0
	for n < len(f.queue) && !f.full() {
		f.pass(f.queue[n])
		f.queue[n] = waiting{}
		n++
	}
	if f.queue = f.queue[n:]; len(f.queue) == 0 {
		f.queue = nil
	}
}

// encode adds messages to the frame, which goes when it is full. Those that a
// publisher waits for have an id, one in each frame.
func (f *outbound) encode(d *topics.Deliver) {
	id, receipt := uint64(0), d.TakeReceipt()
	now := time.Now().UnixMilli()
	for i := range d.Items {
		if receipt != nil && id == 0 {
			id = f.promise(receipt, i > 0)
		}
		f.frame.add(d, &d.Items[i], id, now, f.routes.self.Incarnation)
		if f.frame.buf.Len() >= fullFrame {
			f.send()
			id = 0
		}
	}
	if receipt != nil && len(d.Items) == 0 {
		receipt.Part()
	}
	d.Done()
}

// promise notes a part of a receipt; further: a part more.
func (f *outbound) promise(r *store.Receipt, further bool) uint64 {
	if further {
		r.Expect()
	}
	f.lastID++
	f.receipts[f.lastID] = r
	return f.lastID
}

// send hands the frame over.
func (f *outbound) send() {
	if f.frame.messages == 0 {
		return
	}
	bodies, messages := f.frame.take()
	f.flying++
	for _, b := range bodies[:len(bodies)-1] {
		f.peer.SendData(kindMessages, b, nil)
	}
	root, pid := f.routes.system.Root, f.pid
	f.peer.SendData(kindMessages, bodies[len(bodies)-1], func(err error) {
		if err != nil {
			f.drop(messages)
			return
		}
		f.routes.options.Metrics.Ledger.End(ledger.Forwarded, messages)
		root.Send(pid, sentMessage)
	})
	if f.full() {
		f.watch()
	}
}

var sentMessage any = &sent{}

// flush ends a turn.
func (f *outbound) flush() {
	if !f.full() {
		f.send()
	}
	for len(f.accepts) > 0 {
		n := min(len(f.accepts), maxIDs)
		f.peer.Send(&accepted{IDs: f.accepts[:n:n]})
		f.accepts = f.accepts[n:]
	}
	for len(f.fails) > 0 {
		n := min(len(f.fails), maxIDs)
		f.peer.Send(&failed{IDs: f.fails[:n:n]})
		f.fails = f.fails[n:]
	}
	f.accepts, f.fails = nil, nil // they are the messages' now
}

// maxIDs are told in one message: at most 40 KB.
const maxIDs = 4096

// resolve does the peer's part of receipts.
func (f *outbound) resolve(ids []uint64, err error) {
	for _, id := range ids {
		r := f.receipts[id]
		if r == nil {
			continue
		}
		delete(f.receipts, id)
		if err != nil {
			r.Fail(err)
		} else {
			r.Part()
		}
	}
}

// watch looks later whether the peer has taken anything.
func (f *outbound) watch() {
	if f.looking || f.stuck {
		return
	}
	f.looking = true
	root, pid, m := f.routes.system.Root, f.pid, &look{f.taken}
	time.AfterFunc(f.routes.options.Stall, func() { root.Send(pid, m) })
}

func (f *outbound) look(m *look) {
	f.looking = false
	if !f.full() {
		return
	}
	if f.taken == m.taken {
		f.unstick(true)
		return
	}
	f.watch()
}

func (f *outbound) unstick(stuck bool) {
	if f.stuck != stuck {
		f.stuck = stuck
		f.sub.SetStalled(f.stuck || f.hushed)
	}
}

// abandon gives up what the peer will not get.
func (f *outbound) abandon() {
	n := f.frame.messages
	for _, w := range f.queue {
		if d := w.deliver; d != nil {
			n += len(d.Items)
			d.Done()
		}
	}
	f.drop(n)
	f.queue = nil
	for id, r := range f.receipts {
		delete(f.receipts, id)
		r.Part()
	}
}
