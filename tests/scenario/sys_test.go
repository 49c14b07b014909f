package scenario

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// sysTopic is a line of testdata/sys-topics.txt.
type sysTopic struct {
	name     string
	qos      protocol.QoS
	retained bool
	payload  *regexp.Regexp
}

func sysTopics(t *testing.T, node string) map[string]sysTopic {
	t.Helper()
	text, err := os.ReadFile("testdata/sys-topics.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]sysTopic{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "<node>", node)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		all[f[0]] = sysTopic{f[0], protocol.QoS(f[1][0] - '0'), f[2] == "retained", regexp.MustCompile("^" + f[3] + "$")}
	}
	return all
}

// What is under $SYS is what EMQ 2.3.11 has there, name by name: neither less nor
// more, with its JSON.
func TestSysTopicsAreThoseOfEMQ(t *testing.T) {
	b := testkit.Start(t, inMemory, func(c *config.Config) {
		c.MQTT.SysInterval = time.Second
		c.MQTT.MaxClientIDLen = 23
		c.MQTT.MQueue.MaxLength, c.MQTT.MQueue.HighWatermark, c.MQTT.MQueue.LowWatermark = 10, 0.6, 0.2
	})
	want := sysTopics(t, b.Config.Node.Name)
	watcher := b.Dial(t)
	watcher.Connect(testkit.Hello("watcher"))
	watcher.Subscribe(2, "$SYS/#")
	comeAndGo(t, b)

	missing := len(want)
	seen := map[string]bool{}
	for missing > 0 {
		p := watcher.AnyPublish()
		name := string(p.Topic)
		w, ok := want[name]
		switch {
		case strings.Contains(name, "/clients/watcher/"), strings.Contains(name, "/clients/writer/"):
		case !ok:
			t.Fatalf("%s %s: EMQ has no such topic", name, p.Payload)
		case !w.payload.Match(p.Payload) || p.QoS != w.qos:
			t.Fatalf("%s\ngot  %s (QoS %d)\nwant %s (QoS %d)", name, p.Payload, p.QoS, w.payload, w.qos)
		case !seen[name]:
			seen[name] = true
			missing--
		}
	}

	late := b.Dial(t)
	late.Connect(testkit.Hello("watcher-too"))
	late.Subscribe(0, "$SYS/brokers", "$SYS/brokers/"+b.Config.Node.Name+"/#")
	var retained []string
	for len(retained) < 3 {
		if p := late.AnyPublish(); p.Retain {
			retained = append(retained, string(p.Topic))
		}
	}
	for _, w := range want {
		if w.retained != slices.Contains(retained, w.name) {
			t.Errorf("%s: retained is %t", w.name, !w.retained)
		}
	}
}

// comeAndGo makes clients come and go in the ways that presence tells apart.
func comeAndGo(t *testing.T, b *testkit.Broker) {
	t.Helper()
	guest := b.Dial(t)
	guest.Connect(testkit.Hello("guest"))
	guest.Disconnect()

	lost := b.Dial(t)
	p := &mqtt.Connect{Version: mqtt.V31, ClientID: "lost", HasUserName: true, UserName: "u"}
	lost.Connect(p)
	lost.Close()

	refused := b.Dial(t)
	refused.Send(testkit.Hello("a-name-that-is-longer-than-this-broker-takes"))
	refused.ExpectConnack()

	first, second := b.Dial(t), b.Dial(t)
	first.Connect(testkit.Persistent("twice"))
	second.Connect(testkit.Persistent("twice"))
	first.ExpectClosed() // and no "disconnected" of it

	sleeper := b.Dial(t)
	sleeper.Connect(testkit.Persistent("sleeper"))
	sleeper.Subscribe(1, "dream")
	sleeper.Disconnect()
	sleeper.ExpectClosed()
	writer := b.Dial(t)
	writer.Connect(testkit.Hello("writer"))
	for i := range 7 {
		writer.Publish("dream", "x", 1, protocol.PacketID(i+1))
		writer.ExpectAck(mqtt.PUBACK, protocol.PacketID(i+1))
	}
	b.Dial(t).Connect(testkit.Persistent("sleeper"))
}

func TestPresenceThatIsOffSaysNothing(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.Module.Presence = false })
	watcher := b.Dial(t)
	watcher.Connect(testkit.Hello("watcher"))
	watcher.Subscribe(0, "$SYS/brokers/+/clients/#", "end")
	guest := b.Dial(t)
	guest.Connect(testkit.Hello("guest"))
	guest.Disconnect()
	guest.ExpectClosed()
	watcher.Publish("end", "", 0, 0)
	watcher.ExpectPublish("end", "")
}
