//go:build !race

package scenario

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
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

// ctl runs a command line on a node of this process.
func ctl(t *testing.T, b *testkit.Broker, args ...string) (string, int) {
	t.Helper()
	c, err := admin.Dial(b.DistAddr(), b.Config.Node.Cookie, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	cmd := admin.Command{Args: args}
	if node, ok := strings.CutPrefix(args[0], "--node="); ok {
		cmd = admin.Command{Args: args[1:], Node: node}
	} else if args[0] == "--all" {
		cmd = admin.Command{Args: args[1:], All: true}
	}
	code, err := c.Do(&out, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

// twoNodes are one broker as soon as the second has found the first.
func twoNodes(t *testing.T) (a, b *testkit.Broker) {
	a = testkit.Start(t, func(c *config.Config) { c.Node.Name = "a@127.0.0.1" })
	b = testkit.Start(t, func(c *config.Config) {
		c.Node.Name = "b@127.0.0.1"
		c.Cluster.Discovery, c.Cluster.Seeds = config.Static, []string{a.DistAddr()}
	})
	return a, b
}

// TestOperatorsReachEveryNodeFromAnyOne: what is asked of one node about another, or
// about a client on another, is answered by that; who is banned on one is kept out
// of all, and leaves the one where he is.
func TestOperatorsReachEveryNodeFromAnyOne(t *testing.T) {
	a, b := twoNodes(t)
	dev := b.Dial(t)
	dev.Connect(testkit.Hello("dev"))
	testkit.Eventually(t, "a knows of the client", func() bool {
		out, code := ctl(t, a, "clients", "show", "dev")
		return code == 0 && strings.Contains(out, "Client(dev")
	})
	if out, code := ctl(t, a, "--node=b@127.0.0.1", "status"); code != 0 || !strings.Contains(out, "b@127.0.0.1") {
		t.Errorf("status of b: %d %s", code, out)
	}
	if out, _ := ctl(t, a, "--all", "clients", "list"); !strings.HasPrefix(out, "== a@127.0.0.1\n== b@127.0.0.1\nClient(dev") {
		t.Errorf("clients of all: %s", out)
	}
	var page struct {
		Result struct {
			Objects []struct {
				ClientID string `json:"client_id"`
			}
		}
	}
	get(t, a, "nodes/b@127.0.0.1/clients", &page)
	if len(page.Result.Objects) != 1 || page.Result.Objects[0].ClientID != "dev" {
		t.Errorf("clients of b: %+v", page)
	}
	var nodes struct{ Result []struct{ Name string } }
	get(t, b, "management/nodes", &nodes)
	if len(nodes.Result) != 2 || nodes.Result[0].Name != "a@127.0.0.1" {
		t.Errorf("nodes: %+v", nodes)
	}
	if out, code := ctl(t, a, "banned", "add", "clientid", "dev"); code != 0 {
		t.Fatalf("ban: %d %s", code, out)
	}
	dev.ExpectClosed()
	testkit.Eventually(t, "b lists the ban", func() bool {
		out, _ := ctl(t, b, "banned", "list")
		return strings.Contains(out, "dev")
	})
	other := b.Dial(t)
	other.Connect(testkit.Hello("other"))
	if _, code := ctl(t, a, "clients", "kick", "other"); code != 0 {
		t.Errorf("kick: %d", code)
	}
	other.ExpectClosed()
}

// TestOperatorsAreToldWhyByAllNodes: whoever asks one node why a message did not come
// hears what the one knows that has the session, or the subscriber, or the trace.
func TestOperatorsAreToldWhyByAllNodes(t *testing.T) {
	a, b := twoNodes(t)
	dev := b.Dial(t)
	dev.Connect(testkit.Hello("dev"))
	dev.Subscribe(1, "attic/+")
	says := func(pattern string, args ...string) {
		t.Helper()
		var out string
		testkit.Eventually(t, strings.Join(args, " ")+" says "+pattern, func() bool {
			out, _ = ctl(t, a, args...)
			return regexp.MustCompile(pattern).MatchString(out)
		})
	}
	says(`^at b@127\.0\.0\.1:\nconnected, with 1 subscriptions\n`, "explain", "client", "dev")
	says(`^at b@127\.0\.0\.1:\n1 subscriptions match\n  dev qos=1\n$`, "explain", "topic", "attic/light")
	says(`^there is no session: nothing is kept for this client\n$`, "explain", "client", "stranger")
	says(`^no subscriber: what is published there is dropped\n$`, "explain", "topic", "cellar")

	if out, code := ctl(t, b, "trace", "client", "dev", "dev.log"); code != 0 {
		t.Fatal(out)
	}
	dev.Publish("cellar", "x", 1, 7)
	dev.ExpectAck(mqtt.PUBACK, 7)
	text, err := os.ReadFile(filepath.Join(b.Config.Node.Home, "dev.log"))
	tag := regexp.MustCompile(`tag=([0-9a-f]{8})`).FindSubmatch(text)
	if err != nil || tag == nil {
		t.Fatalf("%v: no tag in %s", err, text)
	}
	says(`^at b@127\.0\.0\.1:\ndev published to cellar with QoS 1 at .*\nno subscriber\n`, "explain", "message", string(tag[1]))
	says(`^no subscriber: what is published there is dropped\nat b@127\.0\.0\.1:\namong the last 100 drops of this node:\n.* from dev: no subscriber\n$`, "explain", "topic", "cellar")
}

func get(t *testing.T, b *testkit.Broker, path string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.Addr(testkit.API)+"/api/v2/"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "public")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil || json.Unmarshal(body, into) != nil {
		t.Fatalf("%s: %d %v %s", path, res.StatusCode, err, body)
	}
}
