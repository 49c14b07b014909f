package clients

import (
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

func mixedCases(t *testing.T, addr string) {
	t.Run("messages go from 5 to 3.1.1 and back", func(t *testing.T) {
		t.Parallel()
		old, _ := join(t, options(addr, "mixed-old"))
		young := join5(t, addr, "mixed-young", asking(func(p *paho.ConnectProperties) { p.TopicAliasMaximum = pointer(uint16(4)) }))
		for qos := range byte(3) {
			old.subscribe(fmt.Sprint("mixed/up/", qos), 2)
			young.subscribe(2, fmt.Sprint("mixed/down/", qos))
		}
		for qos := range byte(3) {
			topic := fmt.Sprint("mixed/up/", qos)
			if rc := young.publish(topic, qos, "from 5", &paho.PublishProperties{
				ContentType: "text/plain", MessageExpiry: pointer(uint32(60)), TopicAlias: pointer(uint16(1)),
				User: paho.UserProperties{{Key: "k", Value: "v"}},
			}); rc != 0 {
				t.Errorf("QoS %d: 0x%02X", qos, rc)
			}
			old.expect(topic, qos, false, "from 5")
			topic = fmt.Sprint("mixed/down/", qos)
			old.publish(topic, qos, false, "from 3.1.1")
			m := young.expect(topic, "from 3.1.1")
			if p := m.Properties; m.QoS != qos || p.ContentType != "" || p.MessageExpiry != nil || len(p.User) != 0 {
				t.Errorf("QoS %d: came with %d and %+v", qos, m.QoS, p)
			}
		}
	})
	t.Run("a session of 5 is resumed by 3.1.1 and by 5 again", func(t *testing.T) {
		t.Parallel()
		young := join5(t, addr, "elder", expiring(600))
		young.ask(identified(7, "elder/#"))
		young.depart()
		pub := join5(t, addr, "elder-pub")
		pub.publish("elder/1", 1, "one", &paho.PublishProperties{ContentType: "text/plain"})
		old, present := join(t, options(addr, "elder").SetCleanSession(false))
		if !present {
			t.Error("3.1.1 finds no session")
		}
		old.expect("elder/1", 1, false, "one")
		old.subscribe("aged", 1)
		old.Disconnect(250)
		pub.publish("elder/2", 1, "two", &paho.PublishProperties{ContentType: "text/plain"})
		pub.publish("aged", 1, "three")
		young = join5(t, addr, "elder", expiring(600))
		if !young.connack.SessionPresent {
			t.Error("5 finds no session")
		}
		m := young.expect("elder/2", "two")
		if id := m.Properties.SubscriptionIdentifier; m.Properties.ContentType != "text/plain" || id == nil || *id != 7 {
			t.Errorf("properties %+v", m.Properties)
		}
		if id := young.expect("aged", "three").Properties.SubscriptionIdentifier; id != nil {
			t.Errorf("the subscription of 3.1.1 has the identifier %d", *id)
		}
	})
	t.Run("a session of 3.1.1 is resumed by 5, which may let it end", func(t *testing.T) {
		t.Parallel()
		old, _ := join(t, options(addr, "junior").SetCleanSession(false))
		old.subscribe("junior", 2)
		old.Disconnect(250)
		pub := join5(t, addr, "junior-pub")
		pub.publish("junior", 2, "x")
		young := join5(t, addr, "junior", expiring(0))
		if !young.connack.SessionPresent {
			t.Error("5 finds no session")
		}
		young.expect("junior", "x")
		young.leave(0)
		if _, present := join(t, options(addr, "junior").SetCleanSession(false)); present {
			t.Error("the session did not end with the connection of 5")
		}
	})
}
