package access

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBansKeepOutWhomTheyAreAbout(t *testing.T) {
	b, err := OpenBans(NoTable{})
	if err != nil {
		t.Fatal(err)
	}
	c := NewChain(Options{AllowAnonymous: true, Bans: b})
	var told []Selector
	c.OnChange(func(s Selector) { told = append(told, s) })
	for _, x := range []Ban{
		{Kind: BanClient, Who: "c", Reason: "noise"},
		{Kind: BanUser, Who: "u"},
		{Kind: BanAddress, Who: "::ffff:192.0.2.1"},
		{Kind: BanAddress, Who: "10.1.2.3/8"},
		{Kind: BanAddress, Who: "2001:db8::/32"},
	} {
		if err := b.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		cred Credentials
		want Decision
	}{
		{Credentials{ClientID: "c"}, Banned},
		{Credentials{ClientID: "C"}, Accept},
		{Credentials{ClientID: "u"}, Accept},
		{Credentials{Username: "u"}, Banned},
		{Credentials{Peer: "192.0.2.1"}, Banned},
		{Credentials{Peer: "192.0.2.2"}, Accept},
		{Credentials{Peer: "::ffff:192.0.2.1"}, Banned},
		{Credentials{Peer: "10.9.9.9"}, Banned},
		{Credentials{Peer: "2001:db8::1"}, Banned},
		{Credentials{Peer: "nowhere"}, Accept},
		{Credentials{}, Accept},
	} {
		if _, d, why := c.Admit(context.Background(), &x.cred); d != x.want {
			t.Errorf("%+v: %s because %s", x.cred, d, why)
		}
	}
	if _, _, why := c.Admit(context.Background(), &Credentials{ClientID: "c"}); why != "banned by clientid: noise" {
		t.Errorf("because %s", why)
	}
	if want := []Selector{{ClientID: "c"}, {Username: "u"}, {}, {}, {}}; !slices.Equal(told, want) {
		t.Errorf("told %v", told)
	}
	if ok, err := b.Remove(BanAddress, "10.0.0.0/8"); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if _, d, _ := c.Admit(context.Background(), &Credentials{Peer: "10.9.9.9"}); d != Accept {
		t.Error(d)
	}
	for _, x := range []Ban{{Kind: BanClient}, {Kind: BanAddress, Who: "everywhere"}, {Kind: "colour", Who: "red"}} {
		if err := b.Add(x); err == nil {
			t.Errorf("%+v is taken", x)
		}
	}
}

func TestABanEndsAndIsKeptUntilThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &memory{}
		open := func() *Bans {
			b, err := OpenBans(table)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		b := open()
		if err := b.Add(Ban{Kind: BanAddress, Who: "192.0.2.1", Until: time.Now().Add(time.Minute), By: "admin"}); err != nil {
			t.Fatal(err)
		}
		b = open()
		if l := b.List(); len(l) != 1 || l[0].By != "admin" || !l[0].At.Equal(time.Now()) {
			t.Errorf("%+v", l)
		}
		cred := &Credentials{Peer: "192.0.2.1"}
		if _, banned := b.banned(cred); !banned {
			t.Error("it is lost")
		}
		time.Sleep(time.Minute)
		if _, banned := b.banned(cred); banned || len(b.List()) != 0 {
			t.Error("it does not end")
		}
		if err := b.Add(Ban{Kind: BanUser, Who: "u"}); err != nil || len(table.all) != 1 {
			t.Errorf("%v, %d are kept", err, len(table.all))
		}
	})
}

func TestWrongPasswordsMakeTheSourceAndTheUserWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := accounts(t, UserNames, "salt,sha256", "ann", "bob")
		c := NewChain(Options{Modules: []Module{users}, Backoff: NewBackoff(BackoffOptions{After: 2, First: time.Second, Longest: 8 * time.Second, Size: 100})})
		try := func(peer, user, password string) Decision {
			return c.Authenticate(&Credentials{Peer: peer, Username: user, Password: []byte(password)})
		}
		for range 3 {
			if d := try("192.0.2.1", "ann", "guess"); d != BadCredential {
				t.Error(d)
			}
		}
		for _, x := range []struct {
			peer, user string
			want       Decision
		}{
			{"192.0.2.1", "ann", TooManyAttempts}, {"192.0.2.1", "bob", TooManyAttempts}, {"192.0.2.2", "ann", TooManyAttempts}, {"192.0.2.2", "bob", Accept},
		} {
			if d := try(x.peer, x.user, "public"); d != x.want {
				t.Errorf("%s from %s: %s", x.user, x.peer, d)
			}
		}
		for _, wait := range []time.Duration{1, 2, 4, 8, 8} {
			time.Sleep(wait*time.Second - 1)
			if d := try("192.0.2.1", "ann", "guess"); d != TooManyAttempts {
				t.Errorf("before %d s: %s", wait, d)
			}
			time.Sleep(time.Nanosecond)
			if d := try("192.0.2.1", "ann", "guess"); d != BadCredential {
				t.Errorf("after %d s: %s", wait, d)
			}
		}
		time.Sleep(9 * time.Second) // of silence
		for range 2 {
			if d := try("192.0.2.1", "ann", "guess"); d != BadCredential {
				t.Error(d)
			}
		}
		if d := try("192.0.2.1", "ann", "public"); d != Accept {
			t.Error(d)
		}
	})
}

func TestOnesOwnPasswordGivesNoFreeGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBackoff(BackoffOptions{After: 2, First: time.Hour, Longest: time.Hour, Size: 100})
		for range 3 {
			b.Failed("192.0.2.1", "victim")
			b.Succeeded("192.0.2.1", "own")
		}
		if b.Wait("192.0.2.9", "victim") == 0 {
			t.Error("the victim's name may be tried on")
		}
	})
}

func TestAnIPv6SubscriberIsOneSource(t *testing.T) {
	b := NewBackoff(BackoffOptions{After: 1, First: time.Hour, Longest: time.Hour, Size: 100})
	for _, peer := range []string{"2001:db8::1", "2001:db8::2"} {
		b.Failed(peer, "")
	}
	if b.Wait("2001:db8::3", "") == 0 || b.Wait("2001:db8:0:1::1", "") != 0 {
		t.Error("it may change its address")
	}
}

func TestBackoffForgetsTheOldestAndStaysSmall(t *testing.T) {
	b := NewBackoff(BackoffOptions{After: 1, First: time.Hour, Longest: time.Hour, Size: 16})
	for range 2 {
		b.Failed("192.0.2.1", "")
	}
	for i := range 1000 {
		b.Failed("", string(rune('a'+i)))
	}
	if b.Wait("192.0.2.1", "") == 0 {
		t.Error("a flood of names makes it forget a source")
	}
	if n := len(b.users.young) + len(b.users.old); n > 16 {
		t.Errorf("%d names", n)
	}
	if NewBackoff(BackoffOptions{}).Wait("192.0.2.1", "u") != 0 {
		t.Error("one that is off makes somebody wait")
	}
}
