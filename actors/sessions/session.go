package sessions

import (
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// link is the connection that a session is attached to.
type link struct {
	pid        *actor.PID
	outbox     Outbox
	line       *Line // nil until something had to be held back
	client     *Client
	will       *Will
	judge      Judge
	aliases    *delivery.Aliases
	generation uint64
}

// session is the actor. It is in one of three behaviours: fresh until its first
// Attach, then online while it has a link and offline while it has none.
type session struct {
	rt      *Runtime
	self    *actor.PID
	shard   *actor.PID
	id      protocol.ClientID
	owner   *string // user name that it belongs to; nil for nobody
	sub     *topics.Subscriber
	link    *link
	out     *delivery.Out // while at work
	keep    *keeping      // nil in durability class memory
	open    *receipts     // nil while there are none
	moves   *moves        // nil while there are none
	talks   *talks        // nil while there are none
	will    *Will         // waits for its delay, or for the client to come back
	subs    subscriptions
	state   delivery.State
	created int64
	expires int64 // Unix milliseconds; 0 while online, and for never
	wake    int64 // earliest wake-up that was asked for; 0 for none
	expiry  int64 // seconds
	sent    uint64
	tokens  uint64
	lastGen uint64
	owed    int32 // messages that the ledger has as pending here
	clean   bool
	ending  bool // it ends because it shall, not by a crash
	first   bool // the link is the one it was made for
	busy    bool // a message is being handled; when it stops: the one that crashed it
}

// Receive implements actor.Actor.
func (s *session) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.self, s.shard = c.Self(), c.Parent()
	case *actor.Stopping:
		s.stop(c)
	case *actor.Stopped:
		s.stopped(c)
	case *Attach:
		s.busy = true
		s.attach(c, m)
		s.busy = false
	case *Restore:
		s.restore(c, m)
	case *invited:
		s.invited(c, m)
	case *registry.Granted:
		s.granted(c, m)
	case *registry.Superseded: // it took us too long
		if r := s.restoring(); r != nil {
			s.claim(c, r)
		}
	default:
		s.busy = true
		s.attached(c)
		s.busy = false
	}
}

// attached handles what comes after the first Attach.
func (s *session) attached(c actor.Context) {
	if s.sub == nil {
		switch m := c.Message().(type) {
		case *kernel.Empty:
		case *InfoQuery:
			c.Send(m.ReplyTo, &InfoResult{}) // it is still to become one
		case *ContentsQuery:
			c.Send(m.ReplyTo, &ContentsResult{})
		default:
			s.rt.Log.Error("session got a message before it was attached", "message", c.Message())
		}
		return
	}
	switch m := c.Message().(type) {
	case *kernel.Empty:
		s.finish()
	case *topics.Deliver:
		s.deliver(m)
	case *Input:
		s.input(m)
	case *Drained:
		if s.current(m.Generation) {
			s.state.Fill(s.work(), unixMilli())
		}
	case *Subscribe:
		s.subscribe(m)
	case *Unsubscribe:
		s.unsubscribe(m)
	case *Change:
		s.change(c, m)
	case *topics.Subscribed:
		s.confirm(m.Token)
	case *topics.Unsubscribed:
		if m.Token == departToken {
			s.gaveUp()
		} else {
			s.confirm(m.Token)
		}
	case *retained.Found:
		s.found(m)
	case *readable:
		s.keep.loading = false
		s.keep.safe = max(s.keep.safe, m.upTo)
		s.work()
		s.pump()
	case *recovered:
		s.goOn(c)
	case *Rejudge:
		if !s.current(m.Generation) {
			return
		}
		if m.Judge != nil {
			s.link.judge = m.Judge
		}
		if s.link.judge != nil {
			s.rejudge(s.link.judge, m.Generation, nil)
		}
	case *judged:
		s.onJudged(c, m)
	case *Detach:
		s.detach(c, m)
	case *Discard:
		s.discard(c, m)
	case *Export:
		s.export(c, m)
	case *Chunk:
		s.onChunk(c, m)
	case *Taken:
		s.onTaken(c.Sender(), m.N, m)
	case *Ready:
		s.onReady(c, m)
	case *cut:
		s.onCut(m)
	case *sealed:
		s.onSealed(m)
	case *Imported:
		s.onImported(c, m)
	case *Forgo:
		s.onForgo(c, m)
	case *calm:
		s.onCalm(m)
	case *final:
		s.onFinal(c, m)
	case *faded:
		s.onFaded(m)
	case *Refused, *TakenOver, *Ended:
		s.onAnswer(c)
	case *parted:
		s.onParted(c, m)
	case *registry.Outlived:
		s.onOutlived(m)
	case *registry.WhereResult:
		s.onWhere(m)
	case *Merge:
		s.onMerge(c, m)
	case *Merged:
		s.onMerged(m)
	case *discardOnWire:
		s.discard(c, m.discard())
	case *evict:
		s.evict(m)
	case *actor.DeadLetterResponse:
		s.unheard(c, m)
	case *kernel.Wake:
		s.onWake(c)
	case *InfoQuery:
		c.Send(m.ReplyTo, s.info(m.Subscriptions))
	case *ContentsQuery:
		c.Send(m.ReplyTo, s.contents(m.Limit))
	default:
		s.rt.Log.Error("session got a message it does not know", "client_id", s.id, "message", m)
	}
}

func (s *session) current(generation uint64) bool {
	return s.link != nil && s.link.generation == generation
}

// work is the Out of this turn.
func (s *session) work() *delivery.Out {
	if s.out == nil {
		s.out = outs.Get().(*delivery.Out)
		if s.link != nil {
			s.out.Version = s.link.client.Version
			s.out.MaxPacket = int(s.link.client.MaxPacket)
			s.out.Mount = s.link.client.Mount
			s.out.Aliases = s.link.aliases
			s.out.Room = s.link.room()
			s.out.Watch = s.rt.Hooks.Used(hooks.MessageDelivered) || s.rt.Hooks.Used(hooks.MessageAcked)
		}
	}
	return s.out
}

// flush lets the packets of this turn go and reports what was counted. What
// stayed behind because the connection had no more room follows at once if it
// has room now; if it has not, it will say so (Drained).
func (s *session) flush() {
	out := s.out
	for {
		s.load()
		s.count(out)
		s.tellMessages(out)
		sent := len(out.Packets) > 0 && s.link != nil
		s.settle(out)
		out.Reset()
		if !sent || out.Room <= 0 || !s.state.Waiting() || s.keep != nil && s.keep.loading {
			return
		}
		s.state.Fill(out, unixMilli())
	}
}

// flushLarge keeps a long turn from piling up packets.
func (s *session) flushLarge() {
	if s.out != nil && len(s.out.Packets) >= flushAt {
		s.flush()
	}
}

// finish ends a turn: the mailbox is empty.
func (s *session) finish() {
	if s.out == nil {
		return
	}
	s.flush()
	s.balance()
	s.out.Aliases = nil
	outs.Put(s.out)
	s.out = nil
}

func (s *session) count(out *delivery.Out) {
	m := s.rt.Metrics
	n := uint64(out.Sent[0] + out.Sent[1] + out.Sent[2])
	if n > 0 {
		s.sent += n
		m.Add(metrics.PacketsPublishSent, n)
		m.Add(metrics.MessagesSent, n)
		m.Add(metrics.MessagesQoS0Sent, uint64(out.Sent[0]))
		m.Add(metrics.MessagesQoS1Sent, uint64(out.Sent[1]))
		m.Add(metrics.MessagesQoS2Sent, uint64(out.Sent[2]))
	}
	if out.Pubrels > 0 {
		n += uint64(out.Pubrels)
		m.Add(metrics.PacketsPubrelSent, uint64(out.Pubrels))
	}
	m.Add(metrics.PacketsSent, n)
	switch out.Watermark {
	case delivery.High:
		i := s.state.Info()
		s.rt.Alarm(alarm.Alarm{
			ID: "queue_high_watermark." + s.id, Severity: "warning",
			Title:   "session " + s.id + " has a queue over the high watermark",
			Summary: fmt.Sprintf("queue length %d, high watermark %d", i.Queued, s.rt.limits().HighWatermark),
		})
	case delivery.Low:
		s.rt.Alarm(alarm.Alarm{ID: "queue_high_watermark." + s.id, Cleared: true})
	}
	s.account(out)
}

// deliver takes the messages of one read of a publisher's socket.
func (s *session) deliver(d *topics.Deliver) {
	if a := s.arriving(); a != nil && !a.complete { // what comes later is in its place
		s.holdBack(a, d)
		return
	}
	out, now := s.work(), unixMilli()
	s.owed += int32(len(d.Items))
	for i := range d.Items {
		it := &d.Items[i]
		if s.isEcho(it.Message) {
			s.echo()
			continue
		}
		s.state.Deliver(out, it.Message, s.grant(it, d.Receipt()), now)
		s.enter(d.Receipt())
		if len(out.Packets) >= flushAt {
			s.flush()
		}
	}
	d.Done()
	s.arm(now)
}

// grant is what the subscriptions of a delivery ask for.
func (s *session) grant(it *topics.Delivery, r *store.Receipt) delivery.Grant {
	g := delivery.Grant{
		QoS: it.QoS, RetainAsPublished: it.RetainAsPublished, SubscriptionID: it.SubscriptionID,
		Sole: it.Sole || r == nil, Own: it.Message.From == s.id,
		Group: it.Shared,
	}
	if len(it.MoreIDs) > 0 {
		more := slices.Clone(it.MoreIDs) // they are the batch's
		g.MoreIDs = &more
	}
	return g
}

// found takes a chunk of retained messages for a new subscription.
func (s *session) found(m *retained.Found) {
	i := s.subs.find(s.replayOf(m))
	if i < 0 {
		return // unsubscribed meanwhile
	}
	o := s.subs.list[i].options
	s.accept(len(m.Messages))
	s.state.Replay(s.work(), m.Messages, delivery.Grant{QoS: o.QoS, SubscriptionID: o.ID}, unixMilli())
	s.flushLarge()
}

func (s *session) onWake(c actor.Context) {
	s.wake = 0
	now := unixMilli()
	if s.overdue(c, now) {
		return
	}
	if s.expires != 0 && now >= s.expires {
		s.rt.Log.Info("session expired", "client_id", s.id)
		s.end(c)
		return
	}
	if s.will != nil && now >= s.will.due {
		s.publishWill(s.will)
		s.will = nil
		s.putSession()
	}
	s.state.Retry(s.work(), now)
	s.arm(now)
}

// arm asks the shard's timing wheel for the next wake-up, unless an earlier one
// is on its way.
func (s *session) arm(now int64) {
	at := s.expires
	if s.will != nil && (at == 0 || s.will.due < at) {
		at = s.will.due
	}
	if s.link != nil {
		// One that is closer than a whole interval is soon enough; a farther one
		// is left from when the client was away.
		if s.wake != 0 && s.wake <= now+s.rt.limits().RetryInterval.Milliseconds() {
			return
		}
		at = s.state.NextRetry(now)
	}
	if at == 0 || (s.wake != 0 && s.wake <= at) {
		return
	}
	s.wake = at
	s.rt.System.Root.Send(s.shard, wakeAt(s.self, at))
}

func (s *session) info(filters bool) *InfoResult {
	r := &InfoResult{
		ID: s.id, PID: s.self, Clean: s.clean, CreatedAt: s.created,
		Delivered: s.sent, Enqueued: s.state.Enqueued(), Subscriptions: s.subs.len(), Delivery: s.state.Info(),
	}
	if s.link != nil {
		r.Client, r.Conn = s.link.client, s.link.pid
	}
	if filters {
		r.Oldest = s.state.Oldest()
		for _, x := range s.subs.list {
			r.Filters = append(r.Filters, SubscriptionInfo{Text: x.text, Options: x.options})
		}
	}
	return r
}

// end stops the session in good order.
func (s *session) end(c actor.Context) {
	s.ending = true
	c.Stop(s.self)
}

// stop gives up everything the session has in others' tables. It also runs after
// a crash, when the state may be wrong but what it holds must not leak.
func (s *session) stop(actor.Context) {
	if s.sub == nil {
		return
	}
	unborn := s.arriving() != nil
	s.drop()
	if s.keep != nil && !s.ending && !unborn {
		s.rest()
		return
	}
	if s.moves != nil && (s.moves.moved || unborn) {
		s.vanish()
		return
	}
	if x := s.leaving(); x != nil {
		s.rt.travellers.remove(s.self)
	}
	reason := delivery.SessionEnded
	if !s.ending {
		reason = delivery.SessionCrash
		s.sub.SetCrashed()
	}
	if l := s.link; l != nil {
		s.link = nil
		s.census().online.Add(-1)
		s.publishWill(l.will)
		s.rt.System.Root.Send(l.pid, &Down{Generation: l.generation})
	}
	s.publishWill(s.will) // the session ends: it waits no longer [MQTT-3.1.2-8]
	s.will = nil
	out := s.work()
	if !s.busy {
		s.count(out)
	}
	out.Reset()
	s.state.Abandon(out, reason)
	if s.busy { // then the ledger knows better what is lost
		out.Dropped[reason], out.Orphans = int(s.owed), nil
	}
	orphans := s.disown(out)
	s.finish()
	s.leave()
	s.passOn(orphans)
	s.rt.Metrics.Gauge(metrics.Sessions, -1)
	s.uncount()
	s.tellTerminated(reason.String())
}

// vanish stops a session that goes on elsewhere, or has never begun here.
func (s *session) vanish() {
	s.will = nil
	if x := s.leaving(); x != nil {
		s.rt.travellers.remove(s.self)
		s.rt.Metrics.Drop(mergedReason, uint64(x.dropped))
		s.owed -= int32(x.dropped)
	}
	s.finish()
	out := s.work()
	s.state.Abandon(out, delivery.SessionEnded)
	out.Reset()
	s.handOver()
	s.finish()
	s.leave()
	s.rt.Metrics.Gauge(metrics.Sessions, -1)
	s.uncount()
}

// rest stops a session that stays in the store: the node stops, or it crashed.
// Its will, if its client is still there, is the restored session's to publish.
func (s *session) rest() {
	if l := s.link; l != nil {
		s.unlink()
		s.rt.System.Root.Send(l.pid, &Down{Generation: l.generation})
	}
	s.handOver()
	s.rt.Metrics.Gauge(metrics.Sessions, -1)
	s.uncount()
	if s.rt.Closing.Load() {
		s.out = nil
		s.rt.Router.Unregister(s.sub)
		return
	}
	s.sub.SetCrashed()
	s.rt.Router.SetFull(s.sub, true)
}

// leave takes the subscriptions out of the topic shards. After a panic the
// session's own list is not trusted: the shards look for what is left, which is
// slow, so it is not done for a session that was only told to stop.
func (s *session) leave() {
	for _, f := range s.filters() {
		s.rt.Router.Unsubscribe(&topics.Unsubscribe{Subscriber: s.sub, Subscription: f})
	}
	if s.busy {
		s.rt.Router.Forget(s.sub)
	} else {
		s.rt.Router.Unregister(s.sub)
	}
}

// stopped runs when the actor's name is free: only now may another session take
// its place.
func (s *session) stopped(c actor.Context) {
	if s.id == "" {
		return
	}
	if s.keep == nil {
		s.release()
		return
	}
	if s.ending || s.arriving() != nil {
		id := s.keep.id
		s.afterWills(func() { s.rt.Disk.End(id, s.buried) })
	} else if !s.rt.Closing.Load() {
		s.rescue()
	}
}

// buried is that the session is gone from the store, too. If it cannot be, it
// will be back after the next start: until then nobody is to be told that it has
// ended, so that its client is refused.
func (s *session) buried(err error) {
	if err != nil {
		s.rt.orphans.add(&orphan{name: s.id})
	}
	s.release()
}

// release gives up the client identifier.
func (s *session) release() {
	root := s.rt.System.Root
	root.Send(s.rt.Registry.Slot(s.id), &registry.Release{ClientID: s.id, Session: s.self})
	if s.moves != nil && s.moves.replyTo != nil {
		root.Send(s.moves.replyTo, &Ended{ClientID: s.id})
	}
}
