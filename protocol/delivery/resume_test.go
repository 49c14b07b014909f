package delivery

import (
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

func TestResumeKeepsTheReceiveMaximumOfTheNewConnection(t *testing.T) { // [MQTT-3.3.4-9]
	w := online(t, limits())
	for _, x := range "abcde" {
		w.deliver(string(x), 1, 1)
	}
	w.want("a/1#1 b/1#2 c/1#3 d/1#4")
	w.s.Detach(&w.Out)
	w.s.Attach(&w.Out, 2, w.now)
	w.want("a/1dup#1 b/1dup#2")
	w.ack(mqtt.PUBACK, 2)
	w.want("c/1dup#3")
	w.ack(mqtt.PUBACK, 9) // unknown: it raises nothing
	w.want("")
	w.ack(mqtt.PUBACK, 1)
	w.want("d/1dup#4")
	w.ack(mqtt.PUBACK, 3)
	w.want("e/1#5")
}

func TestPubrelsAreSentAgainWhateverTheQuota(t *testing.T) { // MQTT 5.0, 4.9
	w := online(t, limits())
	for _, x := range "ab" {
		w.deliver(string(x), 2, 2)
	}
	w.ack(mqtt.PUBREC, 1)
	w.ack(mqtt.PUBREC, 2)
	w.Reset()
	w.s.Detach(&w.Out)
	w.s.Attach(&w.Out, 1, w.now)
	w.want("PUBREL#1 PUBREL#2")
}

func TestAPacketTooLargeForTheNewClientEndsItsFlight(t *testing.T) { // [MQTT-3.1.2-25]
	w := online(t, limits())
	w.deliver("a message of some length", 1, 1)
	w.deliver("b", 1, 1)
	w.Reset()
	w.s.Detach(&w.Out)
	w.MaxPacket = 12
	w.s.Attach(&w.Out, 0, w.now)
	w.want("b/1dup#2")
	if i := w.s.Info(); i.Inflight != 1 {
		t.Errorf("%d in flight", i.Inflight)
	}
}

// sends decodes what an Out holds as (topic, alias) pairs.
func sends(t *testing.T, o *Out) (out []string) {
	t.Helper()
	for b := o.Packets; len(b) > 0; {
		h, n, err := mqtt.ParseHeader(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		var p mqtt.Publish
		if err := p.Decode(h, b[n:n+h.Remaining], mqtt.V5); err != nil {
			t.Fatal(err)
		}
		out = append(out, string(p.Topic)+string(rune('0'+p.TopicAlias)))
		b = b[n+h.Remaining:]
	}
	o.Packets = o.Packets[:0]
	return out
}

func TestATopicGetsAnAliasWhenItIsUsedAgain(t *testing.T) { // MQTT 5.0, 3.3.2.3.4
	s := New(limits())
	o := &Out{Version: mqtt.V5, Room: 1 << 20, Aliases: NewAliases(2)}
	s.Attach(o, 0, 1)
	send := func(n topic.Name) {
		s.Deliver(o, &protocol.Message{Topic: n, Payload: []byte("x")}, Grant{}, 1)
	}
	for _, n := range []topic.Name{"long/a", "long/a", "long/a", "t", "t", "long/b", "long/b", "long/b", "long/a"} {
		send(n)
	}
	want := []string{"long/a0", "long/a1", "1", "t0", "t0", "long/b0", "long/b2", "2", "1"}
	if got := sends(t, o); !equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	for range 9 {
		send("long/c")
	}
	got := sends(t, o)
	if last := got[len(got)-1]; last != "1" && last != "2" {
		t.Errorf("a topic in constant use did not displace an old one: %q", got)
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestPubrecOfAMessageNotYetSentAgainLeavesRoomForOthers(t *testing.T) {
	w := online(t, limits())
	w.deliver("a", 2, 2)
	w.deliver("b", 2, 2)
	w.Reset()
	w.s.Detach(&w.Out)
	w.s.Attach(&w.Out, 1, w.now)
	w.want("a/2dup#1")
	w.ack(mqtt.PUBREC, 2) // the client had b before the connection was lost
	w.ack(mqtt.PUBREC, 1)
	w.want("PUBREL#2 PUBREL#1")
	w.ack(mqtt.PUBCOMP, 2)
	w.ack(mqtt.PUBCOMP, 1)
	w.deliver("c", 2, 2)
	w.want("c/2#3")
}

func TestTheRemainingExpiryIntervalIsRoundedUp(t *testing.T) { // [MQTT-3.3.2-6]
	for left, want := range map[int64]uint32{1: 1, 999: 1, 1000: 1, 1001: 2, 0: 0, -5000: 0} {
		o := &Out{}
		o.properties(&item{msg: &protocol.Message{Expires: 10_000}}, 10_000-left)
		if got := o.publish.MessageExpiry; got != want || !o.publish.HasMessageExpiry {
			t.Errorf("%d ms left: told as %d s, want %d", left, got, want)
		}
	}
}
