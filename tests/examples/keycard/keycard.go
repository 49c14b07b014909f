// Package keycard is an example of a plugin with an access module: a client comes in
// whose password is the one that a secret makes of its identifier, and nobody reads or
// writes below door/ but clients whose identifier begins with door-.
package keycard

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/plugins"
)

// Plugin is the plugin; etc/plugins/keycard.conf has its secret.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{Name: "keycard", Version: "1.0", Description: "Key cards", Start: func(e *plugins.Env) error {
		r := e.Settings.Read()
		secret := r.String("keycard.secret", "")
		if err := r.Err(); err != nil {
			return err
		}
		if secret == "" {
			return errors.New("keycard.secret is not set")
		}
		return e.AddAccess(&module{[]byte(secret)})
	}}
}

// Password is what a card says.
func Password(secret, clientID string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(clientID)) // it returns no error
	return hex.EncodeToString(mac.Sum(nil))
}

// module implements access.Module and access.Judge.
type module struct{ secret []byte }

func (*module) Name() string { return "keycard" }

// Authenticate decides about those who show a card; others are somebody else's.
func (m *module) Authenticate(_ context.Context, c *access.Credentials) (access.Result, error) {
	if c.Username != "card" {
		return access.Result{}, nil
	}
	if !hmac.Equal(c.Password, []byte(Password(string(m.secret), c.ClientID))) {
		return access.Result{Verdict: access.Deny, Why: "the card is not valid"}, nil
	}
	return access.Result{Verdict: access.Allow}, nil
}

// Authorize implements access.Judge.
func (*module) Authorize(_ context.Context, c *access.Credentials, _ acl.Action, topic string) (access.Verdict, error) {
	if strings.HasPrefix(topic, "door/") && !strings.HasPrefix(c.ClientID, "door-") {
		return access.Deny, nil
	}
	return access.Ignore, nil
}
