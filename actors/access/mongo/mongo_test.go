package mongo

import (
	"context"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/template"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func emq(t testing.TB, s *servers.Server, scheme string) Options {
	t.Helper()
	h, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Addrs: []string{s.Addr}, Type: "single", Database: s.Database, Timeout: 5 * time.Second,
		AuthCollection: "mqtt_user", AuthSelector: "username=%u", PasswordField: "password,salt", Hash: stored.Hash{Scheme: h},
		SuperCollection: "mqtt_user", SuperSelector: "username=%u", SuperField: "is_superuser",
		ACLCollection: "mqtt_acl", ACLSelectors: []string{"username=%u", "clientid=%c,username=$all"},
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

func connect(t testing.TB, s *servers.Server) *driver.Database {
	t.Helper()
	c, err := driver.Connect(options.Client().SetHosts([]string{s.Addr}).SetDirect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c.Database(s.Database)
}

func insert(t testing.TB, db *driver.Database, collection string, doc bson.D) {
	t.Helper()
	_, err := db.Collection(collection).InsertOne(context.Background(), doc)
	if driver.IsNetworkError(err) { // an outage has left a connection behind
		_, err = db.Collection(collection).InsertOne(context.Background(), doc)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, db *driver.Database, u suite.User) {
	t.Helper()
	insert(t, db, "mqtt_user", bson.D{
		{Key: "username", Value: u.Name}, {Key: "password", Value: u.Stored}, {Key: "salt", Value: u.Salt}, {Key: "is_superuser", Value: u.Super},
	})
	if u.Rules == nil {
		return
	}
	topics := map[int]bson.A{1: {}, 2: {}, 3: {}}
	for _, r := range u.Rules {
		topics[r.Access] = append(topics[r.Access], r.Topic)
	}
	insert(t, db, "mqtt_acl", bson.D{
		{Key: "username", Value: u.Name}, {Key: "subscribe", Value: topics[1]}, {Key: "publish", Value: topics[2]}, {Key: "pubsub", Value: topics[3]},
	})
}

func TestMongoDoesWhatABackEndMust(t *testing.T) {
	s := servers.Mongo(t)
	db := connect(t, s)
	suite.Run(t, suite.Backend{
		Addr: s.Addr,
		Open: func(t testing.TB, addr, scheme string) access.Module {
			o := emq(t, s, scheme)
			o.Addrs = []string{addr}
			return open(t, o)
		},
		Add: func(t testing.TB, u suite.User) { add(t, db, u) },
		Remove: func(t testing.TB, name string) {
			if _, err := db.Collection("mqtt_user").DeleteOne(t.Context(), bson.D{{Key: "username", Value: name}}); err != nil {
				t.Fatal(err)
			}
		},
		Stop: s.Stop, Start: s.Start,
	})
}

func TestDocumentsOfAllSelectorsCount(t *testing.T) {
	s := servers.Mongo(t)
	db := connect(t, s)
	insert(t, db, "mqtt_acl", bson.D{{Key: "username", Value: "two"}, {Key: "publish", Value: bson.A{"by/name", 17}}})
	insert(t, db, "mqtt_acl", bson.D{{Key: "username", Value: "$all"}, {Key: "clientid", Value: "c2"}, {Key: "publish", Value: "by/client"}})
	insert(t, db, "mqtt_acl", bson.D{{Key: "username", Value: "none"}})
	m := open(t, emq(t, s, "plain"))
	defer m.Close()
	c := suite.Client("two", "")
	c.ClientID = "c2"
	rules := suite.Rules(t, m, c)
	for topic, want := range map[string]access.Verdict{"by/name": access.Allow, "by/client": access.Allow, "by/nobody": access.Deny} {
		if got := suite.Allowed(t, rules, c, acl.Publish, topic); got != want {
			t.Errorf("%s: %v, want %v", topic, got, want)
		}
	}
	c = suite.Client("none", "")
	if got := suite.Allowed(t, suite.Rules(t, m, c), c, acl.Publish, "a"); got != access.Deny {
		t.Errorf("a document that allows nothing: %v", got)
	}
}

func TestMongoIsReachedWithAPassword(t *testing.T) {
	s := servers.MongoWithPasswords(t)
	for password, ok := range map[string]bool{s.Password: true, "wrong": false} {
		o := emq(t, s, "plain")
		o.Username, o.Password, o.Mechanism = s.Username, password, "PLAIN"
		m := open(t, o)
		r, err := m.Authenticate(t.Context(), suite.Client("nobody", "x"))
		if (err == nil) != ok || r.Verdict != access.Ignore {
			t.Errorf("password %q: %v, %v", password, r, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSelectorTakesTextsAndNoOperators(t *testing.T) {
	for _, text := range []string{"", "username", "=%u", "username=", "$where=%u", "username=%u,,", "$or=x"} {
		if s, err := parseSelector(text); err == nil {
			t.Errorf("%q is taken: %v", text, s)
		}
	}
	s, err := parseSelector("username=%u, clientid = %c")
	if err != nil {
		t.Fatal(err)
	}
	for _, hostile := range suite.Hostile {
		d, ok := s.fill(&template.Values{Username: hostile, ClientID: hostile})
		if !ok || len(d) != 2 || d[0] != (bson.E{Key: "username", Value: hostile}) || d[1] != (bson.E{Key: "clientid", Value: hostile}) {
			t.Fatalf("%.80q became %v", hostile, d)
		}
	}
	if d, ok := s.fill(&template.Values{Username: "u"}); ok {
		t.Errorf("without a client identifier: %v", d)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := servers.Mongo(b)
	u := suite.Stored(b, "bench", "sha256", "pw")
	db := connect(b, s)
	if n, err := db.Collection("mqtt_user").CountDocuments(b.Context(), bson.D{{Key: "username", Value: "bench"}}); err == nil && n == 0 {
		add(b, db, u)
	}
	suite.Benchmark(b, open(b, emq(b, s, "sha256")), suite.Client("bench", "pw"))
}
