package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func expect(t *testing.T, b *testkit.Broker, pattern string, args ...string) string {
	t.Helper()
	text, code := b.Command(t, args...)
	if code != 0 || !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%s (%d):\n%swant %s", strings.Join(args, " "), code, text, pattern)
	}
	return text
}

func TestExplainSaysWhyAMessageWasNotDelivered(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		c.MQTT.ACLFile = filepath.Join(c.Node.Home, "acl.conf")
		if err := os.WriteFile(c.MQTT.ACLFile, []byte("{allow, all, subscribe, [\"#\"]}.\n{deny, all, publish, [\"secret\"]}.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	c := b.Dial(t)
	c.Connect(testkit.Persistent("sleepy"))
	c.Subscribe(2, "dream", "secret")
	p := b.Dial(t)
	p.Connect(testkit.Hello("writer"))

	p.Publish("nobody/here", "x", 1, 1)
	p.ExpectAck(mqtt.PUBACK, 1)
	expect(t, b, `no subscriber: what is published there(?s:.*)topic nobody/here from writer: no subscriber`, "explain", "topic", "nobody/here")

	p.Publish("secret", "x", 1, 2)
	p.ExpectAck(mqtt.PUBACK, 2)
	expect(t, b, `1 subscriptions match\n  sleepy qos=2\nwriter may not publish to it: \S*acl\.conf:2`, "explain", "topic", "secret")

	p.Publish("dream", "x", 2, 3)
	p.ExpectAck(mqtt.PUBREC, 3)
	c.ExpectPublish("dream", "x") // and no PUBREC
	expect(t, b, `connected, with 2 subscriptions\nwaiting for an acknowledgement since`, "explain", "client", "sleepy")
	c.Disconnect()
	c.ExpectClosed()
	testkit.Eventually(t, "it is not connected", func() bool {
		text, _ := b.Command(t, "explain", "client", "sleepy")
		return strings.HasPrefix(text, "not connected")
	})
	p.Publish("dream", "y", 1, 4)
	p.ExpectAck(mqtt.PUBACK, 4)
	expect(t, b, `1 messages wait in its queue`, "explain", "client", "sleepy")
	expect(t, b, `there is no session`, "explain", "client", "stranger")
	if text, code := b.Command(t, "explain", "message", "00000001"); code != 1 || !strings.Contains(text, "no trace has seen") {
		t.Errorf("%d %s", code, text)
	}
	if _, code := b.Command(t, "explain", "topic", "a/#"); code != 1 {
		t.Errorf("a filter is explained as a topic: %d", code)
	}
	if _, code := b.Command(t, "explain", "client"); code != admin.ExitUsage {
		t.Errorf("half a question: %d", code)
	}
}

func TestATraceShowsTheWayOfAMessage(t *testing.T) {
	b := testkit.Start(t)
	file := filepath.Join(b.Config.Node.Home, "log", "trace.log")
	expect(t, b, `^trace topic a/b successfully\.\n$`, "trace", "topic", "a/b", "log/trace.log")
	if text, code := b.Command(t, "trace", "topic", "a/b", "log/trace.log"); code != 1 || text != "trace topic a/b error: existed\n" {
		t.Errorf("%d %s", code, text)
	}
	expect(t, b, `^trace topic a/b -> `+regexp.QuoteMeta(file)+`\n$`, "trace", "list")

	c := b.Dial(t)
	c.Connect(testkit.Hello("sub"))
	c.Subscribe(1, "a/#")
	p := b.Dial(t)
	p.Connect(testkit.Hello("pub"))
	p.Publish("a/b", "x", 1, 1)
	p.ExpectAck(mqtt.PUBACK, 1)
	c.ExpectPublish("a/b", "x")

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`client pub: PUBLISH topic=a/b qos=1 retain=0 payload=1 bytes tag=([0-9a-f]{8})\n`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("the trace has %s", text)
	}
	testkit.Eventually(t, "the acknowledgement is told", func() bool {
		text, _ := b.Command(t, "explain", "message", string(found[1]))
		return regexp.MustCompile(`(?s)pub published to a/b.*for 1 subscribers.* sub: sent.* sub: acknowledged`).MatchString(text)
	})
	expect(t, b, `^stop tracing topic a/b successfully\.\n$`, "trace", "topic", "a/b", "off")
	if text, code := b.Command(t, "trace", "topic", "a/b", "off"); code != 1 || text != "stop tracing topic a/b error: not_found.\n" {
		t.Errorf("%d %s", code, text)
	}
}

func TestATracedClientShowsItsPackets(t *testing.T) {
	b := testkit.Start(t)
	expect(t, b, `successfully`, "trace", "client", "c", "c.log")
	c := b.Dial(t)
	c.Connect(testkit.Hello("c"))
	c.Subscribe(0, "x")
	c.Publish("x", "1", 0, 0)
	c.ExpectPublish("x", "1")
	c.Disconnect()
	c.ExpectClosed()
	expect(t, b, `^ok\n$`, "trace", "stop")
	text, err := os.ReadFile(filepath.Join(b.Config.Node.Home, "c.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := `(?s)SEND CONNACK.*connected by .*RECV SUBSCRIBE\(packet_id=\d+ x:0\).*SEND SUBACK.*RECV PUBLISH\(.*SEND PUBLISH\(.*RECV DISCONNECT.*disconnected: normal`
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("the trace has\n%s", text)
	}
}
