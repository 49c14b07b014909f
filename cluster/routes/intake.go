package routes

import (
	"sync"
	"time"

	"emqttd/actors/store"
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/protocol"
)

// intake is the receiving end of the data lane. It belongs to the lane's
// goroutine.
type intake struct {
	reader frameReader
	parts  []byte         // of a frame that is not complete
	last   *store.Receipt // of the frame before

	mu   sync.Mutex
	held map[*topics.Subscriber][]uint64 // messages for subscribers that are full
}

// publishLen messages are told to their receivers together.
const publishLen = 256

// onMessages publishes what a peer forwards, in its order. It blocks while
// receivers are slow, which stops the peer.
func (r *Routes) onMessages(p cluster.Peer, body []byte) {
	c := r.conversation(p)
	in := &c.in
	content, parts, err := join(in.parts, body)
	in.parts = parts
	if err != nil {
		r.unread(p, "messages", err)
		return
	}
	if content == nil {
		return
	}
	in.reader.reset(content, time.Now().UnixMilli(), p.Member().Incarnation)
	f := frame{c: c, batch: r.router.NewRemoteBatch()}
	var m incoming
	for n := 1; in.reader.more(); n++ {
		if err := in.reader.next(&m); err != nil {
			r.unread(p, "messages", err)
			break
		}
		f.publish(&m)
		if n%publishLen == 0 {
			f.batch.Flush(true)
		}
	}
	f.batch.Flush(true)
	f.settle()
}

// frame is the work on one frame.
type frame struct {
	c     *conversation
	batch *topics.Batch
	ids   []uint64 // of what it has, in its order
	held  map[uint64]*topics.Subscriber
}

func (f *frame) publish(m *incoming) {
	router := f.c.routes.router
	if m.id != 0 {
		if n := len(f.ids); n == 0 || f.ids[n-1] != m.id {
			f.ids = append(f.ids, m.id)
		}
		if m.QoS > protocol.AtMostOnce && router.Holding() {
			if full := f.batch.Held(m.Message); full != nil {
				if f.held == nil {
					f.held = make(map[uint64]*topics.Subscriber)
				}
				f.held[m.id] = full
			}
		}
	}
	if !m.onlyThem {
		f.batch.Publish(m.Message)
	}
	for _, s := range m.shares {
		if !f.batch.PublishShare(m.Message, s) {
			f.c.routes.options.Metrics.DropUnmatched("no_subscriber", 1)
		}
	}
}

// settle has the peer told when the messages of the frame are safe.
func (f *frame) settle() {
	c := f.c
	r := f.batch.Promise()
	f.batch.Release()
	if len(f.ids) == 0 {
		if r != nil {
			r.Part()
		}
		return
	}
	if r == nil {
		c.settled(f.ids, f.held, nil)
		return
	}
	if c.in.last != nil {
		c.in.last.Before(r) // no later message is safe before an earlier one
	}
	c.in.last = r
	r.After(func(err error) { c.settled(f.ids, f.held, err) })
	r.Part()
}

// settled takes note of what has become of messages. They are not accepted while
// somebody who keeps them is full: that stops their publishers.
func (c *conversation) settled(ids []uint64, held map[uint64]*topics.Subscriber, err error) {
	if err != nil {
		c.routes.log.Error("messages of a peer are not safe; their publishers are told", "node", c.name, "error", err)
	}
	if err != nil || len(held) == 0 {
		c.tell(&settled{ids, err})
		return
	}
	free := make([]uint64, 0, len(ids))
	for _, id := range ids {
		if s := held[id]; s != nil {
			c.withhold(s, id)
		} else {
			free = append(free, id)
		}
	}
	if len(free) > 0 {
		c.tell(&settled{free, nil})
	}
}

// withhold accepts a message when a subscriber has room, or has ended.
func (c *conversation) withhold(s *topics.Subscriber, id uint64) {
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.held == nil {
		in.held = make(map[*topics.Subscriber][]uint64)
	}
	ids, waited := in.held[s]
	in.held[s] = append(ids, id)
	if !waited {
		go c.await(s)
	}
}

func (c *conversation) await(s *topics.Subscriber) {
	room := c.routes.router.AwaitRoom(s, c.stop)
	in := &c.in
	in.mu.Lock()
	ids := in.held[s]
	delete(in.held, s)
	in.mu.Unlock()
	if room {
		c.tell(&settled{ids, nil})
	}
}
