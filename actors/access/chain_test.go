package access

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestTheFirstModuleThatDecidesDecides(t *testing.T) {
	allow, deny, ignore, down := says("allow", Allow), says("deny", Deny), says("ignore", Ignore), fails("down")
	for _, x := range []struct {
		name      string
		modules   []Module
		anonymous bool
		username  string
		want      Decision
		why       string
	}{
		{"none, anybody", nil, true, "", Accept, "allow_anonymous"},
		{"none, nobody", nil, false, "u", NotAuthorized, "no module decides, and allow_anonymous is false"},
		{"allow before deny", []Module{allow, deny}, false, "u", Accept, "allow"},
		{"deny before allow", []Module{deny, allow}, true, "u", BadCredential, "deny"},
		{"ignore goes on", []Module{ignore, allow}, false, "u", Accept, "allow"},
		{"all ignore, anybody", []Module{ignore, ignore}, true, "u", Accept, "allow_anonymous"},
		{"all ignore, nobody", []Module{ignore}, false, "u", BadCredential, "no module knows the client"},
		{"all ignore a client without a name", []Module{ignore}, false, "", NotAuthorized, "no module decides, and allow_anonymous is false"},
		{"one that is down denies", []Module{down, allow}, true, "u", Unavailable, "down cannot answer"},
		{"one that is down behind who decides", []Module{allow, down}, false, "u", Accept, "allow"},
		{"one that is down and to be ignored then", []Module{Guard(down, GuardOptions{OnErrorIgnore: true}), allow}, false, "u", Accept, "allow"},
		{"a guarded one that is down", []Module{Guard(down, GuardOptions{}), allow}, true, "u", Unavailable, "down cannot answer"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := NewChain(Options{AllowAnonymous: x.anonymous, Modules: x.modules})
			id, d, why := c.Admit(context.Background(), &Credentials{ClientID: "c", Username: x.username, Password: []byte("p")})
			if d != x.want || why != x.why || (id != nil) != (d == Accept) {
				t.Errorf("%s because %s, identity %v", d, why, id)
			}
			r := c.Test(context.Background(), &Credentials{ClientID: "c", Username: x.username, Password: []byte("p")}, nil, nil)
			if r.Decision != d && d != BadCredential {
				t.Errorf("the test says %s", r.Decision)
			}
		})
	}
}

func TestAModuleMaySayWhoTheClientIs(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	m := &fake{"token", func(_ context.Context, c *Credentials) (Result, error) {
		return Result{Verdict: Allow, Username: "real", Superuser: c.ClientID == "root", Expires: until}, nil
	}}
	c := NewChain(Options{Modules: []Module{m}, ACL: withRules(t, `{allow, {user, "real"}, pubsub, ["a"]}.`)})
	id := admit(t, c, Credentials{ClientID: "c", Username: "said"})
	if id.Username() != "real" || id.ClientID() != "c" || id.Module() != "token" || id.Superuser() || !id.Expires().Equal(until) {
		t.Errorf("%s %s %s %t %s", id.Username(), id.ClientID(), id.Module(), id.Superuser(), id.Expires())
	}
	if !id.MayPublish("a") || id.MayPublish("b") {
		t.Error("it is not judged by its real name")
	}
	root := admit(t, c, Credentials{ClientID: "root"})
	if !root.Superuser() || !root.MayPublish("b") || !root.MaySubscribe("#") {
		t.Error("a rule binds the super-user")
	}
	if !id.Is(Selector{Username: "real"}) || id.Is(Selector{Username: "said"}) || !id.Is(Selector{}) || id.Is(Selector{ClientID: "x"}) {
		t.Error("changes find somebody else")
	}
}

func TestWhatIsAskedForDoesNotHoldThePassword(t *testing.T) {
	r := &ruled{fake: *says("rows", Allow)}
	id := admit(t, NewChain(Options{Modules: []Module{r}}), Credentials{ClientID: "c", Password: []byte("secret")})
	if id.notes == nil || id.notes.cred.Password != nil {
		t.Error("the password is kept")
	}
}

func TestModulesAreCounted(t *testing.T) {
	i := 0
	m := &fake{"m", func(context.Context, *Credentials) (Result, error) {
		i++
		if i == 4 {
			return Result{}, errDown
		}
		return Result{Verdict: Verdict(i - 1)}, nil
	}}
	c := NewChain(Options{Modules: []Module{m, Guard(says("g", Allow), GuardOptions{})}})
	for range 4 {
		c.Authenticate(&Credentials{})
	}
	got := c.Stats()
	want := []ModuleStats{
		{Name: "m", OK: 1, Denied: 1, Ignored: 1, Errors: 1}, {Name: "g", OK: 1, Breaker: "closed"},
	}
	if got[1].Calls > 1 { // the one that answered may not have gone yet
		t.Errorf("%d calls", got[1].Calls)
	}
	got[1].Calls = 0
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestASourceAddressDecides(t *testing.T) {
	_, m := sourceRules(t)
	c := NewChain(Options{AllowAnonymous: true, Modules: []Module{m}})
	for peer, want := range map[string]struct {
		d    Decision
		user string
	}{
		"10.1.2.3": {Accept, "plant"}, "::ffff:10.1.2.3": {Accept, "plant"}, "10.2.0.1": {NotAuthorized, ""},
		"192.0.2.1": {Accept, "said"}, "": {Accept, "said"}, "fe80::1%eth0": {Accept, "said"},
	} {
		id, d, why := c.Admit(context.Background(), &Credentials{Username: "said", Peer: peer})
		if d != want.d || d == Accept && id.Username() != want.user {
			t.Errorf("%s: %s because %s", peer, d, why)
		}
	}
}

func TestACertificateIsWhoTheClientIs(t *testing.T) {
	for _, x := range []struct {
		dn   bool
		want string
	}{{false, "device1"}, {true, "CN=device1,O=plant"}} {
		c := NewChain(Options{Modules: []Module{Certificate(x.dn)}})
		id := admit(t, c, Credentials{Username: "said", CertCN: "device1", CertDN: "CN=device1,O=plant"})
		if id.Username() != x.want {
			t.Errorf("user %q", id.Username())
		}
		if d := c.Authenticate(&Credentials{Username: "said"}); d == Accept {
			t.Error("a client without one comes in")
		}
	}
}

func TestATokenThatHasExpiredLetsNobodyIn(t *testing.T) {
	m := &fake{"token", func(context.Context, *Credentials) (Result, error) {
		return Result{Verdict: Allow, Expires: time.Now()}, nil
	}}
	if d := NewChain(Options{Modules: []Module{m}}).Authenticate(&Credentials{}); d != BadCredential {
		t.Error(d)
	}
}
