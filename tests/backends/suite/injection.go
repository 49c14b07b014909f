package suite

import (
	"strings"
	"testing"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
)

// Hostile are texts that mean something to a server if they are pasted into what it
// is asked. Each is tried as client identifier, user name, password and topic.
var Hostile = []string{
	// SQL
	`' OR '1'='1`, `' OR 1=1 -- `, `' OR 1=1#`, `" OR ""="`, `') OR ('1'='1`, `admin'--`, `admin'/*`, `' OR 'x'='x' /*`,
	`'; DROP TABLE mqtt_user; --`, `'; UPDATE mqtt_user SET is_superuser=1; --`, `' UNION SELECT 'x','y' -- `,
	`' UNION ALL SELECT NULL,NULL,NULL,NULL,3,'#' -- `, `\' OR 1=1 -- `, `\`, `\\`, `'`, `''`, `"`, "`", `%27 OR 1=1`, `' || '1'='1`,
	`1; SELECT pg_sleep(10)`, `' OR SLEEP(10)='`, `' AND (SELECT 1 FROM pg_sleep(10))::text='`, `$1`, `$$ OR 1=1 $$`, `?`, `:name`, `@x`,
	`0x27`, "\u02bc OR 1=1", "\uff07 OR 1=1", "\u00bf' OR 1=1", `' LIMIT 1 OFFSET 1 -- `, `$all`, `%`, `_%`,
	// placeholders
	`%u`, `%c`, `%P`, `%a`, `%t`, `'%u'`, `%u' OR '1'='1`, `%`, `%%u`, `${username}`,
	// Redis
	"a\r\nSET mqtt_user:x y\r\n", "x\r\n*1\r\n$8\r\nFLUSHALL\r\n", `x password`, `x is_superuser 1`, `*`, `mqtt_user:*`, `x HGETALL mqtt_acl:x`, "\n", " ", "\t",
	// LDAP
	`*)(uid=*`, `*)(|(uid=*))`, `)(objectClass=*`, `*`, `admin)(&)`, `x)(!(uid=x`, `x,dc=emq,dc=io`, `x+uid=root`, `\2a`, `\00`, `x\,ou=users`, ` x`, `x `, `#x`, `x;y`, `<x>`, `x=y`,
	// MongoDB
	`{"$gt":""}`, `{"$ne":null}`, `{"$where":"sleep(10000)"}`, `[$ne]=x`, `$ne`, `$where`, `'; return true; var x='`, `{"$regex":".*"}`, `;return(true)`, `username.$gt`,
	// HTTP
	`x&username=root`, `x&is_superuser=true`, `x%26username=root`, "x\r\nX-Admin: 1", "x\r\n\r\nGET / HTTP/1.1\r\n\r\n", `../../admin`, `?a=b#c`, `","is_superuser":true,"x":"`, `x;y=z`, `+`, `x%00`,
	// text that is none, and topics
	"\x00", "x\x00y", "\xff\xfe", "\xc0\xa7 OR 1=1", "\xbf\x27 OR 1=1", "\xed\xa0\x80", "\u202eroot", "ＲＯＯＴ", `#`, `+/#`, `$SYS/#`, `secret/#`, `+/+`, `secret/+`, `/secret/1`, `//`,
	`$share/g/secret/1`, strings.Repeat("'", 4096), strings.Repeat("A", 60<<10), strings.Repeat("(", 2000), strings.Repeat("/", 3000),
}

func (r *run) injection(t *testing.T) {
	victim := r.user(t, "victim", func(u *User) {
		u.Super = true
		u.Rules = []Rule{{"secret/1", 3}}
	})
	plain := r.user(t, "plain", func(u *User) { u.Rules = []Rule{{"own/1", 3}} })
	m := r.open(t, r.Addr, r.first())
	a := &attempts{run: r, m: m, victim: victim, plain: plain}
	if !r.NoRules {
		a.rules = Rules(t, m, Client(plain.Name, Password))
	}
	for _, text := range Hostile {
		for _, text := range []string{text, victim.Name + text, text + victim.Name} {
			a.username(t, text)
		}
		a.password(t, text)
		a.clientID(t, text)
		a.topic(t, text)
		if t.Failed() {
			t.Fatalf("with %.80q", text)
		}
		// Nothing of it is left behind.
		expect(t, m, Client(victim.Name, Password), access.Allow, true)
		expect(t, m, Client(plain.Name, Password), access.Allow, false)
		expect(t, m, Client(plain.Name, "wrong"), access.Deny, false)
	}
}

type attempts struct {
	*run
	m             access.Module
	victim, plain User
	rules         []acl.Rule // of plain
}

// username is a name that nobody has. Only the password of its namesake could open
// anything to it; where a server takes two names for one (by blanks, by case), that
// password is asked for, but nobody else's will do.
func (a *attempts) username(t *testing.T, name string) {
	t.Helper()
	for _, password := range []string{"x", name} {
		if got := ask(t, a.m, Client(name, password)); got.Verdict == access.Allow || got.Superuser {
			t.Errorf("user name %.80q with password %.20q: %v, superuser %t", name, password, got.Verdict, got.Superuser)
		}
	}
	a.mayNot(t, Client(name, "x"), "secret/1")
}

func (a *attempts) password(t *testing.T, password string) {
	t.Helper()
	for _, name := range []string{a.victim.Name, a.plain.Name} {
		for _, p := range []string{password, Password + password} {
			if got := ask(t, a.m, Client(name, p)); got.Verdict == access.Allow || got.Superuser {
				t.Errorf("password %.80q: %v, superuser %t", p, got.Verdict, got.Superuser)
			}
		}
	}
}

func (a *attempts) clientID(t *testing.T, id string) {
	t.Helper()
	for _, id := range []string{id, a.victim.Name + id} {
		c := Client(a.plain.Name, Password)
		c.ClientID = id
		if got := ask(t, a.m, c); got.Superuser {
			t.Errorf("client identifier %.80q makes a superuser", id)
		}
		c.Password = []byte("wrong")
		if got := ask(t, a.m, c); got.Verdict == access.Allow {
			t.Errorf("client identifier %.80q replaces the password", id)
		}
		a.mayNot(t, c, "secret/1")
	}
}

func (a *attempts) topic(t *testing.T, topic string) {
	t.Helper()
	c := Client(a.plain.Name, Password)
	for _, topic := range []string{topic, "secret/1" + topic, topic + "/secret/1"} {
		a.judged(t, c, a.rules, topic)
	}
}

// mayNot checks that a topic is not allowed to a client.
func (a *attempts) mayNot(t *testing.T, c *access.Credentials, topic string) {
	t.Helper()
	var rules []acl.Rule
	if !a.NoRules {
		rules = Rules(t, a.m, c)
	}
	a.judged(t, c, rules, topic)
}

func (a *attempts) judged(t *testing.T, c *access.Credentials, rules []acl.Rule, topic string) {
	t.Helper()
	judge, judges := a.m.(access.Judge)
	for _, action := range []acl.Action{acl.Publish, acl.Subscribe} {
		got := Allowed(t, rules, c, action, topic)
		if judges {
			var err error
			if got, err = judge.Authorize(t.Context(), c, action, topic); err != nil {
				t.Errorf("authorize %.80q: %v", topic, err)
			}
		}
		if got == access.Allow {
			t.Errorf("user %.80q, client %.80q: may %v %.80q", c.Username, c.ClientID, action, topic)
		}
	}
}
