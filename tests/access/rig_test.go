package access

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/actors/system/metrics"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// start starts a node whose emq.conf has these lines.
func start(t testing.TB, lines ...string) *testkit.Broker {
	t.Helper()
	return testkit.Start(t, configure(t, lines...))
}

// configure reads lines as a node does, and takes what concerns access.
func configure(t testing.TB, lines ...string) func(*config.Config) {
	t.Helper()
	file := write(t, "emq.conf", strings.Join(lines, "\n")+"\n")
	read, problems := config.Load(config.Sources{File: file})
	if read == nil {
		t.Fatal(problems.Err())
	}
	return func(c *config.Config) { c.Access, c.ACL, c.Auth, c.MQTT = read.Access, read.ACL, read.Auth, read.MQTT }
}

// write makes a file of the test's own.
func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	replace(t, file, text)
	return file
}

// replace writes a file anew, at once, as editors do.
func replace(t testing.TB, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file+".new", []byte(text), 0o600))
	must(t, os.Rename(file+".new", file))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rules are the lines of a node with an acl.conf.
func rules(t testing.TB, text string) string { return "mqtt.acl_file = " + write(t, "acl.conf", text) }

// users are the lines of a node that knows these names; the password of each is
// its name and -pw.
func users(names ...string) string {
	lines := []string{"access.modules = username"}
	for i, n := range names {
		lines = append(lines, fmt.Sprintf("auth.user.%d.username = %s", i+1, n), fmt.Sprintf("auth.user.%d.password = %s-pw", i+1, n))
	}
	return strings.Join(lines, "\n")
}

var serial atomic.Int64

// unique is a name that no other test of this process has.
func unique(name string) string { return fmt.Sprintf("%s-%d", name, serial.Add(1)) }

// as is a CONNECT of a user that the lines of users know.
func as(user, id string, with ...func(*mqtt.Connect)) *mqtt.Connect {
	return login(id, user, user+"-pw", with...)
}

// login is a CONNECT with a name and a password.
func login(id, user, password string, with ...func(*mqtt.Connect)) *mqtt.Connect {
	p := testkit.Hello(id)
	p.HasUserName, p.UserName, p.HasPassword, p.Password = true, user, true, []byte(password)
	for _, f := range with {
		f(p)
	}
	return p
}

// v5 makes a CONNECT one of MQTT 5.
func v5(p *mqtt.Connect) { p.Version = mqtt.V5 }

// lasting asks for a session that outlives the connection.
func lasting(p *mqtt.Connect) {
	p.CleanStart = false
	if p.Version == mqtt.V5 {
		p.Properties.SessionExpiry = 600
	}
}

// will has a message published when the client is lost.
func will(name string) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) {
		p.HasWill, p.Will.Topic, p.Will.Payload = true, topic.Name(name), []byte("will")
	}
}

// both are the versions that answer differently.
var both = map[string][]func(*mqtt.Connect){"MQTT 3.1.1": nil, "MQTT 5": {v5}}

// join connects a client.
func join(t testing.TB, b *testkit.Broker, p *mqtt.Connect) *testkit.Client {
	t.Helper()
	c := b.Dial(t)
	c.Connect(p)
	return c
}

// knock sends a CONNECT and returns the code of its CONNACK as it is on the wire.
func knock(t testing.TB, c *testkit.Client, p *mqtt.Connect) byte {
	t.Helper()
	c.Version = p.Version
	c.Send(p)
	h, body, err := c.TryRead()
	if err != nil || h.Type != mqtt.CONNACK {
		t.Fatalf("%s as %s: want CONNACK, got %v %v", p.ClientID, p.UserName, h.Type, err)
	}
	return body[1]
}

// The codes of CONNACK, of MQTT 3.1.1 and MQTT 5.
var (
	accepted      = [2]byte{0, 0}
	unavailable   = [2]byte{3, 0x88}
	badPassword   = [2]byte{4, 0x86}
	notAuthorized = [2]byte{5, 0x87}
	banned        = [2]byte{5, 0x8A}
	tooOften      = [2]byte{3, 0x9F}
)

// answers checks what a CONNECT is answered in both versions.
func answers(t testing.TB, b *testkit.Broker, p *mqtt.Connect, want [2]byte) {
	t.Helper()
	for i, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		p := *p
		p.Version = version
		c := b.Dial(t)
		if got := knock(t, c, &p); got != want[i] {
			t.Errorf("%s as %q in version %d: CONNACK 0x%02X, want 0x%02X", p.ClientID, p.UserName, version, got, want[i])
		}
		if want[i] == 0 {
			c.Disconnect()
		} else {
			c.ExpectClosed()
		}
	}
}

// becomes waits until a CONNECT is answered with a code.
func becomes(t testing.TB, b *testkit.Broker, p *mqtt.Connect, want byte) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%s as %s: CONNACK 0x%02X", p.ClientID, p.UserName, want), func() bool {
		c := b.Dial(t)
		defer c.Close()
		return knock(t, c, p) == want
	})
}

// publish sends a PUBLISH of QoS 1 and returns the code of its PUBACK.
func publish(t testing.TB, c *testkit.Client, name, payload string) protocol.ReasonCode {
	t.Helper()
	c.Publish(name, payload, 1, 77)
	return acknowledged(t, c)
}

func acknowledged(t testing.TB, c *testkit.Client) protocol.ReasonCode {
	t.Helper()
	h, body, err := c.TryRead()
	var a mqtt.Ack
	if err == nil && h.Type != mqtt.PUBACK {
		err = fmt.Errorf("%v % x", h.Type, body)
	}
	if err == nil {
		err = a.Decode(h, body, c.Version)
	}
	if err != nil {
		t.Fatalf("want PUBACK: %v", err)
	}
	return a.Code
}

// subscribe sends a SUBSCRIBE for one filter and returns the code of its SUBACK.
// Retained messages that come with it are skipped, and told of.
func subscribe(t testing.TB, c *testkit.Client, filter string, retained func(name string)) protocol.ReasonCode {
	t.Helper()
	c.Send(&mqtt.Subscribe{ID: 78, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: 1}}})
	for {
		h, body, err := c.TryRead()
		if err != nil {
			t.Fatalf("want SUBACK: %v", err)
		}
		switch h.Type {
		case mqtt.PUBLISH:
			var p mqtt.Publish
			must(t, p.Decode(h, body, c.Version))
			retained(string(p.Topic))
		case mqtt.SUBACK:
			var s mqtt.Suback
			must(t, s.Decode(h, body, c.Version))
			return s.Codes[0]
		default:
			t.Fatalf("want SUBACK, got %v", h.Type)
		}
	}
}

// denied is what MQTT 3.1.1 and MQTT 5 say to a subscription that may not be.
func isDenied(version mqtt.Version, code protocol.ReasonCode) bool {
	if version == mqtt.V5 {
		return code == protocol.NotAuthorized
	}
	return code == protocol.UnspecifiedError // 0x80
}

// ends reads until the broker closes, and returns the code of its DISCONNECT, 0
// if it sent none.
func ends(t testing.TB, c *testkit.Client) (code protocol.ReasonCode) {
	t.Helper()
	for {
		h, body, err := c.TryRead()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection stays open")
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Logf("it ended with %v", err)
			}
			return code
		}
		if h.Type == mqtt.DISCONNECT {
			var d mqtt.Disconnect
			must(t, d.Decode(h, body, c.Version))
			code = d.Code
		}
	}
}

// Gauges of the node.
const (
	connected     = metrics.Clients
	subscriptions = metrics.Subscriptions
)

// soon is how long a right that was taken away may still be used, with much room
// for a machine that is busy: the promise is one second.
const soon = 5 * time.Second

// within checks and prints how long something took since it was done.
func within(t testing.TB, what string, since time.Time) {
	t.Helper()
	took := time.Since(since)
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > soon {
		t.Errorf("%s only after %v", what, took)
	}
}
