package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/golang-jwt/jwt/v5"
	"github.com/xdg-go/scram"

	"emqttd/actors/access"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

func TestClientIdentifiersHavePasswords(t *testing.T) {
	b := start(t, "auth.client.1.clientid = dev", "auth.client.1.password = dev-pw", "access.backoff.after = 0")
	answers(t, b, login("dev", "", "dev-pw"), accepted)
	answers(t, b, login("dev", "any", "dev-pw"), accepted)
	answers(t, b, login("dev", "dev", "wrong"), badPassword)
	answers(t, b, login("Dev", "dev", "dev-pw"), badPassword)
	answers(t, b, testkit.Hello("dev"), badPassword)
}

func TestSourceAddressesDecideAndName(t *testing.T) {
	b := start(t, "auth.source.1 = user:printer 127.0.0.2/32", "auth.source.2 = deny 127.0.0.0/8", rules(t, `
{allow, {user, "printer"}, pubsub, ["print/%u"]}.
{deny, all}.`))
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := from.DialContext(t.Context(), "tcp", b.Addr(testkit.TCP))
	must(t, err)
	c := testkit.NewClient(t, conn)
	c.Connect(login("c", "somebody", "any", v5))
	if code := publish(t, c, "print/printer", "x"); code == protocol.NotAuthorized {
		t.Error("it is not called printer")
	}
	if code := publish(t, c, "print/somebody", "x"); code != protocol.NotAuthorized {
		t.Errorf("it is called as it likes: 0x%02X", byte(code))
	}
	answers(t, b, testkit.Hello("c2"), notAuthorized)
}

func TestGuessingMustWait(t *testing.T) {
	b := start(t, users("ann", "eve"), "access.backoff.after = 4", "access.backoff.first = 1h", "access.backoff.longest = 2h")
	for range 5 {
		if code := knock(t, b.Dial(t), login("c", "ann", "guess")); code != 4 {
			t.Fatalf("CONNACK %d", code)
		}
	}
	answers(t, b, as("ann", "c"), tooOften)
	answers(t, b, as("eve", "c"), tooOften) // the address must wait, too
	// The CONNACK is on its way before the refusal is counted.
	testkit.Eventually(t, "it is counted", func() bool { return b.Ended("too_many_attempts") >= 4 })
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber, template.NotAfter = big.NewInt(serial.Add(1)), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert, key
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.cert, a.key = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func text(t *testing.T, kind string, der []byte) string {
	return write(t, "x.pem", string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func TestSubjectOfACertificateIsTheUserName(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, &x509.Certificate{DNSNames: []string{"localhost"}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	more := configure(t, "access.modules = x509", rules(t, "{allow, {user, \"sensor 7\"}, pubsub, [\"%u/#\"]}.\n{deny, all}."))
	b := testkit.Start(t, more, func(c *config.Config) {
		l := c.Listeners[0]
		l.Type, l.Name = config.ListenerSSL, "x"
		l.CertFile, l.KeyFile, l.CACertFile = text(t, "CERTIFICATE", cert.Raw), text(t, "PRIVATE KEY", der), text(t, "CERTIFICATE", ca.cert.Raw)
		l.VerifyPeer = true
		c.Listeners = append(c.Listeners, l)
	})
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	dial := func(certs ...tls.Certificate) *testkit.Client {
		conn, err := tls.Dial("tcp", b.Addr("ssl.x"), &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certs})
		must(t, err)
		return testkit.NewClient(t, conn)
	}
	mine, mineKey := ca.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "sensor 7"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	c := dial(tls.Certificate{Certificate: [][]byte{mine.Raw}, PrivateKey: mineKey})
	c.Connect(login("c", "somebody else", "", v5)) // what it calls itself does not count
	if code := publish(t, c, "sensor 7/x", "x"); code == protocol.NotAuthorized {
		t.Error("it is not called by its certificate")
	}
	if code := publish(t, c, "somebody else/x", "x"); code != protocol.NotAuthorized {
		t.Errorf("it is called as it likes: 0x%02X", byte(code))
	}
	if code := knock(t, dial(), testkit.Hello("none")); code != 5 {
		t.Errorf("without a certificate: CONNACK %d", code)
	}
}

// stream is a WebSocket whose messages are one stream of bytes.
type stream struct {
	net.Conn
	rest []byte
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		data, op, err := wsutil.ReadServerData(s.Conn)
		if err != nil {
			return 0, io.EOF
		}
		if op == ws.OpBinary {
			s.rest = data
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Write(b []byte) (int, error) { return len(b), wsutil.WriteClientBinary(s.Conn, b) }

// webSockets start a node with a listener for them, and dial it with headers.
func webSockets(t *testing.T, lines ...string) (*testkit.Broker, func(http.Header) *testkit.Client) {
	t.Helper()
	b := testkit.Start(t, configure(t, lines...), func(c *config.Config) {
		l := c.Listeners[0]
		l.Type, l.Name = config.ListenerWS, "x"
		c.Listeners = append(c.Listeners, l)
	})
	return b, func(h http.Header) *testkit.Client {
		d := ws.Dialer{Protocols: []string{"mqtt"}, Timeout: testkit.Patience, Header: ws.HandshakeHeaderHTTP(h)}
		conn, _, _, err := d.Dial(t.Context(), "ws://"+b.Addr("ws.x")+"/mqtt")
		must(t, err)
		return testkit.NewClient(t, &stream{Conn: conn})
	}
}

func TestSignedCookieOfTheUpgradeIsTheUser(t *testing.T) {
	key := []byte("sixteen bytes or more")
	b, dial := webSockets(t, "auth.cookie.secret = "+string(key), "auth.cookie.name = mqtt", "access.backoff.after = 0",
		rules(t, "{allow, all, pubsub, [\"%u/#\"]}.\n{deny, all}."))
	header := func(cookie string, more ...string) http.Header {
		h := http.Header{"Cookie": {"other=1; mqtt=" + cookie}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	good := access.SignCookie(key, "ann", time.Now().Add(time.Hour))
	for name, h := range map[string]http.Header{
		"a forged cookie":  header(access.SignCookie([]byte("another key of us"), "ann", time.Now().Add(time.Hour))),
		"an expired one":   header(access.SignCookie(key, "ann", time.Now().Add(-time.Second))),
		"a foreign page":   header(good, "Origin", "https://evil.example"),
		"half a cookie":    header(good[:len(good)/2]),
		"an empty one":     header(""),
		"no cookie at all": {},
	} {
		if code := knock(t, dial(h), testkit.Hello("c")); code == 0 {
			t.Errorf("%s lets in", name)
		}
	}
	c := dial(header(good, "Origin", "http://"+b.Addr("ws.x")))
	c.Connect(login("c", "eve", "", v5))
	if code := publish(t, c, "ann/x", "x"); code == protocol.NotAuthorized {
		t.Error("the user is not that of the cookie")
	}
	if code := publish(t, c, "eve/x", "x"); code != protocol.NotAuthorized {
		t.Errorf("the user is called as he likes: 0x%02X", byte(code))
	}
	// It is good until it expires, also for who is connected.
	brief := dial(header(access.SignCookie(key, "bob", time.Now().Add(2*time.Second))))
	since := time.Now().Add(2 * time.Second)
	brief.Connect(login("brief", "", "", v5))
	if code := ends(t, brief); code != protocol.NotAuthorized {
		t.Errorf("DISCONNECT 0x%02X", byte(code))
	}
	within(t, "the cookie has expired, and the client is sent away", since)
}

func TestCookieIsPassedOnToAnHTTPService(t *testing.T) {
	s := newService(t)
	_, dial := webSockets(t, "auth.http.auth_req = http://"+s.addr+"/cookie", "auth.http.headers = Cookie", "access.backoff.after = 0")
	for cookie, want := range map[string]byte{"session=good": 0, "session=bad": 4, "": 4} {
		h := http.Header{}
		if cookie != "" {
			h.Set("Cookie", cookie)
		}
		if code := knock(t, dial(h), login("c", "ann", "x")); code != want {
			t.Errorf("%q: CONNACK %d, want %d", cookie, code, want)
		}
	}
}

// keys serve a JWKS with one key, which they sign with.
func keys(t *testing.T) (url string, sign func(claims jwt.MapClaims) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	set := jwkset.NewMemoryStorage()
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "k1", ALG: jwkset.AlgES256}})
	must(t, err)
	must(t, set.KeyWrite(context.Background(), k))
	public, err := set.JSONPublic(context.Background())
	must(t, err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(public) }))
	t.Cleanup(s.Close)
	return s.URL, func(claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		token.Header["kid"] = "k1"
		signed, err := token.SignedString(key)
		must(t, err)
		return signed
	}
}

func TestTokenIsGoodForWhatItClaimsUntilItExpires(t *testing.T) {
	url, sign := keys(t)
	_, forge := keys(t)
	b := start(t, "auth.jwt.jwks = "+url, "auth.jwt.claims = sub=%u", "access.backoff.after = 0", "mqtt.acl_nomatch = deny", rules(t, ""))
	claims := func(until time.Duration) jwt.MapClaims {
		return jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(until).Unix(), "acl": []map[string]any{
			{"permission": "allow", "action": "all", "topic": "ann/#"},
		}}
	}
	becomes(t, b, login("first", "ann", sign(claims(time.Hour))), 0) // the set is read
	for name, token := range map[string]string{
		"forged": forge(claims(time.Hour)), "expired": sign(claims(-time.Minute)), "none": "", "cut": sign(claims(time.Hour))[:40],
	} {
		t.Run(name, func(t *testing.T) { answers(t, b, login("c", "ann", token), badPassword) })
	}
	answers(t, b, login("c", "eve", sign(claims(time.Hour))), badPassword)

	for name, version := range both {
		until := time.Now().Add(2 * time.Second).Truncate(time.Second)
		short := claims(0)
		short["exp"] = until.Unix()
		c := join(t, b, login("c", "ann", sign(short), version...))
		c.Subscribe(1, "ann/x")
		if code := subscribe(t, c, "eve/x", func(string) {}); !isDenied(c.Version, code) {
			t.Errorf("%s: SUBACK 0x%02X", name, byte(code))
		}
		if isRefused(t, b, c, "ann/y") || !isRefused(t, b, c, "eve/y") {
			t.Errorf("%s: the claims do not decide", name)
		}
		if code := ends(t, c); c.Version == mqtt.V5 && code != protocol.NotAuthorized {
			t.Errorf("DISCONNECT 0x%02X", byte(code))
		}
		if time.Now().Before(until) {
			t.Errorf("%s: it ends before the token does", name)
		}
		within(t, name+": the token has expired, and the client is sent away", until)
	}
}

func TestSCRAMUsersAreBoundByTheRulesAsOthersAre(t *testing.T) {
	file := write(t, "scram.conf", "ann = secret\n")
	b := start(t, "auth.scram.file = "+file, "mqtt.allow_anonymous = false", "access.backoff.after = 3", "access.backoff.first = 1h", "access.backoff.longest = 1h",
		rules(t, "{allow, {user, \"ann\"}, pubsub, [\"ann/#\"]}.\n{deny, all}."))
	c, code := prove(t, b, "ann", "secret")
	if code != 0 {
		t.Fatalf("CONNACK 0x%02X", code)
	}
	if publish(t, c, "ann/x", "x") == protocol.NotAuthorized || publish(t, c, "eve/x", "x") != protocol.NotAuthorized {
		t.Error("the rules do not hold for the user")
	}
	answers(t, b, login("c", "ann", "secret"), notAuthorized) // not without an exchange
	for range 4 {
		if _, code := prove(t, b, "ann", "guess"); code != 0x87 {
			t.Errorf("CONNACK 0x%02X", code)
		}
	}
	if _, code := prove(t, b, "ann", "secret"); code != 0x9F {
		t.Errorf("after wrong passwords: CONNACK 0x%02X", code)
	}
	c.Ping()
}

// prove runs the client's side of SCRAM-SHA-256.
func prove(t *testing.T, b *testkit.Broker, user, password string) (*testkit.Client, byte) {
	t.Helper()
	s, err := scram.SHA256.NewClient(user, password, "")
	must(t, err)
	talk := s.NewConversation()
	first, err := talk.Step("")
	must(t, err)
	p := testkit.Hello(unique("scram"))
	v5(p)
	p.Properties.HasAuthMethod, p.Properties.AuthMethod, p.Properties.AuthData = true, "SCRAM-SHA-256", []byte(first)
	c := b.Dial(t)
	c.Version = mqtt.V5
	c.Send(p)
	for {
		h, body, err := c.TryRead()
		must(t, err)
		if h.Type == mqtt.CONNACK {
			return c, body[1]
		}
		var a mqtt.Auth
		must(t, a.Decode(h, slices.Clone(body), mqtt.V5))
		answer, err := talk.Step(string(a.Data))
		must(t, err)
		c.Send(&mqtt.Auth{Code: protocol.ContinueAuthentication, HasMethod: true, Method: "SCRAM-SHA-256", Data: []byte(answer)})
	}
}

func TestDeniedPublisherIsSentAwayWhereItIsToBe(t *testing.T) {
	b := start(t, "mqtt.acl_deny_action = disconnect", rules(t, `{deny, all, publish, ["secret/#"]}.`))
	for name, version := range both {
		for qos := range protocol.QoS(3) {
			p := testkit.Hello(unique("c"))
			for _, f := range version {
				f(p)
			}
			c := join(t, b, p)
			c.Send(&mqtt.Publish{Topic: topic.Name("secret/x"), QoS: qos, PacketID: map[bool]protocol.PacketID{true: 3}[qos > 0]})
			if code := ends(t, c); c.Version == mqtt.V5 && code != protocol.NotAuthorized {
				t.Errorf("%s, QoS %d: DISCONNECT 0x%02X", name, qos, byte(code))
			}
		}
	}
	if n := testkit.Value(b.Metrics().Drops(), "acl_denied"); n != 6 {
		t.Errorf("%d messages were dropped", n)
	}
}

func TestWithoutModulesEverybodyMayComeInAsBefore(t *testing.T) {
	b := start(t)
	answers(t, b, testkit.Hello("c"), accepted)
	answers(t, b, login("c", "any", "any"), accepted)
	b = start(t, "mqtt.allow_anonymous = false")
	answers(t, b, testkit.Hello("c"), notAuthorized)
	answers(t, b, login("c", "any", "any"), notAuthorized)
}
