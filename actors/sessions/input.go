package sessions

import (
	"sync"

	"emqttd/actors/store"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

var inputs = sync.Pool{New: func() any { return new(Input) }}

// NewInput takes an empty Input from a pool; the session that receives it gives
// it back.
func NewInput(flow *Flow, generation uint64) *Input {
	in := inputs.Get().(*Input)
	in.Flow, in.Generation = flow, generation
	return in
}

func (in *Input) recycle() {
	in.Flow.took()
	in.Flow = nil
	clear(in.Items)
	if in.Items = in.Items[:0]; cap(in.Items) <= 1024 {
		inputs.Put(in)
	}
}

// input handles acknowledgements and QoS 2 from the client.
func (s *session) input(in *Input) {
	defer in.recycle()
	if !s.current(in.Generation) {
		return
	}
	out, now := s.work(), unixMilli()
	t := turn{s: s, out: out, now: now}
	for i := range in.Items {
		t.take(&in.Items[i])
		if len(out.Packets) >= flushAt {
			t.publish()
			s.flush()
		}
	}
	t.publish()
	t.count()
	s.arm(now)
}

// turn is the work on one Input. Messages of QoS 2 are collected per receiver
// and go out together, before the PUBREC that answers them.
type turn struct {
	s              *session
	out            *delivery.Out
	batch          *topics.Batch
	received       []protocol.PacketID // of the messages in the batch
	now            int64
	pubrecs, comps uint64
	missed         [4]uint64 // PUBACK, PUBREC, PUBREL, PUBCOMP
}

func (t *turn) take(it *InputItem) {
	switch it.Type {
	case mqtt.PUBLISH:
		t.receive(it)
	case mqtt.PUBREL:
		known := t.s.state.Release(t.out, it.ID)
		rc := protocol.Success
		if !known {
			t.missed[2]++
			rc = protocol.PacketIdentifierNotFound
		}
		t.comps++
		if s := t.s; s.keep != nil {
			s.ops().DropAwaiting(s.keep.id, it.ID)
			t.out.Promise = true
		}
		t.out.Packets = mqtt.AppendAck(t.out.Packets, mqtt.PUBCOMP, t.out.Version, it.ID, rc)
	default:
		if !t.s.state.Acked(t.out, it.Type, it.ID, it.Reason, t.now) {
			t.missed[missedIndex(it.Type)]++
		}
	}
}

// receive is a PUBLISH of QoS 2. [MQTT-4.3.3-8]
func (t *turn) receive(it *InputItem) {
	s := t.s
	code := protocol.Success
	switch s.state.Receive(t.out, it.ID, t.now) {
	case delivery.Refused:
		// Without PUBREC the client keeps the message and sends it again.
		s.rt.Metrics.Inc(metrics.MessagesQoS2Dropped)
		s.rt.Metrics.DropUnmatched("max_awaiting_rel", 1)
		s.rt.Log.Warn("QoS 2 message refused: too many wait for PUBREL", "client_id", s.id, "packet_id", it.ID)
		if t.out.Version == mqtt.V5 { // [MQTT-3.3.4-7]
			s.rt.System.Root.Send(s.link.pid, &Violation{
				Generation: s.link.generation, Code: protocol.ReceiveMaximumExceeded, Reason: "receive_maximum_exceeded",
			})
		}
		return
	case delivery.Fresh:
		if t.batch == nil {
			t.batch = s.rt.Router.NewBatch()
		}
		code = s.rt.Publish(t.batch, it.Message, s.publisher())
		t.received = append(t.received, it.ID)
	}
	t.pubrecs++
	t.out.Promise = true
	t.out.Packets = mqtt.AppendAck(t.out.Packets, mqtt.PUBREC, t.out.Version, it.ID, code)
}

// publish tells the receivers. What they keep, and that we have received it, is
// entered in the store together or not at all: else a crash would lose the
// message, or have it twice. [MQTT-4.3.3-10]
func (t *turn) publish() {
	if t.batch == nil {
		return
	}
	t.batch.Flush(false)
	r := t.batch.Promise()
	t.batch.Release()
	t.batch = nil
	s := t.s
	if s.keep != nil {
		if r != nil {
			r.Ops(t.await)
		} else {
			t.await(s.ops())
		}
	}
	t.received = t.received[:0]
	if r != nil {
		if s.open != nil && s.open.published != nil {
			s.open.published.Before(r)
		}
		s.join(r)
		s.open.published = r
		r.Part()
	}
}

// await enters the identifiers that wait for PUBREL.
func (t *turn) await(o *store.Ops) {
	for _, id := range t.received {
		o.PutAwaiting(t.s.keep.id, id, t.now)
	}
}

func missedIndex(p mqtt.PacketType) int { return int(p - mqtt.PUBACK) }

func (t *turn) count() {
	m := t.s.rt.Metrics
	m.Add(metrics.PacketsPubrecSent, t.pubrecs)
	m.Add(metrics.PacketsPubcompSent, t.comps)
	m.Add(metrics.PacketsSent, t.pubrecs+t.comps)
	m.Add(metrics.PacketsPubackMissed, t.missed[0])
	m.Add(metrics.PacketsPubrecMissed, t.missed[1])
	m.Add(metrics.PacketsPubrelMissed, t.missed[2])
	m.Add(metrics.PacketsPubcompMissed, t.missed[3])
}
