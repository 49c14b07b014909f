package clients

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"emqttd/tests/testkit"
)

// peer is a Paho client and what it received.
type peer struct {
	mqtt.Client
	t     *testing.T
	inbox chan mqtt.Message
	lost  chan error
}

func options(addr, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).
		SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true)
}

// join connects and reports whether the broker had a session.
func join(t *testing.T, o *mqtt.ClientOptions) (p *peer, present bool) {
	t.Helper()
	p = &peer{t: t, inbox: make(chan mqtt.Message, 1000), lost: make(chan error, 1)}
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { p.inbox <- m })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { p.lost <- err })
	p.Client = mqtt.NewClient(o)
	token := p.Connect().(*mqtt.ConnectToken)
	p.done(token)
	t.Cleanup(func() { p.Disconnect(0) })
	return p, token.SessionPresent()
}

func (p *peer) done(token mqtt.Token) {
	p.t.Helper()
	if !token.WaitTimeout(testkit.Patience) || token.Error() != nil {
		p.t.Fatalf("it is not done: %v", token.Error())
	}
}

func (p *peer) subscribe(filter string, qos byte) {
	p.t.Helper()
	token := p.Subscribe(filter, qos, nil)
	p.done(token)
	if got := token.(*mqtt.SubscribeToken).Result()[filter]; got != qos {
		p.t.Fatalf("%s was granted QoS %d, want %d", filter, got, qos)
	}
}

func (p *peer) publish(topic string, qos byte, retain bool, payload string) {
	p.t.Helper()
	p.done(p.Publish(topic, qos, retain, payload))
}

// expect expects the next message.
func (p *peer) expect(topic string, qos byte, retained bool, payload string) {
	p.t.Helper()
	got := p.next()
	want := fmt.Sprint(topic, " ", qos, " ", retained, " ", payload)
	if have := fmt.Sprint(got.Topic(), " ", got.Qos(), " ", got.Retained(), " ", string(got.Payload())); have != want {
		p.t.Errorf("got %s, want %s", have, want)
	}
}

func (p *peer) next() mqtt.Message {
	p.t.Helper()
	select {
	case m := <-p.inbox:
		return m
	case <-time.After(testkit.Patience):
		p.t.Fatal("no message")
		return nil
	}
}

func TestPaho(t *testing.T) {
	home := testkit.NewHome(t)
	home.Foreground()
	for _, version := range []uint{3, 4} {
		t.Run(fmt.Sprintf("protocol level %d", version), func(t *testing.T) {
			pahoCases(t, func(id string) *mqtt.ClientOptions {
				return options(home.MQTT, fmt.Sprint(id, version)).SetProtocolVersion(version)
			}, fmt.Sprintf("paho/%d/", version), version)
		})
	}
}

func pahoCases(t *testing.T, as func(id string) *mqtt.ClientOptions, prefix string, version uint) {
	t.Run("QoS 0, 1 and 2 in both directions", func(t *testing.T) {
		sub, _ := join(t, as("sub"))
		pub, _ := join(t, as("pub"))
		for granted := range byte(3) {
			topic := fmt.Sprint(prefix, "qos/", granted)
			sub.subscribe(topic, granted)
			for published := range byte(3) {
				pub.publish(topic, published, false, "x")
				sub.expect(topic, min(granted, published), false, "x")
			}
		}
	})
	t.Run("a retained message comes with the flag, live ones without", func(t *testing.T) {
		c, _ := join(t, as("retain"))
		c.publish(prefix+"retained", 1, true, "kept")
		c.subscribe(prefix+"retained", 1)
		c.expect(prefix+"retained", 1, true, "kept")
		c.publish(prefix+"retained", 1, true, "live")
		c.expect(prefix+"retained", 1, false, "live")
		c.publish(prefix+"retained", 1, true, "")
	})
	t.Run("the will of a client that is taken over is published", func(t *testing.T) {
		watcher, _ := join(t, as("watcher"))
		watcher.subscribe(prefix+"will", 2)
		victim, _ := join(t, as("victim").SetWill(prefix+"will", "gone", 2, false))
		join(t, as("victim"))
		watcher.expect(prefix+"will", 2, false, "gone")
		select {
		case <-victim.lost:
		case <-time.After(testkit.Patience):
			t.Error("the first connection stays open")
		}
	})
	t.Run("a persistent session keeps subscriptions and messages", func(t *testing.T) {
		first, present := join(t, as("keeper").SetCleanSession(false))
		if present {
			t.Error("a session is present before the first connection")
		}
		first.subscribe(prefix+"kept", 2)
		first.Disconnect(250)
		pub, _ := join(t, as("pub"))
		for i := range 50 {
			pub.publish(prefix+"kept", byte(1+i%2), false, fmt.Sprint(i))
		}
		second, present := join(t, as("keeper").SetCleanSession(false))
		if version == 4 && !present { // 3.1 has no such flag
			t.Error("no session is present")
		}
		for i := range 50 {
			second.expect(prefix+"kept", byte(1+i%2), false, fmt.Sprint(i))
		}
	})
	t.Run("a shared group splits the messages", func(t *testing.T) {
		const messages = 60
		seen := make(chan string, 2*messages)
		for i := range 3 {
			member, _ := join(t, as(fmt.Sprint("member", i)))
			handler := func(_ mqtt.Client, m mqtt.Message) { seen <- string(m.Payload()) }
			member.done(member.Subscribe("$share/crew/"+prefix+"jobs", 1, handler))
			member.AddRoute(prefix+"jobs", handler)
		}
		pub, _ := join(t, as("boss"))
		var want, got []string
		for i := range messages {
			want = append(want, fmt.Sprintf("%03d", i))
			pub.publish(prefix+"jobs", 1, false, want[i])
		}
		for range messages {
			select {
			case s := <-seen:
				got = append(got, s)
			case <-time.After(testkit.Patience):
				t.Fatalf("%d of %d jobs", len(got), messages)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("messages of one publisher arrive in order", func(t *testing.T) {
		const messages = 500
		sub, _ := join(t, as("sub"))
		sub.subscribe(prefix+"order", 1)
		pub, _ := join(t, as("pub"))
		var wait sync.WaitGroup
		for i := range messages {
			token := pub.Publish(prefix+"order", 1, false, fmt.Sprint(i))
			wait.Add(1)
			go func() {
				defer wait.Done()
				if !token.WaitTimeout(testkit.Patience) || token.Error() != nil {
					t.Errorf("message %d: %v", i, token.Error())
				}
			}()
		}
		for i := range messages {
			sub.expect(prefix+"order", 1, false, fmt.Sprint(i))
		}
		wait.Wait()
	})
}
