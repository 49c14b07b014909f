// Package examples has plugins as somebody else would write them, one for each kind:
// docs/extend-*.md show their code, and these tests run it.
package examples

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/examples/courier"
	"emqttd/tests/examples/keycard"
	"emqttd/tests/examples/linegate"
	"emqttd/tests/examples/nosecrets"
	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// with starts a node that knows a plugin, with its own file.
func with(t *testing.T, p *plugins.Plugin, lines ...string) *testkit.Broker {
	t.Helper()
	b := testkit.StartWith(t, []*plugins.Plugin{p})
	file := filepath.Join(b.Config.Path(b.Config.MQTT.PluginsDir), p.Name+".conf")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	change(t, b, "load", p.Name)
	return b
}

func change(t *testing.T, b *testkit.Broker, verb, name string) {
	t.Helper()
	if out, code := b.Command(t, "plugins", verb, name); code != 0 {
		t.Fatal(out)
	}
}

func client(t *testing.T, b *testkit.Broker, id string) *testkit.Client {
	c := b.Dial(t)
	c.Connect(testkit.Hello(id))
	return c
}

func TestTheHookStopsSecretsAndTellsHowMany(t *testing.T) {
	b := with(t, nosecrets.Plugin(), "no_secrets.prefix = mine/")
	c := client(t, b, "c")
	c.Subscribe(0, "#")
	c.Publish("mine/a", "secret", 1, 7)
	c.ExpectAck(mqtt.PUBACK, 7)
	c.Publish("open/a", "text", 0, 0)
	c.ExpectPublish("open/a", "text")
	if out, _ := b.Command(t, "no-secrets"); out != "stopped: 1\n" {
		t.Errorf("the command says %q", out)
	}
	if body, code := get(t, b); code != http.StatusOK || body != "stopped: 1\n" {
		t.Errorf("the path says %d %q", code, body)
	}
	change(t, b, "unload", "no_secrets")
	if _, code := get(t, b); code != http.StatusNotFound {
		t.Errorf("the path is still there: %d", code)
	}
	testkit.Eventually(t, "the command is gone", func() bool {
		_, code := b.Command(t, "no-secrets")
		return code != 0
	})
}

func get(t *testing.T, b *testkit.Broker) (body string, code int) {
	t.Helper()
	return b.Ask(t, "/no_secrets")
}

func listeners(t *testing.T, b *testkit.Broker) (body string) {
	t.Helper()
	body, _ = b.Ask(t, "/api/v2/monitoring/listeners/"+b.Config.Node.Name)
	return body
}

func TestTheAccessModuleDecidesAsLongAsItIsLoaded(t *testing.T) {
	b := with(t, keycard.Plugin(), "keycard.secret = s3cret")
	guest := client(t, b, "guest")
	card := func(id, password string) *mqtt.Connack {
		c := b.Dial(t)
		hello := testkit.Hello(id)
		hello.HasUserName, hello.UserName, hello.HasPassword, hello.Password = true, "card", true, []byte(password)
		c.Send(hello)
		return c.ExpectConnack()
	}
	if ack := card("door-1", keycard.Password("s3cret", "door-1")); ack.Code != 0 {
		t.Errorf("a card: %v", ack.Code)
	}
	if ack := card("door-1", keycard.Password("s3cret", "door-2")); ack.Code == 0 {
		t.Error("somebody else's card opens")
	}
	sub := func(want protocol.ReasonCode) {
		t.Helper()
		guest.Send(&mqtt.Subscribe{ID: 9, Subscriptions: []mqtt.Subscription{{Filter: "door/1"}}})
		guest.ExpectSuback(9, want)
	}
	sub(0x80)
	change(t, b, "unload", "keycard")
	sub(0)
	guest.Publish("door/1", "open", 0, 0)
	guest.ExpectPublish("door/1", "open")
	change(t, b, "load", "keycard")
	testkit.Eventually(t, "its subscription has ended", func() bool {
		out, _ := b.Command(t, "subscriptions", "show", "guest")
		return !strings.Contains(out, "door/1")
	})
	b.Hooks().OnPanic("keycard", 0, "broken by a test")
	testkit.Eventually(t, "it is back", func() bool { return card("door-3", keycard.Password("s3cret", "door-3")).Code == 0 })
}

func TestTheGatewayMakesClientsOfThoseWhoSpeakLines(t *testing.T) {
	addr := freeAddress(t)
	b := with(t, linegate.Plugin(), "linegate.listen = "+addr)
	c := client(t, b, "mqtt")
	c.Subscribe(0, "from/#")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	say := func(lines ...string) {
		t.Helper()
		for _, l := range lines {
			if _, err := fmt.Fprint(conn, l); err != nil {
				t.Fatal(err)
			}
		}
	}
	hear := func(want string) {
		t.Helper()
		if got, err := in.ReadString('\n'); err != nil || got != want+"\n" {
			t.Fatalf("heard %q, %v; want %q", got, err, want)
		}
	}
	say("CO", "NNECT liner\nSUB to/#\n")
	hear("OK")
	hear("SUBBED")
	if out, code := b.Command(t, "clients", "show", "liner"); code != 0 || !strings.Contains(out, "liner") {
		t.Errorf("it is no client: %s", out)
	}
	say("PUB from/liner hello there\n")
	c.ExpectPublish("from/liner", "hello there")
	c.Publish("to/liner", "and back", 0, 0)
	hear("MSG to/liner and back")
	say("NONSENSE\n")
	if _, err := in.ReadString('\n'); err != io.EOF {
		t.Errorf("after nonsense: %v", err)
	}
	change(t, b, "unload", "linegate")
	if again, err := net.Dial("tcp", addr); err == nil {
		_ = again.Close()
		t.Error("the port is still open")
	}
}

// certificate writes one for 127.0.0.1, and returns who trusts it.
func certificate(t *testing.T) (cert, key string, trust *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	secret, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(s.Certificate())
	return cert, key, trust
}

func TestTheGatewayIsListedAndSpeaksTLS(t *testing.T) {
	cert, key, trust := certificate(t)
	addr := freeAddress(t)
	b := with(t, linegate.Plugin(), "linegate.listen = "+addr, "linegate.certfile = "+cert, "linegate.keyfile = "+key)
	conn, err := tls.Dial("tcp", addr, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "CONNECT liner\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(conn).ReadString('\n'); err != nil || got != "OK\n" {
		t.Fatalf("heard %q, %v", got, err)
	}
	listed := func(clients int) bool {
		out, _ := b.Command(t, "listeners")
		_, mine, _ := strings.Cut(out, "listener on line:"+addr+"\n")
		return strings.Contains(mine, fmt.Sprintf("current_clients : %d\n", clients))
	}
	if !listed(1) {
		t.Error("it is not listed with its client")
	}
	if body := listeners(t, b); !strings.Contains(body, `"`+addr+`"`) {
		t.Errorf("the API does not list it: %s", body)
	}
	if out, code := b.Command(t, "listeners", "stop", "gateway.linegate"); code != 1 || !strings.Contains(out, "it goes with its plugin") {
		t.Errorf("stop: %d %s", code, out)
	}
	_ = conn.Close()
	testkit.Eventually(t, "its client is gone", func() bool { return listed(0) })
	change(t, b, "unload", "linegate")
	if out, _ := b.Command(t, "listeners"); strings.Contains(out, addr) {
		t.Errorf("it is unloaded, and listed: %s", out)
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTheBridgeCarriesBothWaysAndComesBack(t *testing.T) {
	far := testkit.Start(t)
	b := with(t, courier.Plugin(), "courier.address = "+far.Addr(testkit.TCP), "courier.out = out/#", "courier.in = in/#")
	here, there := client(t, b, "here"), client(t, far, "there")
	here.Subscribe(0, "there/#")
	there.Subscribe(0, "out/#")
	carried := func(n string) {
		t.Helper()
		testkit.Eventually(t, "the bridge has subscribed", func() bool {
			out, _ := far.Command(t, "subscriptions", "list")
			return strings.Contains(out, "in/#")
		})
		here.Publish("out/a", n, 0, 0)
		there.ExpectPublish("out/a", n)
		there.Publish("in/a", n, 0, 0)
		here.ExpectPublish("there/in/a", n)
	}
	carried("1")
	if out, code := far.Command(t, "clients", "kick", "courier-"+b.Config.Node.Name); code != 0 {
		t.Fatal(out)
	}
	for n := range 300 { // some are on their way when the connection ends
		here.Publish("out/a", fmt.Sprint(n), 0, 0)
	}
	seen := map[string]bool{}
	for len(seen) < 300 { // some come twice
		seen[string(there.AnyPublish().Payload)] = true
	}
	there.Publish("in/a", "kept", 1, 9)
	here.ExpectPublish("there/in/a", "kept")
	change(t, b, "unload", "courier")
	testkit.Eventually(t, "it is gone", func() bool {
		_, code := far.Command(t, "clients", "show", "courier-"+b.Config.Node.Name)
		return code != 0
	})
}

// TestThePagesShowTheCode: each file that a page of docs/ names is in it as it is.
func TestThePagesShowTheCode(t *testing.T) {
	shown := map[string]bool{}
	pages, err := filepath.Glob(filepath.Join(testkit.Root(), "docs", "extend-*.md"))
	if err != nil || len(pages) != 4 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "<!-- ")[1:] {
			name, rest, _ := strings.Cut(part, " -->\n\n```go\n")
			block, _, ok := strings.Cut(rest, "\n```\n")
			code, err := os.ReadFile(filepath.Join(testkit.Root(), filepath.FromSlash(name)))
			if err != nil {
				t.Error(err)
			}
			if !ok || block+"\n" != string(code) {
				t.Errorf("%s does not show %s as it is", filepath.Base(page), name)
			}
			shown[name] = true
		}
	}
	for _, name := range []string{"nosecrets/nosecrets", "keycard/keycard", "linegate/linegate", "courier/courier", "courier/line"} {
		if !shown["tests/examples/"+name+".go"] {
			t.Errorf("no page shows %s", name)
		}
	}
}
