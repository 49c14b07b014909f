package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"emqttd/actors/access/hash"
)

func TestAccountsOfEveryScheme(t *testing.T) {
	for _, scheme := range []string{"plain", "salt,sha256", "sha256,salt", "bcrypt", "argon2id", "pbkdf2,sha256,10,32"} {
		a := accounts(t, UserNames, scheme, "ann")
		for _, x := range []struct {
			name     string
			password []byte
			want     Verdict
		}{
			{"ann", []byte("public"), Allow},
			{"ann", []byte("secret"), Deny},
			{"ann", nil, Deny},
			{"ann", []byte{}, Deny},
			{"bob", []byte("public"), Ignore},
			{"", []byte("public"), Deny},
			{"ANN", []byte("public"), Ignore},
			{"ann", []byte(strings.Repeat("x", 65535)), Deny},
			{"ann\x00", []byte("public"), Ignore},
		} {
			r, err := a.Authenticate(context.Background(), &Credentials{Username: x.name, Password: x.password})
			if r.Verdict != x.want || err != nil {
				t.Errorf("%s: %q: %s because %s, %v", scheme, x.name, r.Verdict, r.Why, err)
			}
		}
	}
}

func TestAccountsAreKept(t *testing.T) {
	table := &memory{}
	bcrypt, err := hash.Parse("bcrypt")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	open := func(s hash.Scheme) *Accounts {
		a, err := OpenAccounts(ClientIDs, table, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := open(hash.Scheme{})
	for _, name := range []string{"b", "a\nx"} {
		if err := a.Add(ctx, name, []byte("public"), name == "b"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Add(ctx, "b", []byte("other"), false); !errors.Is(err, ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	again := open(bcrypt) // by another scheme from now on
	if err := again.Set(ctx, "c", []byte("public"), false); err != nil {
		t.Fatal(err)
	}
	again = open(bcrypt)
	if want := []Account{{"a\nx", false}, {"b", true}, {"c", false}}; !slices.Equal(again.List(), want) {
		t.Errorf("%v", again.List())
	}
	for _, name := range []string{"b", "c"} {
		r, err := again.Authenticate(ctx, &Credentials{ClientID: name, Password: []byte("public")})
		if r.Verdict != Allow || r.Superuser != (name == "b") || err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	table.err = errDown
	if err := again.Set(ctx, "d", []byte("x"), false); !errors.Is(err, errDown) {
		t.Errorf("%v", err)
	}
	if _, err := again.Delete("b"); !errors.Is(err, errDown) || len(again.List()) != 3 {
		t.Errorf("what is not written has happened: %v, %v", err, again.List())
	}
	table.err, table.all["x"] = nil, "damaged"
	if _, err := OpenAccounts(ClientIDs, table, nil, bcrypt); err == nil {
		t.Error("a damaged account is read")
	}
}

func TestAccountsWithoutNameOrPasswordAreRefused(t *testing.T) {
	a := accounts(t, UserNames, "plain")
	for _, x := range []struct{ name, password string }{{"", "p"}, {"n", ""}, {"a\x00b", "p"}, {"n", "a\x00b"}} {
		if err := a.Add(context.Background(), x.name, []byte(x.password), false); err == nil {
			t.Errorf("%q with %q is taken", x.name, x.password)
		}
	}
}

func TestADeletedUserMayNotStay(t *testing.T) {
	a := accounts(t, UserNames, "salt,sha256", "ann")
	c := NewChain(Options{Modules: []Module{a}, Users: a})
	var told []Selector
	c.OnChange(func(s Selector) { told = append(told, s) })
	id := admit(t, c, Credentials{ClientID: "c", Username: "ann", Password: []byte("public")})
	if err := a.Set(context.Background(), "ann", []byte("public"), true); err != nil {
		t.Fatal(err)
	}
	if !id.Refresh(context.Background()) || !id.Superuser() {
		t.Error("she is no super-user yet")
	}
	if ok, err := a.Delete("ann"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if id.Refresh(context.Background()) {
		t.Error("she may stay")
	}
	if ok, err := a.Delete("ann"); ok || err != nil {
		t.Errorf("deleted twice: %t, %v", ok, err)
	}
	if want := []Selector{{Username: "ann"}, {Username: "ann"}}; !slices.Equal(told, want) {
		t.Errorf("told %v", told)
	}
}
