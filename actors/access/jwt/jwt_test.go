package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/tests/backends/proxy"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("emqsecret-emqsecret-emqsecret-32")

func use(t testing.TB, o Options) *Module {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func public(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func expect(t *testing.T, m *Module, token string, want access.Verdict) access.Result {
	t.Helper()
	r, err := m.Authenticate(t.Context(), suite.Client("u", token))
	if err != nil || r.Verdict != want {
		t.Errorf("%.40s…: %v because of %q, %v; want %v", token, r.Verdict, r.Why, err, want)
	}
	return r
}

func TestEachAlgorithmHasItsOwnKey(t *testing.T) {
	key, other := rsaKey(t), rsaKey(t)
	ec := ecKey(t, elliptic.P256())
	hs := use(t, Options{Secret: secret})
	rs := use(t, Options{PublicKey: public(t, key)})
	es := use(t, Options{PublicKey: public(t, ec)})
	both := use(t, Options{Secret: secret, PublicKey: public(t, key)})
	claims := jwt.MapClaims{"sub": "u"}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		good := sign(t, method, secret, "", claims)
		expect(t, hs, good, access.Allow)
		expect(t, both, good, access.Allow)
		expect(t, rs, good, access.Deny)
		expect(t, hs, sign(t, method, []byte("another secret"), "", claims), access.Deny)
		// The public key is known to all: it is not a secret.
		expect(t, rs, sign(t, method, public(t, key), "", claims), access.Deny)
		expect(t, both, sign(t, method, public(t, key), "", claims), access.Deny)
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512} {
		good := sign(t, method, key, "", claims)
		expect(t, rs, good, access.Allow)
		expect(t, both, good, access.Allow)
		expect(t, hs, good, access.Deny)
		expect(t, es, good, access.Deny)
		expect(t, rs, sign(t, method, other, "", claims), access.Deny)
	}
	expect(t, es, sign(t, jwt.SigningMethodES256, ec, "", claims), access.Allow)
	expect(t, es, sign(t, jwt.SigningMethodES256, ecKey(t, elliptic.P256()), "", claims), access.Deny)
	expect(t, es, sign(t, jwt.SigningMethodES384, ecKey(t, elliptic.P384()), "", claims), access.Deny)
	expect(t, rs, sign(t, jwt.SigningMethodPS256, key, "", claims), access.Deny)
	for _, m := range []*Module{hs, rs, es, both} {
		expect(t, m, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", claims), access.Deny)
	}
}

func TestTamperedTokensAreRefusedAndOtherTextsLeftToTheNextModule(t *testing.T) {
	m := use(t, Options{Secret: secret})
	good := sign(t, jwt.SigningMethodHS256, secret, "", jwt.MapClaims{"sub": "u"})
	parts := strings.Split(good, ".")
	expect(t, m, good, access.Allow)
	forged := strings.Split(sign(t, jwt.SigningMethodHS256, []byte("x"), "", jwt.MapClaims{"sub": "root"}), ".")
	expect(t, m, parts[0]+"."+forged[1]+"."+parts[2], access.Deny)
	expect(t, m, parts[0]+"."+parts[1]+".", access.Deny)
	for _, text := range append(suite.Hostile, "public", parts[0]+"."+parts[1], "a.b.c", strings.Repeat("a", 64<<10), "..", "...") {
		if r, err := m.Authenticate(t.Context(), suite.Client("u", text)); err != nil || r.Verdict == access.Allow {
			t.Errorf("%.60q: %v, %v", text, r, err)
		}
		if r, err := m.Authenticate(t.Context(), suite.Client("u", good+text)); err != nil || r.Verdict == access.Allow && text != "" {
			t.Errorf("a token and %.60q: %v, %v", text, r, err)
		}
	}
	expect(t, m, "", access.Deny)
}

func TestTimesOfATokenHold(t *testing.T) {
	m := use(t, Options{Secret: secret})
	at := func(d time.Duration) float64 { return float64(time.Now().Add(d).Unix()) }
	token := func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, secret, "", c) }
	if r := expect(t, m, token(jwt.MapClaims{}), access.Allow); !r.Expires.IsZero() {
		t.Errorf("a token without an end ends at %v", r.Expires)
	}
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	if r := expect(t, m, token(jwt.MapClaims{"exp": end.Unix()}), access.Allow); !r.Expires.Equal(end) {
		t.Errorf("it ends at %v, want %v", r.Expires, end)
	}
	expect(t, m, token(jwt.MapClaims{"exp": at(-time.Minute)}), access.Deny)
	expect(t, m, token(jwt.MapClaims{"nbf": at(time.Hour)}), access.Deny)
	expect(t, m, token(jwt.MapClaims{"exp": "tomorrow"}), access.Deny)
}

func TestClaimsSayWhoTheClientIs(t *testing.T) {
	m := use(t, Options{Secret: secret, Claims: []string{"sub=%c", "aud=mqtt"}, UsernameClaim: "name", SuperClaim: "super"})
	token := func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, secret, "", c) }
	r := expect(t, m, token(jwt.MapClaims{"sub": "c", "aud": []string{"web", "mqtt"}, "name": "alice", "super": true}), access.Allow)
	if r.Username != "alice" || !r.Superuser {
		t.Errorf("got %+v", r)
	}
	if r = expect(t, m, token(jwt.MapClaims{"sub": "c", "aud": "mqtt", "name": "alice", "super": "true"}), access.Allow); r.Superuser {
		t.Error("a text makes a superuser")
	}
	for _, c := range []jwt.MapClaims{
		{"sub": "d", "aud": "mqtt", "name": "alice"},
		{"sub": "%c", "aud": "mqtt", "name": "alice"},
		{"sub": "c", "aud": "web", "name": "alice"},
		{"sub": "c", "aud": "mqtt"},
		{"sub": "c", "aud": "mqtt", "name": "a\x00b"},
		{"sub": "c", "aud": "mqtt", "name": 17},
		{"aud": "mqtt", "name": "alice"},
	} {
		expect(t, m, token(c), access.Deny)
	}
	u := use(t, Options{Secret: secret, FromUsername: true})
	if r, err := u.Authenticate(t.Context(), &access.Credentials{Username: token(jwt.MapClaims{})}); err != nil || r.Verdict != access.Allow {
		t.Errorf("a token as user name: %v, %v", r, err)
	}
}

func TestClaimOfRulesIsAllThatIsAllowed(t *testing.T) {
	m := use(t, Options{Secret: secret, ACLClaim: "acl"})
	token := func(claim any) string {
		return sign(t, jwt.SigningMethodHS256, secret, "", jwt.MapClaims{"acl": claim})
	}
	type list = []any
	type object = map[string]any
	c := suite.Client("u", "")
	for name, claim := range map[string]any{
		"grants": object{"pub": list{"p/${clientid}/#"}, "sub": "s/+", "all": list{"x/%u"}},
		"list": list{
			object{"permission": "deny", "action": "publish", "topic": "p/c/secret"},
			object{"permission": "allow", "action": "publish", "topics": list{"p/%c/#"}},
			object{"permission": "allow", "action": "subscribe", "topic": "s/+"},
			object{"permission": "allow", "action": "all", "topic": "x/${username}"},
		},
	} {
		r := expect(t, m, token(claim), access.Allow)
		for _, s := range []struct {
			action acl.Action
			topic  string
			want   access.Verdict
		}{
			{acl.Publish, "p/c/a", access.Allow},
			{acl.Publish, "p/d/a", access.Deny},
			{acl.Subscribe, "p/c/a", access.Deny},
			{acl.Subscribe, "s/1", access.Allow},
			{acl.Subscribe, "#", access.Deny},
			{acl.Publish, "x/u", access.Allow},
			{acl.Subscribe, "x/v", access.Deny},
		} {
			if got := suite.Allowed(t, r.Rules, c, s.action, s.topic); got != s.want || !r.HasRules {
				t.Errorf("%s: %v %s: %v, want %v", name, s.action, s.topic, got, s.want)
			}
		}
	}
	if r := expect(t, m, token(object{}), access.Allow); suite.Allowed(t, r.Rules, c, acl.Publish, "a") != access.Deny {
		t.Error("an empty claim allows something")
	}
	for _, claim := range []any{
		nil, "all", 1,
		list{"a"},
		object{"pub": 1},
		object{"pub": list{"a/#/b"}},
		list{object{"permission": "allow"}},
		list{object{"permission": "maybe", "topic": "a"}},
		list{object{"permission": "deny", "topics": list{}}},
		list{object{"permission": "deny", "action": "fly", "topic": "a"}},
	} {
		expect(t, m, token(claim), access.Deny)
	}
}

// keySet is a server of keys that can be changed.
type keySet struct {
	body atomic.Pointer[[]byte]
	addr string
	url  string
}

func (s *keySet) put(t testing.TB, keys map[string]crypto.Signer) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, key := range keys {
		k, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, k.Marshal())
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	s.body.Store(&b)
}

func newKeySet(t testing.TB) *keySet {
	t.Helper()
	s := &keySet{}
	s.put(t, nil)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*s.body.Load()) }))
	t.Cleanup(h.Close)
	s.addr, s.url = strings.TrimPrefix(h.URL, "http://"), h.URL
	return s
}

func TestKeysAtAURLAreReadAgain(t *testing.T) {
	one, two := rsaKey(t), ecKey(t, elliptic.P256())
	s := newKeySet(t)
	s.put(t, map[string]crypto.Signer{"one": one})
	m := use(t, Options{JWKS: s.url, Refresh: time.Hour})
	first := sign(t, jwt.SigningMethodRS256, one, "one", jwt.MapClaims{})
	second := sign(t, jwt.SigningMethodES256, two, "two", jwt.MapClaims{})
	expect(t, m, first, access.Allow)
	expect(t, m, sign(t, jwt.SigningMethodRS256, one, "", jwt.MapClaims{}), access.Allow)
	expect(t, m, sign(t, jwt.SigningMethodRS256, rsaKey(t), "one", jwt.MapClaims{}), access.Deny)
	expect(t, m, sign(t, jwt.SigningMethodHS256, public(t, one), "one", jwt.MapClaims{}), access.Deny)
	s.put(t, map[string]crypto.Signer{"two": two})
	expect(t, m, second, access.Allow) // an unknown key makes it read the set again
	expect(t, m, first, access.Deny)   // which has revoked the old one
}

func TestKeysAtAURLAreReadWhenItIsTime(t *testing.T) {
	one, two := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	s := newKeySet(t)
	s.put(t, map[string]crypto.Signer{"one": one})
	m := use(t, Options{JWKS: s.url, Refresh: 20 * time.Millisecond})
	first := sign(t, jwt.SigningMethodES256, one, "one", jwt.MapClaims{})
	expect(t, m, first, access.Allow)
	s.put(t, map[string]crypto.Signer{"two": two})
	until(t, func() bool {
		r, err := m.Authenticate(t.Context(), suite.Client("u", first))
		return err == nil && r.Verdict == access.Deny
	})
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it does not come to that")
		}
	}
}

func TestKeysThatCannotBeReadAreAnErrorInTimeAndComeLater(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	s := newKeySet(t)
	s.put(t, map[string]crypto.Signer{"one": key})
	token := suite.Client("u", sign(t, jwt.SigningMethodES256, key, "one", jwt.MapClaims{}))
	for name, fault := range map[string]proxy.Fault{
		"refuses":   {Refuse: true},
		"half open": {Stall: true},
		"lies":      {Garbage: []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}{}")},
		"cut":       {CutAfter: 10},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxy.New(t, s.addr)
			p.Set(fault)
			m := use(t, Options{JWKS: "http://" + p.Addr, Refresh: 50 * time.Millisecond, Timeout: 200 * time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if r, err := m.Authenticate(ctx, token); err == nil {
				t.Errorf("without keys: %v", r)
			}
			p.Set(proxy.Fault{})
			until(t, func() bool {
				r, err := m.Authenticate(t.Context(), token)
				return err == nil && r.Verdict == access.Allow
			})
			p.Set(fault) // what was read is good still
			if r, err := m.Authenticate(t.Context(), token); err != nil || r.Verdict != access.Allow {
				t.Errorf("with the keys read before: %v, %v", r, err)
			}
		})
	}
}

func TestNewRefusesToCheckWithoutAKey(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing":     {},
		"no PEM":      {PublicKey: []byte("x")},
		"no URL":      {JWKS: "keys.json"},
		"a bad claim": {Secret: secret, Claims: []string{"sub"}},
	} {
		if m, err := New(o); err == nil {
			t.Errorf("%s is taken: %v", name, m.Close())
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	key := ecKey(b, elliptic.P256())
	for name, c := range map[string]struct {
		o      Options
		method jwt.SigningMethod
		key    any
	}{
		"alg=HS256": {Options{Secret: secret}, jwt.SigningMethodHS256, secret},
		"alg=ES256": {Options{PublicKey: public(b, key)}, jwt.SigningMethodES256, key},
	} {
		b.Run(name, func(b *testing.B) {
			suite.Benchmark(b, use(b, c.o), suite.Client("u", sign(b, c.method, c.key, "", jwt.MapClaims{"sub": "u"})))
		})
	}
}
