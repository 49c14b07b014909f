package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

func liveConnectionRows() []liveRow {
	connack := func(what func(p *mqtt.ConnackProperties) any) func(*liveRig) string {
		return func(r *liveRig) string {
			_, ack := r.client(v5)
			return fmt.Sprint(what(&ack.Properties))
		}
	}
	return []liveRow{
		{key: "mqtt.max_clientid_len", to: "23", see: (*liveRig).hasALongName, before: "in", after: "refused"},
		{key: "mqtt.max_packet_size", to: "128", see: (*liveRig).publishesMuch, before: "stays", after: "closed"},
		{key: "mqtt.keepalive_backoff", to: "0.5", see: (*liveRig).isSilent, after: "closed"},
		{key: "mqtt.client.idle_timeout", to: "100ms", see: (*liveRig).saysNothing, after: "closed"},
		{key: "mqtt.server_keepalive", to: "7s", see: connack(func(p *mqtt.ConnackProperties) any { return p.ServerKeepAlive }), before: "0", after: "7"},
		{key: "mqtt.max_topic_alias", to: "5", see: connack(func(p *mqtt.ConnackProperties) any { return p.TopicAliasMaximum }), before: "32", after: "5"},
		{key: "mqtt.max_qos_allowed", to: "1", see: connack(func(p *mqtt.ConnackProperties) any { return p.HasMaximumQoS }), before: "false", after: "true"},
		{key: "mqtt.retain_available", to: "false", see: connack(func(p *mqtt.ConnackProperties) any { return p.NoRetain }), before: "false", after: "true"},
		{key: "mqtt.wildcard_subscription", to: "false", see: connack(func(p *mqtt.ConnackProperties) any { return p.NoWildcard }), before: "false", after: "true"},
		{key: "mqtt.shared_subscription", to: "false", see: connack(func(p *mqtt.ConnackProperties) any { return p.NoShared }), before: "false", after: "true"},
		{key: "mqtt.subscription_identifier", to: "false", see: connack(func(p *mqtt.ConnackProperties) any { return p.NoSubscriptionID }), before: "false", after: "true"},
		{key: "mqtt.session.max_awaiting_rel", to: "5", see: connack(func(p *mqtt.ConnackProperties) any { return p.ReceiveMaximum }), before: "1000", after: "5"},
		{key: "mqtt.check_payload_format", to: "true", see: (*liveRig).publishesNoUTF8, before: "taken", after: "refused"},
		{key: "mqtt.client.max_publish_rate", to: "1", see: (*liveRig).publishesFast, after: "held back"},
		{key: "mqtt.websocket_protocol_header", to: "off", see: (*liveRig).offersNoProtocol, before: "refused", after: "in"},
	}
}

func (r *liveRig) hasALongName() string {
	if r.code(testkit.Hello(strings.Repeat("long", 10))) == 0 {
		return "in"
	}
	return "refused"
}

// ends tells whether the broker closes the connection instead of answering.
func ends(c *testkit.Client) string {
	h, _, err := c.TryRead()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || err == nil && h.Type == mqtt.DISCONNECT {
		return "closed"
	}
	return "stays"
}

func (r *liveRig) publishesMuch() string {
	c, _ := r.client()
	c.Publish("x", strings.Repeat("x", 500), 1, 1)
	return ends(c)
}

func (r *liveRig) isSilent() string {
	c, _ := r.client(func(p *mqtt.Connect) { p.KeepAlive = 1 })
	return ends(c)
}

func (r *liveRig) saysNothing() string { return ends(r.b.DialMemory(r)) }

func (r *liveRig) publishesNoUTF8() string {
	c, _ := r.client(v5)
	c.Send(&mqtt.Publish{Topic: "x", Payload: []byte{0xFF}, Properties: []byte{1, 1}, QoS: 1, PacketID: 1})
	var ack mqtt.Ack
	h, body, err := c.TryRead()
	if err != nil || h.Type != mqtt.PUBACK || ack.Decode(h, body, mqtt.V5) != nil || ack.Code >= 0x80 {
		return "refused"
	}
	return "taken"
}

// publishesFast publishes 2 KB in two messages: whoever may send one a second, or a
// kilobyte, is not read for a second then.
func (r *liveRig) publishesFast() string {
	c := r.dialed()
	c.Connect(testkit.Hello(r.name()))
	began := time.Now()
	payload := []byte(strings.Repeat("x", 1000))
	for id := range protocol.PacketID(2) {
		c.Send(&mqtt.Publish{Topic: "x", Payload: payload, QoS: 1, PacketID: id + 1})
	}
	for id := range protocol.PacketID(2) {
		c.ExpectAck(mqtt.PUBACK, id+1)
	}
	c.Ping()
	if time.Since(began) < time.Second/2 {
		return "at once"
	}
	return "held back"
}

func (r *liveRig) offersNoProtocol() string {
	if _, err := dialWS(r.T, "ws://"+r.b.Addr("ws.x")+"/mqtt"); err != nil {
		return "refused"
	}
	return "in"
}

func liveSessionRows() []liveRow {
	length := []string{"mqtt.mqueue.max_length", "10"}
	return []liveRow{
		{key: "mqtt.session.max_subscriptions", to: "1", see: func(r *liveRig) string { return r.granted(r.name(), r.name()) }, before: "granted", after: "refused"},
		{key: "mqtt.session.upgrade_qos", to: "on", see: (*liveRig).getsQoS, before: "QoS 0", after: "QoS 1"},
		{key: "mqtt.session.max_inflight", to: "1", see: (*liveRig).getsBeforeItAcknowledges, before: "2 on their way", after: "1 on their way"},
		{key: "mqtt.session.retry_interval", to: "1s", see: (*liveRig).doesNotAcknowledge, after: "sent again"},
		{key: "mqtt.session.await_rel_timeout", to: "1s", with: []string{"mqtt.session.max_awaiting_rel", "1"}, see: (*liveRig).doesNotRelease, after: "given up"},
		{key: "mqtt.session.expiry_interval", to: "0", see: (*liveRig).comesBack, before: "present", after: "gone"},
		{key: "mqtt.session.ignore_loop_deliver", to: "true", see: (*liveRig).hearsItself, before: "hears itself", after: "hears the other"},
		{key: "mqtt.mqueue.max_length", to: "1", see: (*liveRig).overflows, before: "none refused", after: "some refused"},
		{key: "mqtt.mqueue.max_bytes", to: "1KB", see: (*liveRig).overflows, before: "none refused", after: "some refused"},
		{key: "mqtt.mqueue.store_qos0", to: "false", see: (*liveRig).wasAway, before: "first is 1", after: "first is 2"},
		{key: "mqtt.mqueue.high_watermark", to: "20%", with: length, see: (*liveRig).fillsAQueue, after: "an alarm"},
		{key: "mqtt.mqueue.low_watermark", to: "20%", with: append(length, "mqtt.mqueue.high_watermark", "20%"), see: (*liveRig).emptiesAQueue, after: "no alarm"},
		{key: "mqtt.broker.sys_interval", to: "1s", see: (*liveRig).hearsOfTheBroker, after: "uptime"},
		{key: "retainer.max_payload_size", to: "10", see: (*liveRig).retains, before: "kept", after: "not kept"},
		{key: "retainer.expiry_interval", to: "1s", see: (*liveRig).retainsForAWhile, after: "gone"},
		{key: "retainer.max_message_num", to: "1", see: (*liveRig).retains, before: "kept", after: "not kept"},
	}
}

// publish publishes as another client and waits until it is acknowledged.
func (r *liveRig) publish(name, payload string) {
	c, _ := r.client()
	c.Publish(name, payload, 1, 1)
	c.ExpectAck(mqtt.PUBACK, 1)
}

func (r *liveRig) getsQoS() string {
	name := r.name()
	c, _ := r.client()
	c.Subscribe(1, name)
	c.Publish(name, "x", 0, 0)
	return fmt.Sprintf("QoS %d", c.AnyPublish().QoS)
}

// getsBeforeItAcknowledges counts what comes before a PUBACK is sent: with a limit the
// second message does not come, and stands in the queue.
func (r *liveRig) getsBeforeItAcknowledges() string {
	name := r.name()
	c, _ := r.client()
	id := fmt.Sprintf("n%d", r.names)
	c.Subscribe(1, name)
	r.publish(name, "1")
	r.publish(name, "2")
	n := 0
	testkit.Eventually(r, "both are in the session", func() bool {
		line := r.ctl("sessions", "show", id)
		for i := 1; i <= 2; i++ {
			if strings.Contains(line, fmt.Sprintf(", inflight=%d, mqueue_len=%d,", i, 2-i)) {
				n = i
				return true
			}
		}
		return false
	})
	return fmt.Sprintf("%d on their way", n)
}

func (r *liveRig) doesNotAcknowledge() string {
	name := r.name()
	c, _ := r.client()
	c.Subscribe(1, name)
	r.publish(name, "1")
	for range 2 { // the second time because it was not acknowledged
		if h, _, err := c.TryRead(); err != nil || h.Type != mqtt.PUBLISH {
			r.Fatalf("%v %v", h.Type, err)
		}
	}
	return "sent again"
}

// doesNotRelease leaves one message of QoS 2 without its PUBREL, which is all that may
// wait, and tries the next until the broker has given up the first. What is refused is
// not answered.
func (r *liveRig) doesNotRelease() string {
	c, _ := r.client()
	c.Send(&mqtt.Publish{Topic: "x", QoS: 2, PacketID: 1})
	c.ExpectAck(mqtt.PUBREC, 1)
	id := protocol.PacketID(1)
	testkit.Eventually(r, "the broker has given up", func() bool {
		id++
		c.Send(&mqtt.Publish{Topic: "x", QoS: 2, PacketID: id})
		c.SendBytes([]byte{byte(mqtt.PINGREQ) << 4, 0})
		h, _, err := c.TryRead()
		if err != nil {
			r.Fatal(err)
		}
		return h.Type == mqtt.PUBREC
	})
	return "given up"
}

func (r *liveRig) comesBack() string {
	id := r.name()
	c := r.b.DialMemory(r)
	c.Connect(testkit.Persistent(id))
	c.Disconnect()
	c = r.b.DialMemory(r)
	if c.Connect(testkit.Persistent(id)).SessionPresent {
		return "present"
	}
	return "gone"
}

func (r *liveRig) hearsItself() string {
	name := r.name()
	c, _ := r.client()
	c.Subscribe(0, name)
	c.Publish(name, "hears itself", 1, 1)
	for {
		h, body, err := c.TryRead()
		if err != nil {
			r.Fatal(err)
		}
		var p mqtt.Publish
		switch h.Type {
		case mqtt.PUBACK:
			r.publish(name, "hears the other")
		case mqtt.PUBLISH:
			if err := p.Decode(h, body, mqtt.V311); err != nil {
				r.Fatal(err)
			}
			return string(p.Payload)
		}
	}
}

// away makes a session whose client is away, and publishes to it.
func (r *liveRig) away(messages ...*mqtt.Publish) (id string) {
	id = r.name()
	c := r.b.DialMemory(r)
	c.Connect(testkit.Persistent(id))
	c.Subscribe(1, id)
	c.Disconnect()
	c, _ = r.client()
	for i, m := range messages {
		m.Topic = topic.Name(id)
		if m.QoS > 0 {
			m.PacketID = protocol.PacketID(i + 1)
		}
		c.Send(m)
		if m.QoS > 0 {
			c.ExpectAck(mqtt.PUBACK, m.PacketID)
		}
	}
	return id
}

// overflows publishes to a session whose client is away, as a client that is told of
// what is refused.
func (r *liveRig) overflows() string {
	id := r.away()
	c, _ := r.client(v5)
	for n := range protocol.PacketID(4) {
		c.Send(&mqtt.Publish{Topic: topic.Name(id), Payload: make([]byte, 600), QoS: 1, PacketID: n + 1})
		var ack mqtt.Ack
		h, body, err := c.TryRead()
		if err == nil {
			err = ack.Decode(h, body, mqtt.V5)
		}
		if err != nil {
			r.Fatal(err)
		}
		if ack.Code >= 0x80 {
			return "some refused"
		}
	}
	return "none refused"
}

// wasAway is told which message is the first that was kept of two, of QoS 0 and 1.
func (r *liveRig) wasAway() string {
	id := r.away(&mqtt.Publish{Payload: []byte("1")}, &mqtt.Publish{Payload: []byte("2"), QoS: 1})
	c := r.b.DialMemory(r)
	c.Connect(testkit.Persistent(id))
	return "first is " + string(c.AnyPublish().Payload[:1])
}

func (r *liveRig) fills() string {
	id := r.away(&mqtt.Publish{QoS: 1}, &mqtt.Publish{QoS: 1}, &mqtt.Publish{QoS: 1}, &mqtt.Publish{QoS: 1})
	testkit.Eventually(r, "there is an alarm", func() bool { return r.hasAlarm(id) })
	return id
}

func (r *liveRig) fillsAQueue() string {
	r.fills()
	return "an alarm"
}

func (r *liveRig) emptiesAQueue() string {
	id := r.fills()
	c := r.b.DialMemory(r)
	c.Connect(testkit.Persistent(id))
	testkit.Eventually(r, "the alarm is cleared", func() bool { return !r.hasAlarm(id) })
	return "no alarm"
}

// hasAlarm asks the HTTP API for the alarm of a session's queue.
func (r *liveRig) hasAlarm(id string) bool {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+r.b.Addr(testkit.API)+"/api/v3/alarms", http.NoBody)
	if err != nil {
		r.Fatal(err)
	}
	ask.SetBasicAuth("admin", "public")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !json.Valid(body) || answer.StatusCode != http.StatusOK {
		r.Fatalf("%s %s %v", answer.Status, body, err)
	}
	return strings.Contains(string(body), `"queue_high_watermark.`+id+`"`)
}

func (r *liveRig) hearsOfTheBroker() string {
	c, _ := r.client()
	c.Subscribe(0, "$SYS/brokers/+/uptime")
	if !strings.HasSuffix(string(c.AnyPublish().Topic), "/uptime") {
		return "odd"
	}
	return "uptime"
}

// retains retains a message of 20 bytes and then, with a limit on how large one may
// be, and below that on how many, asks for it.
func (r *liveRig) retains() string {
	name := r.name()
	r.old.Send(&mqtt.Publish{Topic: topic.Name("first/" + name), Payload: []byte("1"), Retain: true, QoS: 1, PacketID: 1})
	r.old.ExpectAck(mqtt.PUBACK, 1)
	r.old.Send(&mqtt.Publish{Topic: topic.Name(name), Payload: []byte(strings.Repeat("x", 20)), Retain: true, QoS: 1, PacketID: 2})
	r.old.ExpectAck(mqtt.PUBACK, 2)
	if r.round == "before" {
		testkit.Eventually(r, "it is kept", func() bool { return strings.Contains(r.ctl("retainer", "topics"), name+"\n") })
		return "kept"
	}
	c, _ := r.client()
	c.Subscribe(0, name)
	r.publish(name, "later")
	if c.AnyPublish().Retain {
		return "kept"
	}
	return "not kept"
}

func (r *liveRig) retainsForAWhile() string {
	name := "for-a-while-" + r.name()
	r.old.Send(&mqtt.Publish{Topic: topic.Name(name), Payload: []byte("x"), Retain: true, QoS: 1, PacketID: 1})
	r.old.ExpectAck(mqtt.PUBACK, 1)
	testkit.Eventually(r, "it is forgotten", func() bool {
		c, _ := r.client()
		defer c.Close()
		c.Subscribe(0, name)
		r.publish(name, "later")
		return !c.AnyPublish().Retain
	})
	return "gone"
}
