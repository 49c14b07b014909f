package hash

import (
	"context"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func parse(t *testing.T, text string) Scheme {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What EMQ's functions make of the password public with the salt salt.
var stored = []struct{ scheme, stored, salt string }{
	{"plain", "public", ""},
	{"md5", "4c9184f37cff01bcdc32dc486ec36961", ""},
	{"sha", "61c9b2b17db77a27841bbeeabff923448b0f6388", ""},
	{"sha256", "efa1f375d76194fa51a3556a97e641e61685f914d446979da50a551a4333ffd7", ""},
	{"salt,md5", "", "salt"},
	{"salt,sha256", "", "salt"},
	{"sha256,salt", "", "salt"},
	{"sha512,salt", "", "salt"},
	{"pbkdf2,sha256,1000,20", "", "salt"},
	{"pbkdf2,sha,1,20", "", "salt"},
}

func TestEachSchemeTakesThePasswordAndNoOther(t *testing.T) {
	for _, x := range stored {
		s := parse(t, x.scheme)
		if x.stored == "" {
			b, err := s.derive(x.salt, []byte("public"))
			if err != nil {
				t.Fatal(err)
			}
			x.stored = hex.EncodeToString(b)
		}
		checkAll(t, s, x.stored, x.salt)
	}
}

func checkAll(t *testing.T, s Scheme, stored, salt string) {
	t.Helper()
	var p *Pool
	for password, want := range map[string]bool{
		"public": true, "Public": false, "": false, "public\x01": false, "publi": false, stored + "x": false, strings.Repeat("x", 65536): false,
	} {
		got, err := p.Check(context.Background(), s, stored, salt, []byte(password))
		if got != want || err != nil {
			t.Errorf("%s: %.20q: %t, %v", s, password, got, err)
		}
	}
	if ok, err := p.Check(context.Background(), s, "", salt, nil); ok || err != nil {
		t.Errorf("%s: nothing is stored, and no password fits: %t, %v", s, ok, err)
	}
}

func TestKnownDigests(t *testing.T) {
	for _, x := range []struct{ scheme, salt, password, want string }{
		{"salt,sha256", "salt", "password", "13601bda4ea78e55a07b98866d2be6be0744e3866f13c00c811cab608a28f322"},
		{"sha256,salt", "salt", "password", "7a37b85c8918eac19a9089c0fa5a2ab4dce3f90528dcdeec108b23ddf3607b99"},
		{"pbkdf2,sha,1,20", "salt", "password", "0c60c80f961f0e71f3a9b524af6012062fe037a6"}, // RFC 6070
		{"pbkdf2,sha,4096,20", "salt", "password", "4b007901b765489abead49d926f721d065a429c1"},
		{"pbkdf2,sha256,1,32", "salt", "password", "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"}, // RFC 7914
	} {
		ok, err := (*Pool)(nil).Check(context.Background(), parse(t, x.scheme), x.want, x.salt, []byte(x.password))
		if !ok || err != nil {
			t.Errorf("%s: %t, %v", x.scheme, ok, err)
		}
	}
}

func TestEveryPasswordThatIsStoredIsFound(t *testing.T) {
	pool := NewPool(2, 2)
	for _, text := range []string{"plain", "md5", "sha", "sha256", "salt,sha256", "sha256,salt", "bcrypt", "salt,bcrypt", "pbkdf2,sha512,10,64", "argon2id"} {
		s := parse(t, text)
		if s.String() != text {
			t.Errorf("%s reads as %s", text, s)
		}
		stored, salt, err := pool.Store(context.Background(), s, []byte("public"))
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{"public": true, "secret": false} {
			if ok, err := pool.Check(context.Background(), s, stored, salt, []byte(password)); ok != want || err != nil {
				t.Errorf("%s: %q: %t, %v", s, password, ok, err)
			}
		}
		again, _, err := pool.Store(context.Background(), s, []byte("public"))
		salted := s.salt != unsalted || s.Slow()
		if err != nil || (again != stored) != salted {
			t.Errorf("%s: stored twice: %q and %q, %v", s, stored, again, err)
		}
	}
}

func TestUpperCaseAndOtherPrefixesAreTheSamePassword(t *testing.T) {
	pool := NewPool(1, 1)
	if ok, err := pool.Check(context.Background(), parse(t, "md5"), "4C9184F37CFF01BCDC32DC486EC36961", "", []byte("public")); !ok || err != nil {
		t.Errorf("upper case: %t, %v", ok, err)
	}
	b, err := bcrypt.GenerateFromPassword([]byte("public"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	y := strings.Replace(string(b), "$2a$", "$2y$", 1)
	if ok, err := pool.Check(context.Background(), parse(t, "salt,bcrypt"), y, "ignored", []byte("public")); !ok || err != nil {
		t.Errorf("$2y$: %t, %v", ok, err)
	}
}

func TestWhatIsNotOfTheSchemeIsAnError(t *testing.T) {
	for _, x := range []struct{ scheme, stored string }{
		{"sha256", "public"},
		{"bcrypt", "public"},
		{"bcrypt", "$2a$31$" + strings.Repeat("a", 53)},
		{"argon2id", "public"},
		{"argon2id", "$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHQ$AAAAAAAA"},
		{"argon2id", "$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAA"},
		{"argon2id", "$argon2id$v=19$m=64,t=1,p=1$?$AAAAAAAA"},
		{"argon2id", "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAA"},
		{"argon2id", "$argon2id$v=19$m=64,t=1,p=1;$c2FsdHNhbHQ$AAAAAAAA"},
	} {
		ok, err := NewPool(1, 1).Check(context.Background(), parse(t, x.scheme), x.stored, "", []byte("public"))
		if ok || !errors.Is(err, ErrStored) {
			t.Errorf("%s: %q: %t, %v", x.scheme, x.stored, ok, err)
		}
	}
}

func TestUnknownSchemesAreRefused(t *testing.T) {
	for _, text := range []string{
		"", ",", "sha3", "salt", "salt,plain", "plain,salt", "salt,argon2id", "salt,sha256,salt", "pbkdf2", "pbkdf2,sha256,1000",
		"pbkdf2,md4,1000,20", "pbkdf2,sha256,0,20", "pbkdf2,sha256,1000,0", "pbkdf2,sha256,x,20", "pbkdf2,sha256,99999999,20",
	} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q reads as %s", text, s)
		}
	}
	if s := parse(t, "salt sha256"); s.String() != "salt,sha256" {
		t.Errorf("EMQ 2.0's form reads as %s", s)
	}
}

func TestAPasswordThatBcryptWouldCutIsNotStored(t *testing.T) {
	if _, _, err := NewPool(1, 1).Store(context.Background(), parse(t, "bcrypt"), make([]byte, 73)); err == nil {
		t.Error("it was")
	}
}

func TestOnlyAsManyWaitAsTheQueueHolds(t *testing.T) {
	p := NewPool(1, 1)
	slow := parse(t, "bcrypt")
	p.slots <- struct{}{} // somebody works
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error)
	go func() {
		_, err := p.Check(ctx, slow, "x", "", nil)
		waited <- err
	}()
	for p.Waiting() == 0 { // until it waits
		runtime.Gosched()
	}
	if _, err := p.Check(ctx, slow, "x", "", nil); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if ok, err := p.Check(ctx, Scheme{}, "x", "", []byte("x")); !ok || err != nil {
		t.Errorf("a quick one: %t, %v", ok, err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waited: %v", err)
	}
	<-p.slots
	if _, err := p.Check(context.Background(), slow, "x", "", nil); !errors.Is(err, ErrStored) {
		t.Errorf("afterwards: %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, text := range []string{"salt,sha256", "pbkdf2,sha256,1000,20", "bcrypt", "argon2id"} {
		s, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		stored, salt, err := s.store([]byte("public"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run("scheme="+text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := s.check(stored, salt, []byte("public")); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
