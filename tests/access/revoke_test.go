package access

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/backends/suite"
	"emqttd/tests/testkit"
)

// revocation is one in which room/x is taken from ann, who keeps open/x.
type revocation struct {
	node      *testkit.Broker
	ann, boss string // user names; passwords are those of suite.Password
	take      func() // takes the right away
}

var revocations = map[string]func(t *testing.T) revocation{
	"acl.conf is edited":      byFile,
	"PostgreSQL notifies":     byPostgreSQL,
	"a key of Redis changes":  byRedis,
	"a bad service is polled": byPolling,
}

func TestRightThatIsTakenAwayEndsAtOnce(t *testing.T) {
	for name, make := range revocations {
		for version, with := range both {
			t.Run(name+"/"+version, func(t *testing.T) { revoke(t, make(t), with) })
		}
	}
}

func revoke(t *testing.T, r revocation, version []func(*mqtt.Connect)) {
	boss := join(t, r.node, login("boss", r.boss, suite.Password))
	boss.Subscribe(0, "room/x", "will/seen")
	reader := join(t, r.node, login("reader", r.ann, suite.Password, with(version, lasting)...))
	reader.Subscribe(1, "room/x", "open/x")
	writer := join(t, r.node, login("writer", r.ann, suite.Password, with(version, will("room/x"))...))
	if code := publish(t, writer, "room/x", "before"); code != 0 {
		t.Fatalf("PUBACK 0x%02X", byte(code))
	}
	boss.ExpectPublish("room/x", "before")
	reader.ExpectPublish("room/x", "before")

	r.take()
	since := time.Now()
	testkit.Eventually(t, "publishers are refused", func() bool { return isRefused(t, r.node, writer, "room/x") })
	within(t, "publishers are refused", since)
	testkit.Eventually(t, "the subscription ends", func() bool { return r.node.Metrics().Level(subscriptions) == 3 })
	within(t, "the subscription ends", since)
	if reader.Version == mqtt.V5 { // there is no other way to tell it
		if code := ends(t, reader); code != protocol.NotAuthorized {
			t.Errorf("DISCONNECT 0x%02X", byte(code))
		}
		within(t, "the client is told", since)
		reader = b5(t, r)
	}
	pusher := join(t, r.node, login("pusher", r.boss, suite.Password))
	publish(t, pusher, "room/x", "after")
	publish(t, pusher, "open/x", "after")
	pusher.Close()
	for got := reader.AnyPublish(); string(got.Topic) != "open/x"; got = reader.AnyPublish() {
		if string(got.Payload) == "after" {
			t.Fatalf("%s still comes", got.Topic)
		}
	}
	if code := subscribe(t, reader, "room/x", func(string) {}); !isDenied(reader.Version, code) {
		t.Errorf("SUBACK 0x%02X", byte(code))
	}
	lost(t, r, writer, boss)
}

// b5 is the reader when it has come back.
func b5(t *testing.T, r revocation) *testkit.Client {
	t.Helper()
	c := r.node.Dial(t)
	if ack := c.Connect(login("reader", r.ann, suite.Password, v5, lasting)); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	return c
}

// lost checks that the will of the writer, which was good when it connected, is
// not published any more.
func lost(t *testing.T, r revocation, writer, boss *testkit.Client) {
	t.Helper()
	testkit.Eventually(t, "the will is refused", func() bool { return strings.Contains(r.node.Log(), "will refused by the access rules") })
	writer.Close()
	testkit.Eventually(t, "the writer is gone", func() bool { return clients(r.node) == 2 })
	publish(t, join(t, r.node, login("writer", r.boss, suite.Password)), "will/seen", "")
	for got := boss.AnyPublish(); string(got.Topic) != "will/seen"; got = boss.AnyPublish() {
		if string(got.Payload) == "will" {
			t.Fatal("the will was published")
		}
	}
}

const ownUsers = "access.modules = username\nauth.user.1.username = ann\nauth.user.1.password = " + suite.Password +
	"\nauth.user.2.username = boss\nauth.user.2.password = " + suite.Password

func byFile(t *testing.T) revocation {
	file := write(t, "acl.conf", "{allow, all}.\n")
	return revocation{start(t, ownUsers, "mqtt.acl_file = "+file), "ann", "boss", func() {
		replace(t, file, `{deny, {user, "ann"}, pubsub, ["room/#"]}.`)
	}}
}

func byPostgreSQL(t *testing.T) revocation {
	b := pgsqlBackend(t)
	ann, boss, channel := unique("ann"), unique("boss"), unique("channel")
	b.add(t, suite.User{Name: ann, Stored: suite.Password, Rules: []suite.Rule{{Topic: "room/#", Access: 3}, {Topic: "open/#", Access: 3}}})
	b.add(t, suite.User{Name: boss, Stored: suite.Password, Super: true})
	node := b.node(t, b.addr, "auth.pgsql.watch_channel = "+channel)
	s := pgServer(t)
	testkit.Eventually(t, "the node listens", func() bool {
		return pgCount(t, s, "SELECT count(*) FROM pg_stat_activity WHERE query = $1", `LISTEN "`+channel+`"`) == 1
	})
	return revocation{node, ann, boss, func() {
		pgExec(t, s, "UPDATE mqtt_acl SET allow = 0 WHERE username = $1 AND topic = 'room/#'", ann)
		pgExec(t, s, "SELECT pg_notify($1, $2)", channel, `{"username": "`+ann+`"}`)
	}}
}

func byRedis(t *testing.T) revocation {
	b := redisBackend(t)
	_, c := redisClient(t)
	ann, boss := unique("ann"), unique("boss")
	b.add(t, suite.User{Name: ann, Stored: suite.Password, Rules: []suite.Rule{{Topic: "room/#", Access: 3}, {Topic: "open/#", Access: 3}}})
	b.add(t, suite.User{Name: boss, Stored: suite.Password, Super: true})
	node := b.node(t, b.addr)
	testkit.Eventually(t, "the node listens", func() bool { return c.PubSubNumPat(context.Background()).Val() >= 2 })
	return revocation{node, ann, boss, func() { must(t, c.HDel(context.Background(), "mqtt_acl:"+ann, "room/#").Err()) }}
}

// byPolling is a back end that cannot say when something changes.
func byPolling(t *testing.T) revocation {
	s := newService(t)
	set := func(rules ...suite.Rule) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users["ann"] = suite.User{Name: "ann", Stored: suite.Password, Rules: rules}
	}
	open := suite.Rule{Topic: "open/x", Access: 3}
	set(open, suite.Rule{Topic: "room/x", Access: 3})
	s.users["boss"] = suite.User{Name: "boss", Stored: suite.Password, Super: true}
	b := &backend{name: "http", addr: s.addr, lines: func(addr, _ string) []string {
		return []string{
			"auth.http.auth_req = http://" + addr + "/auth", "auth.http.super_req = http://" + addr + "/superuser", "auth.http.acl_req = http://" + addr + "/acl",
		}
	}}
	return revocation{b.node(t, s.addr, "access.poll_interval = 1s"), "ann", "boss", func() { set(open) }}
}

// operate asks the HTTP API as its first user.
func operate(t testing.TB, b *testkit.Broker, method, path string, body any) (int, string) {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	r, err := http.NewRequest(method, "http://"+b.Addr(testkit.API)+"/api/v3/"+path, bytes.NewReader(text))
	must(t, err)
	r.SetBasicAuth("admin", "public")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	var got bytes.Buffer
	_, err = got.ReadFrom(answer.Body)
	must(t, err)
	http.DefaultClient.CloseIdleConnections()
	return answer.StatusCode, got.String()
}

// operated is a node with the super-user root, and ann, who is there.
func operated(t *testing.T, version []func(*mqtt.Connect)) (*testkit.Broker, *testkit.Client) {
	t.Helper()
	back := httpBackend(t)
	back.add(t, suite.User{Name: "root", Stored: suite.Password, Super: true})
	b := back.node(t, back.addr, "access.modules = username, http", "mqtt.acl_nomatch = allow")
	if code, body := operate(t, b, "POST", "users", map[string]any{"name": "ann", "password": suite.Password}); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	return b, join(t, b, login("ann", "ann", suite.Password, version...))
}

func TestUserWhoIsDeletedOrBannedIsSentAwayAtOnce(t *testing.T) {
	type change struct {
		method, path string
		body         any
		after        [2]byte // what a CONNECT is answered then
	}
	for name, c := range map[string]change{
		"deleted":           {"DELETE", "users/ann", nil, badPassword},
		"banned by name":    {"POST", "banned", map[string]any{"kind": "username", "who": "ann"}, banned},
		"banned by client":  {"POST", "banned", map[string]any{"kind": "clientid", "who": "ann", "seconds": 3600}, banned},
		"banned by address": {"POST", "banned", map[string]any{"kind": "peerhost", "who": "127.0.0.0/8"}, banned},
	} {
		for version, with := range both {
			t.Run(name+"/"+version, func(t *testing.T) {
				b, ann := operated(t, with)
				other := join(t, b, login("root", "root", suite.Password))
				since := time.Now()
				if code, body := operate(t, b, c.method, c.path, c.body); code >= 300 {
					t.Fatalf("%d %s", code, body)
				}
				if code := ends(t, ann); code != protocol.NotAuthorized && ann.Version == mqtt.V5 {
					t.Errorf("DISCONNECT 0x%02X", byte(code))
				}
				within(t, "the connection ends", since)
				answers(t, b, login("ann", "ann", suite.Password), c.after)
				if !strings.Contains(c.path, "banned") || strings.Contains(name, "address") {
					return
				}
				other.Ping()
				ban := c.body.(map[string]any)
				operate(t, b, "DELETE", "banned/"+ban["kind"].(string)+"/"+ban["who"].(string), nil)
				answers(t, b, login("ann", "ann", suite.Password), accepted)
			})
		}
	}
}
