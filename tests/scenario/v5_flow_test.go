package scenario

import (
	"strings"
	"testing"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

type connects = []func(*mqtt.Connect)

func TestUnknownAcknowledgementsDoNotRaiseTheSendQuota(t *testing.T) { // [MQTT-4.9.0-2]
	b := testkit.Start(t)
	d, s := speak(t, b, "modest", connects{atMost(1)}, "m"), newTeller(t, b)
	s.tell("m", 1, "a", "b", "c")
	d.want("a/1#1")
	d.ack(mqtt.PUBACK, 5)
	d.ack(mqtt.PUBCOMP, 5)
	d.ack(mqtt.PUBCOMP, 1)
	d.ack(mqtt.PUBREC, 1)
	d.want("")
	d.ack(mqtt.PUBREC, 5)
	d.want("PUBREL#5:92")
	d.ack(mqtt.PUBACK, 1)
	d.ack(mqtt.PUBACK, 1)
	d.want("b/1#2")
	d.ack(mqtt.PUBACK, 2)
	d.want("c/1#3")
}

func TestPubcompAndRefusingPubrecRaiseTheSendQuota(t *testing.T) { // [MQTT-4.9.0-2]
	b := testkit.Start(t)
	d, s := speak(t, b, "exact", connects{atMost(1)}, "m"), newTeller(t, b)
	s.tell("m", 2, "a", "b", "c")
	d.want("a/2#1")
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBREL#1")
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBREL#1")
	d.ack(mqtt.PUBCOMP, 1)
	d.want("b/2#2")
	d.ack(mqtt.PUBREC, 2, protocol.QuotaExceeded)
	d.want("c/2#3")
}

func TestResumeKeepsToTheReceiveMaximumOfTheNewConnection(t *testing.T) { // [MQTT-3.3.4-9]
	b := testkit.Start(t)
	d, s := speak(t, b, "shrinking", connects{lasting}, "m"), newTeller(t, b)
	s.tell("m", 1, "a", "b", "c", "d")
	d.want("a/1#1 b/1#2 c/1#3 d/1#4")
	d = d.again(atMost(2))
	d.want("a/1dup#1 b/1dup#2")
	s.tell("m", 1, "e")
	d.ack(mqtt.PUBACK, 9)
	d.want("")
	d.ack(mqtt.PUBACK, 2)
	d.want("c/1dup#3")
	d.ack(mqtt.PUBACK, 1)
	d.want("d/1dup#4")
	d.ack(mqtt.PUBACK, 3)
	d.want("e/1#5")
}

func TestQuotaOfTheLastConnectionIsForgotten(t *testing.T) {
	b := testkit.Start(t)
	d, s := speak(t, b, "growing", connects{lasting, atMost(1)}, "m"), newTeller(t, b)
	s.tell("m", 1, "a", "b", "c")
	d.want("a/1#1")
	d = d.again(atMost(3))
	d.want("a/1dup#1 b/1#2 c/1#3")
	d = d.again()
	d.want("a/1dup#1 b/1dup#2 c/1dup#3")
}

func TestResumeSendsPublishWithDupAndPubrelWherePubrecHadCome(t *testing.T) { // [MQTT-4.4.0-1]
	b := testkit.Start(t)
	d, s := speak(t, b, "halfway", connects{lasting}, "m"), newTeller(t, b)
	s.tell("m", 2, "a", "b")
	s.tell("m", 1, "c")
	d.want("a/2#1 b/2#2 c/1#3")
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBREL#1")
	d = d.again()
	d.want("PUBREL#1 b/2dup#2 c/1dup#3")
	d.ack(mqtt.PUBCOMP, 1)
	d.ack(mqtt.PUBREC, 2)
	d.ack(mqtt.PUBACK, 3)
	d.want("PUBREL#2")
	d = d.again()
	d.want("PUBREL#2")
	d.ack(mqtt.PUBCOMP, 2)
	d.want("")
	d.again().want("")
}

func TestPubrecOfAMessageThatWasNotSentAgainLeavesTheSessionAlive(t *testing.T) {
	b := testkit.Start(t)
	d, s := speak(t, b, "hasty", connects{lasting}, "m"), newTeller(t, b)
	s.tell("m", 2, "a", "b")
	d.want("a/2#1 b/2#2")
	d = d.again(atMost(1))
	d.want("a/2dup#1")
	d.ack(mqtt.PUBREC, 2)
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBREL#2 PUBREL#1")
	d.ack(mqtt.PUBCOMP, 2)
	d.ack(mqtt.PUBCOMP, 1)
	s.tell("m", 2, "c")
	d.want("c/2#3")
}

func TestExpiryDoesNotEndAnExchangeThatHasBegun(t *testing.T) { // [MQTT-3.3.2-5] [MQTT-4.3.3-7]
	b := testkit.Start(t)
	d := speak(t, b, "patient", connects{lasting}, "m")
	soon := message("m", "a", 2, 1, mqtt.MessageProperties{})
	soon.HasMessageExpiry, soon.MessageExpiry = true, 1
	d.Send(soon)
	d.want("PUBREC#1 a/2#1")
	d.ack(mqtt.PUBREL, 1)
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBCOMP#1 PUBREL#1")
	elapse(t, b, 2)
	d = d.again()
	d.want("PUBREL#1")
	d.ack(mqtt.PUBCOMP, 1)
	d.want("")
}

func TestCleanStartForgetsPacketIdentifiers(t *testing.T) { // [MQTT-3.1.2-4]
	b := testkit.Start(t)
	d, s := speak(t, b, "amnesic", connects{lasting}, "m"), newTeller(t, b)
	s.tell("m", 1, "out")
	d.want("out/1#1")
	d.Publish("m", "in", 2, 7)
	d.want("PUBREC#7 in/2#2")
	d = d.again()
	d.Send(&mqtt.Publish{Topic: "m", Payload: []byte("in"), QoS: 2, PacketID: 7, Dup: true})
	d.want("out/1dup#1 in/2dup#2 PUBREC#7") // the session knows 7: no second delivery
	d.Close()

	d = speak(t, b, "amnesic", connects{lasting, func(p *mqtt.Connect) { p.CleanStart = true }}, "m")
	d.want("")
	d.ack(mqtt.PUBREL, 7)
	d.want("PUBCOMP#7:92")
	d.Publish("m", "new", 2, 7)
	d.want("PUBREC#7 new/2#1")
	d.ack(mqtt.PUBACK, 1) // that was of the old session
	d.ack(mqtt.PUBREC, 1)
	d.want("PUBREL#1")
}

func TestClientThatExceedsTheReceiveMaximumIsDisconnected(t *testing.T) { // [MQTT-3.3.4-7]
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.Session.MaxAwaitingRel = 2 })
	publish := func(id protocol.PacketID, qos protocol.QoS) testkit.Packet {
		return &mqtt.Publish{Topic: "m", QoS: qos, PacketID: id}
	}
	t.Run("QoS 2, one after the other", func(t *testing.T) {
		d := speak(t, b, "flood", nil)
		for id := range protocol.PacketID(10) { // each is done before the next
			d.Send(publish(id+1, 2))
			d.ack(mqtt.PUBREL, id+1)
			d.ExpectAck(mqtt.PUBREC, id+1)
			d.ExpectAck(mqtt.PUBCOMP, id+1)
		}
		d.Send(publish(1, 2))
		d.Send(publish(2, 2))
		d.want("PUBREC#1:10 PUBREC#2:10")
		d.Send(publish(2, 2)) // the same again is no third one
		d.want("PUBREC#2")
		d.Send(publish(3, 2))
		if p := d.ExpectDisconnect(); p.Code != protocol.ReceiveMaximumExceeded {
			t.Errorf("DISCONNECT %v", p.Code)
		}
		d.ExpectClosed()
	})
	t.Run("QoS 1, before any can be acknowledged", func(t *testing.T) {
		d := speak(t, b, "burst", nil)
		d.Send(publish(1, 1), publish(2, 1))
		d.want("PUBACK#1:10 PUBACK#2:10")
		d.Send(publish(1, 1), publish(2, 1), publish(3, 1))
		words := strings.Join(d.until("DISCONNECT:93"), " ")
		if strings.Contains(words, "PUBACK#3") {
			t.Errorf("got %q before the DISCONNECT", words)
		}
		d.ExpectClosed()
	})
}

func TestResumeKeepsToTheAliasesAndPacketSizeOfTheNewConnection(t *testing.T) {
	b := testkit.Start(t)
	s := newTeller(t, b)
	d := speak(t, b, "fickle", connects{lasting, func(p *mqtt.Connect) { p.Properties.TopicAliasMaximum = 5 }}, "long/topic")
	s.tell("long/topic", 1, "a", "b", strings.Repeat("c", 100))
	for range 3 {
		h, _, err := d.TryRead()
		if err != nil || h.Type != mqtt.PUBLISH {
			t.Fatalf("%v %v", h.Type, err)
		}
	}
	d = d.again(func(p *mqtt.Connect) { p.Properties.MaximumPacketSize = 60 })
	d.ExpectPublish("long/topic", "a") // an alias would leave the topic out
	d.ExpectPublish("long/topic", "b")
	d.want("")
	s.tell("long/topic", 1, "d")
	d.ExpectPublish("long/topic", "d")
}
