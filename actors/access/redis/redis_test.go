package redis

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
	"emqttd/actors/access/stored"
	"emqttd/tests/backends/proxy"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// options are EMQ's commands, with the salt, at a server.
func options(t testing.TB, s *servers.Server, scheme string) Options {
	t.Helper()
	h, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Addrs: []string{s.Addr}, Password: s.Password, Timeout: 5 * time.Second,
		Auth: "HMGET mqtt_user:%u password salt", Super: "HGET mqtt_user:%u is_superuser", ACL: "HGETALL mqtt_acl:%u",
		Hash: stored.Hash{Scheme: h},
	}
}

func open(t testing.TB, o Options) *Module {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// use is open for those who do not close it.
func use(t testing.TB, o Options) *Module {
	t.Helper()
	m := open(t, o)
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

func client(t testing.TB, o *redis.UniversalOptions) redis.UniversalClient {
	t.Helper()
	c := redis.NewUniversalClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// add writes a user as EMQ has it.
func add(t testing.TB, c redis.UniversalClient, u suite.User) {
	t.Helper()
	super := "0"
	if u.Super {
		super = "1"
	}
	must(t, c.HSet(t.Context(), "mqtt_user:"+u.Name, "password", u.Stored, "salt", u.Salt, "is_superuser", super).Err())
	for _, r := range u.Rules {
		must(t, c.HSet(t.Context(), "mqtt_acl:"+u.Name, r.Topic, r.Access).Err())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRedisDoesWhatABackEndMust(t *testing.T) {
	s := servers.Redis(t)
	c := client(t, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password})
	suite.Run(t, suite.Backend{
		Addr: s.Addr,
		Open: func(t testing.TB, addr, scheme string) access.Module {
			o := options(t, s, scheme)
			o.Addrs = []string{addr}
			return open(t, o)
		},
		Add:    func(t testing.TB, u suite.User) { add(t, c, u) },
		Remove: func(t testing.TB, name string) { must(t, c.Del(t.Context(), "mqtt_user:"+name).Err()) },
		Stop:   s.Stop, Start: s.Start,
	})
}

// knows checks that a module reaches the users of a server.
func knows(t *testing.T, o Options, c redis.UniversalClient, name string) {
	t.Helper()
	u := suite.Stored(t, name, "sha256", "pw")
	u.Rules = []suite.Rule{{Topic: "a", Access: 3}}
	add(t, c, u)
	m := use(t, o)
	for password, want := range map[string]access.Verdict{"pw": access.Allow, "other": access.Deny} {
		r, err := m.Authenticate(t.Context(), suite.Client(name, password))
		if err != nil || r.Verdict != want {
			t.Fatalf("password %q: %v, %v; want %v", password, r, err, want)
		}
	}
	if n := len(suite.Rules(t, m, suite.Client(name, ""))); n != 2 {
		t.Fatalf("%d rules, want the row and the denial of all else", n)
	}
}

func TestRedisIsReachedThroughSentinels(t *testing.T) {
	sentinel, s := servers.RedisSentinel(t), servers.Redis(t)
	o := options(t, s, "sha256")
	o.Addrs, o.Master = []string{sentinel.Addr}, sentinel.Database
	knows(t, o, client(t, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password}), "by-sentinel")
}

func TestRedisIsReachedAsACluster(t *testing.T) {
	s := servers.RedisCluster(t)
	o := options(t, s, "sha256")
	o.Cluster = true
	knows(t, o, client(t, &redis.UniversalOptions{Addrs: o.Addrs, Password: s.Password, IsClusterMode: true}), "by-cluster")
}

func TestRedisIsReachedByTLS(t *testing.T) {
	s := servers.Redis(t)
	pem, err := os.ReadFile(s.CertFile)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	o := options(t, s, "sha256")
	o.Addrs, o.TLS = []string{s.TLSAddr}, &tls.Config{RootCAs: roots}
	knows(t, o, client(t, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password}), "by-tls")
	o.TLS = &tls.Config{}
	m := use(t, o)
	if r, err := m.Authenticate(t.Context(), suite.Client("by-tls", "pw")); err == nil {
		t.Fatalf("a server that nobody vouches for is believed: %v", r)
	}
}

func TestChangedKeyIsTold(t *testing.T) {
	single, cluster := servers.Redis(t), servers.RedisCluster(t)
	for name, o := range map[string]Options{"single": options(t, single, "plain"), "cluster": options(t, cluster, "plain")} {
		t.Run(name, func(t *testing.T) {
			o.Cluster, o.Watch = name == "cluster", true
			o.ACL = "HGETALL mqtt_acl:{%u}"
			c := client(t, &redis.UniversalOptions{Addrs: o.Addrs, Password: o.Password, IsClusterMode: o.Cluster})
			w := suite.Watch(t, use(t, o))
			w.Hears(t, access.Selector{Username: "eve*[x]"}, func() { must(t, c.HSet(t.Context(), "mqtt_acl:{eve*[x]}", "a", "1").Err()) })
			w.Hears(t, access.Selector{Username: "mallory"}, func() { must(t, c.HSet(t.Context(), "mqtt_user:mallory", "password", "x").Err()) })
			w.Hears(t, access.Selector{Username: "mallory"}, func() { must(t, c.Del(t.Context(), "mqtt_user:mallory").Err()) })
		})
	}
}

func TestWatchEndsWithTheServerAndTellsThatItMissedSomething(t *testing.T) {
	s := servers.Redis(t)
	c := client(t, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password})
	o := options(t, s, "plain")
	o.Watch = true
	m := use(t, o)
	w := suite.Watch(t, m)
	w.Hears(t, access.Selector{Username: "first"}, func() { must(t, c.HSet(t.Context(), "mqtt_user:first", "password", "x").Err()) })
	s.Stop(t)
	w.Fails(t)
	s.Start(t)
	suite.Watch(t, m).Hears(t, access.Selector{}, func() {})
}

func TestHalfOpenServerEndsAWatch(t *testing.T) {
	s := servers.Redis(t)
	c := client(t, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password})
	p := proxy.New(t, s.Addr)
	o := options(t, s, "plain")
	o.Addrs, o.Watch, o.Keepalive = []string{p.Addr}, true, 100*time.Millisecond
	w := suite.Watch(t, use(t, o))
	w.Hears(t, access.Selector{Username: "here"}, func() { must(t, c.HSet(t.Context(), "mqtt_user:here", "password", "x").Err()) })
	p.Set(proxy.Fault{Stall: true})
	w.Fails(t)
}

func BenchmarkAuthenticate(b *testing.B) {
	s := servers.Redis(b)
	add(b, client(b, &redis.UniversalOptions{Addrs: []string{s.Addr}, Password: s.Password}), suite.Stored(b, "bench", "sha256", "pw"))
	suite.Benchmark(b, use(b, options(b, s, "sha256")), suite.Client("bench", "pw"))
}
