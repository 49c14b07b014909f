package clients

import (
	"errors"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func TestShutdownTellsClientsOfMQTT5(t *testing.T) {
	home := testkit.NewHome(t)
	node := home.Foreground()
	c := join5(t, home.MQTT, "last", expiring(600))
	c.silent("last-fence") // CONNACK comes a moment before the connection is complete
	node.Signal(syscall.SIGTERM)
	c.dismissed(0x8b)
	if code := node.Wait(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// limitedHome is a node that offers as little as can be configured.
func limitedHome(t *testing.T) *testkit.Home {
	t.Helper()
	return testkit.NewHome(t,
		"mqtt.server_keepalive = 7s",
		"mqtt.max_qos_allowed = 1",
		"mqtt.retain_available = false",
		"mqtt.wildcard_subscription = false",
		"mqtt.shared_subscription = false",
		"mqtt.subscription_identifier = false",
		"mqtt.max_topic_alias = 0",
		"mqtt.session.max_awaiting_rel = 5",
		"mqtt.check_payload_format = true",
	)
}

// TestFeaturesThatAreSwitchedOff asks for them through Paho, which keeps to what
// CONNACK says, and with packets, which do not.
func TestFeaturesThatAreSwitchedOff(t *testing.T) {
	home := limitedHome(t)
	home.Foreground()
	c := join5(t, home.MQTT, "features")
	t.Run("CONNACK says so", func(t *testing.T) {
		p := c.connack.Properties
		if p.WildcardSubAvailable || p.SharedSubAvailable || p.SubIDAvailable || p.RetainAvailable {
			t.Errorf("properties %+v", p)
		}
		if p.MaximumQoS == nil || *p.MaximumQoS != 1 {
			t.Errorf("Maximum QoS %v", p.MaximumQoS)
		}
		if p.ReceiveMaximum == nil || *p.ReceiveMaximum != 5 {
			t.Errorf("Receive Maximum %v", p.ReceiveMaximum)
		}
		if p.TopicAliasMaximum != nil && *p.TopicAliasMaximum != 0 {
			t.Errorf("Topic Alias Maximum %v", *p.TopicAliasMaximum)
		}
	})
	t.Run("the broker's keep alive wins if it is shorter", func(t *testing.T) {
		for asked, want := range map[uint16]uint16{0: 7, 8: 7, 7: 0, 3: 0} {
			c := join5(t, home.MQTT, "keepalive", func(_ *paho.ClientConfig, c *paho.Connect) { c.KeepAlive = asked })
			var got uint16
			if k := c.connack.Properties.ServerKeepAlive; k != nil {
				got = *k
			}
			if got != want {
				t.Errorf("asked for %d s: Server Keep Alive %d, want %d", asked, got, want)
			}
		}
	})
	t.Run("Paho keeps to it", func(t *testing.T) {
		for _, s := range []*paho.Subscribe{
			identified(1, "a"),
			{Subscriptions: []paho.SubscribeOptions{{Topic: "a/#"}}},
			{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/g/a"}}},
		} {
			if _, err := c.Subscribe(c.context(), s); !errors.Is(err, paho.ErrInvalidArguments) {
				t.Errorf("SUBSCRIBE %+v: %v", s.Subscriptions, err)
			}
		}
		for _, m := range []*paho.Publish{{Topic: "a", QoS: 2}, {Topic: "a", Retain: true}} {
			if _, err := c.Publish(c.context(), m); !errors.Is(err, paho.ErrInvalidArguments) {
				t.Errorf("PUBLISH %+v: %v", m, err)
			}
		}
	})
	t.Run("a payload that is not what it says is refused", func(t *testing.T) {
		for text, want := range map[string]byte{"\xc3\x28": 0x99, "ok": 0x10} {
			if rc := c.publish("format", 1, text, &paho.PublishProperties{PayloadFormat: pointer(byte(1))}); rc != want {
				t.Errorf("%q: 0x%02X, want 0x%02X", text, rc, want)
			}
		}
	})
	t.Run("SUBACK refuses each kind with its code", func(t *testing.T) { refusedSubscriptions(t, home.MQTT) })
	t.Run("a PUBLISH ends the connection with its code", func(t *testing.T) {
		for _, tc := range []struct {
			m    mqtt.Publish
			code protocol.ReasonCode
		}{
			{mqtt.Publish{Topic: "a", Retain: true}, protocol.RetainNotSupported},
			{mqtt.Publish{Topic: "a", QoS: 2, PacketID: 1}, protocol.QoSNotSupported},
			{mqtt.Publish{Topic: "a", TopicAlias: 1}, protocol.TopicAliasInvalid},
		} {
			c := hello5(t, home.MQTT, "offender", nil)
			c.Send(&tc.m)
			if d := c.ExpectDisconnect(); d.Code != tc.code {
				t.Errorf("%+v: DISCONNECT %v, want %v", tc.m, d.Code, tc.code)
			}
			c.ExpectClosed()
		}
	})
	t.Run("a will that asks for it is refused", func(t *testing.T) {
		for code, will := range map[protocol.ReasonCode]mqtt.Will{
			protocol.RetainNotSupported: {Topic: "w", Retain: true},
			protocol.QoSNotSupported:    {Topic: "w", QoS: 2},
		} {
			c := testkit.Dial(t, home.MQTT)
			c.Version = mqtt.V5
			c.Send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "will", HasWill: true, Will: will})
			if got := c.ExpectConnack(); got.Code != code {
				t.Errorf("CONNACK %v, want %v", got.Code, code)
			}
			c.ExpectClosed()
		}
	})
}

func refusedSubscriptions(t *testing.T, addr string) {
	c := hello5(t, addr, "subscriber", nil)
	c.Send(&mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{
		{Filter: "a/#"}, {Filter: "+"}, {Filter: "$share/g/a"}, {Filter: "a", QoS: 2},
	}})
	c.ExpectSuback(1, protocol.WildcardSubscriptionsNotSupported, protocol.WildcardSubscriptionsNotSupported,
		protocol.SharedSubscriptionsNotSupported, protocol.GrantedQoS1)
	c.Send(&mqtt.Subscribe{ID: 2, SubscriptionID: 9, Subscriptions: []mqtt.Subscription{{Filter: "a"}}})
	c.ExpectSuback(2, protocol.SubscriptionIdentifiersNotSupported)
}

// hello5 connects with packets; with says what else its CONNECT asks for.
func hello5(t *testing.T, addr, id string, with func(*mqtt.Connect)) *testkit.Client {
	t.Helper()
	p := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: id}
	if with != nil {
		with(p)
	}
	c := testkit.Dial(t, addr)
	c.Connect(p)
	return c
}
