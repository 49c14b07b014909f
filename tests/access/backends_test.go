package access

import (
	"strings"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/backends/suite"
	"emqttd/tests/testkit"
)

func TestEachBackEndDecidesAboutRealClients(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			plain, super := suite.User{Name: unique("ann"), Stored: "ann-pw"}, suite.User{Name: unique("root"), Stored: "root-pw", Super: true}
			// An HTTP service is asked about each; the others keep patterns.
			plain.Rules = []suite.Rule{{Topic: "in/x", Access: 1}, {Topic: "out/x", Access: 2}, {Topic: "both/x", Access: 3}}
			b.add(t, plain)
			b.add(t, super)
			node := b.node(t, b.addr)
			t.Run("passwords", func(t *testing.T) { passwords(t, node, plain, super) })
			t.Run("rules", func(t *testing.T) { rows(t, node, plain) })
			t.Run("super-user", func(t *testing.T) { everything(t, node, super) })
			t.Run("outage", func(t *testing.T) { outage(t, b, node, plain) })
		})
	}
}

func passwords(t *testing.T, node *testkit.Broker, plain, super suite.User) {
	answers(t, node, login("c", plain.Name, plain.Stored), accepted)
	answers(t, node, login("c", super.Name, super.Stored), accepted)
	for _, wrong := range []string{"", "wrong", plain.Stored + " ", super.Stored, strings.Repeat("x", 60<<10), "'; --", plain.Stored + "\x00"} {
		answers(t, node, login("c", plain.Name, wrong), badPassword)
	}
	for _, nobody := range []string{unique("nobody"), "' or '1'='1", "*", plain.Name + "\n", strings.ToUpper(plain.Name) + "*"} {
		answers(t, node, login("c", nobody, plain.Stored), badPassword)
	}
	nameless := testkit.Hello("c")
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		nameless.Version = version
		if code := knock(t, node.Dial(t), nameless); code == 0 {
			t.Error("a client without a name is let in")
		}
	}
}

func rows(t *testing.T, node *testkit.Broker, plain suite.User) {
	for name, version := range both {
		c := join(t, node, login("c", plain.Name, plain.Stored, version...))
		for filter, may := range map[string]bool{
			"in/x": true, "both/x": true, "out/x": false, "in/y": false, "in/#": false, "#": false, "$share/g/in/x": true, "$share/g/out/x": false,
		} {
			if code := subscribe(t, c, filter, func(string) {}); may == isDenied(c.Version, code) {
				t.Errorf("%s: %s: SUBACK 0x%02X", name, filter, byte(code))
			}
		}
		c.Unsubscribe("both/x", "$share/g/in/x")
		for topic, may := range map[string]bool{"out/x": true, "both/x": true, "in/x": false, "out/y": false, "OUT/x": false} {
			if may == isRefused(t, node, c, topic) {
				t.Errorf("%s: publish to %s: %t", name, topic, may)
			}
		}
		c.Disconnect()
	}
}

func everything(t *testing.T, node *testkit.Broker, super suite.User) {
	c := join(t, node, login("root", super.Name, super.Stored, v5))
	c.Subscribe(1, "#", "$SYS/#", "$share/g/in/x")
	another := join(t, node, login("root2", super.Name, super.Stored, v5)) // its PUBACK comes alone
	if code := publish(t, another, "any/where", "x"); code == protocol.NotAuthorized {
		t.Error("a super-user may not publish")
	}
}

func outage(t *testing.T, b *backend, node *testkit.Broker, plain suite.User) {
	there := join(t, node, login("there", plain.Name, plain.Stored))
	there.Subscribe(0, "in/x")
	lenient := b.node(t, b.addr, "auth."+b.name+".on_error = ignore", "mqtt.allow_anonymous = true")
	strict := b.node(t, b.addr, "auth."+b.name+".on_error = ignore")
	right, wrong := login("c", plain.Name, plain.Stored), login("c", plain.Name, "wrong")
	answers(t, lenient, right, accepted)
	answers(t, lenient, wrong, badPassword)

	b.stop(t)
	for range 5 { // the breaker opens meanwhile
		answers(t, node, right, unavailable)
		answers(t, node, wrong, unavailable)
	}
	answers(t, lenient, wrong, accepted)   // mqtt.allow_anonymous decides
	answers(t, strict, right, badPassword) // and here it does not
	there.Ping()
	there.Subscribe(0, "in/x") // what it may is known
	b.start(t)
	becomes(t, node, right, 0)
	becomes(t, lenient, wrong, 4)
	answers(t, node, right, accepted)
	answers(t, node, wrong, badPassword)
}

// schemes are all those that EMQ has, and those that came later.
var schemes = []string{
	"plain", "md5", "sha", "sha256", "sha512", "salt,md5", "md5,salt", "salt,sha", "sha,salt", "salt,sha256", "sha256,salt",
	"salt,sha512", "sha512,salt", "bcrypt", "salt,bcrypt", "pbkdf2,sha256,1000,20", "pbkdf2,sha512,500,32", "argon2id",
}

// One node asks all back ends in turn; each knows a user of its own. LDAP is the
// last, for it denies those whom it does not know.
func TestWrongPasswordIsRefusedInEveryHashScheme(t *testing.T) {
	order := []string{"redis", "mysql", "pgsql", "mongo", "ldap"}
	opened := map[string]*backend{}
	for _, name := range order {
		opened[name] = backends[name](t)
	}
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			lines := []string{"access.modules = " + strings.Join(order, ","), "access.backoff.after = 0"}
			stored := map[string]suite.User{}
			for _, name := range order {
				stored[name] = suite.Stored(t, unique("hashed"), scheme, suite.Password)
				opened[name].add(t, stored[name])
				lines = append(lines, opened[name].lines(opened[name].addr, scheme)...)
			}
			node := start(t, lines...)
			for name, u := range stored {
				if code := knock(t, node.Dial(t), login(u.Name, u.Name, suite.Password)); code != 0 {
					t.Errorf("%s: the right password: CONNACK %d", name, code)
				}
				for _, w := range []string{"wrong", "", suite.Password + "\x00", u.Salt + suite.Password, suite.Password + u.Salt, u.Stored} {
					same := w == suite.Password || strings.HasPrefix(scheme, "pbkdf2") && strings.HasSuffix(w, "\x00") // HMAC fills its key with zeros
					if code := knock(t, node.Dial(t), login(u.Name, u.Name, w)); code != 4 && !same {
						t.Errorf("%s: the password %q: CONNACK %d", name, w, code)
					}
				}
			}
		})
	}
}

// The node's own users are kept in the schemes that it may be told.
func TestOwnUsersAreKeptInEverySchemeThatTheyCanHave(t *testing.T) {
	for _, scheme := range []string{"salt,sha256", "bcrypt", "argon2id", "pbkdf2,sha256,1000,32"} {
		node := start(t, users("ann"), "auth.user.password_hash = "+scheme, "access.backoff.after = 0")
		for password, want := range map[string]byte{"ann-pw": 0, "wrong": 4} {
			if code := knock(t, node.Dial(t), login("c", "ann", password)); code != want {
				t.Errorf("%s: the password %q: CONNACK %d", scheme, password, code)
			}
		}
	}
}
