package clients

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"emqttd/tests/testkit"
)

func subscriptionCases(t *testing.T, addr string) {
	t.Run("SUBACK and UNSUBACK have a code for each filter", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "codes")
		s, err := c.Subscribe(c.context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
			{Topic: "codes/0"}, {Topic: "codes/1", QoS: 1}, {Topic: "codes/#/2", QoS: 2}, {Topic: "codes/2", QoS: 2},
		}})
		if s == nil {
			t.Fatal(err)
		}
		if want := []byte{0, 1, 0x8f, 2}; !slices.Equal(s.Reasons, want) || s.Properties.ReasonString == "" {
			t.Errorf("SUBACK % x (%s), want % x", s.Reasons, s.Properties.ReasonString, want)
		}
		u, err := c.Unsubscribe(c.context(), &paho.Unsubscribe{Topics: []string{"codes/1", "codes/none", "codes/2"}})
		if u == nil {
			t.Fatal(err)
		}
		if want := []byte{0, 0x11, 0}; !slices.Equal(u.Reasons, want) {
			t.Errorf("UNSUBACK % x, want % x", u.Reasons, want)
		}
		c.publish("codes/1", 1, "x")
		c.publish("codes/0", 1, "y")
		c.expect("codes/0", "y")
	})
	t.Run("who does not ask for problem information gets no reason string", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "terse", asking(func(p *paho.ConnectProperties) { p.RequestProblemInfo = false }))
		s, _ := c.Subscribe(c.context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "a/#/b"}}})
		if s == nil || s.Reasons[0] != 0x8f || s.Properties.ReasonString != "" {
			t.Errorf("SUBACK %+v", s)
		}
	})
	t.Run("the identifier of the subscription comes with the message", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "identified")
		for id, filter := range map[int]string{1: "identified/1", 268435455: "identified/big/#"} {
			c.ask(identified(id, filter))
		}
		c.subscribe(1, "identified/none")
		c.publish("identified/1", 1, "x")
		if id := c.expect("identified/1", "x").Properties.SubscriptionIdentifier; id == nil || *id != 1 {
			t.Errorf("identifier %v", id)
		}
		c.publish("identified/big", 0, "x")
		if id := c.expect("identified/big", "x").Properties.SubscriptionIdentifier; id == nil || *id != 268435455 {
			t.Errorf("identifier %v", id)
		}
		c.publish("identified/none", 1, "x")
		if id := c.expect("identified/none", "x").Properties.SubscriptionIdentifier; id != nil {
			t.Errorf("identifier %v without one", *id)
		}
		c.ask(identified(2, "identified/1")) // replaces the subscription
		c.publish("identified/1", 1, "y")
		if id := c.expect("identified/1", "y").Properties.SubscriptionIdentifier; id == nil || *id != 2 {
			t.Errorf("identifier %v after it was replaced", id)
		}
	})
	t.Run("overlapping subscriptions give one copy with all identifiers", func(t *testing.T) {
		t.Parallel()
		// Paho keeps only the last identifier of a packet, so it looks at the bytes.
		var tap tapped
		c := join5(t, addr, "overlap", tap.into)
		for id, filter := range []string{"overlap/#", "overlap/+", "overlap/a"} {
			s := identified(id+1, filter)
			s.Subscriptions[0].QoS = byte(id)
			c.ask(s)
		}
		c.publish("overlap/a", 2, "once")
		if m := c.expect("overlap/a", "once"); m.QoS != 2 {
			t.Errorf("it came with QoS %d", m.QoS)
		}
		ids := tap.identifiersBefore("once")
		if slices.Sort(ids); !slices.Equal(ids, []byte{1, 2, 3}) {
			t.Errorf("identifiers %v", ids)
		}
		c.silent("overlap-fence")
	})
	t.Run("no local keeps what the client published from it", func(t *testing.T) {
		t.Parallel()
		c, other := join5(t, addr, "local"), join5(t, addr, "local-other")
		c.ask(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "local", QoS: 1, NoLocal: true}}})
		c.publish("local", 1, "mine")
		other.publish("local", 1, "theirs")
		c.expect("local", "theirs")
	})
	t.Run("retain as published keeps the flag", func(t *testing.T) {
		t.Parallel()
		c, plain := join5(t, addr, "as-published"), join5(t, addr, "as-plain")
		live := paho.SubscribeOptions{Topic: "published", QoS: 1, RetainHandling: 2}
		plain.ask(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{live}})
		live.RetainAsPublished = true
		c.ask(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{live}})
		for _, retain := range []bool{true, false} {
			c.send(&paho.Publish{Topic: "published", QoS: 1, Retain: retain, Payload: []byte("x")})
			if m := c.expect("published", "x"); m.Retain != retain {
				t.Errorf("published with retain %t, came with %t", retain, m.Retain)
			}
			if m := plain.expect("published", "x"); m.Retain {
				t.Error("a live message came with the flag, which was not asked for")
			}
		}
		c.retain("published", "")
	})
	t.Run("retain handling decides about retained messages", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "handling")
		c.retain("handling", "kept")
		ask := func(handling byte) {
			c.ask(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "handling", QoS: 1, RetainHandling: handling}}})
		}
		ask(2)
		c.silent("handling-fence-1")
		ask(1) // not new
		c.silent("handling-fence-2")
		ask(0)
		if m := c.expect("handling", "kept"); !m.Retain {
			t.Error("it came without the flag")
		}
		if _, err := c.Unsubscribe(c.context(), &paho.Unsubscribe{Topics: []string{"handling"}}); err != nil {
			t.Fatal(err)
		}
		ask(1) // new
		c.expect("handling", "kept")
		c.retain("handling", "")
	})
	t.Run("a retained message comes with the lower QoS", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "lower")
		c.retain("lower", "kept")
		for granted := range byte(3) {
			c.subscribe(granted, "lower")
			if m := c.expect("lower", "kept"); m.QoS != min(1, granted) {
				t.Errorf("published 1, granted %d, came with %d", granted, m.QoS)
			}
		}
		c.retain("lower", "")
	})
	t.Run("a shared subscription gets no retained messages and splits the others", func(t *testing.T) {
		t.Parallel()
		const messages = 30
		pub := join5(t, addr, "boss5")
		pub.retain("jobs5/old", "retained")
		got := make(chan string, 2*messages)
		members := make([]*peer5, 3)
		for i := range members {
			members[i] = join5(t, addr, fmt.Sprint("member5-", i), func(c *paho.ClientConfig, _ *paho.Connect) {
				c.OnPublishReceived = []func(paho.PublishReceived) (bool, error){
					func(m paho.PublishReceived) (bool, error) { got <- string(m.Packet.Payload); return true, nil },
				}
			})
			members[i].ask(identified(i+1, "$share/crew5/jobs5/+"))
		}
		var want, have []string
		for i := range messages {
			want = append(want, fmt.Sprintf("%03d", i))
			pub.publish("jobs5/new", 1, want[i])
		}
		for range messages {
			select {
			case s := <-got:
				have = append(have, s)
			case <-time.After(testkit.Patience):
				t.Fatalf("%d of %d jobs", len(have), messages)
			}
		}
		if slices.Sort(have); !slices.Equal(have, want) {
			t.Errorf("got %v", have)
		}
		pub.retain("jobs5/old", "")
	})
}

// identified is a SUBSCRIBE of QoS 1 with an identifier.
func identified(id int, filter string) *paho.Subscribe {
	return &paho.Subscribe{
		Properties:    &paho.SubscribeProperties{SubscriptionIdentifier: &id},
		Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}},
	}
}

// identifiersBefore finds the one-byte Subscription Identifiers in the PUBLISH
// whose payload is given: they are the last properties in front of it.
func (c *tapped) identifiersBefore(payload string) (ids []byte) {
	b := c.bytes()
	end := bytes.LastIndex(b, []byte(payload))
	for ; end >= 2 && b[end-2] == 0x0b; end -= 2 {
		ids = append(ids, b[end-1])
	}
	return ids
}
