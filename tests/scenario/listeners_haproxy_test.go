package scenario

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"emqttd/config"
	"emqttd/tests/testkit"
)

// haproxy starts it in front of a listener and returns its address. It trusts
// nothing but comes from 127.0.0.1, where the broker trusts it.
func haproxy(t *testing.T, mode, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // it is haproxy's turn
	conf := fmt.Sprintf(`defaults
  mode %s
  timeout connect 10s
  timeout client 1m
  timeout server 1m
  timeout tunnel 1m
  option forwardfor if-none
listen mqtt
  bind %s
  server broker %s
`, mode, addr, server)
	if mode == "tcp" {
		conf = strings.Replace(conf, "  option forwardfor if-none\n", "", 1)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Launch(t, "haproxy", "-db", "-f", file)
	testkit.Eventually(t, "haproxy listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

// elsewhere is an address of this machine from which clients come.
var elsewhere = net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: testkit.Patience}

// seenAs is the address that the broker shows for a client.
func seenAs(t *testing.T, b *testkit.Broker, id string) string {
	t.Helper()
	got := testkit.Get[struct {
		IP string `json:"ipaddress"`
	}](t, b, "nodes/"+b.Config.Node.Name+"/clients/"+id)
	if len(got) != 1 {
		t.Fatalf("%s: %+v", id, got)
	}
	return got[0].IP
}

func TestHAProxySaysWhoTheClientIs(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for send, typ := range map[string]string{
		"send-proxy": config.ListenerTCP, "send-proxy-v2": config.ListenerTCP, "send-proxy-v2 tls": config.ListenerSSL,
	} {
		t.Run(send, func(t *testing.T) {
			b, addr := listening(t, typ, func(l *config.Listener) { l.ProxyProtocol, l.ProxyTrusted = true, trusted })
			option, _, _ := strings.Cut(send, " ")
			conn, err := elsewhere.Dial("tcp", haproxy(t, "tcp", addr+" "+option))
			if err != nil {
				t.Fatal(err)
			}
			if typ == config.ListenerSSL {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			c := testkit.NewClient(t, conn)
			c.Connect(testkit.Hello("behind"))
			c.Ping()
			if ip := seenAs(t, b, "behind"); ip != "127.0.0.2" {
				t.Errorf("it is seen as %s", ip)
			}
		})
	}
}

func TestHAProxySaysWhoTheClientIsInAHeader(t *testing.T) {
	b, addr := listening(t, config.ListenerWS, func(l *config.Listener) {
		l.AddressHeader, l.ProxyTrusted = "X-Forwarded-For", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		l.Access = []config.AccessRule{{Allow: true, Network: netip.MustParsePrefix("127.0.0.2/32")}, {}}
	})
	dial := func(addr, id string, header ws.HandshakeHeaderHTTP, from net.Dialer) (*testkit.Client, error) {
		d := ws.Dialer{Protocols: []string{"mqtt"}, NetDial: from.DialContext, Header: header}
		conn, _, _, err := d.Dial(t.Context(), "ws://"+addr+"/mqtt")
		if err != nil {
			return nil, err
		}
		c := testkit.NewClient(t, &wsClient{Conn: conn})
		c.Connect(testkit.Hello(id))
		c.Ping()
		return c, nil
	}
	front := haproxy(t, "http", addr)
	if _, err := dial(front, "proxied", nil, elsewhere); err != nil {
		t.Fatal(err)
	}
	if ip := seenAs(t, b, "proxied"); ip != "127.0.0.2" {
		t.Errorf("it is seen as %s", ip)
	}
	if _, err := dial(front, "kept-out", nil, net.Dialer{}); err == nil {
		t.Error("a client that the rules keep out comes in behind the proxy")
	}
	ended(t, b, "access_denied", 1)
	forged := ws.HandshakeHeaderHTTP{"X-Forwarded-For": {"6.6.6.6"}}
	if _, err := dial(addr, "forged", forged, elsewhere); err != nil {
		t.Fatal(err)
	}
	if ip := seenAs(t, b, "forged"); ip != "127.0.0.2" {
		t.Errorf("who is no proxy chooses to be seen as %s", ip)
	}
}
