package delivery

import (
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// Attach says that the client is there: quota is its Receive Maximum, 0 for
// none given. Unacknowledged messages are sent again in their order, PUBLISH
// with DUP, PUBREL where PUBREC had come; then what waits. [MQTT-4.4.0-1]
func (s *State) Attach(out *Out, quota int, now int64) {
	s.online = true
	s.retry = out.Version != mqtt.V5
	s.quota = int32(s.limits.MaxInflight)
	if s.quota == 0 {
		s.quota = 65535
	}
	if quota > 0 {
		s.quota = min(s.quota, int32(quota))
	}
	if s.traffic == nil {
		return
	}
	for i := range s.window.n {
		if f := s.window.at(i); f.phase != acked && f.sent != 0 {
			f.sent = 0
			s.window.unsent++
		}
	}
	s.Fill(out, now)
}

// resume sends again, in their order, what was in flight when the last
// connection ended, as far as the client's Receive Maximum allows.
// [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.4-9]
func (s *State) resume(out *Out, now int64) {
	w := &s.window
	for i := 0; i < w.n && w.unsent > 0 && out.open(); i++ {
		f := w.at(i)
		if f.phase == acked || f.sent != 0 {
			continue
		}
		if f.phase != awaitPubcomp && w.live-w.unsent >= int(s.quota) {
			break
		}
		w.unsent--
		if !s.resend(out, f, now) {
			s.finished(out, &f.item, false)
			w.clear(f) // this client takes no packet of that size
			s.changed()
		}
	}
	out.leave(w.trim())
}

func (s *State) resend(out *Out, f *flight, now int64) bool {
	f.sent = now
	if f.phase == awaitPubcomp {
		out.pubrel(f.id)
		return true
	}
	return out.send(&f.item, f.id, true, now)
}

// Detach says that the client is away. What a SUBSCRIBE still had to replay
// goes into the queue, under its bounds.
func (s *State) Detach(out *Out) {
	s.online = false
	if s.traffic == nil {
		return
	}
	replay := s.replay
	s.replay = nil
	for _, it := range replay {
		s.enqueue(out, it)
	}
	if s.journal != nil {
		s.queue.trim(keepOffline)
	}
}

// Acked handles PUBACK, PUBREC or PUBCOMP. It returns false if no flight waits
// for it: the caller counts it as missed. A PUBREC for an unknown identifier is
// answered with PUBREL all the same, so that a client which missed our PUBCOMP
// can end its side. An rc of 0x80 or above ends the flight. [MQTT-4.3.3-4]
func (s *State) Acked(out *Out, t mqtt.PacketType, id protocol.PacketID, rc protocol.ReasonCode, now int64) bool {
	f := s.busy().window.find(id)
	switch {
	case t == mqtt.PUBREC && (f == nil || f.phase == awaitPubcomp):
		if f != nil || !rc.IsError() {
			s.answerPubrec(out, id, f != nil)
		}
		return f != nil
	case f == nil:
		return false
	case t == mqtt.PUBACK && f.phase == awaitPuback, t == mqtt.PUBCOMP && f.phase == awaitPubcomp,
		t == mqtt.PUBREC && f.phase == awaitPubrec && rc.IsError():
		switch {
		case t == mqtt.PUBCOMP: // it was delivered when PUBREC came
		case rc.IsError():
			out.Refused++
			out.step(f.msg, StepRefused, true)
		default:
			out.came(f.item.msg)
		}
		s.finished(out, &f.item, false)
		out.leave(s.window.remove(f))
		s.changed()
		out.Acked++
	case t == mqtt.PUBREC && f.phase == awaitPubrec:
		if f.sent == 0 { // it had come on the last connection
			s.window.unsent--
		}
		out.came(f.item.msg)
		s.finished(out, &f.item, false)
		s.window.taken++
		f.phase, f.sent = awaitPubcomp, now
		f.item = item{qos: f.qos, seq: f.seq}
		s.changed()
		out.pubrel(id)
		return true
	default:
		return false
	}
	s.Fill(out, now)
	return true
}

func (s *State) answerPubrec(out *Out, id protocol.PacketID, known bool) {
	if known {
		out.pubrel(id)
		return
	}
	out.Packets = mqtt.AppendAck(out.Packets, mqtt.PUBREL, out.Version, id, protocol.PacketIdentifierNotFound)
	out.Pubrels++
}

// Retry sends again what the client has not acknowledged within the retry
// interval.
func (s *State) Retry(out *Out, now int64) {
	if s.NextRetry(now) == 0 {
		return
	}
	interval := s.limits.RetryInterval.Milliseconds()
	for i := range s.window.n {
		f := s.window.at(i)
		if f.phase != acked && f.sent != 0 && now-f.sent >= interval && out.open() {
			s.resend(out, f, now)
		}
	}
}

// NextRetry is when to call Retry, in Unix milliseconds; 0 for never.
func (s *State) NextRetry(now int64) int64 {
	interval := s.limits.RetryInterval.Milliseconds()
	if !s.online || !s.retry || interval <= 0 || s.traffic == nil || s.window.live == 0 {
		return 0
	}
	oldest, ok := s.window.oldest()
	if !ok {
		return 0
	}
	return max(oldest+interval, now+1)
}

// Verdict is what is to be done with an inbound QoS 2 PUBLISH.
type Verdict uint8

// The verdicts.
const (
	Fresh     Verdict = iota // publish it, answer PUBREC
	Duplicate                // answer PUBREC only [MQTT-4.3.3-10]
	Refused                  // too many wait for PUBREL
)

// Receive enters the identifier of an inbound QoS 2 message. The message goes
// to its subscribers now and the identifier stays until PUBREL (method A of
// MQTT 3.1.1 figure 4.3), so that messages keep their order.
func (s *State) Receive(out *Out, id protocol.PacketID, now int64) Verdict {
	s.busy()
	if m := s.limits.MaxAwaitingRel; m > 0 && len(s.awaiting) >= m {
		if _, ok := s.awaiting[id]; ok {
			return Duplicate
		}
		if !s.forgetOld(now) {
			return Refused
		}
	}
	if s.awaiting == nil {
		s.awaiting, out.awaiting = out.awaiting, nil
	}
	if s.awaiting == nil {
		s.awaiting = make(map[protocol.PacketID]int64)
	}
	n := len(s.awaiting)
	if s.awaiting[id] = now; len(s.awaiting) == n {
		return Duplicate // and waits anew
	}
	return Fresh
}

func (s *State) forgetOld(now int64) bool {
	limit := s.limits.AwaitRelTimeout.Milliseconds()
	if limit <= 0 {
		return false
	}
	n := len(s.awaiting)
	for id, at := range s.awaiting {
		if now-at >= limit {
			delete(s.awaiting, id)
			if s.journal != nil {
				s.journal.forgot = append(s.journal.forgot, id)
			}
		}
	}
	return len(s.awaiting) < n
}

// Release ends an inbound QoS 2 exchange at PUBREL; false if the identifier is
// not known. The answer is PUBCOMP in either case. [MQTT-4.3.3-11]
func (s *State) Release(out *Out, id protocol.PacketID) bool {
	if s.traffic == nil {
		return false
	}
	n := len(s.awaiting)
	if delete(s.awaiting, id); len(s.awaiting) == n {
		return false
	}
	if n == 1 {
		s.awaiting, out.awaiting = nil, s.awaiting
	}
	return true
}

// Abandon counts everything that is pending as dropped for reason r and empties
// the state: the session ends. What another member of a shared group may have is
// in Out.Orphans instead.
func (s *State) Abandon(out *Out, r Reason) {
	if s.traffic == nil {
		return
	}
	for i := range s.window.n {
		switch f := s.window.at(i); {
		case f.phase == awaitPuback && f.group: // of QoS 2 nobody else gets it [MQTT-4.8.2-5]
			out.Orphans = append(out.Orphans, f.msg)
		case f.phase == awaitPuback || f.phase == awaitPubrec:
			s.drop(out, r, f.msg)
		}
	}
	left := s.queue.n + len(s.replay)
	for _, l := range s.queue.levels {
		for i := range l.ring.n {
			if it := l.ring.at(i); it.group && it.qos > protocol.AtMostOnce {
				out.Orphans = append(out.Orphans, it.msg)
				left--
			}
		}
	}
	for ; left > 0; left-- {
		s.drop(out, r, nil)
	}
	if s.high {
		s.high, out.Watermark = false, Low
	}
	s.traffic = nil
}

// Pending counts the messages that are on their way to the client: what waits,
// and what it has not acknowledged. One of QoS 2 has arrived with PUBREC.
func (s *State) Pending() int {
	if s.traffic == nil {
		return 0
	}
	return s.queue.n + len(s.replay) + s.window.live - s.window.taken
}

// Oldest is when the message was sent for whose acknowledgement we have waited
// longest on this connection, in Unix milliseconds; 0 if there is none.
func (s *State) Oldest() int64 {
	if s.traffic == nil {
		return 0
	}
	sent, _ := s.window.oldest()
	return sent
}

// Enqueued counts the messages that had to wait, since the session was made.
func (s *State) Enqueued() uint64 { return s.enqueued }

// Info is a look at the state for operators.
type Info struct {
	Inflight, MaxInflight     int
	Queued, QueuedBytes       int
	Replaying, AwaitingRel    int
	Dropped                   uint64
	QueueLength, QueueMaximum int
}

// Info describes the state.
func (s *State) Info() Info {
	if s.traffic == nil {
		return Info{MaxInflight: s.limits.MaxInflight, Dropped: s.dropped, QueueMaximum: s.limits.QueueLength}
	}
	return Info{
		Inflight: s.window.live, MaxInflight: s.limits.MaxInflight,
		Queued: s.queue.n, QueuedBytes: s.queue.bytes,
		Replaying: len(s.replay), AwaitingRel: len(s.awaiting), Dropped: s.dropped,
		QueueLength: s.queue.n, QueueMaximum: s.limits.QueueLength,
	}
}

// properties sets what MQTT 5 adds to a PUBLISH: the properties to forward, the
// remaining Message Expiry Interval [MQTT-3.3.2-6], and the identifiers of the
// subscriptions that matched. A second that has begun counts: less than one that
// is left must not be told as none.
func (o *Out) properties(it *item, now int64) {
	p := &o.publish
	p.Properties = it.msg.Properties
	if it.msg.Expires != 0 {
		p.HasMessageExpiry = true
		p.MessageExpiry = uint32((max(0, it.msg.Expires-now) + 999) / 1000)
	}
	if it.subID == 0 {
		return
	}
	p.SubscriptionIDs = append(o.ids[:0], it.subID)
	if it.more != nil {
		p.SubscriptionIDs = append(p.SubscriptionIDs, *it.more...)
	}
	o.ids = p.SubscriptionIDs
}
