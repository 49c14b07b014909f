package pgsql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
	"emqttd/actors/access/sqlauth"
	"emqttd/actors/access/stored"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// EMQ's tables.
const tables = `
CREATE TABLE IF NOT EXISTS mqtt_user (
  id SERIAL PRIMARY KEY, is_superuser boolean, username varchar(100) UNIQUE, password varchar(255), salt varchar(255));
CREATE TABLE IF NOT EXISTS mqtt_acl (
  id SERIAL PRIMARY KEY, allow integer, ipaddr varchar(60), username varchar(100), clientid varchar(100), access integer, topic varchar(100))`

func options(t testing.TB, s *servers.Server, scheme string) Options {
	t.Helper()
	h, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Options: sqlauth.Options{
			Auth:  "select password, salt from mqtt_user where username = '%u' limit 1",
			Super: "select is_superuser from mqtt_user where username = '%u' limit 1",
			ACL:   "select allow, ipaddr, username, clientid, access, topic from mqtt_acl where ipaddr = '%a' or username = '%u' or username = '$all' or clientid = '%c'",
			Hash:  stored.Hash{Scheme: h},
		},
		Addr: s.Addr, Username: s.Username, Password: s.Password, Database: s.Database, Timeout: 5 * time.Second,
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

// seeded is the server with EMQ's tables.
func seeded(t testing.TB, s *servers.Server) *servers.Server {
	t.Helper()
	exec(t, s, tables)
	return s
}

// exec has a connection of its own, for outages break them.
func exec(t testing.TB, s *servers.Server, text string, args ...any) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.PostgreSQLURL(s.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, text, args...); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, db *servers.Server, u suite.User) {
	t.Helper()
	exec(t, db, "INSERT INTO mqtt_user (username, password, salt, is_superuser) VALUES ($1, $2, $3, $4)", u.Name, u.Stored, u.Salt, u.Super)
	for _, r := range u.Rules {
		exec(t, db, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (1, $1, $2, $3)", u.Name, r.Access, r.Topic)
	}
}

func TestPostgreSQLDoesWhatABackEndMust(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	suite.Run(t, suite.Backend{
		Addr: s.Addr,
		Open: func(t testing.TB, addr, scheme string) access.Module {
			o := options(t, s, scheme)
			o.Addr = addr
			return open(t, o)
		},
		Add:    func(t testing.TB, u suite.User) { add(t, db, u) },
		Remove: func(t testing.TB, name string) { exec(t, db, "DELETE FROM mqtt_user WHERE username = $1", name) },
		Stop:   s.Stop, Start: s.Start,
	})
}

func TestRowsOfPostgreSQLAreJudgedFromTheLastToTheFirst(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	exec(t, db, "CREATE TABLE sample_acl (LIKE mqtt_acl INCLUDING ALL)")
	t.Cleanup(func() { exec(t, db, "DROP TABLE sample_acl") })
	exec(t, db, `INSERT INTO sample_acl (allow, ipaddr, username, clientid, access, topic) VALUES
		(1, NULL, '$all', NULL, 2, '#'), (0, NULL, '$all', NULL, 1, '$SYS/#'), (0, NULL, '$all', NULL, 1, 'eq #'),
		(1, '127.0.0.1', NULL, NULL, 2, '$SYS/#'), (1, '127.0.0.1', NULL, NULL, 2, '#'), (1, NULL, 'dashboard', NULL, 1, '$SYS/#'),
		(0, '', 'joint', 'other', 3, '#')`)
	o := options(t, s, "sha256")
	o.ACL = strings.Replace(o.ACL, "mqtt_acl", "sample_acl", 1)
	suite.Sample(t, open(t, o))
}

func TestBadRowOfPostgreSQLIsLeftOutIfItAllowsAndAnErrorIfItDenies(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	var log strings.Builder
	o := options(t, s, "sha256")
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	m := open(t, o)
	defer m.Close()
	exec(t, db, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (1, 'crooked', 2, 'a/#/b'), (1, 'crooked', 2, 'c')")
	t.Cleanup(func() { exec(t, db, "DELETE FROM mqtt_acl WHERE username = 'crooked'") })
	c := suite.Client("crooked", "")
	rules := suite.Rules(t, m, c)
	if got := suite.Allowed(t, rules, c, acl.Publish, "c"); got != access.Allow || len(rules) != 1 {
		t.Errorf("%v by %v, want the good row only", got, rules)
	}
	if !strings.Contains(log.String(), "row 1") {
		t.Errorf("the bad row is not logged: %q", log.String())
	}
	exec(t, db, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (0, 'crooked', 7, 'c')")
	if rules, err := m.Rules(t.Context(), c); err == nil {
		t.Errorf("a row that denies in a way that nobody understands: %v", rules)
	}
}

func TestPostgreSQLIsReachedByTLS(t *testing.T) {
	s := servers.PostgreSQL(t)
	name := suite.Unique("by-tls")
	add(t, seeded(t, s), suite.Stored(t, name, "sha256", "pw"))
	pem, err := os.ReadFile(s.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, c := range []struct {
		config *tls.Config
		ok     bool
	}{{&tls.Config{RootCAs: roots}, true}, {&tls.Config{}, false}} {
		o := options(t, s, "sha256")
		o.TLS = c.config
		m := open(t, o)
		r, err := m.Authenticate(t.Context(), suite.Client(name, "pw"))
		if (err == nil && r.Verdict == access.Allow) != c.ok {
			t.Errorf("trusting %v: %v, %v", c.config.RootCAs != nil, r, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A name that cannot be a value of the column must not look as if the server failed,
// and not as if there were no rows that deny.
func TestNameThatAColumnCannotHoldIsRefused(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	exec(t, db, "CREATE TABLE narrow (number integer, password text)")
	t.Cleanup(func() { exec(t, db, "DROP TABLE narrow") })
	exec(t, db, "INSERT INTO narrow VALUES (7, 'x')")
	o := options(t, s, "plain")
	o.Auth, o.Super = "select password from narrow where number = '%u'", ""
	o.ACL = "select 1, null, '$all', null, 3, '#' from narrow where number = '%u'"
	m := open(t, o)
	defer m.Close()
	for name, want := range map[string]access.Verdict{"7": access.Allow, "8": access.Ignore, "bob": access.Deny, "7 or 1=1": access.Deny} {
		if r, err := m.Authenticate(t.Context(), suite.Client(name, "x")); err != nil || r.Verdict != want {
			t.Errorf("%s: %v, %v; want %v", name, r, err, want)
		}
	}
	c := suite.Client("bob", "")
	if got := suite.Allowed(t, suite.Rules(t, m, c), c, acl.Publish, "a"); got != access.Deny {
		t.Errorf("its rules: %v, want deny", got)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := servers.PostgreSQL(b)
	db := seeded(b, s)
	exec(b, db, "DELETE FROM mqtt_user WHERE username = $1", "bench") // of the round before
	add(b, db, suite.Stored(b, "bench", "sha256", "pw"))
	suite.Benchmark(b, open(b, options(b, s, "sha256")), suite.Client("bench", "pw"))
}
