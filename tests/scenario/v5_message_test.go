package scenario

import (
	"slices"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func TestWillDelayEndsWithTheSession(t *testing.T) { // [MQTT-3.1.3-9]
	b := testkit.Start(t)
	watcher := speak(t, b, "watcher", nil, "will")
	c := b.Dial(t)
	c.Connect(hello5("mortal", lasting, willing(mqtt.Will{Topic: "will", Payload: []byte("over"), Delay: 600}),
		func(p *mqtt.Connect) { p.Properties.SessionExpiry = 1 }))
	lost := time.Now()
	c.Close()
	watcher.ExpectPublish("will", "over")
	if d := time.Since(lost); d < time.Second {
		t.Errorf("the session ended after %v, before its interval of 1 s", d)
	}
	if ack := b.Dial(t).Connect(hello5("mortal", lasting)); ack.SessionPresent {
		t.Error("the session is present after the will that told of its end")
	}
}

func TestWillHasItsOwnProperties(t *testing.T) {
	b := testkit.Start(t)
	watcher := speak(t, b, "watcher", nil, "will")
	want := mqtt.MessageProperties{
		PayloadFormat: 1, ContentType: "text/plain", ResponseTopic: "answer", CorrelationData: []byte("c"),
		User: []mqtt.UserProperty{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}},
	}
	lose := func(retain bool) {
		c := b.Dial(t)
		c.Connect(hello5("testator", willing(mqtt.Will{
			Topic: "will", Payload: []byte("gone"), QoS: 1, Retain: retain,
			HasMessageExpiry: true, MessageExpiry: 60, Properties: want.Append(nil),
		})))
		c.Close()
	}
	lose(false)
	m := watcher.ExpectPublish("will", "gone")
	if m.QoS != 1 || !m.HasMessageExpiry || m.MessageExpiry > 60 || m.MessageExpiry < 40 {
		t.Errorf("got %+v", m)
	}
	expectProperties(t, m, want)
	lose(true)
	watcher.ExpectPublish("will", "gone")
	late := speak(t, b, "late", nil, "will")
	m = late.ExpectPublish("will", "gone")
	if !m.Retain || !m.HasMessageExpiry || m.MessageExpiry > 60 {
		t.Errorf("retained: got %+v", m)
	}
	expectProperties(t, m, want)
}

func expectProperties(t *testing.T, m *mqtt.Publish, want mqtt.MessageProperties) {
	t.Helper()
	var got mqtt.MessageProperties
	if err := got.Decode(m.Properties); err != nil {
		t.Fatal(err)
	}
	if !got.Equal(&want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOverlappingSubscriptionsGiveOneCopyWithAllIdentifiers(t *testing.T) { // [MQTT-3.3.4-2..5]
	b := testkit.Start(t)
	d, s := speak(t, b, "overlap", connects{lasting}), newTeller(t, b)
	for i, filter := range []string{"o/#", "o/+", "o/a", "+/a"} {
		id := protocol.PacketID(10 + i)
		d.Send(&mqtt.Subscribe{ID: id, SubscriptionID: uint32(i), Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: protocol.QoS(i % 3)}}})
		d.ExpectSuback(id, protocol.ReasonCode(i%3))
	}
	check := func() {
		t.Helper()
		m := d.ExpectPublish("o/a", "once")
		ids := slices.Sorted(slices.Values(m.SubscriptionIDs))
		if !slices.Equal(ids, []uint32{1, 2, 3}) || m.QoS != 2 {
			t.Errorf("identifiers %v with QoS %d", ids, m.QoS)
		}
	}
	s.tell("o/a", 2, "once")
	check()
	d.want("")
	d = d.again()
	check() // sent again, with the same identifiers
	d.want("")
}

func TestAcknowledgementsOfMQTT5SayThatNobodySubscribes(t *testing.T) {
	b := testkit.Start(t)
	d := speak(t, b, "lonely", nil)
	d.Publish("m", "x", 1, 1)
	d.want("PUBACK#1:10")
	d.Publish("m", "x", 2, 2)
	d.ack(mqtt.PUBREL, 2)
	d.want("PUBREC#2:10 PUBCOMP#2")
	company := speak(t, b, "company", nil, "m")
	d.Publish("m", "x", 1, 3)
	d.want("PUBACK#3")
	d.Publish("m", "x", 2, 4)
	d.want("PUBREC#4")
	company.want("x/1#1 x/2#2")
}

func TestMessageOfMQTT5ReachesOlderClientsWithoutProperties(t *testing.T) {
	b := testkit.Start(t)
	old := b.Dial(t)
	old.Connect(testkit.Hello("old"))
	old.Subscribe(2, "m")
	young, pub := speak(t, b, "young", nil, "m"), speak(t, b, "pub", nil)
	want := mqtt.MessageProperties{ContentType: "text/plain", User: []mqtt.UserProperty{{Key: "k", Value: "v"}}}
	m := message("m", "x", 1, 1, want)
	m.TopicAlias, m.HasMessageExpiry, m.MessageExpiry = 1, true, 60
	pub.Send(m)
	old.ExpectPublish("m", "x")
	expectProperties(t, young.ExpectPublish("m", "x"), want)
	newTeller(t, b).tell("m", 1, "y")
	old.ExpectPublish("m", "y")
	expectProperties(t, young.ExpectPublish("m", "y"), mqtt.MessageProperties{})
}
