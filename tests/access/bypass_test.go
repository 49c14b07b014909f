package access

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// secret keeps eve from what is below secret/, and everybody within his own.
const secret = `
{allow, {user, "boss"}, pubsub, ["#", "$SYS/#"]}.
{deny, {user, "eve"}, pubsub, ["secret/#"]}.
{allow, all, pubsub, ["own/%c/%u/#"]}.
{deny, all, pubsub, ["own/#", "$SYS/#"]}.
{allow, all}.
`

func guarded(t testing.TB, more ...string) *testkit.Broker {
	t.Helper()
	return start(t, append([]string{users("boss", "eve", "ann"), rules(t, secret)}, more...)...)
}

// roundabout are filters that would bring what is below secret/, with what is said
// of them where wildcards are not strict.
var roundabout = map[string]string{
	"secret/a": "denied", "secret/#": "denied", "secret": "denied", "secret/+": "denied", "secret/a/#": "denied", "secret/+/+": "denied",
	"#": "denied", "+/#": "denied", "+/a": "overlaps", "+/+": "overlaps", "+/a/#": "overlaps", "+": "overlaps", "+/+/b": "overlaps",
	"$share/g/secret/a": "denied", "$share/g/#": "denied", "$share/g/+/a": "overlaps", "$share/secret/secret/#": "denied",
	"$queue/secret/a": "denied", "$queue/#": "denied", "$queue/+/+": "overlaps",
	"$local/secret/a": "denied", "$local/$share/g/secret/a": "denied", "$local/$queue/secret/a": "denied", "$local/#": "denied", "$local/+/a": "overlaps",
	// What is no prefix is a level like any other, and no way anywhere.
	"/secret/a": "harmless", "$share/g/$local/secret/a": "harmless",
	"Secret/a": "harmless", "$queue/$queue/secret/a": "harmless", "secret /a": "harmless", "//secret/a": "harmless", "secret%2Fa": "harmless",
}

func TestNoFilterIsAWayToWhatIsDenied(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			leaks := throughFilters(t, guarded(t), version)
			if len(leaks) > 0 {
				t.Errorf("these are ways: %v", leaks)
			}
		})
	}
}

// It is what the manual says of acl.strict_wildcards = false, no more and no less.
func TestLooseWildcardsLetThroughWhatOverlapsAndNothingElse(t *testing.T) {
	leaks := throughFilters(t, guarded(t, "acl.strict_wildcards = false"), nil)
	for filter, what := range roundabout {
		if leaked := slices.Contains(leaks, filter); leaked != (what == "overlaps") {
			t.Errorf("%s, which is %s: a way: %t", filter, what, leaked)
		}
	}
}

// throughFilters returns the filters that brought eve something, retained or not.
func throughFilters(t *testing.T, b *testkit.Broker, version []func(*mqtt.Connect)) (leaks []string) {
	t.Helper()
	boss := join(t, b, as("boss", "boss"))
	names := []string{"secret", "secret/a", "secret/a/b"}
	for _, n := range names {
		boss.Retain(n, "x")
	}
	boss.Ping()
	for _, filter := range slices.Sorted(maps.Keys(roundabout)) {
		eve := join(t, b, as("eve", "eve", version...))
		eve.Subscribe(0, "fence")
		leaked := false
		code := subscribe(t, eve, filter, func(name string) { leaked = leaked || name != "fence" })
		if what := roundabout[filter]; what == "denied" && !isDenied(eve.Version, code) || what == "harmless" && code.IsError() {
			t.Errorf("%s, which is %s: SUBACK 0x%02X", filter, what, byte(code))
		}
		for _, n := range names {
			publish(t, boss, n, "y")
		}
		publish(t, boss, "fence", "") // what comes before it is there
		for got := ""; got != "fence"; leaked = leaked || got != "fence" {
			got = string(eve.AnyPublish().Topic)
		}
		if leaked {
			leaks = append(leaks, filter)
		}
		eve.Close()
	}
	return leaks
}

func TestNoPublishIsAWayToWhatIsDenied(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			b := guarded(t)
			boss := join(t, b, as("boss", "boss"))
			boss.Subscribe(0, "secret/#", "own/#", "fence")
			for _, topic := range []string{
				"secret/a", "secret", "secret/", "own/eve", "own/other/eve/x", "own/eve/other/x", "own/%c/%u/x", "$share/g/secret/a", "$local/secret/a", "$queue/secret/a",
			} {
				eve := join(t, b, as("eve", "eve", version...))
				code := publish(t, eve, topic, "from eve")
				reached := strings.HasPrefix(topic, "secret") || strings.HasPrefix(topic, "own")
				if reached && eve.Version == mqtt.V5 && code != protocol.NotAuthorized {
					t.Errorf("%s: PUBACK 0x%02X", topic, byte(code))
				}
				eve.Publish(topic, "from eve", 0, 0)
				eve.Retain(topic, "retained")
				eve.Publish(topic, "from eve", 2, 9)
				if eve.Version == mqtt.V5 && reached {
					eve.ExpectAck(mqtt.PUBREC, 9)
				} else {
					eve.ExpectAck(mqtt.PUBREC, 9)
					eve.Send(&mqtt.Ack{Type: mqtt.PUBREL, ID: 9})
					eve.ExpectAck(mqtt.PUBCOMP, 9)
				}
				publish(t, eve, "fence", topic)
				boss.ExpectPublish("fence", topic)
				eve.Close()
			}
			late := join(t, b, as("boss", "late"))
			late.Subscribe(0, "secret/#", "own/#")
			late.Ping() // nothing is retained
			publish(t, join(t, b, as("eve", "eve", version...)), "own/eve/eve/x", "hers")
			boss.ExpectPublish("own/eve/eve/x", "hers")
		})
	}
}

func TestTopicAliasIsNoWayToWhatIsDenied(t *testing.T) {
	b := guarded(t)
	boss := join(t, b, as("boss", "boss"))
	boss.Subscribe(0, "secret/#", "open")
	eve := join(t, b, as("eve", "eve", v5))
	send := func(name topic.Name, alias uint16) protocol.ReasonCode {
		eve.Send(&mqtt.Publish{Topic: name, TopicAlias: alias, QoS: 1, PacketID: 5, Payload: []byte("x")})
		return acknowledged(t, eve)
	}
	for _, step := range []struct {
		name  topic.Name
		alias uint16
		want  bool
	}{
		{"open", 1, true}, {"secret/a", 1, false}, {"", 1, false}, {"secret/a", 2, false}, {"", 2, false}, {"open", 1, true}, {"", 1, true}, {"", 2, false},
	} {
		if got := send(step.name, step.alias); got.IsError() == step.want {
			t.Errorf("%q with alias %d: 0x%02X", step.name, step.alias, byte(got))
		}
	}
	for range 3 {
		boss.ExpectPublish("open", "x")
	}
	boss.Ping()
}

func TestWillIsNoWayToWhatIsDenied(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			b := guarded(t)
			boss := join(t, b, as("boss", "boss"))
			boss.Subscribe(0, "secret/#", "own/#", "open/#")
			for i, topic := range []string{"secret/a", "secret", "own/other/x"} {
				eve := join(t, b, as("eve", "eve", append(slices.Clone(version), will(topic))...))
				eve.Close()
				other := join(t, b, as("eve", "witness", append(slices.Clone(version), will("open/"+string(rune('a'+i))))...))
				other.Close()
				boss.ExpectPublish("open/"+string(rune('a'+i)), "will")
			}
			boss.Ping()
		})
	}
}

// Wills are published when the client is lost, which may be long after the right to.
func TestWillThatMayNotBeAnyMoreIsNotPublished(t *testing.T) {
	for name, version := range both {
		t.Run(name, func(t *testing.T) {
			file := write(t, "acl.conf", "{allow, all}.\n")
			b := start(t, users("boss", "eve"), "mqtt.acl_file = "+file)
			boss := join(t, b, as("boss", "boss"))
			boss.Subscribe(0, "secret/#", "open")
			eve := join(t, b, as("eve", "eve", append(slices.Clone(version), will("secret/a"))...))
			replace(t, file, `{deny, {user, "eve"}, pubsub, ["secret/#"]}.`)
			testkit.Eventually(t, "the rule is in force", func() bool { return isRefused(t, b, eve, "secret/probe") })
			testkit.Eventually(t, "the will is refused", func() bool { return strings.Contains(b.Log(), "will refused by the access rules") })
			eve.Close()
			testkit.Eventually(t, "eve is gone", func() bool { return clients(b) == 1 })
			publish(t, join(t, b, as("eve", "eve", version...)), "open", "")
			for {
				p := boss.AnyPublish()
				if string(p.Payload) == "will" {
					t.Fatal("the will was published")
				}
				if p.Topic == "open" {
					return
				}
			}
		})
	}
}

// isRefused tells whether a PUBLISH is dropped; MQTT 3.1.1 acknowledges it all the same.
func isRefused(t testing.TB, b *testkit.Broker, c *testkit.Client, name string) bool {
	t.Helper()
	before := testkit.Value(b.Metrics().Drops(), "acl_denied")
	code := publish(t, c, name, "probe")
	if told := code == protocol.NotAuthorized; told != (c.Version == mqtt.V5 && testkit.Value(b.Metrics().Drops(), "acl_denied") > before) {
		t.Errorf("version %d is told 0x%02X", c.Version, byte(code))
	}
	return testkit.Value(b.Metrics().Drops(), "acl_denied") > before
}
