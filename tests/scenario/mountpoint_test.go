package scenario

import (
	"testing"
	"time"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// tenants is a node with one listener whose clients are mounted by their user
// names and one whose are not.
func tenants(t *testing.T) (inside func(id, user string) *testkit.Client, outside *testkit.Client, b *testkit.Broker) {
	t.Helper()
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.Mountpoint = "tenant/%u/" })
	inside = func(id, user string) *testkit.Client {
		c := testkit.Dial(t, addr)
		p := testkit.Hello(id)
		p.UserName, p.HasUserName = user, true
		c.Connect(p)
		return c
	}
	outside = b.Dial(t)
	outside.Connect(testkit.Hello("outside"))
	return inside, outside, b
}

func TestTopicsOfMountedClientsStandBelowTheirMountPoint(t *testing.T) {
	inside, outside, _ := tenants(t)
	outside.Subscribe(1, "tenant/#")
	a, b := inside("a", "one"), inside("b", "two")
	a.Subscribe(1, "t/#")
	b.Subscribe(1, "t/#")
	a.Publish("t/x", "from a", 0, 0)
	outside.ExpectPublish("tenant/one/t/x", "from a")
	a.ExpectPublish("t/x", "from a")
	outside.Publish("tenant/two/t/y", "to b", 1, 7)
	outside.ExpectAck(mqtt.PUBACK, 7)
	outside.ExpectPublish("tenant/two/t/y", "to b")
	b.ExpectPublish("t/y", "to b")
	a.Ping() // and got nothing of it
	a.Unsubscribe("t/#")
	outside.Publish("tenant/one/t/z", "nobody", 0, 0)
	a.Ping()
}

func TestSharedSubscriptionsRetainedMessagesAndWillsAreMounted(t *testing.T) {
	inside, outside, b := tenants(t)
	outside.Retain("tenant/one/kept", "before")
	outside.Ping()
	worker := inside("w", "one")
	worker.Subscribe(1, "$share/g/jobs/+", "$queue/more")
	worker.Subscribe(1, "kept")
	worker.ExpectPublish("kept", "before")
	for _, name := range []string{"jobs/1", "more"} {
		outside.Publish("tenant/one/"+name, "work", 0, 0)
		worker.ExpectPublish(name, "work")
	}
	outside.Subscribe(1, "tenant/one/last")
	doomed := testkit.Dial(t, b.Addr("tcp.x"))
	p := testkit.Hello("doomed")
	p.UserName, p.HasUserName = "one", true
	p.HasWill, p.Will = true, mqtt.Will{Topic: "last", Payload: []byte("words"), QoS: protocol.AtLeastOnce}
	doomed.Connect(p)
	doomed.Close()
	outside.ExpectPublish("tenant/one/last", "words")
}

func TestMountedClientOfMQTT5GetsAliasesOfItsOwnTopics(t *testing.T) {
	_, outside, b := tenants(t)
	c := testkit.Dial(t, b.Addr("tcp.x"))
	p := testkit.Hello("five")
	p.Version, p.UserName, p.HasUserName = mqtt.V5, "one", true
	p.Properties.TopicAliasMaximum = 10
	c.Connect(p)
	c.Subscribe(0, "long/topic")
	for _, want := range []struct {
		name  string
		alias uint16
	}{{"long/topic", 0}, {"long/topic", 1}, {"", 1}} {
		outside.Publish("tenant/one/long/topic", "x", 0, 0)
		if got := c.AnyPublish(); string(got.Topic) != want.name || got.TopicAlias != want.alias {
			t.Errorf("got %q with alias %d, want %q with %d", got.Topic, got.TopicAlias, want.name, want.alias)
		}
	}
}

func TestClientWhoseNameReachesBeyondItsMountPointIsRefused(t *testing.T) {
	_, _, b := tenants(t)
	for _, user := range []string{"+", "#", "one/two", ""} {
		c := testkit.Dial(t, b.Addr("tcp.x"))
		p := testkit.Hello("greedy")
		p.UserName, p.HasUserName = user, user != ""
		c.Send(p)
		if got := c.ExpectConnack(); got.Code == protocol.Success {
			t.Errorf("%q comes in", user)
		}
	}
	ended(t, b, "mountpoint_invalid", 4)
}

func TestWhoPublishesTooFastIsReadSlowlyAndLosesNothing(t *testing.T) {
	const messages = 40 // at 20 a second behind a burst of 10
	for name, change := range map[string]func(*config.Config, *config.Listener){
		"of a connection": func(_ *config.Config, l *config.Listener) { l.MessageRate = config.MessageRate{10, 20} },
		"of the listener": func(_ *config.Config, l *config.Listener) { l.TotalMessageRate = config.MessageRate{10, 20} },
		"of a client":     func(c *config.Config, _ *config.Listener) { c.MQTT.MaxPublishRate = 20 },
	} {
		t.Run(name, func(t *testing.T) {
			b := testkit.Start(t, func(c *config.Config) {
				l := c.Listeners[0]
				l.Name = "x"
				change(c, &l)
				c.Listeners = append(c.Listeners, l)
			})
			c := testkit.Dial(t, b.Addr("tcp.x"))
			p := testkit.Hello("eager")
			p.KeepAlive = 1
			c.Connect(p)
			began := time.Now()
			for i := range messages {
				c.Publish("rate/x", "m", 1, protocol.PacketID(i+1))
				if i%10 == 9 { // a client that waits for what it has sent
					for j := i - 9; j <= i; j++ {
						c.ExpectAck(mqtt.PUBACK, protocol.PacketID(j+1))
					}
				}
			}
			c.Ping()
			// 20 at the very least had to wait, at 20 a second: a lower bound only.
			if took := time.Since(began); took < 800*time.Millisecond {
				t.Errorf("%d messages went through in %v", messages, took)
			}
		})
	}
}

func TestLimitOfAClientOutlivesItsConnection(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.MaxPublishRate = 5 })
	began := time.Now()
	for range 4 {
		c := b.Dial(t)
		c.Connect(testkit.Hello("again"))
		for range 5 {
			c.Publish("rate/x", "m", 0, 0)
		}
		c.Ping()
		c.Disconnect()
	}
	// Fresh limits would let 20 messages through at once; these let 5.
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("a client that connects again is limited anew: %v", took)
	}
	other := b.Dial(t)
	other.Connect(testkit.Hello("other"))
	other.Publish("rate/x", "m", 1, 1)
	other.ExpectAck(mqtt.PUBACK, 1)
}
