package scenario

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/actors/node"
	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "emq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func dialUnix(t *testing.T, path string) *testkit.Client {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.NewClient(t, c)
}

func TestMessagesGoOverAUnixSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "mqtt.sock")
	b, _ := listening(t, config.ListenerTCP, func(l *config.Listener) { l.Address, l.SocketMode = "unix:"+path, "0600" })
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	c := dialUnix(t, path)
	c.Connect(testkit.Hello("local"))
	c.Subscribe(1, "u/#")
	large := strings.Repeat("0123456789", 6000)
	for _, payload := range []string{"small", large} {
		c.Publish("u/x", payload, 0, 0)
		c.ExpectPublish("u/x", payload)
	}
	got := testkit.Get[struct {
		IP string `json:"ipaddress"`
	}](t, b, "nodes/"+b.Config.Node.Name+"/clients/local")
	if len(got) != 1 || got[0].IP != "unix" {
		t.Errorf("%+v", got)
	}
}

func TestUnixSocketOfADeadProcessIsReplacedAndThatOfALiveOneIsNot(t *testing.T) {
	path := filepath.Join(shortDir(t), "mqtt.sock")
	home := testkit.NewHome(t, "listener.tcp.local = unix:"+path)
	home.Foreground().Kill()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the killed node has left nothing behind: %v", err)
	}
	home.Foreground()
	dialUnix(t, path).Connect(testkit.Hello("after"))

	c := testkit.Config(t)
	c.Listeners[0].Address = "unix:" + path
	c.Listeners = append(c.Listeners[:1:1], c.Listeners[2:]...)
	n, err := node.Start(c, node.Options{})
	if err == nil {
		_ = n.Stop(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "listens on it already") {
		t.Errorf("a second node: %v", err)
	}
	dialUnix(t, path).Connect(testkit.Hello("still"))
	if o := home.Ctl("listeners", "stop", "tcp.local"); o.Code != 0 {
		t.Errorf("%+v", o)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a stopped listener leaves its socket behind")
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := home.Ctl("listeners", "start", "tcp.local"); o.Code != 1 || !strings.Contains(o.Stdout, "is no socket") {
		t.Errorf("%+v", o)
	}
}

func TestIPv6ListenersKnowTheirClients(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) {
		l.Address = "[::1]:0"
		l.Access = []config.AccessRule{{Allow: true, Network: netip.MustParsePrefix("::1/128")}, {}}
	})
	if !strings.HasPrefix(addr, "[::1]:") {
		t.Errorf("it listens on %s", addr)
	}
	c := testkit.Dial(t, addr)
	c.Connect(testkit.Hello("six"))
	c.Ping()
	got := testkit.Get[struct {
		IP string `json:"ipaddress"`
	}](t, b, "nodes/"+b.Config.Node.Name+"/clients/six")
	if len(got) != 1 || got[0].IP != "::1" {
		t.Errorf("%+v", got)
	}
	all, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.Address = "[::]:0" })
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		testkit.Dial(t, net.JoinHostPort(host, port)).Connect(testkit.Hello("to-" + strings.ReplaceAll(host, ":", "")))
	}
	if n := all.Ended("access_denied"); n != 0 {
		t.Errorf("%d are kept out", n)
	}
}

func TestAccessRulesHoldForTheAPI(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		for i := range c.Listeners {
			if c.Listeners[i].Type == config.ListenerAPI {
				c.Listeners[i].Access = []config.AccessRule{{Network: netip.MustParsePrefix("127.0.0.1/32")}}
			}
		}
	})
	r, err := http.Get("http://" + b.Addr(testkit.API) + "/api/v2/nodes")
	if err == nil {
		_ = r.Body.Close()
		t.Errorf("who is kept out gets %s", r.Status)
	}
}

func TestLimitsPerSourceLeaveOthersAlone(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) {
		l.ProxyProtocol, l.MaxClientsPerIP = true, 2
	})
	from := func(client, id string) *testkit.Client {
		c := dial(t, addr)
		if _, err := c.Write(append(proxied(t, 2, client), testkit.Hello(id).Append(nil, mqtt.V311)...)); err != nil {
			t.Fatal(err)
		}
		return testkit.NewClient(t, c)
	}
	first := from("198.51.100.1:1", "a")
	first.ExpectConnack()
	from("198.51.100.1:2", "b").ExpectConnack()
	from("198.51.100.1:3", "c").ExpectClosed()
	from("198.51.100.2:1", "d").ExpectConnack()
	from("[2001:db8::1]:1", "e").ExpectConnack()
	from("[2001:db8::2]:1", "f").ExpectConnack()
	from("[2001:db8::3]:1", "g").ExpectClosed()
	from("[2001:db8:0:1::3]:1", "h").ExpectConnack()
	ended(t, b, "max_clients_per_ip", 2)
	first.Disconnect()
	ended(t, b, "normal", 1)
	from("198.51.100.1:4", "i").ExpectConnack()
}

func TestConnectionRatePerSourceIsHeld(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.MaxConnRatePerIP = 3 })
	for range 10 {
		_, _ = dial(t, addr).Write(testkit.Hello("x").Append(nil, mqtt.V311))
	}
	ended(t, b, "max_conn_rate_per_ip", 5)
	testkit.Dial(t, b.Addr(testkit.TCP)).Connect(testkit.Hello("elsewhere"))
}
