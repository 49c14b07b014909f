package connections

import (
	"strings"
	"sync"

	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
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
	pub   mqtt.Publish

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
	if p.TopicAlias != 0 { // we granted none
		return r.violation(&mqtt.Error{Code: protocol.TopicAliasInvalid, Reason: "topic_alias_invalid", Clause: "MQTT-3.3.2-9"})
	}
	in.published[p.QoS]++
	if !r.c.rt.Access.MayPublish(&r.c.client.Credentials, p.Topic) {
		in.deny(p)
		return nil
	}
	m := in.slab.message(p, left)
	m.From, m.Arrived = r.c.client.ClientID, in.now
	if p.HasMessageExpiry {
		m.Expires = in.now + int64(p.MessageExpiry)*1000
	}
	if p.QoS == protocol.ExactlyOnce {
		in.hand(sessions.InputItem{Type: mqtt.PUBLISH, ID: p.PacketID, Message: m})
		return nil
	}
	if in.batch == nil {
		in.batch = r.c.rt.Sessions.Router.NewBatch()
	}
	r.c.rt.Sessions.Publish(in.batch, m)
	if p.QoS == protocol.AtLeastOnce {
		in.puback(p.PacketID, protocol.Success)
	}
	return nil
}

func (in *intake) puback(id protocol.PacketID, rc protocol.ReasonCode) {
	in.pubacks++
	a := in.answer()
	*a = mqtt.AppendAck(*a, mqtt.PUBACK, in.r.c.client.Version, id, rc)
}

// deny drops a message that the client may not publish. The client of MQTT 3.x
// cannot be told and gets its acknowledgement. [MQTT-3.3.5-2]
func (in *intake) deny(p *mqtt.Publish) {
	r := in.r
	r.c.rt.Metrics.Drop("acl_denied", 1)
	r.c.rt.Log.Info("publish denied by the access list", "client_id", r.c.client.ClientID, "topic", string(p.Topic))
	switch p.QoS {
	case protocol.AtLeastOnce:
		in.puback(p.PacketID, protocol.NotAuthorized)
	case protocol.ExactlyOnce:
		a := in.answer()
		*a = mqtt.AppendAck(*a, mqtt.PUBREC, r.c.client.Version, p.PacketID, protocol.NotAuthorized)
		r.c.rt.Metrics.Inc(metrics.PacketsPubrecSent)
		r.c.rt.Metrics.Inc(metrics.PacketsSent)
	}
}

func (in *intake) hand(it sessions.InputItem) {
	if in.input == nil {
		in.input = sessions.NewInput(in.r.c.gen)
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
	return &readerDone{reason: "normal", normal: p.Code != protocol.DisconnectWithWillMessage}
}

func (in *intake) subscribe(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Subscribe
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.subscribes++
	m := &sessions.Subscribe{Generation: in.r.c.gen, ID: p.ID, Requests: make([]sessions.Request, 0, len(p.Subscriptions))}
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
		if !q.Denied.IsError() && !in.r.c.rt.Access.MaySubscribe(&in.r.c.client.Credentials, q.Subscription.Filter) {
			in.r.c.rt.Log.Info("subscription denied by the access list", "client_id", in.r.c.client.ClientID, "filter", q.Text)
			q.Denied = protocol.NotAuthorized
		}
		m.Requests = append(m.Requests, q)
	}
	in.r.c.rt.System.Root.Send(in.r.session, m)
	return nil
}

func (in *intake) unsubscribe(h mqtt.Header, body []byte) *readerDone {
	var p mqtt.Unsubscribe
	if err := p.Decode(h, body, in.r.c.client.Version); err != nil {
		return in.r.violation(err)
	}
	in.unsubscribes++
	m := &sessions.Unsubscribe{Generation: in.r.c.gen, ID: p.ID, Requests: make([]sessions.Request, 0, len(p.Filters))}
	for _, f := range p.Filters {
		q, err := in.request(f)
		if err != nil {
			return in.r.violation(err)
		}
		m.Requests = append(m.Requests, q)
	}
	in.r.c.rt.System.Root.Send(in.r.session, m)
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
	r := in.r
	if in.batch != nil {
		in.batch.Flush(true)
		in.batch.Release()
	}
	if in.input != nil {
		r.c.rt.System.Root.Send(r.session, in.input)
	}
	if in.acks != nil {
		r.c.box.Send(*in.acks)
		*in.acks = (*in.acks)[:0]
		ackBuffers.Put(in.acks)
	}
	in.count()
}

func (in *intake) count() {
	m := in.r.c.rt.Metrics
	m.Add(metrics.BytesReceived, uint64(in.bytes))
	m.Add(metrics.PacketsReceived, in.packets)
	m.Add(metrics.PacketsSent, in.pings+in.pubacks)
	if n := in.published[0] + in.published[1] + in.published[2]; n > 0 {
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
