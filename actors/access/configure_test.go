package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/config"
)

// configured loads a configuration and makes the chain.
func configured(t *testing.T, p Parts, lines ...string) (*Chain, error) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "etc", "emq.conf")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "etc", "acl.conf"), []byte(`{deny, all, publish, ["secret"]}.`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(config.Sources{File: file})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return FromConfig(cfg, p)
}

func TestTheChainIsWhatTheConfigurationAsksFor(t *testing.T) {
	var asked []string
	p := Parts{Backend: func(name string) (Module, error) {
		asked = append(asked, name)
		return &ruled{fake: *says(name, Ignore)}, nil
	}}
	c, err := configured(t, p,
		"auth.source.1 = user:plant 10.0.0.0/8", "auth.client.1.clientid = c", "auth.client.1.password = cp", "auth.user.1.username = u",
		"auth.user.1.password = up", "auth.redis.pool = 3", "auth.redis.queue = 7", "auth.redis.on_error = ignore", "auth.x509.subject = dn",
		"auth.cookie.secret = 0123456789abcdef", "access.modules = source,x509,cookie,clientid,username,redis")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range c.Stats() {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "source x509 cookie clientid username redis" || len(asked) != 1 {
		t.Errorf("modules %s, asked for %v", got, asked)
	}
	if o := c.line.Load().steps[5].guard.o; o.Workers != 3 || o.Queue != 7 || !o.OnErrorIgnore || o.Retries != 1 || o.BreakerFailures != 5 {
		t.Errorf("%+v", o)
	}
	for _, x := range []struct {
		cred Credentials
		want Decision
		user string
	}{
		{Credentials{Peer: "10.0.0.1"}, Accept, "plant"},
		{Credentials{CertDN: "CN=d"}, Accept, "CN=d"},
		{Credentials{ClientID: "c", Password: []byte("cp")}, Accept, ""},
		{Credentials{ClientID: "c", Username: "u", Password: []byte("up")}, BadCredential, ""},
		{Credentials{ClientID: "d", Username: "u", Password: []byte("up")}, Accept, "u"},
		{Credentials{ClientID: "d", Username: "v", Password: []byte("up")}, BadCredential, ""},
		{Credentials{ClientID: "d"}, BadCredential, ""},
	} {
		id, d, why := c.Admit(context.Background(), &x.cred)
		if d != x.want || d == Accept && id.Username() != x.user {
			t.Errorf("%+v: %s because %s", x.cred, d, why)
		}
		if d == Accept && (id.MayPublish("secret") || !id.MayPublish("other")) {
			t.Error("acl.conf is not obeyed")
		}
	}
	if c.AllowAnonymous() || c.Users() == nil || c.Clients() == nil || c.Bans() == nil {
		t.Error("something is missing")
	}
}

func TestUsersOfTheConfigurationDoNotReplaceThoseThatAreThere(t *testing.T) {
	users, clients := &memory{}, &memory{}
	lines := []string{"auth.user.1.username = u", "auth.user.1.password = first", "auth.client.1.clientid = c", "auth.client.1.password = first"}
	if _, err := configured(t, Parts{Users: users, Clients: clients}, lines...); err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "first", "second", 1)
	}
	c, err := configured(t, Parts{Users: users, Clients: clients}, lines...)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		a        *Accounts
		password string
	}{{c.Users(), "first"}, {c.Clients(), "second"}} {
		r, err := x.a.Authenticate(context.Background(), &Credentials{ClientID: "c", Username: "u", Password: []byte(x.password)})
		if r.Verdict != Allow || err != nil {
			t.Errorf("%s: %s because %s, %v", x.a.Name(), r.Verdict, r.Why, err)
		}
	}
}

func TestMistakesOfTheConfigurationAreNamed(t *testing.T) {
	broken := Parts{Backend: func(string) (Module, error) { return nil, errors.New("no such query") }}
	for _, x := range []struct {
		p    Parts
		line string
		want string
	}{
		{Parts{}, "auth.user.password_hash = rot13", "auth.user.password_hash: unknown password hash"},
		{Parts{}, "auth.cookie.secret = short", "authentication module cookie: "},
		{Parts{}, "auth.redis.pool = 1", "authentication module redis: it is not built in"},
		{broken, "auth.redis.pool = 1", "authentication module redis: no such query"},
		{Parts{}, "mqtt.acl_file = etc/other.conf", "access rules: "},
		{Parts{Users: &memory{all: map[string]string{"u": "x"}}}, "", "read the accounts of username: "},
		{Parts{Bans: &memory{all: map[string]string{"u": "x"}}}, "", "read the bans: "},
	} {
		if _, err := configured(t, x.p, x.line); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%s: %v", x.line, err)
		}
	}
	if c, err := configured(t, Parts{}, "mqtt.acl_file ="); err != nil || c.line.Load().judges {
		t.Errorf("no file: %v", err)
	}
}
