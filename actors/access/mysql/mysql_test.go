package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

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
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, username varchar(100) UNIQUE, password varchar(255), salt varchar(255),
  is_superuser tinyint(1) DEFAULT 0, created datetime DEFAULT NULL) DEFAULT CHARSET=utf8;
CREATE TABLE IF NOT EXISTS mqtt_acl (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, allow int, ipaddr varchar(60), username varchar(100), clientid varchar(100),
  access int NOT NULL, topic varchar(100) NOT NULL DEFAULT '') DEFAULT CHARSET=utf8`

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
func seeded(t testing.TB, s *servers.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", s.Username+":"+s.Password+"@tcp("+s.Addr+")/"+s.Database+"?timeout=10s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for text := range strings.SplitSeq(tables, ";") {
		exec(t, db, text)
	}
	return db
}

func exec(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), text, args...); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, db *sql.DB, u suite.User) {
	t.Helper()
	exec(t, db, "INSERT INTO mqtt_user (username, password, salt, is_superuser) VALUES (?, ?, ?, ?)", u.Name, u.Stored, u.Salt, u.Super)
	for _, r := range u.Rules {
		exec(t, db, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (1, ?, ?, ?)", u.Name, r.Access, r.Topic)
	}
}

func TestMySQLDoesWhatABackEndMust(t *testing.T) {
	s := servers.MySQL(t)
	db := seeded(t, s)
	suite.Run(t, suite.Backend{
		Addr: s.Addr,
		Open: func(t testing.TB, addr, scheme string) access.Module {
			o := options(t, s, scheme)
			o.Addr = addr
			return open(t, o)
		},
		Add:    func(t testing.TB, u suite.User) { add(t, db, u) },
		Remove: func(t testing.TB, name string) { exec(t, db, "DELETE FROM mqtt_user WHERE username = ?", name) },
		Stop:   s.Stop, Start: s.Start,
	})
}

func TestRowsOfMySQLAreJudgedFromTheLastToTheFirst(t *testing.T) {
	s := servers.MySQL(t)
	db := seeded(t, s)
	exec(t, db, "CREATE TABLE sample_acl LIKE mqtt_acl")
	t.Cleanup(func() { exec(t, db, "DROP TABLE sample_acl") })
	exec(t, db, `INSERT INTO sample_acl (allow, ipaddr, username, clientid, access, topic) VALUES
		(1, NULL, '$all', NULL, 2, '#'), (0, NULL, '$all', NULL, 1, '$SYS/#'), (0, NULL, '$all', NULL, 1, 'eq #'),
		(1, '127.0.0.1', NULL, NULL, 2, '$SYS/#'), (1, '127.0.0.1', NULL, NULL, 2, '#'), (1, NULL, 'dashboard', NULL, 1, '$SYS/#'),
		(0, '', 'joint', 'other', 3, '#')`)
	o := options(t, s, "sha256")
	o.ACL = strings.Replace(o.ACL, "mqtt_acl", "sample_acl", 1)
	suite.Sample(t, open(t, o))
}

func TestBadRowOfMySQLIsLeftOutIfItAllowsAndAnErrorIfItDenies(t *testing.T) {
	s := servers.MySQL(t)
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

func TestMySQLIsReachedByTLS(t *testing.T) {
	s := servers.MySQL(t)
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

// A name in characters which the column's character set has not must not look as if
// the server failed, and not as if there were no rows that deny.
func TestNameThatAColumnCannotHoldIsRefused(t *testing.T) {
	s := servers.MySQL(t)
	db := seeded(t, s)
	exec(t, db, "CREATE TABLE narrow (username varchar(100) CHARACTER SET latin1 COLLATE latin1_bin, password varchar(100))")
	t.Cleanup(func() { exec(t, db, "DROP TABLE narrow") })
	o := options(t, s, "plain")
	o.Auth, o.Super = "select password from narrow where username = '%u'", ""
	m := open(t, o)
	defer m.Close()
	if r, err := m.Authenticate(t.Context(), suite.Client("😀名", "x")); err != nil || r.Verdict == access.Allow {
		t.Fatalf("%v, %v", r, err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := servers.MySQL(b)
	db := seeded(b, s)
	exec(b, db, "DELETE FROM mqtt_user WHERE username = ?", "bench") // of the round before
	add(b, db, suite.Stored(b, "bench", "sha256", "pw"))
	suite.Benchmark(b, open(b, options(b, s, "sha256")), suite.Client("bench", "pw"))
}
