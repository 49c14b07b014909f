// Package delivery is the state of one Session towards its Client: what has
// been sent and waits for its acknowledgement, what waits to be sent, and the
// identifiers of QoS 2 messages that came in (MQTT 3.1.1 and 5.0, sections 4.1
// to 4.4 and 4.6). It decides; it does not act: each step appends to an Out
// what is to be sent and what was dropped, and its owner performs that.
//
//	Deliver ──▶ window ──PUBLISH──▶ client
//	   │          ▲  ◀──PUBACK, PUBREC, PUBCOMP──
//	   └▶ queue ──┘
//
// A State belongs to one goroutine at a time. Its zero value is not ready; New
// makes one. It holds no maps, rings or buffers until it needs them, because
// most sessions of a large broker are idle.
package delivery

import (
	"time"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Limits are the settings that all sessions of a node share. They are not
// written to after the first session has been made with them.
type Limits struct {
	// MaxInflight bounds the window; 0 means 65535, all identifiers.
	MaxInflight int
	// RetryInterval is how long a client of MQTT 3.x may take to acknowledge
	// before a message is sent again on the same connection; 0 is never.
	// MQTT 5 forbids it. [MQTT-4.4.0-1]
	RetryInterval time.Duration
	// MaxAwaitingRel bounds the inbound QoS 2 messages that wait for PUBREL;
	// 0 is no bound. When it is reached, identifiers older than AwaitRelTimeout
	// are forgotten; if there are none, the new message is refused.
	MaxAwaitingRel  int
	AwaitRelTimeout time.Duration
	// QueueLength and QueueBytes bound the queue; 0 is no bound. A message
	// counts for its bytes and a fixed overhead (protocol.Message.Size).
	QueueLength int
	QueueBytes  int
	// HighWatermark and LowWatermark are the lengths of the queue above which it
	// is told to be filling up, and below which to be well again; 0 for never.
	HighWatermark, LowWatermark int
	// Priorities by exact topic; nil for a queue without priorities.
	Priorities map[string]int
	// StoreQoS0 keeps QoS 0 messages for an absent client.
	StoreQoS0 bool
	// UpgradeQoS delivers at the higher instead of the lower of the QoS
	// published and the QoS subscribed.
	UpgradeQoS bool
	// IgnoreLoop does not deliver to a client what it published itself.
	IgnoreLoop bool
}

// Grant is what a subscription asked for.
type Grant struct {
	QoS               protocol.QoS
	RetainAsPublished bool
	SubscriptionID    uint32    // 0 for none
	MoreIDs           *[]uint32 // of overlapping subscriptions
	// Sole says that no other subscriber gets the message: a state that is kept
	// has the store keep it with the queue entry instead of apart.
	Sole bool
	// Own says that the client has published the message itself.
	Own bool
	// Group says that a shared subscription picked this client: another member may
	// have the message if this one ends (Out.Orphans).
	Group bool
}

// State is the delivery state of one Session.
type State struct {
	limits   *Limits
	*traffic          // nil until there is any
	journal  *journal // nil unless the state is kept in a store
	dropped  uint64
	enqueued uint64
	quota    int32 // window size of the present connection
	online   bool
	retry    bool // of the present connection: MQTT 3.x
	high     bool // the queue was last told to be filling up
	noted    bool // what is queued is told to who moves the state
}

// traffic is the part of a State that a session needs which gets more than QoS 0
// while its client is there.
type traffic struct {
	window   window
	queue    queue
	replay   []item // retained messages of a SUBSCRIBE that are still to be sent
	awaiting map[protocol.PacketID]int64
	forbid   func(topic.Name) bool // nil: everything that waits may be sent
}

// busy makes the traffic part.
func (s *State) busy() *traffic {
	if s.traffic == nil {
		s.traffic = new(traffic)
	}
	return s.traffic
}

// New is the state of a new session.
func New(l *Limits) State { return State{limits: l} }

// Adopt puts other limits in force, whose Priorities are the same. What is queued
// above them stays until it is sent, or the next message drops it.
func (s *State) Adopt(l *Limits) { s.limits = l }

// keep returns a message that may outlive the read it came with: those of QoS 0
// share the buffer of their read, the others stand by themselves.
func keep(m *protocol.Message) *protocol.Message {
	if m.QoS == protocol.AtMostOnce {
		return m.Clone()
	}
	return m
}

func (s *State) effective(published, granted protocol.QoS) protocol.QoS {
	if s.limits.UpgradeQoS {
		return max(published, granted)
	}
	return min(published, granted)
}

// Deliver takes a message that matched a subscription and sends it, queues it,
// or drops it.
func (s *State) Deliver(out *Out, m *protocol.Message, g Grant, now int64) {
	if m.Expired(now) {
		s.drop(out, Expired, m)
		return
	}
	if s.limits.IgnoreLoop && g.Own {
		s.drop(out, LoopIgnored, m)
		return
	}
	if s.Full() {
		s.expire(out, now)
	}
	it := item{
		msg: m, qos: s.effective(m.QoS, g.QoS), retain: m.Retain && g.RetainAsPublished,
		subID: g.SubscriptionID, more: g.MoreIDs, shared: !g.Sole, group: g.Group,
	}
	if it.qos == protocol.AtMostOnce {
		s.deliverQoS0(out, &it, now)
		return
	}
	t := s.busy()
	if s.online && t.queue.empty() && out.open() && s.roomy() {
		s.launch(out, it, now)
		return
	}
	s.enqueue(out, it)
}

// deliverQoS0 sends a message past those that wait for the window: only
// messages of the same QoS have an order to keep. [MQTT-4.6.0-6]
func (s *State) deliverQoS0(out *Out, it *item, now int64) {
	if s.online && (s.traffic == nil || s.queue.qos0 == 0 && !s.queue.spilled()) && out.open() {
		out.send(it, 0, false, now)
		return
	}
	if !s.online && !s.limits.StoreQoS0 {
		s.drop(out, OfflineQoS0, it.msg)
		return
	}
	s.enqueue(out, *it)
}

// roomy tells whether one more may be in flight; what has to be sent again goes
// first.
func (s *State) roomy() bool { return s.window.live < int(s.quota) && s.window.unsent == 0 }

// launch sends a message of QoS 1 or 2 and enters it into the window.
func (s *State) launch(out *Out, it item, now int64) {
	p := awaitPuback
	if it.qos == protocol.ExactlyOnce {
		p = awaitPubrec
	}
	it.msg = keep(it.msg)
	fresh := s.number(&it)
	if w := &s.window; w.n > 0 && w.n == len(w.ring) && len(out.flights) > w.n {
		w.adopt(out.flights)
		out.flights = nil
	}
	f := s.window.add(it, p, now)
	s.changed()
	if !out.send(&f.item, f.id, false, now) {
		s.finished(out, &f.item, fresh)
		out.leave(s.window.remove(f))
		return
	}
	if fresh {
		s.take(out, &f.item)
	}
}

func (s *State) enqueue(out *Out, it item) {
	it.msg = keep(it.msg)
	s.busy()
	if s.journal != nil {
		s.enqueueKept(out, it)
		s.enqueuedOne(out, it.msg)
		return
	}
	l := s.limits
	size := it.msg.Size()
	for (l.QueueLength > 0 && s.queue.n >= l.QueueLength) ||
		(l.QueueBytes > 0 && s.queue.bytes+size > l.QueueBytes) {
		if s.queue.empty() {
			s.drop(out, QueueFull, it.msg)
			return
		}
		old := s.queue.evict()
		s.drop(out, QueueFull, old.msg)
	}
	s.queue.push(it, l.priority(it.msg.Topic))
	if s.noted {
		s.take(out, &it)
	}
	s.enqueuedOne(out, it.msg)
}

func (s *State) enqueuedOne(out *Out, m *protocol.Message) {
	out.step(m, StepQueued, false)
	s.enqueued++
	l := s.limits
	if l.HighWatermark > 0 && !s.high && s.queue.n > l.HighWatermark {
		s.high, out.Watermark = true, High
	}
}

func (s *State) drop(out *Out, r Reason, m *protocol.Message) {
	out.drop(r, m)
	s.dropped++
}

// Replay takes the retained messages that a new subscription found. They are
// sent as the connection has room for them, and do not count in the queue while
// the client is there: they are shared with the retained store.
// [MQTT-3.3.1-6] [MQTT-3.3.1-8]
func (s *State) Replay(out *Out, ms []*protocol.Message, g Grant, now int64) {
	if len(ms) == 0 {
		return
	}
	s.busy()
	for _, m := range ms {
		it := item{
			msg: m, qos: s.effective(m.QoS, g.QoS), retain: true,
			subID: g.SubscriptionID, more: g.MoreIDs,
		}
		if s.online {
			s.replay = append(s.replay, it)
		} else {
			s.enqueue(out, it)
		}
	}
	s.Fill(out, now)
}

// Fill sends what waits, as far as window and connection have room.
func (s *State) Fill(out *Out, now int64) {
	if !s.online || s.traffic == nil {
		return
	}
	if s.window.unsent > 0 {
		s.resume(out, now)
	}
	for it := s.queue.first(); it != nil && out.open(); it = s.queue.first() {
		if it.qos > protocol.AtMostOnce && !s.roomy() {
			break
		}
		s.changed()
		s.forward(out, s.queue.pop(), now)
	}
	s.room()
	if s.queue.hungry() != nil {
		return // what is loaded goes before what is replayed
	}
	if s.high && s.queue.n < s.limits.LowWatermark {
		s.high, out.Watermark = false, Low
	}
	i := 0
	for ; i < len(s.replay) && out.open(); i++ {
		if s.replay[i].qos > protocol.AtMostOnce && !s.roomy() {
			break
		}
		s.forward(out, s.replay[i], now)
		s.replay[i] = item{}
	}
	if s.replay = s.replay[i:]; len(s.replay) == 0 {
		s.replay = nil
	}
}

func (s *State) forward(out *Out, it item, now int64) {
	switch {
	case it.msg.Expired(now):
		s.finished(out, &it, false)
		s.drop(out, Expired, it.msg)
	case s.forbid != nil && s.forbid(it.msg.Topic):
		s.finished(out, &it, false)
		s.drop(out, Revoked, it.msg)
	case it.qos == protocol.AtMostOnce:
		s.finished(out, &it, false)
		out.send(&it, 0, false, now)
	default:
		s.launch(out, it, now)
	}
}

// Forbid makes the state drop what waits with a topic that f says the client may
// not have any more, instead of sending it; nil ends that. What is in flight goes
// on: the client has it.
func (s *State) Forbid(f func(topic.Name) bool) {
	if f != nil || s.traffic != nil {
		s.busy().forbid = f
	}
}

// Waiting tells whether Fill could send more if the connection had room.
func (s *State) Waiting() bool {
	return s.traffic != nil && (!s.queue.empty() || len(s.replay) > 0 || s.window.unsent > 0)
}
