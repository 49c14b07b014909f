package durability

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// lasting is a CONNECT whose session outlives the connection for so many seconds.
func lasting(id string, v mqtt.Version, seconds uint32) *mqtt.Connect {
	c := &mqtt.Connect{Version: v, ClientID: id}
	if v == mqtt.V5 {
		c.Properties.SessionExpiry = seconds
	}
	return c
}

// pass lets time pass: what expires, and what a will waits for, needs it.
func pass(d time.Duration) { <-time.After(d) }

// kept publishes with QoS 1 and waits until it is acknowledged.
func kept(t *testing.T, addr string, messages ...*mqtt.Publish) {
	t.Helper()
	c := testkit.Dial(t, addr)
	c.Connect(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "publisher"})
	for i, m := range messages {
		m.PacketID = protocol.PacketID(i + 1)
		m.QoS = max(m.QoS, 1)
		c.Send(m)
		if m.QoS == 1 {
			c.ExpectAck(mqtt.PUBACK, m.PacketID)
			continue
		}
		c.ExpectAck(mqtt.PUBREC, m.PacketID)
		c.Send(&mqtt.Ack{Type: mqtt.PUBREL, ID: m.PacketID})
		c.ExpectAck(mqtt.PUBCOMP, m.PacketID)
	}
	c.Disconnect()
}

func message(name, payload string) *mqtt.Publish {
	return &mqtt.Publish{Topic: topic.Name(name), Payload: []byte(payload)}
}

func TestExpiryIsHonouredOverAKill(t *testing.T) {
	h := testkit.NewHome(t)
	p := h.Foreground()
	for id, seconds := range map[string]uint32{"short": 2, "long": 3600} {
		c := testkit.Dial(t, h.MQTT)
		c.Connect(lasting(id, mqtt.V5, seconds))
		c.Subscribe(1, "a/#")
		c.Disconnect()
	}
	brief, slow := message("a/brief", "gone"), message("a/slow", "there")
	brief.HasMessageExpiry, brief.MessageExpiry = true, 2
	slow.HasMessageExpiry, slow.MessageExpiry = true, 600
	kept(t, h.MQTT, brief, slow)
	p.Kill()
	pass(2500 * time.Millisecond)
	h.Foreground()
	short := testkit.Dial(t, h.MQTT)
	if ack := short.Connect(lasting("short", mqtt.V5, 2)); ack.SessionPresent {
		t.Error("a session is there that has expired while the node was down")
	}
	long := testkit.Dial(t, h.MQTT)
	if ack := long.Connect(lasting("long", mqtt.V5, 3600)); !ack.SessionPresent {
		t.Error("the session that has not expired is gone")
	}
	if got := long.ExpectPublish("a/slow", "there"); got.MessageExpiry > 598 || got.MessageExpiry < 300 {
		t.Errorf("the message has %d seconds left of 600", got.MessageExpiry)
	}
	long.Ping()
}

func TestWillsOfTheClientsOfAKilledNode(t *testing.T) {
	h := testkit.NewHome(t)
	p := h.Foreground()
	watcher := testkit.Dial(t, h.MQTT)
	watcher.Connect(lasting("watcher", mqtt.V5, 3600))
	watcher.Subscribe(1, "will/#")
	hello := func(id string, delay uint32) *mqtt.Connect {
		c := lasting(id, mqtt.V5, 3600)
		c.HasWill = true
		c.Will = mqtt.Will{Topic: topic.Name("will/" + id), Payload: []byte("lost"), QoS: 1, Delay: delay}
		return c
	}
	bye := testkit.Dial(t, h.MQTT)
	bye.Connect(hello("bye", 0))
	bye.Disconnect()
	for id, delay := range map[string]uint32{"now": 0, "later": 2, "back": 2} {
		testkit.Dial(t, h.MQTT).Connect(hello(id, delay))
	}
	old := lasting("old", mqtt.V311, 0)
	old.HasWill, old.Will = true, mqtt.Will{Topic: "will/old", Payload: []byte("lost"), QoS: 1}
	testkit.Dial(t, h.MQTT).Connect(old)
	p.Kill()

	h.Foreground()
	back := testkit.Dial(t, h.MQTT)
	if ack := back.Connect(hello("back", 0)); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	watcher = testkit.Dial(t, h.MQTT)
	watcher.Connect(lasting("watcher", mqtt.V5, 3600))
	got := map[topic.Name]int{}
	for range 2 {
		got[watcher.AnyPublish().Topic]++
	}
	if got["will/now"] != 1 || got["will/old"] != 1 {
		t.Errorf("at once came %v", got)
	}
	watcher.ExpectPublish("will/later", "lost")
	watcher.Ping() // and none of the client that is back, whose will waited as long
}

func TestOrderlyStopKeepsEverything(t *testing.T) {
	h := testkit.NewHome(t)
	p := h.Foreground()
	for i, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		c := testkit.Dial(t, h.MQTT)
		c.Connect(lasting(fmt.Sprint("c", i), v, 3600))
		c.Subscribe(2, "a/#")
		if i == 0 {
			c.Disconnect() // the other one is there when the node stops
		}
	}
	retained := message("r/1", "kept")
	retained.Retain = true
	exact := message("a/2", "two")
	exact.QoS = 2
	kept(t, h.MQTT, message("a/1", "one"), exact, retained)
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	h.Foreground()
	for i, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		c := testkit.Dial(t, h.MQTT)
		if ack := c.Connect(lasting(fmt.Sprint("c", i), v, 3600)); !ack.SessionPresent {
			t.Errorf("%v: the session is gone", v)
		}
		c.ExpectPublish("a/1", "one")
		if got := c.ExpectPublish("a/2", "two"); got.QoS != 2 {
			t.Errorf("%v: QoS %d", v, got.QoS)
		}
		c.Close()
	}
	c := testkit.Dial(t, h.MQTT)
	c.Connect(testkit.Hello("reader"))
	c.Subscribe(1, "r/#")
	c.ExpectPublish("r/1", "kept")
}

func TestWhatWasInFlightComesAgainAsItWas(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			h := testkit.NewHome(t)
			p := h.Foreground()
			c := testkit.Dial(t, h.MQTT)
			c.Connect(lasting("c", v, 3600))
			c.Subscribe(2, "a/#")
			exact := [2]*mqtt.Publish{message("a/1", "to be released"), message("a/2", "not acknowledged")}
			exact[0].QoS, exact[1].QoS = 2, 2
			kept(t, h.MQTT, exact[0], exact[1], message("a/3", "not acknowledged"))
			var sent [3]*mqtt.Publish
			for i := range sent {
				_, body, err := c.TryRead()
				sent[i] = new(mqtt.Publish)
				qos := protocol.QoS(2)
				if i == 2 {
					qos = 1
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := sent[i].Decode(mqtt.Header{Type: mqtt.PUBLISH, Flags: byte(qos) << 1, Remaining: len(body)}, append([]byte(nil), body...), v); err != nil {
					t.Fatal(err)
				}
			}
			c.Send(&mqtt.Ack{Type: mqtt.PUBREC, ID: sent[0].PacketID})
			c.ExpectAck(mqtt.PUBREL, sent[0].PacketID)
			p.Kill()
			h.Foreground()
			c = testkit.Dial(t, h.MQTT)
			if ack := c.Connect(lasting("c", v, 3600)); !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			c.ExpectAck(mqtt.PUBREL, sent[0].PacketID)
			for _, before := range sent[1:] {
				if p := c.AnyPublish(); !p.Dup || p.PacketID != before.PacketID || string(p.Topic) != string(before.Topic) || p.QoS != before.QoS {
					t.Errorf("sent %s with identifier %d, came again %s with %d, DUP %v", before.Topic, before.PacketID, p.Topic, p.PacketID, p.Dup)
				}
			}
			kept(t, h.MQTT, message("a/4", "new"))
			if p := c.AnyPublish(); p.Dup || p.PacketID == sent[1].PacketID || p.PacketID == sent[0].PacketID {
				t.Errorf("a new message got packet identifier %d (DUP %v), which is in use", p.PacketID, p.Dup)
			}
		})
	}
}
