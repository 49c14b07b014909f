// Package metrics holds the counters and gauges of a node: what EMQ publishes
// under $SYS/brokers/<node>/metrics and /stats, and the reasons for which
// connections end and messages are dropped.
//
// Counters are atomics that stand a cache line apart. Hot paths count a whole
// read or a whole batch in one addition; nothing here allocates or locks, and
// any goroutine may use it at any time.
package metrics

import (
	"sync/atomic"

	"emqttd/actors/system/ledger"
)

// Metric names one cumulative counter.
type Metric int

// The counters, in EMQ's groups (names in Metric.String).
const (
	BytesReceived Metric = iota
	BytesSent
	PacketsReceived
	PacketsSent
	PacketsConnect
	PacketsConnack
	PacketsPublishReceived
	PacketsPublishSent
	PacketsPubackReceived
	PacketsPubackSent
	PacketsPubackMissed
	PacketsPubrecReceived
	PacketsPubrecSent
	PacketsPubrecMissed
	PacketsPubrelReceived
	PacketsPubrelSent
	PacketsPubrelMissed
	PacketsPubcompReceived
	PacketsPubcompSent
	PacketsPubcompMissed
	PacketsSubscribe
	PacketsSuback
	PacketsUnsubscribe
	PacketsUnsuback
	PacketsPingreq
	PacketsPingresp
	PacketsDisconnect
	MessagesReceived
	MessagesSent
	MessagesQoS0Received
	MessagesQoS0Sent
	MessagesQoS1Received
	MessagesQoS1Sent
	MessagesQoS2Received
	MessagesQoS2Sent
	MessagesQoS2Dropped
	MessagesDropped
	NumMetrics // how many there are
)

var metricNames = [NumMetrics]string{
	BytesReceived: "bytes/received", BytesSent: "bytes/sent",
	PacketsReceived: "packets/received", PacketsSent: "packets/sent",
	PacketsConnect: "packets/connect", PacketsConnack: "packets/connack",
	PacketsPublishReceived: "packets/publish/received", PacketsPublishSent: "packets/publish/sent",
	PacketsPubackReceived: "packets/puback/received", PacketsPubackSent: "packets/puback/sent", PacketsPubackMissed: "packets/puback/missed",
	PacketsPubrecReceived: "packets/pubrec/received", PacketsPubrecSent: "packets/pubrec/sent", PacketsPubrecMissed: "packets/pubrec/missed",
	PacketsPubrelReceived: "packets/pubrel/received", PacketsPubrelSent: "packets/pubrel/sent", PacketsPubrelMissed: "packets/pubrel/missed",
	PacketsPubcompReceived: "packets/pubcomp/received", PacketsPubcompSent: "packets/pubcomp/sent", PacketsPubcompMissed: "packets/pubcomp/missed",
	PacketsSubscribe: "packets/subscribe", PacketsSuback: "packets/suback",
	PacketsUnsubscribe: "packets/unsubscribe", PacketsUnsuback: "packets/unsuback",
	PacketsPingreq: "packets/pingreq", PacketsPingresp: "packets/pingresp", PacketsDisconnect: "packets/disconnect",
	MessagesReceived: "messages/received", MessagesSent: "messages/sent",
	MessagesQoS0Received: "messages/qos0/received", MessagesQoS0Sent: "messages/qos0/sent",
	MessagesQoS1Received: "messages/qos1/received", MessagesQoS1Sent: "messages/qos1/sent",
	MessagesQoS2Received: "messages/qos2/received", MessagesQoS2Sent: "messages/qos2/sent",
	MessagesQoS2Dropped: "messages/qos2/dropped", MessagesDropped: "messages/dropped",
}

// String is the name under which EMQ publishes the counter.
func (m Metric) String() string { return metricNames[m] }

// padded keeps counters that different cores write out of one cache line.
type padded struct {
	n atomic.Uint64
	_ [56]byte
}

// Registry is the set of counters of one node. The zero value is ready.
type Registry struct {
	// Ledger keeps the books of (message, subscription) pairs, Recent the last
	// drops. Drop and DropUnmatched make the entries for what is not delivered.
	Ledger ledger.Ledger
	Recent ledger.Recent

	counters [NumMetrics]padded
	drops    reasons
	closes   reasons
	refusals reasons
	overload reasons
	gauges   gauges
}

// Add adds n to a counter.
func (r *Registry) Add(m Metric, n uint64) {
	if n != 0 {
		r.counters[m].n.Add(n)
	}
}

// Inc adds one.
func (r *Registry) Inc(m Metric) { r.counters[m].n.Add(1) }

// Get reads a counter.
func (r *Registry) Get(m Metric) uint64 { return r.counters[m].n.Load() }

// Value is a name with its figure.
type Value struct {
	Name  string
	Value uint64
}

// Standard lists every counter in the order of its declaration, followed by the
// gauge messages/retained, as EMQ 2.3 shows it among the metrics.
func (r *Registry) Standard() []Value {
	vs := make([]Value, 0, int(NumMetrics)+1)
	for m := range NumMetrics {
		vs = append(vs, Value{m.String(), r.Get(m)})
	}
	return append(vs, Value{"messages/retained", uint64(max(0, r.gauges.read(Retained)))})
}

// Counters is Standard and what EMQ has not: messages/dropped/<reason> and
// overload/<what> for each that has occurred.
func (r *Registry) Counters() []Value {
	vs := r.Standard()
	for _, d := range r.Drops() {
		vs = append(vs, Value{"messages/dropped/" + d.Name, d.Value})
	}
	for _, o := range r.Overloads() {
		vs = append(vs, Value{"overload/" + o.Name, o.Value})
	}
	return vs
}

// Drop counts n (message, subscription) pairs that end without delivery, by
// reason. They were accepted (topics.Batch does that) and are pending no more.
func (r *Registry) Drop(reason string, n uint64) {
	r.drops.add(reason, n)
	r.Ledger.End(ledger.StateOf(reason), int(n))
}

// DropUnmatched counts n messages that end before anybody was found whom they
// are for. Each is one pair of the ledger.
func (r *Registry) DropUnmatched(reason string, n uint64) {
	r.drops.add(reason, n)
	r.Ledger.EndAtOnce(ledger.StateOf(reason), int(n))
}

// Close counts a connection that ended, by reason.
func (r *Registry) Close(reason string) { r.closes.add(reason, 1) }

// Refuse counts a CONNECT that was refused, or a connection that was turned away
// before, by reason.
func (r *Registry) Refuse(reason string) { r.refusals.add(reason, 1) }

// Overload counts what was done because too little memory was left.
func (r *Registry) Overload(what string) { r.overload.add(what, 1) }

// Drops lists the drop reasons that have occurred, by name.
func (r *Registry) Drops() []Value { return r.drops.list() }

// Closes lists the close reasons that have occurred, by name.
func (r *Registry) Closes() []Value { return r.closes.list() }

// Overloads lists what was done because too little memory was left, by name.
func (r *Registry) Overloads() []Value { return r.overload.list() }

// Refusals lists the refusal reasons that have occurred, by name.
func (r *Registry) Refusals() []Value { return r.refusals.list() }
