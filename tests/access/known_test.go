package access

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
	_ "github.com/go-sql-driver/mysql" // registers itself
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
	"emqttd/tests/testkit"
)

// backend is a server that knows users, and how a node asks it.
type backend struct {
	name string
	addr string
	// lines are those of emq.conf for the server at addr and a password scheme.
	lines       func(addr, scheme string) []string
	add         func(t testing.TB, u suite.User)
	stop, start func(testing.TB)
}

// backends start a back end of each kind.
var backends = map[string]func(t testing.TB) *backend{
	"redis": redisBackend, "mysql": mysqlBackend, "pgsql": pgsqlBackend, "mongo": mongoBackend, "ldap": ldapBackend, "http": httpBackend,
}

func redisClient(t testing.TB) (*servers.Server, *redis.Client) {
	t.Helper()
	s := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Password: s.Password})
	t.Cleanup(func() { c.Close() })
	return s, c
}

func redisBackend(t testing.TB) *backend {
	s, c := redisClient(t)
	return &backend{
		name: "redis", addr: s.Addr, stop: s.Stop, start: s.Start,
		lines: func(addr, scheme string) []string {
			return []string{
				"auth.redis.server = " + addr, "auth.redis.password = " + s.Password, "auth.redis.password_hash = " + scheme,
				"auth.redis.auth_cmd = HMGET mqtt_user:%u password salt",
			}
		},
		add: func(t testing.TB, u suite.User) {
			t.Helper()
			ctx := context.Background()
			must(t, c.HSet(ctx, "mqtt_user:"+u.Name, "password", u.Stored, "salt", u.Salt, "is_superuser", bit(u.Super)).Err())
			for _, r := range u.Rules {
				must(t, c.HSet(ctx, "mqtt_acl:"+u.Name, r.Topic, r.Access).Err())
			}
		},
	}
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// EMQ's tables, as both databases take them.
var tables = []string{
	"CREATE TABLE IF NOT EXISTS mqtt_user (username varchar(100) PRIMARY KEY, password varchar(255), salt varchar(255), is_superuser %s)",
	"CREATE TABLE IF NOT EXISTS mqtt_acl (id %s, allow int, ipaddr varchar(60), username varchar(100), clientid varchar(100), access int, topic varchar(100))",
}

func sqlLines(kind string, s *servers.Server) func(addr, scheme string) []string {
	return func(addr, scheme string) []string {
		p := "auth." + kind + "."
		return []string{
			p + "server = " + addr, p + "username = " + s.Username, p + "password = " + s.Password, p + "database = " + s.Database,
			p + "password_hash = " + scheme, p + "auth_query = select password, salt from mqtt_user where username = '%u' limit 1",
		}
	}
}

func mysqlBackend(t testing.TB) *backend {
	s := servers.MySQL(t)
	db, err := sql.Open("mysql", s.Username+":"+s.Password+"@tcp("+s.Addr+")/"+s.Database+"?timeout=10s")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	exec := func(t testing.TB, text string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(context.Background(), text, args...)
		must(t, err)
	}
	exec(t, strings.ReplaceAll(tables[0], "%s", "tinyint(1)"))
	exec(t, strings.ReplaceAll(tables[1], "%s", "int unsigned AUTO_INCREMENT PRIMARY KEY"))
	return &backend{
		name: "mysql", addr: s.Addr, stop: s.Stop, start: s.Start, lines: sqlLines("mysql", s),
		add: func(t testing.TB, u suite.User) {
			t.Helper()
			exec(t, "INSERT INTO mqtt_user VALUES (?, ?, ?, ?)", u.Name, u.Stored, u.Salt, u.Super)
			for _, r := range u.Rules {
				exec(t, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (1, ?, ?, ?)", u.Name, r.Access, r.Topic)
			}
		},
	}
}

// pgExec has a connection of its own, for outages break them.
func pgExec(t testing.TB, s *servers.Server, text string, args ...any) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.PostgreSQLURL(s.Database))
	must(t, err)
	defer c.Close(ctx)
	_, err = c.Exec(ctx, text, args...)
	must(t, err)
}

func pgServer(t testing.TB) *servers.Server { return servers.PostgreSQL(t) }

// pgCount is the number that a query returns.
func pgCount(t testing.TB, s *servers.Server, text string, args ...any) (n int) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.PostgreSQLURL(s.Database))
	must(t, err)
	defer c.Close(ctx)
	must(t, c.QueryRow(ctx, text, args...).Scan(&n))
	return n
}

func pgsqlBackend(t testing.TB) *backend {
	s := servers.PostgreSQL(t)
	pgExec(t, s, strings.ReplaceAll(tables[0], "%s", "boolean"))
	pgExec(t, s, strings.ReplaceAll(tables[1], "%s", "SERIAL PRIMARY KEY"))
	return &backend{
		name: "pgsql", addr: s.Addr, stop: s.Stop, start: s.Start, lines: sqlLines("pgsql", s),
		add: func(t testing.TB, u suite.User) {
			t.Helper()
			pgExec(t, s, "INSERT INTO mqtt_user VALUES ($1, $2, $3, $4)", u.Name, u.Stored, u.Salt, u.Super)
			for _, r := range u.Rules {
				pgExec(t, s, "INSERT INTO mqtt_acl (allow, username, access, topic) VALUES (1, $1, $2, $3)", u.Name, r.Access, r.Topic)
			}
		},
	}
}

func mongoBackend(t testing.TB) *backend {
	s := servers.Mongo(t)
	c, err := driver.Connect(options.Client().SetHosts([]string{s.Addr}).SetDirect(true))
	must(t, err)
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	insert := func(t testing.TB, collection string, doc bson.D) {
		t.Helper()
		_, err := c.Database(s.Database).Collection(collection).InsertOne(context.Background(), doc)
		must(t, err)
	}
	return &backend{
		name: "mongo", addr: s.Addr, stop: s.Stop, start: s.Start,
		lines: func(addr, scheme string) []string {
			return []string{
				"auth.mongo.server = " + addr, "auth.mongo.database = " + s.Database, "auth.mongo.auth_query.password_hash = " + scheme,
				"auth.mongo.auth_query.password_field = password,salt", "auth.mongo.topology.server_selection_timeout_ms = 1000",
			}
		},
		add: func(t testing.TB, u suite.User) {
			t.Helper()
			insert(t, "mqtt_user", bson.D{
				{Key: "username", Value: u.Name}, {Key: "password", Value: u.Stored}, {Key: "salt", Value: u.Salt}, {Key: "is_superuser", Value: u.Super},
			})
			if u.Rules == nil {
				return
			}
			topics := byAccess(u)
			insert(t, "mqtt_acl", bson.D{
				{Key: "username", Value: u.Name}, {Key: "subscribe", Value: topics[1]}, {Key: "publish", Value: topics[2]}, {Key: "pubsub", Value: topics[3]},
			})
		},
	}
}

// byAccess are the topics of a user's rules by what they allow.
func byAccess(u suite.User) map[int][]string {
	topics := map[int][]string{1: {}, 2: {}, 3: {}}
	for _, r := range u.Rules {
		topics[r.Access] = append(topics[r.Access], r.Topic)
	}
	return topics
}

func ldapBackend(t testing.TB) *backend {
	s := servers.LDAP(t)
	host, port, err := net.SplitHostPort(s.Addr)
	must(t, err)
	return &backend{
		name: "ldap", addr: s.Addr, stop: s.Stop, start: s.Start,
		lines: func(addr, scheme string) []string {
			if addr != s.Addr {
				host, port, err = net.SplitHostPort(addr)
				must(t, err)
			}
			return []string{
				"auth.ldap.servers = " + host, "auth.ldap.port = " + port, "auth.ldap.bind_dn = " + s.Username, "auth.ldap.bind_password = " + s.Password,
				"auth.ldap.auth_dn = ou=users," + s.Database, "auth.ldap.filter = username=%u", "auth.ldap.password_hash = " + scheme,
				"auth.ldap.super_attribute = isSuperuser", "auth.ldap.publish_attribute = mqttPublishTopic",
				"auth.ldap.subscribe_attribute = mqttSubscriptionTopic", "auth.ldap.pubsub_attribute = mqttPubSubTopic",
			}
		},
		add: func(t testing.TB, u suite.User) {
			t.Helper()
			c, err := ldap.DialURL("ldap://" + s.Addr)
			must(t, err)
			defer c.Close()
			must(t, c.Bind(s.Username, s.Password))
			r := ldap.NewAddRequest("cn="+ldap.EscapeDN(u.Name)+",ou=users,"+s.Database, nil)
			r.Attribute("objectClass", []string{"device", "simpleSecurityObject", "mqttUser"})
			topics := byAccess(u)
			for name, values := range map[string][]string{
				"cn": {u.Name}, "username": {u.Name}, "password": {u.Stored}, "salt": {u.Salt}, "userPassword": {u.Stored},
				"isSuperuser": {strings.ToUpper(strconv.FormatBool(u.Super))}, "mqttSubscriptionTopic": topics[1], "mqttPublishTopic": topics[2], "mqttPubSubTopic": topics[3],
			} {
				if len(values) > 0 && values[0] != "" {
					r.Attribute(name, values)
				}
			}
			must(t, c.Add(r))
		},
	}
}

// service is an HTTP server that knows users with plain passwords.
type service struct {
	mu    sync.Mutex
	users map[string]suite.User
	seen  []http.Header
	addr  string
	http  *httptest.Server
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	must := func(ok bool) {
		if !ok {
			w.WriteHeader(http.StatusForbidden)
		}
	}
	s.mu.Lock()
	u, known := s.users[r.FormValue("username")]
	s.seen = append(s.seen, r.Header)
	s.mu.Unlock()
	switch r.URL.Path {
	case "/auth":
		if !known {
			_, _ = w.Write([]byte("ignore"))
			return
		}
		must(u.Stored == r.FormValue("password"))
	case "/superuser":
		must(u.Super)
	case "/acl":
		access, err := strconv.Atoi(r.FormValue("access"))
		must(err == nil && slices.ContainsFunc(u.Rules, func(x suite.Rule) bool { return x.Topic == r.FormValue("topic") && x.Access&access != 0 }))
	case "/cookie":
		cookie, err := r.Cookie("session")
		must(err == nil && cookie.Value == "good")
	}
}

func (s *service) listen(t testing.TB) {
	t.Helper()
	if s.http != nil {
		return
	}
	addr := "127.0.0.1:0"
	if s.addr != "" {
		addr = s.addr
	}
	l, err := net.Listen("tcp", addr)
	must(t, err)
	s.addr = l.Addr().String()
	s.http = &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	s.http.Start()
}

func (s *service) close(testing.TB) {
	if s.http != nil {
		s.http.CloseClientConnections()
		s.http.Close()
		s.http = nil
	}
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{users: map[string]suite.User{}}
	s.listen(t)
	t.Cleanup(func() { s.close(t) })
	return s
}

func httpBackend(t testing.TB) *backend {
	s := newService(t)
	return &backend{
		name: "http", addr: s.addr, stop: s.close, start: s.listen,
		lines: func(addr, _ string) []string {
			return []string{
				"auth.http.auth_req = http://" + addr + "/auth", "auth.http.super_req = http://" + addr + "/superuser",
				"auth.http.acl_req = http://" + addr + "/acl",
			}
		},
		add: func(_ testing.TB, u suite.User) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.users[u.Name] = u
		},
	}
}

// hasty are the lines of a back end that is given up soon, and tried again soon.
func (b *backend) hasty() []string {
	p := "auth." + b.name + "."
	return []string{p + "timeout = 2s", p + "retries = 0", p + "breaker_failures = 3", p + "breaker_delay = 50ms", "access.backoff.after = 0"}
}

// node is one that asks only this back end, at an address, with plain passwords.
func (b *backend) node(t testing.TB, addr string, more ...string) *testkit.Broker {
	t.Helper()
	return start(t, slices.Concat(b.lines(addr, "plain"), b.hasty(), []string{"mqtt.acl_nomatch = deny", rules(t, "")}, more)...)
}
