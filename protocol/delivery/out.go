package delivery

import (
	"strings"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// Watermark says how full a queue has become.
type Watermark uint8

// The watermarks.
const (
	None Watermark = iota
	High
	Low
)

// Reason says why a message for one subscription ended without being delivered.
type Reason uint8

// The reasons, in the order of Reasons.
const (
	QueueFull    Reason = iota // the queue's bound: the oldest gave way
	Expired                    // its Message Expiry Interval ran out
	OfflineQoS0                // QoS 0 for an absent client, and mqtt.mqueue.store_qos0 = false
	LoopIgnored                // published by the receiver itself, and ignore_loop_deliver = true
	PacketTooBig               // larger than the client's Maximum Packet Size
	SessionEnded               // the session ended with the message pending
	SessionCrash               // the session's actor crashed with the message pending
	StoreLost                  // the store could not give it back
	Revoked                    // the client may not have it any more
	numReasons
)

var reasonNames = [numReasons]string{
	"queue_full", "expired", "offline_qos0", "loop_ignored", "packet_too_big", "session_ended", "session_crash", "store_lost", "access_revoked",
}

// String is the reason as metrics and logs name it.
func (r Reason) String() string { return reasonNames[r] }

// Out collects what a step of the state wants done. The caller performs it and
// uses the same Out again for the next step: nothing here allocates once the
// buffer has grown.
type Out struct {
	// Packets are the Control Packets to send, encoded, in order.
	Packets []byte
	// Version is the protocol version in which they are encoded.
	Version mqtt.Version
	// Mount is taken off the beginning of topics before the client gets them.
	Mount string
	// MaxPacket is the largest Control Packet the client takes, 0 for any.
	MaxPacket int
	// Aliases are the connection's; nil for none.
	Aliases *Aliases
	// Room is how many bytes the connection still takes, as it said last;
	// what Packets holds counts against it.
	Room int
	// Sent counts the PUBLISH packets in Packets by QoS, Pubrels the PUBRELs.
	Sent    [3]int
	Pubrels int
	// Delivered counts the messages that have arrived as far as we can know: QoS 0
	// in Packets, QoS 1 and 2 acknowledged. Refused are those that the client has
	// answered with an error.
	Delivered, Refused int
	// Dropped counts messages that ended, by reason; Lost names the first of them.
	Dropped [numReasons]int
	Lost    []Lost
	// Steps are what happened to messages that are traced.
	Steps []Step
	// Orphans are messages of shared subscriptions that Abandon has given up and
	// that another member is to have. They are not Dropped.
	Orphans []*protocol.Message
	// Watermark says that the queue has passed one.
	Watermark Watermark
	// Acked counts deliveries that the client has acknowledged in full.
	Acked int
	// Promise says that Packets promise something, so that they may leave only
	// when what the state has become is safe: PUBREL, and PUBLISH of QoS 2, whose
	// identifier must be the same after a crash.
	Promise bool
	// Then, if not nil, is called when Packets have gone.
	Then func()
	// Taken are the items that a state which is kept has entered, Finished those
	// messages with StoreID that it is done with: for the store.
	Taken    []Item
	Finished []*protocol.Message

	// Watch asks for the messages themselves: Went are those of the PUBLISH packets in
	// Packets that were sent for the first time, Came those that the client has
	// acknowledged (PUBACK, or PUBREC).
	Watch      bool
	Went, Came []*protocol.Message

	publish mqtt.Publish // scratch
	ids     []uint32     // scratch
	// What states that have become idle have left for others, so that one that is
	// busy now and then need not hold it, nor make it each time.
	flights  []flight
	awaiting map[protocol.PacketID]int64
}

// spareFlights is the largest window that is left for others (48 KB).
const spareFlights = 1024

// leave keeps the ring of a window for the next one that grows.
func (o *Out) leave(ring []flight) {
	if len(ring) > len(o.flights) && len(ring) <= spareFlights {
		o.flights = ring
	}
}

// Reset empties the Out but keeps its buffer and the connection's properties.
func (o *Out) Reset() {
	o.Packets = o.Packets[:0]
	o.Sent, o.Pubrels, o.Acked = [3]int{}, 0, 0
	o.Delivered, o.Refused = 0, 0
	o.Dropped = [numReasons]int{}
	clear(o.Lost)
	o.Lost, o.Steps = o.Lost[:0], o.Steps[:0]
	o.Orphans = nil
	o.Watermark, o.Promise, o.Then = None, false, nil
	o.publish = mqtt.Publish{}
	if o.Watch {
		clear(o.Went)
		clear(o.Came)
		o.Went, o.Came = o.Went[:0], o.Came[:0]
	}
}

func (o *Out) drop(r Reason, m *protocol.Message) {
	o.Dropped[r]++
	if m == nil {
		return
	}
	if len(o.Lost) < maxLost {
		o.Lost = append(o.Lost, Lost{Message: m, Reason: r})
	}
	o.step(m, reasonSteps[r], true)
}

// Step is what happened to a message that is traced.
type Step struct {
	Tag  uint32
	What string
	Last bool // nothing follows: the delivery has ended
}

// What happens to messages.
const (
	StepQueued  = "queued"
	StepSent    = "sent"
	StepArrived = "acknowledged"
	StepRefused = "refused by the client"
	StepDropped = "dropped: " // with the reason behind it
)

var reasonSteps = func() (texts [numReasons]string) {
	for r, name := range reasonNames {
		texts[r] = StepDropped + name
	}
	return texts
}()

// step notes what happened to a message if it is traced; last if that ends its
// delivery.
func (o *Out) step(m *protocol.Message, what string, last bool) {
	if m.Tag != 0 {
		o.Steps = append(o.Steps, Step{m.Tag, what, last})
	}
}

// Lost is a message that was dropped.
type Lost struct {
	Message *protocol.Message
	Reason  Reason
}

// maxLost is how many of the dropped messages are named: enough to explain, few
// enough that a flood costs next to nothing.
const maxLost = 8

// open tells whether the connection takes more now.
func (o *Out) open() bool { return len(o.Packets) < o.Room }

// came notes that the client has a message.
func (o *Out) came(m *protocol.Message) {
	o.Delivered++
	o.step(m, StepArrived, true)
	if o.Watch && m != nil {
		o.Came = append(o.Came, m)
	}
}

// pubrel appends a PUBREL.
func (o *Out) pubrel(id protocol.PacketID) {
	o.Packets = mqtt.AppendAck(o.Packets, mqtt.PUBREL, o.Version, id, protocol.Success)
	o.Pubrels++
	o.Promise = true
}

// send appends a PUBLISH; false if it is larger than the client takes.
func (o *Out) send(it *item, id protocol.PacketID, dup bool, now int64) bool {
	p := &o.publish
	name := it.msg.Topic
	if len(name) > len(o.Mount) { // else nothing would be left of it
		name = topic.Name(strings.TrimPrefix(string(name), o.Mount))
	}
	*p = mqtt.Publish{
		Topic: name, Payload: it.msg.Payload,
		QoS: it.qos, Retain: it.retain, Dup: dup, PacketID: id,
	}
	known := false
	if o.Version == mqtt.V5 {
		o.properties(it, now)
		if p.TopicAlias, known = o.Aliases.use(name); known {
			p.Topic = ""
		}
	}
	if o.MaxPacket > 0 && p.Size(o.Version) > o.MaxPacket {
		o.drop(PacketTooBig, it.msg) // [MQTT-3.1.2-25]
		return false
	}
	o.Packets = mqtt.AppendPublish(o.Packets, o.Version, p)
	if p.TopicAlias != 0 && !known {
		o.Aliases.learned(name, p.TopicAlias)
	}
	o.step(it.msg, StepSent, it.qos == protocol.AtMostOnce)
	switch it.qos {
	case protocol.AtMostOnce:
		o.Delivered++
	case protocol.ExactlyOnce:
		o.Promise = true
	}
	if !it.msg.Sys {
		o.Sent[it.qos]++
	}
	if o.Watch && !dup {
		o.Went = append(o.Went, it.msg)
	}
	return true
}
