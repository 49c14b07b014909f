package connections

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"emqttd/actors/hooks"
	"emqttd/actors/sessions"
	"emqttd/actors/store"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/memory"
	"emqttd/actors/system/metrics"
	"emqttd/actors/system/trace"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// intake is the work on the packets of one read. What it collects goes out in
// finish: deliveries first, then the acknowledgements that promise them.
type intake struct {
	r     *reader
	now   int64
	bytes int
	batch *topics.Batch
	input *sessions.Input
	acks  *[]byte
	slab  slab
	tap   *trace.Tap // nil if the client is not traced
	pub   mqtt.Publish
	// allowed is the last topic of this read that the client may publish to: most
	// keep to one, and a read is over in microseconds. It is bytes of the read.
	allowed topic.Name
	by      *hooks.Client // the client as plugins see it; nil while nobody asks

	packets, pings, pubacks, disconnects uint64
	published                            [3]uint64
	received                             [4]uint64 // PUBACK, PUBREC, PUBREL, PUBCOMP
	subscribes, unsubscribes             uint64
}

var ackBuffers = sync.Pool{New: func() any { return new([]byte) }}

var errSecondConnect = &mqtt.Error{
	Code: protocol.ProtocolError, Reason: "second_connect", Clause: "MQTT-3.1.0-2",
}

var errServerPacket = &mqtt.Error{
	Code: protocol.ProtocolError, Reason: "packet_not_from_client", Clause: "MQTT-4.8.0-1",
}

// packet handles one packet; the bytes in body are gone afterwards. left is how
// many bytes of the read are still to be handled, the packet included.
func (in *intake) packet(h mqtt.Header, body []byte, left int) *readerDone {
	in.packets++
	if in.tap != nil {
		in.tap.Received(h, body, in.r.c.client.Version)
	}
	switch h.Type {
	case mqtt.PUBLISH:
		return in.publish(h, body, left)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		return in.ack(h, body)
	case mqtt.SUBSCRIBE:
		return in.subscribe(h, body)
	case mqtt.UNSUBSCRIBE:
		return in.unsubscribe(h, body)
	case mqtt.PINGREQ:
		if err := h.Check(in.r.c.client.Version); err != nil {
			return in.r.violation(err)
		}
		in.pings++
		a := in.answer()
		*a = mqtt.AppendPingresp(*a) // [MQTT-3.12.4-1]
		return nil
	case mqtt.DISCONNECT:
		return in.disconnect(h, body)
	case mqtt.AUTH:
		if in.r.c.client.Version != mqtt.V5 {
			return in.r.violation(errServerPacket)
		}
		return in.auth(h, body)
	case mqtt.CONNECT:
		return in.r.violation(errSecondConnect)
	default:
		return in.r.violation(errServerPacket)
	}
}

func (in *intake) answer() *[]byte {
	if in.acks == nil {
		in.acks = ackBuffers.Get().(*[]byte)
	}
	return in.acks
}

func (in *intake) publish(h mqtt.Header, body []byte, left int) *readerDone {
	r, p := in.r, &in.pub
	if err := p.Decode(h, body, r.c.client.Version); err != nil {
		return r.violation(err)
	}
	if err := p.CheckFromClient(); err != nil {
		return r.violation(err)
	}
	if err := in.permitted(p); err != nil {
		return r.violation(err)
	}
	in.published[p.QoS]++
	if p.QoS == protocol.AtMostOnce && r.c.rt.Memory.Level() >= memory.Shedding {
		r.c.rt.Metrics.DropUnmatched("memory", 1)
		return nil
	}
	if r.c.settings.Features.CheckPayloadFormat && p.PayloadFormat == 1 && !utf8.Valid(p.Payload) {
		in.reject(p, protocol.PayloadFormatInvalid) // [MQTT-3.3.2-4] non-normative
		return nil
	}
	if (p.Topic != in.allowed || p.Topic == "") && !r.c.identity.MayPublish(p.Topic) {
		r.c.rt.Log.Info("publish denied by the access list", "client_id", r.c.client.ClientID, "topic", string(p.Topic))
		if r.c.settings.DenyDisconnects {
			in.drop(rejected[protocol.NotAuthorized], p)
			return &readerDone{reason: "acl_denied", code: protocol.NotAuthorized}
		}
		in.reject(p, protocol.NotAuthorized)
		return nil
	}
	in.allowed = p.Topic
	if at := r.c.client.Mount; at != "" {
		if p.Topic = topic.Name(at) + p.Topic; topic.CheckName(p.Topic) != nil {
			in.reject(p, protocol.TopicNameInvalid)
			return nil
		}
	}
	m := in.slab.message(p, left)
	m.From, m.Arrived = r.c.client.ClientID, in.now
	if in.tap != nil {
		in.tap.Tag(m)
	}
	if p.HasMessageExpiry {
		m.Expires = in.now + int64(p.MessageExpiry)*1000
	}
	if p.QoS > protocol.AtMostOnce && !p.Dup && !in.roomFor(m) {
		in.reject(p, protocol.QuotaExceeded)
		return nil
	}
	if p.QoS == protocol.ExactlyOnce {
		in.hand(sessions.InputItem{Type: mqtt.PUBLISH, ID: p.PacketID, Message: m})
		return nil
	}
	if in.batch == nil {
		in.batch = r.c.rt.Sessions.Router.NewBatch()
	}
	code := r.c.rt.Sessions.Publish(in.batch, m, in.publisher())
	if p.QoS == protocol.AtLeastOnce {
		in.puback(p.PacketID, code)
	}
	return nil
}

var (
	errReceiveMaximum = &mqtt.Error{
		Code: protocol.ReceiveMaximumExceeded, Reason: "receive_maximum_exceeded", Clause: "MQTT-3.3.4-7",
	}
	errQoSNotSupported = &mqtt.Error{
		Code: protocol.QoSNotSupported, Reason: "qos_not_supported", Clause: "MQTT-3.2.2-11",
	}
	errRetainNotSupported = &mqtt.Error{
		Code: protocol.RetainNotSupported, Reason: "retain_not_supported", Clause: "MQTT-3.2.2-14",
	}
	errTopicAliasInvalid = &mqtt.Error{
		Code: protocol.TopicAliasInvalid, Reason: "topic_alias_invalid", Clause: "MQTT-3.3.2-9",
	}
	errTopicAliasUnknown = &mqtt.Error{
		Code: protocol.ProtocolError, Reason: "topic_alias_unknown", Clause: "MQTT-3.3.2-7",
	}
)

// permitted holds a PUBLISH against what the client was told, and finds the
// topic of an alias.
func (in *intake) permitted(p *mqtt.Publish) error {
	f := &in.r.c.settings.Features
	if p.QoS > f.MaximumQoS {
		return errQoSNotSupported
	}
	if p.Retain && f.NoRetain {
		if in.r.c.client.Version == mqtt.V5 {
			return errRetainNotSupported
		}
		p.Retain = false
	}
	if in.r.c.client.Version != mqtt.V5 {
		return nil
	}
	// All that one read brought is unacknowledged at this moment.
	if p.QoS > 0 && f.ReceiveMaximum > 0 && in.published[1]+in.published[2] >= uint64(f.ReceiveMaximum) {
		return errReceiveMaximum
	}
	return in.r.alias(p)
}

// alias keeps the topic of a new alias and finds that of a known one.
func (r *reader) alias(p *mqtt.Publish) error {
	if p.TopicAlias == 0 {
		return nil
	}
	if p.TopicAlias > r.c.settings.Features.TopicAliasMaximum {
		return errTopicAliasInvalid
	}
	if p.Topic == "" {
		name, ok := r.aliases[p.TopicAlias]
		if !ok {
			return errTopicAliasUnknown
		}
		p.Topic = name
		return nil
	}
	if r.aliases == nil {
		r.aliases = make(map[uint16]topic.Name)
	}
	r.aliases[p.TopicAlias] = topic.Name(strings.Clone(string(p.Topic)))
	return nil
}

func (in *intake) puback(id protocol.PacketID, rc protocol.ReasonCode) {
	in.pubacks++
	a := in.answer()
	*a = mqtt.AppendAck(*a, mqtt.PUBACK, in.r.c.client.Version, id, rc)
}

var errSessionExpiry = &mqtt.Error{
	Code: protocol.ProtocolError, Reason: "session_expiry_from_zero", Clause: "MQTT-3.14.2-2",
}

// rejected names why a message was not taken, by what its client is told.
var rejected = map[protocol.ReasonCode]string{
	protocol.NotAuthorized:        "acl_denied",
	protocol.TopicNameInvalid:     "topic_name_invalid",
	protocol.PayloadFormatInvalid: "payload_format_invalid",
	protocol.QuotaExceeded:        "quota_exceeded",
}

// reject drops a message that the client may not publish. The client of MQTT 3.x
// cannot be told and gets its acknowledgement. [MQTT-3.3.5-2]
func (in *intake) reject(p *mqtt.Publish, code protocol.ReasonCode) {
	c := in.r.c
	in.drop(rejected[code], p)
	if p.QoS == protocol.AtMostOnce {
		return
	}
	ack := mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID, Code: code}
	if p.QoS == protocol.ExactlyOnce {
		ack.Type = mqtt.PUBREC
		c.rt.Metrics.Inc(metrics.PacketsPubrecSent)
		c.rt.Metrics.Inc(metrics.PacketsSent)
	} else {
		in.pubacks++
	}
	if c.client.Version != mqtt.V5 {
		ack.Code = protocol.Success
	} else if !c.client.NoProblemInfo {
		ack.Reason = code.String()
	}
	a := in.answer()
	*a = ack.Append(*a, c.client.Version)
}

// drop counts a message that is not taken, and remembers why.
func (in *intake) drop(reason string, p *mqtt.Publish) {
	m := in.r.c.rt.Metrics
	m.DropUnmatched(reason, 1)
	if m.Recent.Wants(in.now) {
		m.Recent.Note(ledger.Drop{At: in.now, Reason: reason, Topic: string(p.Topic), From: in.r.c.client.ClientID})
	}
	if in.tap != nil {
		in.tap.Say("rejected: " + reason)
	}
}

func (in *intake) hand(it sessions.InputItem) {
	if in.input == nil {
		in.input = sessions.NewInput(&in.r.c.flow, in.r.c.gen)
	}
	in.input.Items = append(in.input.Items, it)
}

func (in *intake) ack(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Ack
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.received[h.Type-mqtt.PUBACK]++
	in.hand(sessions.InputItem{Type: h.Type, ID: p.ID, Reason: p.Code})
	return nil
}

func (in *intake) disconnect(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Disconnect
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.disconnects++
	if p.HasSessionExpiry && p.SessionExpiry > 0 && in.r.ephemeral {
		return in.r.violation(errSessionExpiry)
	}
	return &readerDone{
		reason: "normal", normal: p.Code != protocol.DisconnectWithWillMessage,
		expiry: int64(p.SessionExpiry), hasExpiry: p.HasSessionExpiry,
	}
}

func (in *intake) subscribe(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Subscribe
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.subscribes++
	m := &sessions.Subscribe{Flow: &in.r.c.flow, Generation: in.r.c.gen, ID: p.ID, Requests: make([]sessions.Request, 0, len(p.Subscriptions))}
	for i := range p.Subscriptions {
		f := &p.Subscriptions[i]
		q, err := in.request(f.Filter)
		if err != nil {
			return in.r.violation(err)
		}
		q.RetainHandling = f.RetainHandling
		q.Options = sessions.Options{
			ID: p.SubscriptionID, QoS: f.QoS, NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished || in.r.c.client.Bridge,
		}
		in.offer(&q, p.SubscriptionID)
		if !q.Denied.IsError() && !in.r.c.identity.MaySubscribe(q.Subscription.Filter) {
			in.r.c.rt.Log.Info("subscription denied by the access list", "client_id", in.r.c.client.ClientID, "filter", q.Text)
			q.Denied = protocol.NotAuthorized
		}
		m.Requests = append(m.Requests, q)
	}
	in.r.c.filters(hooks.ClientSubscribe, m.Requests)
	in.tell(m)
	return nil
}

// offer refuses a subscription of a kind that is switched off, and lowers its QoS
// to the highest there is.
func (in *intake) offer(q *sessions.Request, id uint32) {
	f := &in.r.c.settings.Features
	q.Options.QoS = min(q.Options.QoS, f.MaximumQoS)
	switch {
	case q.Denied.IsError():
	case f.NoShared && q.Subscription.Group != "":
		q.Denied = protocol.SharedSubscriptionsNotSupported
	case f.NoWildcard && q.Subscription.Filter.HasWildcard():
		q.Denied = protocol.WildcardSubscriptionsNotSupported
	case f.NoSubscriptionID && id != 0:
		q.Denied = protocol.SubscriptionIdentifiersNotSupported
	}
}

func (in *intake) unsubscribe(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Unsubscribe
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.unsubscribes++
	m := &sessions.Unsubscribe{Flow: &in.r.c.flow, Generation: in.r.c.gen, ID: p.ID, Requests: make([]sessions.Request, 0, len(p.Filters))}
	for _, f := range p.Filters {
		q, err := in.request(f)
		if err != nil {
			return in.r.violation(err)
		}
		m.Requests = append(m.Requests, q)
	}
	in.r.c.filters(hooks.ClientUnsubscribe, m.Requests)
	in.tell(m)
	return nil
}

// request checks one filter. MQTT 5 has a code for a bad one; before that it is
// a protocol violation. [MQTT-4.7.1-2] [MQTT-4.7.1-3]
func (in *intake) request(text string) (sessions.Request, error) {
	q := sessions.Request{Text: strings.Clone(text)}
	var err error
	q.Subscription, err = topic.ParseSubscription(q.Text)
	if err == nil {
		return q, nil
	}
	if in.r.c.client.Version == mqtt.V5 {
		q.Denied = protocol.TopicFilterInvalid
		return q, nil
	}
	return q, &mqtt.Error{Code: protocol.TopicFilterInvalid, Reason: "topic_filter_invalid", Clause: "MQTT-4.7.1-2"}
}

// finish lets everything go that the read brought.
func (in *intake) finish() {
	in.letGo()
	in.count()
}

// letGo publishes what has been collected and then acknowledges it: at once, or
// when those who keep it have it safe.
func (in *intake) letGo() {
	r := in.r
	var promise *store.Receipt
	if in.batch != nil {
		in.batch.Flush(true)
		promise = in.batch.Promise()
		in.batch.Release()
		in.batch = nil
	}
	if in.input != nil {
		in.tell(in.input)
		in.input = nil
	}
	switch acks := in.acks; {
	case acks != nil:
		in.acks = nil
		r.acknowledge(*acks, promise)
		*acks = (*acks)[:0]
		ackBuffers.Put(acks)
	case promise != nil:
		r.acknowledge(nil, promise)
	}
}

// tell hands a message to the session.
func (in *intake) tell(m any) {
	in.r.c.rt.System.Root.Send(in.r.session, m)
	in.r.c.flow.Hand()
}

func (in *intake) count() {
	m := in.r.c.rt.Metrics
	m.Add(metrics.BytesReceived, uint64(in.bytes))
	m.Add(metrics.PacketsReceived, in.packets)
	m.Add(metrics.PacketsSent, in.pings+in.pubacks)
	n := in.published[0] + in.published[1] + in.published[2]
	in.r.published = n > 0
	in.r.receives = in.r.receives || in.received[0]+in.received[1]+in.received[3] > 0
	if b := in.r.c.listener.brake; b != nil && n > 0 {
		b.pause = b.limits.spend(time.Now(), int(n))
	}
	if n > 0 {
		m.Add(metrics.PacketsPublishReceived, n)
		m.Add(metrics.MessagesReceived, n)
		m.Add(metrics.MessagesQoS0Received, in.published[0])
		m.Add(metrics.MessagesQoS1Received, in.published[1])
		m.Add(metrics.MessagesQoS2Received, in.published[2])
		m.Add(metrics.PacketsPubackSent, in.pubacks)
	}
	m.Add(metrics.PacketsPubackReceived, in.received[0])
	m.Add(metrics.PacketsPubrecReceived, in.received[1])
	m.Add(metrics.PacketsPubrelReceived, in.received[2])
	m.Add(metrics.PacketsPubcompReceived, in.received[3])
	m.Add(metrics.PacketsPingreq, in.pings)
	m.Add(metrics.PacketsPingresp, in.pings)
	m.Add(metrics.PacketsSubscribe, in.subscribes)
	m.Add(metrics.PacketsUnsubscribe, in.unsubscribes)
	m.Add(metrics.PacketsDisconnect, in.disconnects)
}
