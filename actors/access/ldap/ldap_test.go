package ldap

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
	"emqttd/actors/access/stored"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// options search as EMQ 2.3 does.
func options(t testing.TB, s *servers.Server, scheme string) Options {
	t.Helper()
	h, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Addrs: []string{s.Addr}, BindDN: s.Username, BindPassword: s.Password, Timeout: 5 * time.Second,
		AuthDN: "ou=users," + s.Database, Filter: "username=%u", PasswordAttribute: "password", Hash: stored.Hash{Scheme: h},
		SuperAttribute: "isSuperuser", PublishAttribute: "mqttPublishTopic", SubscribeAttribute: "mqttSubscriptionTopic",
		PubSubAttribute: "mqttPubSubTopic",
	}
}

// binding are options that bind as the user, as EMQ 2.0 does.
func binding(t testing.TB, s *servers.Server) Options {
	t.Helper()
	o := options(t, s, "plain")
	o.UserDN, o.AuthDN, o.Filter = "cn=%u,ou=users,"+s.Database, "", ""
	return o
}

func open(t testing.TB, o Options) *Module {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// admin does something as the one who may do everything.
func admin(t testing.TB, s *servers.Server, do func(*ldap.Conn) error) {
	t.Helper()
	c, err := ldap.DialURL("ldap://" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(s.Username, s.Password); err != nil {
		t.Fatal(err)
	}
	if err := do(c); err != nil {
		t.Fatal(err)
	}
}

func dn(s *servers.Server, name string) string {
	return "cn=" + ldap.EscapeDN(name) + ",ou=users," + s.Database
}

// add writes an entry with the attributes of the directory's own passwords and of ours.
func add(t testing.TB, s *servers.Server, u suite.User) {
	t.Helper()
	r := ldap.NewAddRequest(dn(s, u.Name), nil)
	set := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			r.Attribute(name, values)
		}
	}
	set("objectClass", "device", "simpleSecurityObject", "mqttUser")
	set("cn", u.Name)
	set("username", u.Name)
	set("password", u.Stored)
	set("salt", u.Salt)
	set("userPassword", u.Stored+"-") // an attribute that must be there; empty fits nobody
	if u.Stored != "" {
		r.Attributes = r.Attributes[:len(r.Attributes)-1]
		set("userPassword", u.Stored)
	}
	super := "FALSE"
	if u.Super {
		super = "TRUE"
	}
	set("isSuperuser", super)
	topics := map[int][]string{}
	for _, rule := range u.Rules {
		topics[rule.Access] = append(topics[rule.Access], rule.Topic)
	}
	set("mqttSubscriptionTopic", topics[1]...)
	set("mqttPublishTopic", topics[2]...)
	set("mqttPubSubTopic", topics[3]...)
	admin(t, s, func(c *ldap.Conn) error { return c.Add(r) })
}

func backend(s *servers.Server, o func(t testing.TB, scheme string) Options) suite.Backend {
	return suite.Backend{
		Addr: s.Addr,
		Open: func(t testing.TB, addr, scheme string) access.Module {
			o := o(t, scheme)
			o.Addrs = []string{addr}
			return open(t, o)
		},
		Add: func(t testing.TB, u suite.User) { add(t, s, u) },
		Remove: func(t testing.TB, name string) {
			admin(t, s, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn(s, name), nil)) })
		},
		Stop: s.Stop, Start: s.Start,
	}
}

func TestLDAPThatIsSearchedDoesWhatABackEndMust(t *testing.T) {
	s := servers.LDAP(t)
	suite.Run(t, backend(s, func(t testing.TB, scheme string) Options { return options(t, s, scheme) }))
}

// The directory compares passwords by itself, and does not say that a user is unknown.
func TestLDAPThatIsBoundDoesWhatABackEndMust(t *testing.T) {
	s := servers.LDAP(t)
	b := backend(s, func(t testing.TB, _ string) Options { return binding(t, s) })
	b.Schemes, b.Refuses = []string{"plain"}, true
	suite.Run(t, b)
}

func TestLDAPThatIsSearchedAndBoundLetsUsersIn(t *testing.T) {
	s := servers.LDAP(t)
	name := suite.Unique("found")
	add(t, s, suite.User{Name: name, Stored: "own pw", Super: true})
	o := options(t, s, "plain")
	o.PasswordAttribute = ""
	m := open(t, o)
	defer m.Close()
	for password, want := range map[string]access.Verdict{"own pw": access.Allow, "other": access.Deny, "": access.Deny} {
		r, err := m.Authenticate(t.Context(), suite.Client(name, password))
		if err != nil || r.Verdict != want || r.Superuser != (want == access.Allow) {
			t.Errorf("%q: %v, %v; want %v", password, r, err, want)
		}
	}
}

func TestLDAPIsReachedByTLS(t *testing.T) {
	s := servers.LDAP(t)
	name := suite.Unique("by-tls")
	add(t, s, suite.User{Name: name, Stored: "pw"})
	pem, err := os.ReadFile(s.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, c := range []struct {
		name, addr string
		start      bool
		config     *tls.Config
		ok         bool
	}{
		{"ldaps", s.TLSAddr, false, &tls.Config{RootCAs: roots}, true},
		{"StartTLS", s.Addr, true, &tls.Config{RootCAs: roots}, true},
		{"ldaps, not trusted", s.TLSAddr, false, &tls.Config{}, false},
		{"StartTLS, not trusted", s.Addr, true, &tls.Config{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := binding(t, s)
			o.Addrs, o.TLS, o.StartTLS = []string{c.addr}, c.config, c.start
			m := open(t, o)
			defer m.Close()
			r, err := m.Authenticate(t.Context(), suite.Client(name, "pw"))
			if (err == nil && r.Verdict == access.Allow) != c.ok {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
}

func TestNextServerIsAskedWhenOneIsAway(t *testing.T) {
	s := servers.LDAP(t)
	name := suite.Unique("by-second")
	add(t, s, suite.User{Name: name, Stored: "pw"})
	o := binding(t, s)
	o.Addrs = []string{"127.0.0.1:1", s.Addr}
	m := open(t, o)
	defer m.Close()
	if r, err := m.Authenticate(t.Context(), suite.Client(name, "pw")); err != nil || r.Verdict != access.Allow {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestNewRefusesWhatCannotBeAsked(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing":      {},
		"a bad filter": {AuthDN: "dc=x", Filter: "(&(uid=%u)"},
		"a bad name":   {UserDN: "uid"},
	} {
		if m, err := New(o); err == nil {
			t.Errorf("%s is taken: %v", name, m.Close())
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := servers.LDAP(b)
	u := suite.Stored(b, fmt.Sprintf("bench-%d", b.N), "sha256", "pw") // each round has its own
	add(b, s, u)
	suite.Benchmark(b, open(b, options(b, s, "sha256")), suite.Client(u.Name, "pw"))
}
