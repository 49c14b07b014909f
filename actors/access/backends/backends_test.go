package backends

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"emqttd/actors/access"
	"emqttd/config"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// load reads an emq.conf of these lines.
func load(t *testing.T, lines ...string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "emq.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(config.Sources{File: path})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func build(t *testing.T, cfg *config.Config, name string) access.Module {
	t.Helper()
	m, err := New(cfg, name, access.PasswordPool(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := m.(access.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	if m.Name() != name {
		t.Errorf("%s calls itself %s", name, m.Name())
	}
	return m
}

func TestEachBackEndIsMadeWithItsDefaults(t *testing.T) {
	cfg := load(t,
		"auth.redis.server = 127.0.0.1:1", "auth.mysql.server = 127.0.0.1:1", "auth.pgsql.server = 127.0.0.1:1",
		"auth.mongo.server = 127.0.0.1:1", "auth.ldap.servers = 127.0.0.1", "auth.ldap.user_dn = uid=%u,dc=x",
		"auth.http.auth_req = http://127.0.0.1:1/auth", "auth.jwt.secret = emqsecret")
	for _, name := range Names {
		build(t, cfg, name)
	}
	if slices.Sort(cfg.Access.Modules); len(cfg.Access.Modules) != len(Names) {
		t.Errorf("the settings turn on %v, want all of %v", cfg.Access.Modules, Names)
	}
	if _, err := New(cfg, "oracle", nil, nil); err == nil {
		t.Error("there is a back end that nobody has written")
	}
}

func TestModuleCanDoOnlyWhatItIsSetUpFor(t *testing.T) {
	for _, c := range []struct {
		lines         []string
		name          string
		rules, judges bool
		watches       bool
	}{
		{[]string{"auth.redis.watch = on"}, "redis", true, false, true},
		{[]string{"auth.redis.watch = off"}, "redis", true, false, false},
		{[]string{"auth.pgsql.watch_channel = x"}, "pgsql", true, false, true},
		{[]string{"auth.pgsql.watch_channel ="}, "pgsql", true, false, false},
		{[]string{"auth.mysql.server = x:1"}, "mysql", true, false, false},
		{[]string{"auth.mongo.acl_query = off"}, "mongo", false, false, false},
		{[]string{"auth.http.auth_req = http://x/", "auth.http.acl_req = http://x/"}, "http", false, true, false},
		{[]string{"auth.http.auth_req = http://x/", "auth.http.acl_req ="}, "http", false, false, false},
	} {
		m := build(t, load(t, c.lines...), c.name)
		_, rules := m.(access.RuleSource)
		_, judges := m.(access.Judge)
		_, watches := m.(access.Watcher)
		if rules != c.rules || judges != c.judges || watches != c.watches {
			t.Errorf("%v: has rules %t, judges %t, watches %t", c.lines, rules, judges, watches)
		}
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for _, c := range []struct{ line, name, want string }{
		{"auth.mysql.auth_query = select password from u where n = 'x-%u'", "mysql", "auth.mysql.auth_query"},
		{"auth.jwt.pubkey = /nowhere/key.pem", "jwt", "auth.jwt.pubkey"},
		{"auth.mongo.acl_query.selector = $where=%u", "mongo", "auth.mongo.acl_query.selector"},
		{"auth.http.auth_req = ftp://user:hunter2@x/", "http", "auth.http.auth_req"},
		{"auth.ldap.filter = (&(uid=%u)", "ldap", "auth.ldap"},
	} {
		m, err := New(load(t, c.line), c.name, nil, nil)
		if err == nil {
			t.Errorf("%s is taken: %v", c.line, m)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v; want %s in it", c.line, err, c.want)
		}
	}
}

// The whole way: settings, module, guard, chain, a server that dies and comes back.
func TestChainOnABackEnd(t *testing.T) {
	s := servers.Redis(t)
	cfg := load(t, "auth.redis.server = "+s.Addr, "auth.redis.password = "+s.Password, "auth.redis.timeout = 2s", "mqtt.acl_file =",
		"auth.redis.auth_cmd = HMGET chain_user:%u password", "auth.redis.password_hash = plain", "auth.redis.breaker_delay = 100ms")
	pool := access.PasswordPool()
	chain, err := access.FromConfig(cfg, access.Parts{Pool: pool, Backend: func(name string) (access.Module, error) {
		return New(cfg, name, pool, slog.New(slog.DiscardHandler))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Close)
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Password: s.Password})
	defer c.Close()
	if err := c.HSet(t.Context(), "chain_user:alice", "password", "pw").Err(); err != nil {
		t.Fatal(err)
	}
	admit := func(password string) access.Decision {
		_, d, _ := chain.Admit(context.Background(), suite.Client("alice", password))
		return d
	}
	if d := admit("pw"); d != access.Accept {
		t.Errorf("the right password: %v", d)
	}
	if d := admit("other"); d != access.BadCredential && d != access.NotAuthorized {
		t.Errorf("a wrong password: %v", d)
	}
	s.Stop(t)
	if d := admit("pw"); d != access.Unavailable {
		t.Errorf("without the server: %v", d)
	}
	s.Start(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); admit("pw") != access.Accept; {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it does not recover")
		}
	}
}
