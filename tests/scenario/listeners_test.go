package scenario

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/pires/go-proxyproto"

	"emqttd/actors/node"
	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// listening starts a node with one more listener, "x" of a type, and returns its
// address.
func listening(t *testing.T, typ string, change func(*config.Listener)) (*testkit.Broker, string) {
	t.Helper()
	b := testkit.Start(t, func(c *config.Config) {
		l := c.Listeners[0]
		l.Type, l.Name = typ, "x"
		if change != nil {
			change(&l)
		}
		c.Listeners = append(c.Listeners, l)
		c.MQTT.IdleTimeout = 5 * time.Second
	})
	return b, b.Addr(typ + ".x")
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
	return conn
}

// ended waits until connections ended for a reason.
func ended(t *testing.T, b *testkit.Broker, reason string, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d end with %s", n, reason), func() bool { return b.Ended(reason) >= n })
}

func TestMosquittoTrustsTheCertificateTheNodeHasMade(t *testing.T) {
	b, addr := listening(t, config.ListenerSSL, nil)
	cert := filepath.Join(b.Config.Node.Home, "etc", "certs", "cert.pem")
	info, err := os.Stat(filepath.Join(filepath.Dir(cert), "key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	m := newMosquitto(t, addr)
	s := m.sub("--cafile", cert, "-t", "tls/#", "-q", "2", "-C", "3")
	for _, qos := range []string{"0", "1", "2"} {
		m.pub("--cafile", cert, "-t", "tls/"+qos, "-m", "over TLS", "-q", qos)
	}
	if code := s.Wait(); code != 0 {
		t.Fatalf("mosquitto_sub: exit %d", code)
	}
	if got := strings.Join(messages(s), " "); got != "tls/0|0|0|over TLS tls/1|1|0|over TLS tls/2|2|0|over TLS" {
		t.Errorf("got %s", got)
	}
	if o := testkit.Run(t, "mosquitto_pub", m.args([]string{"-t", "a", "-m", "b", "--tls-use-os-certs"})...); o.Code == 0 {
		t.Error("a client that does not know the certificate accepts it")
	}
}

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	a.pool.AddCert(a.cert)
	return a
}

// sign makes a certificate and its key; the first one signs itself.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client is the certificate of a client.
func (a *authority) client(name string, notAfter time.Time) tls.Certificate {
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{"test"}},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// server writes a certificate for localhost and its key to files.
func (a *authority) server(certFile, keyFile string, serial int64) {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(keyFile, "PRIVATE KEY", der)
	a.write(certFile, "CERTIFICATE", cert.Raw)
}

func (a *authority) write(name, typ string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func TestClientCertificatesDecideWhoComesInAndByWhichName(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca.server(at("cert"), at("key"), 3)
	ca.write(at("ca"), "CERTIFICATE", ca.cert.Raw)
	b, addr := listening(t, config.ListenerSSL, func(l *config.Listener) {
		l.CertFile, l.KeyFile, l.CACertFile = at("cert"), at("key"), at("ca")
		l.VerifyPeer, l.FailIfNoPeerCert, l.PeerCertAsUsername = true, true, "cn"
	})
	connect := func(certs ...tls.Certificate) (*tls.Conn, error) {
		c := tls.Client(dial(t, addr), &tls.Config{RootCAs: ca.pool, ServerName: "localhost", Certificates: certs})
		if err := c.Handshake(); err != nil {
			return nil, err
		}
		// With TLS 1.3 the client learns only now whether it was good enough.
		if _, err := c.Write(testkit.Hello("tls-client").Append(nil, mqtt.V311)); err != nil {
			return nil, err
		}
		_, err := io.ReadFull(c, make([]byte, 4))
		return c, err
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	for name, certs := range map[string][]tls.Certificate{
		"expired":  {ca.client("late", time.Now().Add(-24*time.Hour))},
		"stranger": {stranger.client("stranger", tomorrow)},
		"none":     nil,
	} {
		if _, err := connect(certs...); err == nil {
			t.Errorf("%s: the client comes in", name)
		}
	}
	ended(t, b, "tls_error", 3)
	c, err := connect(ca.client("sensor 7", tomorrow))
	if err != nil {
		t.Fatal(err)
	}
	clients := testkit.Get[struct {
		ID       string `json:"client_id"`
		UserName string `json:"username"`
	}](t, b, "nodes/"+b.Config.Node.Name+"/clients")
	if len(clients) != 1 || clients[0].UserName != "sensor 7" {
		t.Errorf("clients %+v", clients)
	}
	_ = c.Close()
}

func TestCertificateThatIsReplacedIsInUseForNewConnections(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	ca.server(cert, key, 10)
	_, addr := listening(t, config.ListenerSSL, func(l *config.Listener) { l.CertFile, l.KeyFile = cert, key })
	open := func() *tls.Conn {
		c := tls.Client(dial(t, addr), &tls.Config{RootCAs: ca.pool, ServerName: "localhost"})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := testkit.NewClient(t, open())
	old.Connect(testkit.Hello("old"))
	ca.server(cert, key, 11)
	testkit.Eventually(t, "the new certificate is in use", func() bool {
		return open().ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 11
	})
	old.Ping()
}

func TestGarbageAndSilenceInsteadOfTLSAreRefused(t *testing.T) {
	b, addr := listening(t, config.ListenerSSL, func(l *config.Listener) { l.HandshakeTimeout = 200 * time.Millisecond })
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "\x16\x03\x01\xff\xff"} {
		c := dial(t, addr)
		_, _ = c.Write([]byte(garbage))
		_, _ = io.Copy(io.Discard, c) // until it is closed
	}
	ended(t, b, "tls_error", 2)
	c := dial(t, addr)
	_, _ = io.Copy(io.Discard, c)
	ended(t, b, "tls_timeout", 1)
}

// wsClient makes a WebSocket look like a connection of MQTT's bytes.
type wsClient struct {
	net.Conn
	rest []byte
}

func (c *wsClient) Write(p []byte) (int, error) { return len(p), wsutil.WriteClientBinary(c.Conn, p) }

func (c *wsClient) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		b, op, err := wsutil.ReadServerData(c.Conn)
		if err != nil {
			return 0, io.EOF
		}
		if op != ws.OpBinary {
			return 0, fmt.Errorf("a frame of type %v", op)
		}
		c.rest = b
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func dialWS(t *testing.T, url string, protocols ...string) (*wsClient, error) {
	t.Helper()
	d := ws.Dialer{Protocols: protocols, Timeout: testkit.Patience, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	conn, br, hs, err := d.Dial(t.Context(), url)
	if err != nil {
		return nil, err
	}
	if br != nil {
		t.Fatal("the broker speaks first")
	}
	if len(protocols) > 0 && !strings.HasPrefix(hs.Protocol, "mqtt") {
		t.Errorf("sub-protocol %q", hs.Protocol)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &wsClient{Conn: conn}, nil
}

func TestMessagesGoOverWebSocketPlainAndSecure(t *testing.T) {
	for typ, scheme := range map[string]string{config.ListenerWS: "ws", config.ListenerWSS: "wss"} {
		t.Run(scheme, func(t *testing.T) {
			_, addr := listening(t, typ, nil)
			conn, err := dialWS(t, scheme+"://"+addr+"/mqtt", "other", "mqttv3.1", "mqtt")
			if err != nil {
				t.Fatal(err)
			}
			c := testkit.NewClient(t, conn)
			c.Connect(testkit.Hello("web"))
			c.Subscribe(1, "web/#")
			large := strings.Repeat("0123456789", 5000)
			for _, payload := range []string{"small", large, ""} {
				c.Publish("web/x", payload, 0, 0)
				c.ExpectPublish("web/x", payload)
			}
			// A packet in many frames, with a ping in the middle of it.
			packet := (&mqtt.Publish{Topic: "web/cut", Payload: []byte("in pieces")}).Append(nil, mqtt.V311)
			for i, b := range packet {
				frame := ws.NewFrame(ws.OpContinuation, i == len(packet)-1, []byte{b})
				if i == 0 {
					frame.Header.OpCode = ws.OpBinary
				}
				if err := ws.WriteFrame(conn.Conn, ws.MaskFrame(frame)); err != nil {
					t.Fatal(err)
				}
				if i == 5 {
					if err := ws.WriteFrame(conn.Conn, ws.MaskFrame(ws.NewPingFrame(nil))); err != nil {
						t.Fatal(err)
					}
				}
			}
			c.ExpectPublish("web/cut", "in pieces")
			c.Disconnect()
		})
	}
}

func TestFramesThatAreNotMQTTCloseTheWebSocket(t *testing.T) {
	b, addr := listening(t, config.ListenerWS, nil)
	for reason, frame := range map[string][]byte{
		"ws_text_frame":      {0x81, 0x81, 0, 0, 0, 0, 'x'},
		"ws_unmasked":        {0x82, 1, 'x'},
		"ws_frame_too_large": {0x82, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0},
		"ws_bad_opcode":      {0x83, 0x80, 0, 0, 0, 0},
	} {
		conn, err := dialWS(t, "ws://"+addr+"/mqtt", "mqtt")
		if err != nil {
			t.Fatal(err)
		}
		c := testkit.NewClient(t, conn)
		c.Connect(testkit.Hello(reason))
		if _, err := conn.Conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		c.ExpectClosed()
		ended(t, b, reason, 1)
	}
}

// request sends a request and returns the first line of the answer.
func request(t *testing.T, addr, head string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := c.Write([]byte(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestRequestsThatAreNoUpgradeAreAnswered(t *testing.T) {
	b, addr := listening(t, config.ListenerWS, nil)
	upgrade := "\nHost: x\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for _, c := range []struct{ name, head, want string }{
		{"another path", "GET /other HTTP/1.1" + upgrade, "404 Not Found"},
		{"a longer path", "GET /mqtt/x HTTP/1.1" + upgrade, "404 Not Found"},
		{"the page upgraded", "GET / HTTP/1.1" + upgrade, "404 Not Found"},
		{"another method", "POST /mqtt HTTP/1.1" + upgrade, "404 Not Found"},
		{"no upgrade", "GET /mqtt HTTP/1.1\nHost: x", "400 Bad Request"},
		{"no sub-protocol", "GET /mqtt HTTP/1.1" + upgrade, "400 Bad Request"},
		{"another sub-protocol", "GET /mqtt HTTP/1.1" + upgrade + "\nSec-WebSocket-Protocol: chat", "400 Bad Request"},
		{"a good one", "GET /mqtt HTTP/1.1" + upgrade + "\nSec-WebSocket-Protocol: mqtt", "101 Switching Protocols"},
		{"a large one", "GET /mqtt HTTP/1.1" + upgrade + "\nCookie: " + strings.Repeat("x", 9000), "431 Request Header Fields Too Large"},
		{"no HTTP", "hello", "404 Not Found"},
		{"the page", "GET / HTTP/1.1\nHost: x", "200 OK"},
	} {
		if status := request(t, addr, c.head); status != "HTTP/1.1 "+c.want {
			t.Errorf("%s: got %s", c.name, status)
		}
	}
	ended(t, b, "ws_not_found", 5)
	ended(t, b, "ws_bad_request", 4)
}

func TestSubProtocolNeedNotBeOfferedIfTheConfigurationSaysSo(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		l := c.Listeners[0]
		l.Type, l.Path = config.ListenerWS, "/other"
		c.Listeners = append(c.Listeners, l)
		c.MQTT.WebsocketProtocolHeader = false
	})
	conn, err := dialWS(t, "ws://"+b.Addr("ws.test")+"/other")
	if err != nil {
		t.Fatal(err)
	}
	testkit.NewClient(t, conn).Connect(testkit.Hello("bare"))
}

// proxied is a header of the PROXY protocol for a client.
func proxied(t *testing.T, version byte, client string) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version,
		net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.9:1883")))
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClientBehindAProxyHasTheAddressInTheHeader(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) {
		l.ProxyProtocol, l.ProxyTimeout = true, 500*time.Millisecond
		l.ProxyTrusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		l.Access = []config.AccessRule{{Network: netip.MustParsePrefix("203.0.113.0/24")}}
	})
	for version, client := range map[byte]string{1: "198.51.100.1:4001", 2: "198.51.100.2:4002"} {
		c := dial(t, addr)
		id := fmt.Sprintf("proxied-%d", version)
		if _, err := c.Write(append(proxied(t, version, client), testkit.Hello(id).Append(nil, mqtt.V311)...)); err != nil {
			t.Fatal(err)
		}
		m := testkit.NewClient(t, c)
		m.ExpectConnack()
		m.Ping()
		got := testkit.Get[struct {
			IP   string `json:"ipaddress"`
			Port int    `json:"port"`
		}](t, b, "nodes/"+b.Config.Node.Name+"/clients/"+id)
		if len(got) != 1 || fmt.Sprintf("%s:%d", got[0].IP, got[0].Port) != client {
			t.Errorf("version %d: %+v", version, got)
		}
	}
	for _, c := range []struct {
		reason string
		first  []byte
	}{
		{"access_denied", proxied(t, 2, "203.0.113.7:1")},
		{"proxy_error", testkit.Hello("no header at all").Append(nil, mqtt.V311)},
		{"proxy_error", []byte("PROXY TCP4 " + strings.Repeat("x", 200) + "\r\n")},
		{"proxy_timeout", []byte("PROXY")},
	} {
		conn := dial(t, addr)
		_, _ = conn.Write(c.first)
		_, _ = io.Copy(io.Discard, conn)
		ended(t, b, c.reason, 1)
	}
}

func TestHeaderOfAnUntrustedProxyIsRefused(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) {
		l.ProxyProtocol, l.ProxyTrusted = true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	c := dial(t, addr)
	_, _ = c.Write(proxied(t, 1, "198.51.100.1:4001"))
	_, _ = io.Copy(io.Discard, c)
	ended(t, b, "proxy_untrusted", 1)
}

func TestAccessRulesAreTriedInTheirOrder(t *testing.T) {
	only := func(network string, allow bool) config.AccessRule {
		return config.AccessRule{Allow: allow, Network: netip.MustParsePrefix(network)}
	}
	for _, c := range []struct {
		name  string
		rules []config.AccessRule
		in    bool
	}{
		{"none", nil, true},
		{"others are kept out", []config.AccessRule{only("10.0.0.0/8", false)}, true},
		{"deny before allow", []config.AccessRule{only("127.0.0.0/8", false), {Allow: true}}, false},
		{"allow before deny", []config.AccessRule{only("127.0.0.0/8", true), {}}, true},
		{"all are kept out", []config.AccessRule{only("::/0", true), {}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.Access = c.rules })
			m := testkit.Dial(t, addr)
			if c.in {
				m.Connect(testkit.Hello("x"))
			} else {
				m.ExpectClosed()
			}
		})
	}
}

func TestClientThatSendsTooFastIsReadSlowly(t *testing.T) {
	_, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.RateLimit = config.Rate{32 << 10, 64 << 10} })
	c := testkit.Dial(t, addr)
	c.Connect(testkit.Hello("eager"))
	began := time.Now()
	for range 8 {
		c.Publish("rate/x", strings.Repeat("x", 16<<10), 0, 0)
	}
	c.Ping()
	// 128 KB less a burst of 32 KB and a read of as much, at 64 KB/s.
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("128 KB went through in %v", took)
	}
	c.Disconnect()
}

func TestListenerIsStoppedAndStartedWithoutTouchingClients(t *testing.T) {
	home := testkit.NewHome(t, "listener.tcp.other = 127.0.0.1:0")
	home.Foreground()
	expect := func(want string, code int, args ...string) {
		t.Helper()
		if o := home.Ctl(append([]string{"listeners"}, args...)...); !strings.Contains(o.Stdout, want) || o.Code != code {
			t.Errorf("%v: exit %d\n%s%s", args, o.Code, o.Stdout, o.Stderr)
		}
	}
	there := testkit.Dial(t, home.MQTT)
	there.Connect(testkit.Hello("there"))
	expect("ok", 0, "stop", "tcp.external")
	if c, err := net.Dial("tcp", home.MQTT); err == nil {
		_ = c.Close()
		t.Error("a stopped listener lets clients in")
	}
	there.Ping()
	expect("status          : stopped", 0)
	expect("stopped already", 1, "stop", "tcp.external")
	expect("no such listener", 1, "stop", "tcp.nobody")
	expect("ok", 0, "start", "mqtt:tcp:"+home.MQTT)
	testkit.Dial(t, home.MQTT).Connect(testkit.Hello("new"))
	expect("started already", 1, "start", "tcp.external")
	expect("ok", 0, "restart", "tcp.external")
	testkit.Dial(t, home.MQTT).Connect(testkit.Hello("newer"))
	there.Ping()
}

func TestNodeWithoutItsCertificateDoesNotStart(t *testing.T) {
	c := testkit.Config(t)
	l := c.Listeners[0]
	l.Type, l.CertFile, l.KeyFile = config.ListenerSSL, "none.pem", "none.pem"
	c.Listeners = append(c.Listeners[:1:1], l)
	n, err := node.Start(c, node.Options{})
	if err == nil {
		_ = n.Stop(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "listener ssl.test: certificate") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAboveTheRateAreClosed(t *testing.T) {
	b, addr := listening(t, config.ListenerTCP, func(l *config.Listener) { l.MaxConnRate = 3 })
	closed := 0
	for range 10 {
		c := dial(t, addr)
		_, _ = c.Write(testkit.Hello("x").Append(nil, mqtt.V311))
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			closed++
		}
	}
	if closed < 5 {
		t.Errorf("%d of 10 were closed", closed)
	}
	ended(t, b, "max_conn_rate", closed)
}
