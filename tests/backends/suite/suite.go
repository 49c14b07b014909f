// Package suite is what every back end of access must do, written once: who is let
// in and who is not, in every password scheme; which topics rows allow; what hostile
// names and passwords achieve, which is nothing; and what happens while the server is
// away, slow, half open or lying. Each back end runs it against its real server.
package suite

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
	"emqttd/tests/backends/proxy"
)

// Backend is one that is tested.
type Backend struct {
	// Addr is where its server is reached.
	Addr string
	// Open makes a module which asks the server at addr and compares passwords by
	// scheme. The suite closes it.
	Open func(t testing.TB, addr, scheme string) access.Module
	// Add makes the server know a user.
	Add func(t testing.TB, u User)
	// Remove makes it forget one; nil if the back end does not review who was admitted.
	Remove func(t testing.TB, name string)
	// Stop and Start are an outage. Start returns when the server answers.
	Stop, Start func(testing.TB)
	// Schemes are those that the back end can have; nil is all.
	Schemes []string
	// Refuses tells that an unknown user is denied, not left to the next module.
	Refuses bool
	// NoRules tells that there are no rows of rules.
	NoRules bool
}

// User is what a server knows of a client.
type User struct {
	Name, Stored, Salt string
	Super              bool
	Rules              []Rule
}

// Rule allows 1 = subscribing to, 2 = publishing to, 3 = both.
type Rule struct {
	Topic  string
	Access int
}

// schemes of EMQ, and those that came later.
var schemes = []string{
	"plain", "md5", "sha", "sha256", "sha512", "salt,md5", "md5,salt", "salt,sha", "sha,salt", "salt,sha256", "sha256,salt",
	"salt,sha512", "sha512,salt", "bcrypt", "salt,bcrypt", "pbkdf2,sha256,1000,20", "pbkdf2,sha512,500,32", "argon2id",
}

// patience is for a machine that is busy with something else.
const patience = 60 * time.Second

var names atomic.Int64

// Unique is a name that no other test in this process has.
func Unique(name string) string { return fmt.Sprintf("%s-%d", name, names.Add(1)) }

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	if b.Schemes == nil {
		b.Schemes = schemes
	}
	r := &run{b}
	t.Run("a user is let in with the right password only", r.passwords)
	for _, s := range b.Schemes {
		t.Run("password hash "+s, func(t *testing.T) { r.scheme(t, s) })
	}
	if !b.NoRules {
		t.Run("rows say what may be published and subscribed to", r.rules)
	}
	if b.Remove != nil {
		t.Run("a user that is gone may not stay", r.review)
	}
	t.Run("hostile texts achieve nothing", r.injection)
	t.Run("an outage is an error and passes", r.outage)
	t.Run("a bad network is an error in time and passes", r.faults)
}

type run struct{ Backend }

// Password is what users of Plain are known by.
const Password = "right horse"

// Stored is a user of that name with a password stored by scheme.
func Stored(t testing.TB, name, scheme, password string) User {
	t.Helper()
	s, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	var stored, salt string
	if strings.Contains(scheme, "bcrypt") { // no dearer than it must be: there are many tests
		var b []byte
		b, err = bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		stored = string(b)
	} else {
		stored, salt, err = (*hash.Pool)(nil).Store(t.Context(), s, []byte(password))
	}
	if err != nil {
		t.Fatal(err)
	}
	return User{Name: name, Stored: stored, Salt: salt}
}

// first is the scheme of tests that are about something else.
func (r *run) first() string { return r.Schemes[0] }

// user adds one whose Password is stored by the first scheme.
func (r *run) user(t testing.TB, name string, change func(*User)) User {
	t.Helper()
	u := Stored(t, Unique(name), r.first(), Password)
	if change != nil {
		change(&u)
	}
	r.Add(t, u)
	return u
}

func (r *run) open(t testing.TB, addr, scheme string) access.Module {
	t.Helper()
	m := r.Open(t, addr, scheme)
	if c, ok := m.(access.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	return m
}

// Client are the credentials of a client that calls itself c and comes from here.
func Client(user, password string) *access.Credentials {
	return &access.Credentials{ClientID: "c", Username: user, Password: []byte(password), Peer: "127.0.0.1", Protocol: "mqtt"}
}

// ask authenticates with much time.
func ask(t testing.TB, m access.Module, c *access.Credentials) access.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := m.Authenticate(ctx, c)
	if err != nil {
		t.Fatalf("authenticate %.60q: %v", c.Username, err)
	}
	return got
}

func expect(t testing.TB, m access.Module, c *access.Credentials, want access.Verdict, super bool) {
	t.Helper()
	if got := ask(t, m, c); got.Verdict != want || got.Superuser != super {
		t.Fatalf("%.60q: %v (superuser %t) because of %q; want %v (superuser %t)",
			c.Username, got.Verdict, got.Superuser, got.Why, want, super)
	}
}

func (r *run) passwords(t *testing.T) {
	plain := r.user(t, "alice", nil)
	super := r.user(t, "root", func(u *User) { u.Super = true })
	empty := r.user(t, "empty", func(u *User) { u.Stored = "" })
	m := r.open(t, r.Addr, r.first())

	expect(t, m, Client(plain.Name, Password), access.Allow, false)
	expect(t, m, Client(super.Name, Password), access.Allow, true)
	for _, wrong := range []string{"wrong", "", Password + " ", strings.ToUpper(Password), strings.Repeat("x", 64<<10), plain.Stored + "!", Password + "\x00"} {
		expect(t, m, Client(plain.Name, wrong), access.Deny, false)
		expect(t, m, Client(super.Name, wrong), access.Deny, false)
	}
	unknown := access.Ignore
	if r.Refuses {
		unknown = access.Deny
	}
	expect(t, m, Client(Unique("nobody"), Password), unknown, false)

	silent := Client(plain.Name, "")
	silent.Password = nil
	expect(t, m, silent, access.Deny, false)
	expect(t, m, Client("", Password), access.Deny, false)
	for _, p := range []string{"", "x"} {
		if got := ask(t, m, Client(empty.Name, p)); got.Verdict == access.Allow {
			t.Fatalf("a user without a stored password is let in with %q", p)
		}
	}
}

func (r *run) scheme(t *testing.T, scheme string) {
	u := Stored(t, Unique("hashed"), scheme, Password)
	r.Add(t, u)
	m := r.open(t, r.Addr, scheme)
	expect(t, m, Client(u.Name, Password), access.Allow, false)
	for _, wrong := range []string{"wrong", "", "x" + u.Salt + Password, Password + u.Salt + "x"} {
		expect(t, m, Client(u.Name, wrong), access.Deny, false)
	}
	if scheme != "plain" {
		expect(t, m, Client(u.Name, u.Stored), access.Deny, false)
		broken := User{Name: Unique("broken"), Stored: "no hash at all", Salt: "s"}
		r.Add(t, broken)
		expect(t, m, Client(broken.Name, Password), access.Deny, false)
	}
}

// Allowed tells what rules say about an action: allow, deny, or ignore.
func Allowed(t testing.TB, rules []acl.Rule, c *access.Credentials, a acl.Action, topic string) access.Verdict {
	t.Helper()
	addr, err := netip.ParseAddr(c.Peer)
	if err != nil {
		t.Fatal(err)
	}
	who := &acl.Client{ClientID: c.ClientID, Username: c.Username, Addr: addr}
	switch i := acl.Judge(rules, who, a, topic, false); {
	case i < 0:
		return access.Ignore
	case rules[i].Allow:
		return access.Allow
	}
	return access.Deny
}

// Rules asks for those of a client, with much time.
func Rules(t testing.TB, m access.Module, c *access.Credentials) []acl.Rule {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rules, err := m.(access.RuleSource).Rules(ctx, c)
	if err != nil {
		t.Fatalf("rules of %.60q: %v", c.Username, err)
	}
	return rules
}

func (r *run) rules(t *testing.T) {
	u := r.user(t, "bound", func(u *User) {
		u.Rules = []Rule{{"in/+", 2}, {"out/#", 1}, {"both", 3}, {"own/%u/%c", 3}}
	})
	m := r.open(t, r.Addr, r.first())
	c := Client(u.Name, Password)
	rules := Rules(t, m, c)
	for _, s := range []struct {
		action acl.Action
		topic  string
		allow  bool
	}{
		{acl.Publish, "in/1", true},
		{acl.Subscribe, "in/1", false},
		{acl.Subscribe, "in/+", false},
		{acl.Publish, "in/1/2", false},
		{acl.Subscribe, "out/a/b", true},
		{acl.Subscribe, "out/#", true},
		{acl.Publish, "out/a", false},
		{acl.Publish, "both", true},
		{acl.Subscribe, "both", true},
		{acl.Publish, "own/" + u.Name + "/c", true},
		{acl.Subscribe, "own/" + u.Name + "/c", true},
		{acl.Publish, "own/somebody/c", false},
		{acl.Subscribe, "own/+/c", false},
		{acl.Subscribe, "#", false},
		{acl.Subscribe, "+/#", false},
		{acl.Publish, "other", false},
	} {
		if got := Allowed(t, rules, c, s.action, s.topic); (got == access.Allow) != s.allow {
			t.Errorf("%v %s: %v", s.action, s.topic, got)
		}
	}
	stranger := Client(Unique("stranger"), Password)
	if got := Allowed(t, Rules(t, m, stranger), stranger, acl.Publish, "in/1"); got != access.Ignore {
		t.Errorf("without rows: %v, want ignore", got)
	}
}

func (r *run) review(t *testing.T) {
	plain := r.user(t, "leaver", nil)
	super := r.user(t, "leader", func(u *User) { u.Super = true })
	m := r.open(t, r.Addr, r.first())
	review := func(name string, want access.Verdict, isSuper bool) {
		t.Helper()
		c := Client(name, "")
		c.Password = nil
		got, err := m.(access.Reviewer).Review(t.Context(), c)
		if err != nil || got.Verdict != want || got.Superuser != isSuper {
			t.Fatalf("%s: %v, %v; want %v, superuser %t", name, got, err, want, isSuper)
		}
	}
	review(plain.Name, access.Allow, false)
	review(super.Name, access.Allow, true)
	r.Remove(t, plain.Name)
	review(plain.Name, access.Deny, false)
	review(super.Name, access.Allow, true)
}

// briefly authenticates with little time. It must come back soon after that.
func briefly(t *testing.T, m access.Module, c *access.Credentials) (access.Result, error) {
	t.Helper()
	type answer struct {
		result access.Result
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		got, err := m.Authenticate(ctx, c)
		done <- answer{got, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-time.After(patience):
		t.Fatal("it does not come back when its time is over")
		panic("unreachable")
	}
}

// recovers waits until the right password is right again.
func recovers(t *testing.T, m access.Module, c *access.Credentials) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := m.Authenticate(ctx, c)
		if err == nil && got.Verdict == access.Allow {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it does not recover: %v, %v", got, err)
		}
	}
}

func (r *run) outage(t *testing.T) {
	u := r.user(t, "patient", nil)
	good, bad := Client(u.Name, Password), Client(u.Name, "wrong")
	m := r.open(t, r.Addr, r.first())
	expect(t, m, good, access.Allow, false)
	r.Stop(t)
	cold := r.open(t, r.Addr, r.first())
	for _, m := range []access.Module{m, cold} {
		for _, c := range []*access.Credentials{good, bad} {
			if got, err := briefly(t, m, c); err == nil {
				t.Errorf("without a server: %v", got.Verdict)
			} else {
				quiet(t, err)
			}
		}
	}
	r.Start(t)
	for _, m := range []access.Module{m, cold} {
		recovers(t, m, good)
		expect(t, m, bad, access.Deny, false)
	}
}

// quiet checks that an error tells no secret.
func quiet(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{Password, "secret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells a password: %v", err)
		}
	}
}

func (r *run) faults(t *testing.T) {
	u := r.user(t, "unlucky", nil)
	good, bad := Client(u.Name, Password), Client(u.Name, "wrong")
	for _, f := range []struct {
		name  string
		fault proxy.Fault
		slow  bool // an answer may come in time
	}{
		{"half open", proxy.Fault{Stall: true}, false},
		{"refuses", proxy.Fault{Refuse: true}, true}, // what is open stays so
		{"slow", proxy.Fault{Delay: time.Minute}, false},
		{"drips", proxy.Fault{Drip: 20 * time.Millisecond}, true},
		{"cut after a byte", proxy.Fault{CutAfter: 1}, false},
		{"lies in zeros", proxy.Fault{Garbage: make([]byte, 512)}, false},
		{"lies in text", proxy.Fault{Garbage: []byte("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 99999999999\r\n\r\n")}, false},
		{"lies in ones", proxy.Fault{Garbage: []byte(strings.Repeat("\xff", 512))}, false},
		{"promises much in text", proxy.Fault{Garbage: []byte("$999999999999\r\n*999999999\r\n")}, false},
		{"promises much in LDAP", proxy.Fault{Garbage: []byte("\x30\x84\x7f\xff\xff\xff\x02")}, false},
		{"promises much in PostgreSQL", proxy.Fault{Garbage: []byte("D\x3f\xff\xff\xff")}, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			p := proxy.New(t, r.Addr)
			warm := r.open(t, p.Addr, r.first())
			expect(t, warm, good, access.Allow, false)
			p.Set(f.fault)
			cold := r.open(t, p.Addr, r.first())
			for _, m := range []access.Module{warm, cold} {
				got, err := briefly(t, m, good)
				if err == nil && got.Verdict == access.Allow && !f.slow {
					t.Error("it let a client in though the server could not say so")
				}
				if err != nil {
					quiet(t, err)
				}
			}
			if got, err := briefly(t, cold, bad); err == nil && got.Verdict == access.Allow {
				t.Error("it let a client with a wrong password in")
			}
			p.Set(proxy.Fault{})
			for _, m := range []access.Module{warm, cold} {
				recovers(t, m, good)
				expect(t, m, bad, access.Deny, false)
			}
		})
	}
}
