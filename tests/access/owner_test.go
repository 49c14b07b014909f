package access

import (
	"fmt"
	"slices"
	"testing"

	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// with is a list of changes to a CONNECT.
func with(version []func(*mqtt.Connect), more ...func(*mqtt.Connect)) []func(*mqtt.Connect) {
	return append(slices.Clone(version), more...)
}

func TestSomebodyElsesClientIdentifierIsRefusedAndItsOwnerStays(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			b := guarded(t, "access.backoff.after = 0")
			owner := join(t, b, as("ann", "dev", with(version, lasting)...))
			owner.Subscribe(1, "to/dev")
			boss := join(t, b, as("boss", "boss"))
			attempts(t, b)
			owner.Ping() // nobody has taken its place
			publish(t, boss, "to/dev", "while it was there")
			owner.ExpectPublish("to/dev", "while it was there")

			owner.Close()
			testkit.Eventually(t, "the owner is away", func() bool { return clients(b) == 1 })
			publish(t, boss, "to/dev", "while it was away")
			attempts(t, b)
			owner = b.Dial(t)
			if ack := owner.Connect(as("ann", "dev", with(version, lasting)...)); !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			owner.ExpectPublish("to/dev", "while it was away")
		})
	}
}

// attempts are those of eve to be the client dev.
func attempts(t *testing.T, b *testkit.Broker) {
	t.Helper()
	for _, clean := range []bool{true, false} {
		p := as("eve", "dev")
		p.CleanStart = clean
		answers(t, b, p, notAuthorized)
	}
}

// The session of somebody without a proven name belongs to the first who has one.
func TestSessionThatNobodyOwnsBelongsToTheFirstUser(t *testing.T) {
	b := guarded(t, "mqtt.allow_anonymous = true")
	guest := func(user string) *mqtt.Connect { return login("dev", user, "any", lasting) } // the node does not know him
	join(t, b, guest("guest")).Disconnect()
	ann := join(t, b, as("ann", "dev", lasting))
	ann.Subscribe(1, "to/dev")
	attempts(t, b)
	answers(t, b, guest("guest"), notAuthorized)
	answers(t, b, guest("Ann"), notAuthorized)
	ann.Ping()
	ann.Disconnect()
	attempts(t, b)
	answers(t, b, guest("guest"), notAuthorized)
}

func TestSessionBelongsToItsUserAfterARestart(t *testing.T) {
	home := testkit.NewHome(t, users("ann", "eve"), "access.backoff.after = 0")
	p := home.Foreground()
	c := testkit.Dial(t, home.MQTT)
	c.Connect(as("ann", "dev", lasting))
	c.Subscribe(1, "to/dev")
	c.Disconnect()
	p.Kill()
	home.Foreground()
	for _, clean := range []bool{true, false} {
		q := as("eve", "dev")
		q.CleanStart = clean
		if code := knock(t, testkit.Dial(t, home.MQTT), q); code != 5 {
			t.Errorf("clean session %t: CONNACK %d", clean, code)
		}
	}
	c = testkit.Dial(t, home.MQTT)
	if ack := c.Connect(as("ann", "dev", lasting)); !ack.SessionPresent {
		t.Error("the session is gone")
	}
}

func TestSessionThatIsResumedHasTheRightsOfNow(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			file := write(t, "acl.conf", "{allow, all}.\n")
			b := start(t, users("boss", "ann"), "mqtt.acl_file = "+file)
			boss := join(t, b, as("boss", "boss"))
			ann := join(t, b, as("ann", "dev", with(version, lasting)...))
			ann.Subscribe(1, "secret/a", "+/a", "$share/g/secret/a", "open/a")
			ann.Close()
			testkit.Eventually(t, "ann is away", func() bool { return clients(b) == 1 })
			publish(t, boss, "secret/a", "before")
			publish(t, boss, "open/a", "1")
			replace(t, file, `{deny, {user, "ann"}, pubsub, ["secret/#"]}.`)
			probe := join(t, b, as("ann", "probe"))
			testkit.Eventually(t, "the rule is in force", func() bool { return isRefused(t, b, probe, "secret/probe") })
			publish(t, boss, "secret/a", "after")
			publish(t, boss, "open/a", "2")

			ann = b.Dial(t)
			if ack := ann.Connect(as("ann", "dev", with(version, lasting)...)); !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			ann.ExpectPublish("open/a", "1")
			ann.ExpectPublish("open/a", "2")
			publish(t, boss, "secret/a", "later")
			publish(t, boss, "open/a", "3")
			ann.ExpectPublish("open/a", "3")
			ann.Ping()
		})
	}
}

func TestWhatIsQueuedGoesWithTheRightToIt(t *testing.T) {
	file := write(t, "acl.conf", "{allow, all}.\n")
	b := start(t, users("boss", "ann"), "mqtt.acl_file = "+file, "mqtt.session.max_inflight = 1")
	boss := join(t, b, as("boss", "boss"))
	ann := join(t, b, as("ann", "dev", lasting))
	ann.Subscribe(1, "secret/a", "open")
	for i := range 5 {
		publish(t, boss, "secret/a", fmt.Sprint(i))
	}
	publish(t, boss, "open", "x")
	h, body, err := ann.TryRead() // and it is not acknowledged, so that the others wait
	if err != nil || h.Type != mqtt.PUBLISH {
		t.Fatal(h.Type, err)
	}
	var first mqtt.Publish
	must(t, first.Decode(h, body, mqtt.V311))
	id := first.PacketID
	replace(t, file, `{deny, {user, "ann"}, pubsub, ["secret/#"]}.`)
	testkit.Eventually(t, "the rule is in force", func() bool { return isRefused(t, b, ann, "secret/probe") })
	testkit.Eventually(t, "the subscription has ended", func() bool { return b.Metrics().Level(subscriptions) == 1 })
	ann.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: id})
	ann.ExpectPublish("open", "x")
	ann.Ping()
}

func TestNamesWithAMeaningOfTheirOwnGainNothing(t *testing.T) {
	b := start(t, rules(t, `
{allow, {user, "boss"}, pubsub, ["#"]}.
{allow, all, pubsub, ["id/%c/x", "user/%u/x"]}.
{deny, all}.`))
	boss := join(t, b, as("boss", "boss"))
	boss.Subscribe(0, "id/#", "user/#", "fence")
	for i, id := range []string{"+", "#", "%c", "%u", "ann/x", "ann", "a+b", "$share/g/ann", "..", "%25c", "${clientid}", "{", "\"", "'or'1"} {
		p := testkit.Hello(id)
		if i%2 == 0 {
			p.HasUserName, p.UserName = true, id // nobody proves it
		}
		c := join(t, b, p)
		for _, filter := range []string{"id/+/x", "id/#", "#", "user/+/x", "user/ann/x", "user/#", "id/other/x", "+/+/x", "id/ann/x/x"} {
			if filter == "user/"+id+"/x" || filter == "id/"+id+"/x" && id != "+" { // its own
				continue
			}
			if code := subscribe(t, c, filter, func(name string) { t.Errorf("%q gets %s", id, name) }); !code.IsError() {
				t.Errorf("%q as client and user name %q may subscribe to %s", id, p.UserName, filter)
			}
		}
		for _, name := range []string{"id/other/x", "user/ann/x", "user/boss/x", "id/x", "id//x"} {
			c.Publish(name, "x", 0, 0)
		}
		c.Ping()
		c.Close()
	}
	publish(t, boss, "fence", "")
	for p := boss.AnyPublish(); p.Topic != "fence"; p = boss.AnyPublish() {
		if string(p.Topic) != "user/ann/x" { // one of them is called so
			t.Errorf("somebody reached %s", p.Topic)
		}
	}
}

func TestUserNamesAreWhatTheyAreToTheByte(t *testing.T) {
	b := guarded(t, "access.backoff.after = 0")
	for _, user := range []string{"Eve", "EVE", "eve ", " eve", "eve\u200b", "еve" /* Cyrillic */, "eve/", "ev%65", "eve\u0301"} {
		answers(t, b, login("c", user, "eve-pw"), badPassword)
	}
	for _, password := range []string{"", "Eve-pw", "eve-pw ", "eve-pw\x00", "\x00", "\xff\xfe"} {
		answers(t, b, login("c", "eve", password), badPassword)
	}
	empty := login("c", "", "eve-pw")
	answers(t, b, empty, badPassword)
	silent := login("c", "eve", "")
	silent.HasPassword, silent.Password = false, nil
	answers(t, b, silent, badPassword)
	answers(t, b, testkit.Hello("c"), badPassword)
	answers(t, b, login("c", "eve", "eve-pw"), accepted)
}

// A NUL may end a text for a program in C: it is malformed. [MQTT-1.5.4-2]
func TestNULIsMalformedWhereverItIs(t *testing.T) {
	b := guarded(t, "access.backoff.after = 0")
	for _, p := range []*mqtt.Connect{login("c\x00", "eve", "eve-pw"), login("c", "boss\x00eve", "eve-pw"), login("c", "eve\x00", "eve-pw"), as("eve", "c", will("open\x00"))} {
		c := b.Dial(t)
		c.Send(p)
		if h, body, err := c.TryRead(); err == nil && (h.Type != mqtt.CONNACK || body[1] == 0) {
			t.Errorf("%q as %q is let in", p.ClientID, p.UserName)
		}
	}
	for _, packet := range []testkit.Packet{
		&mqtt.Publish{Topic: "open\x00/secret"},
		&mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "open\x00"}}},
	} {
		c := join(t, b, as("eve", unique("c")))
		c.Send(packet)
		c.ExpectClosed()
	}
}

// clients is how many are connected.
func clients(b *testkit.Broker) int { return int(b.Metrics().Level(connected)) }
