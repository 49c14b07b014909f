package clients

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/xdg-go/scram"

	"emqttd/tests/testkit"
)

const scramSHA256 = "SCRAM-SHA-256"

// scramHome is a node that knows a user for SCRAM, and lets others in too.
func scramHome(t *testing.T, lines ...string) *testkit.Home {
	t.Helper()
	users := filepath.Join(t.TempDir(), "scram.conf")
	if err := os.WriteFile(users, []byte("ann = secret\nbob = other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return testkit.NewHome(t, append([]string{"auth.scram.file = " + users}, lines...)...)
}

// scramUser is a client's side of SCRAM. It implements paho.Auther.
type scramUser struct {
	t    *testing.T
	talk *scram.ClientConversation
	done chan struct{}
}

func newScramUser(t *testing.T, name, password string) *scramUser {
	u := &scramUser{t: t, done: make(chan struct{}, 2)}
	u.start(name, password)
	return u
}

func (u *scramUser) start(name, password string) {
	c, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		u.t.Fatal(err)
	}
	u.talk = c.NewConversation()
}

func (u *scramUser) step(challenge []byte) []byte {
	s, err := u.talk.Step(string(challenge))
	if err != nil {
		u.t.Errorf("SCRAM: %v", err)
	}
	return []byte(s)
}

// Authenticate implements paho.Auther.
func (u *scramUser) Authenticate(a *paho.Auth) *paho.Auth {
	if a.ReasonCode != 0x18 || a.Properties.AuthMethod != scramSHA256 {
		u.t.Errorf("AUTH 0x%02X with method %q", a.ReasonCode, a.Properties.AuthMethod)
	}
	return u.auth(0x18, u.step(a.Properties.AuthData))
}

// Authenticated implements paho.Auther.
func (u *scramUser) Authenticated() { u.done <- struct{}{} }

func (u *scramUser) auth(code byte, data []byte) *paho.Auth {
	return &paho.Auth{ReasonCode: code, Properties: &paho.AuthProperties{AuthMethod: scramSHA256, AuthData: data}}
}

func (u *scramUser) awaitDone() {
	u.t.Helper()
	select {
	case <-u.done:
	case <-time.After(testkit.Patience):
		u.t.Fatal("not authenticated")
	}
}

// authenticating begins with the CONNECT.
func (u *scramUser) authenticating(c *paho.ClientConfig, p *paho.Connect) {
	c.AuthHandler = u
	p.Properties.AuthMethod, p.Properties.AuthData = scramSHA256, u.step(nil)
}

func authenticationCases(t *testing.T, addr string) {
	t.Run("SCRAM-SHA-256 lets a user in and proves the broker", func(t *testing.T) {
		t.Parallel()
		ann := newScramUser(t, "ann", "secret")
		c := join5(t, addr, "scram-ann", ann.authenticating)
		ann.awaitDone()
		if p := c.connack.Properties; p.AuthMethod != scramSHA256 {
			t.Errorf("CONNACK names the method %q", p.AuthMethod)
		}
		ann.step(c.connack.Properties.AuthData)
		if !ann.talk.Valid() {
			t.Error("the broker has not proved that it knows the user")
		}
		c.silent("scram-fence")
	})
	t.Run("the user authenticates again", func(t *testing.T) {
		t.Parallel()
		ann := newScramUser(t, "ann", "secret")
		c := join5(t, addr, "scram-again", ann.authenticating)
		ann.awaitDone()
		for range 2 {
			ann.start("ann", "secret")
			r, err := c.Authenticate(c.context(), ann.auth(0x19, ann.step(nil)))
			if err != nil || !r.Success {
				t.Fatalf("AUTH: %+v %v", r, err)
			}
			ann.awaitDone()
		}
		c.silent("scram-again-fence")
	})
	t.Run("another user cannot take its place", func(t *testing.T) {
		t.Parallel()
		u := newScramUser(t, "ann", "secret")
		c := join5(t, addr, "scram-other", u.authenticating)
		u.awaitDone()
		u.start("bob", "other")
		r, err := c.Authenticate(c.context(), u.auth(0x19, u.step(nil)))
		if err != nil || r.Success || r.ReasonCode != 0x87 {
			t.Errorf("AUTH: %+v %v", r, err)
		}
	})
	t.Run("a wrong password, an unknown user and an unknown method are refused", func(t *testing.T) {
		t.Parallel()
		for name, password := range map[string]string{"ann": "guess", "eve": "secret"} {
			p, err := try5(t, addr, "scram-"+name, newScramUser(t, name, password).authenticating)
			if err == nil || p.connack == nil || p.connack.ReasonCode != 0x87 {
				t.Errorf("%s: CONNACK %v %v", name, p.connack, err)
			}
		}
		p, err := try5(t, addr, "scram-unknown", asking(func(p *paho.ConnectProperties) { p.AuthMethod = "SCRAM-SHA-1" }))
		if err == nil || p.connack == nil || p.connack.ReasonCode != 0x8c {
			t.Errorf("CONNACK %v %v", p.connack, err)
		}
	})
}
