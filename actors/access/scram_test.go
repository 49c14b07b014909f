package access

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

const users = "# who may come in\n\nalice = secret\nbob=p=w\n"

// run plays a client that knows a password against the chain.
func run(t *testing.T, c *Chain, user, password string) (username string, ok bool) {
	t.Helper()
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	x, known := c.Exchange(ScramSHA256)
	if !known {
		t.Fatal("the method is not known")
	}
	challenge := ""
	for range 3 {
		said, err := conv.Step(challenge)
		if err != nil {
			return "", false
		}
		reply, done, err := x.Step([]byte(said))
		if err != nil {
			return "", false
		}
		if challenge = string(reply); done {
			_, err := conv.Step(challenge) // the server proves itself, too
			return x.Username(), err == nil
		}
	}
	return "", false
}

func TestScramLetsInWhoKnowsThePassword(t *testing.T) {
	s, err := ReadScram(strings.NewReader(users))
	if err != nil {
		t.Fatal(err)
	}
	c := New(false, true, s)
	for _, x := range []struct {
		user, password string
		ok             bool
	}{{"alice", "secret", true}, {"bob", "p=w", true}, {"alice", "p=w", false}, {"carol", "secret", false}} {
		name, ok := run(t, c, x.user, x.password)
		if ok != x.ok || ok && name != x.user {
			t.Errorf("%s with %q: %t as %q", x.user, x.password, ok, name)
		}
	}
}

func TestUnknownMethodsAreNoMethods(t *testing.T) {
	s, err := ReadScram(strings.NewReader(users))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := New(true, true, s).Exchange("GSS-API"); ok {
		t.Error("it was begun")
	}
	if _, ok := New(true, true, nil).Exchange(ScramSHA256); ok {
		t.Error("it was begun without users")
	}
}

func TestABadUserFileNamesTheLineAndNoPassword(t *testing.T) {
	for text, want := range map[string]string{
		"alice = secret\nbob\n":          "line 2: want `name = password`",
		"alice = secret\nalice = hush\n": `line 2: user "alice" is given twice`,
		"= secret\n":                     "line 1: want `name = password`",
	} {
		_, err := ReadScram(strings.NewReader(text))
		if err == nil || err.Error() != want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWithoutModulesAnonymousAndNomatchDecide(t *testing.T) {
	open, shut := New(true, true, nil), New(false, false, nil)
	cred := &Credentials{ClientID: "c"}
	if open.Authenticate(cred) != Accept || !open.MayPublish(cred, "t") || !open.MaySubscribe(cred, "#") {
		t.Error("an open chain refuses")
	}
	if shut.Authenticate(cred) != NotAuthorized || shut.MayPublish(cred, "t") || shut.MaySubscribe(cred, "#") {
		t.Error("a shut chain lets in")
	}
}

func TestTheNodesOwnUsersMayUseScram(t *testing.T) {
	file, err := ReadScram(strings.NewReader("alice = secret\n"))
	if err != nil {
		t.Fatal(err)
	}
	table := &memory{}
	own := accounts(t, UserNames, "salt,sha256")
	own.table = table
	ctx := context.Background()
	for _, name := range []string{"bob", "alice"} {
		if err := own.Add(ctx, name, []byte("public"), true); err != nil {
			t.Fatal(err)
		}
	}
	own, err = OpenAccounts(UserNames, table, nil, own.scheme)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChain(Options{Modules: []Module{own}, Users: own, Scram: file, Bans: bans(t)})
	for _, x := range []struct {
		user, password string
		ok, super      bool
	}{{"bob", "public", true, true}, {"bob", "secret", false, false}, {"alice", "secret", true, false}, {"alice", "public", false, false}} {
		name, ok := run(t, c, x.user, x.password)
		if ok != x.ok {
			t.Errorf("%s with %q: %t", x.user, x.password, ok)
			continue
		}
		if !ok {
			continue
		}
		id, d, why := c.Vouched(&Credentials{ClientID: "c", Username: name})
		if d != Accept || id.Superuser() != x.super || id.Username() != x.user {
			t.Errorf("%s: %s because %s", x.user, d, why)
		}
	}
	id, _, _ := c.Vouched(&Credentials{ClientID: "c", Username: "bob"})
	if _, err := own.Delete("bob"); err != nil {
		t.Fatal(err)
	}
	if _, ok := run(t, c, "bob", "public"); ok || id.Refresh(ctx) {
		t.Error("a user who was deleted comes in, or stays")
	}
	if err := c.Bans().Add(Ban{Kind: BanUser, Who: "alice"}); err != nil {
		t.Fatal(err)
	}
	if _, d, _ := c.Vouched(&Credentials{Username: "alice"}); d != Banned || c.MayTry("192.0.2.1", "c", "alice") != Banned {
		t.Error("a banned user comes in")
	}
}

func TestAUserOfASlowSchemeHasNoKeysThatAreEasierToGuess(t *testing.T) {
	own := accounts(t, UserNames, "pbkdf2,sha256,10,32", "bob")
	if _, ok := run(t, NewChain(Options{Modules: []Module{own}}), "bob", "public"); ok {
		t.Error("there are keys for SCRAM")
	}
	if _, err := decodeScram("4096:AAAA"); err == nil {
		t.Error("damaged keys are taken")
	}
}

func TestFailedExchangesMakeTheSourceWait(t *testing.T) {
	c := NewChain(Options{Backoff: NewBackoff(BackoffOptions{After: 1, First: time.Hour, Longest: time.Hour, Size: 16})})
	for range 2 {
		if d := c.MayTry("192.0.2.1", "c", ""); d != Accept {
			t.Error(d)
		}
		c.Failed("192.0.2.1", "")
	}
	if d := c.MayTry("192.0.2.1", "c", ""); d != TooManyAttempts {
		t.Error(d)
	}
}
