// Package jwt authenticates clients by signed tokens, which they send in place of a
// password or user name. Keys are a secret (HS256, HS384, HS512), a public key (RS*,
// ES*), or a set of public keys at a URL, which is read again now and then and when a
// token names a key that is not in it.
//
// What a token says of its client holds while it is connected: exp ends the
// connection, and a claim may hold the only access rules of the client.
package jwt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"emqttd/actors/access"
	"emqttd/actors/access/template"
)

// Options say which tokens are good.
type Options struct {
	// Secret is the key of HS256, HS384 and HS512; empty refuses these.
	Secret []byte
	// PublicKey is PEM: a key, or a certificate, of RSA or ECDSA; empty: none.
	PublicKey []byte
	// JWKS is the URL of a set of keys for RS* and ES*, read again each Refresh, which
	// is 5 minutes if it is 0.
	JWKS    string
	Refresh time.Duration
	TLS     *tls.Config // for JWKS; nil trusts the system's authorities
	// Timeout bounds reading JWKS; 0 is 5 s.
	Timeout time.Duration

	// FromUsername takes the token from the user name instead of the password.
	FromUsername bool
	// Claims are claim=value, all of which must be so; a value may have %u, %c, %a.
	Claims []string
	// ACLClaim holds the access rules of the client, after which nothing is allowed;
	// see rules. UsernameClaim holds the user name that it has then. SuperClaim is true
	// for a super-user. "": none.
	ACLClaim, UsernameClaim, SuperClaim string
}

// Module checks tokens.
type Module struct {
	o      Options
	keys   keys
	claims []claim
	parser *jwt.Parser
}

type claim struct {
	name  string
	value template.Template
}

const name = "jwt"

// New reads the keys. It begins to read those at a URL and does not wait for them.
func New(o Options) (*Module, error) {
	m := &Module{o: o}
	for _, c := range o.Claims {
		field, value, ok := strings.Cut(c, "=")
		field = strings.TrimSpace(field)
		if !ok || field == "" {
			return nil, fmt.Errorf("auth.jwt.claims: %q is not claim=value", c)
		}
		m.claims = append(m.claims, claim{field, template.Parse(strings.TrimSpace(value), template.Identity)})
	}
	var err error
	if m.keys, err = newKeys(&o); err != nil {
		return nil, err
	}
	// A list of algorithms, or a token could choose to be checked with "none".
	m.parser = jwt.NewParser(jwt.WithValidMethods(m.keys.methods()))
	return m, nil
}

// Close ends the reading of keys.
func (m *Module) Close() error {
	m.keys.close()
	return nil
}

// Name is the module's word in the configuration.
func (m *Module) Name() string { return name }

// Authenticate checks the token. What is no token at all is for the next module, but
// a client that sends nothing is refused.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	text := string(c.Password)
	if m.o.FromUsername {
		text = c.Username
	}
	if text == "" || !template.Sound(c) {
		return deny("no token"), nil
	}
	if strings.IndexFunc(text, foreign) >= 0 {
		return access.Result{}, nil
	}
	claims := jwt.MapClaims{}
	_, err := m.parser.ParseWithClaims(text, claims, m.keys.find(ctx))
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return access.Result{}, nil
	case errors.Is(err, errNoKeys):
		return access.Result{}, fmt.Errorf("jwt: %w", errNoKeys)
	case err != nil:
		return deny(reason(err)), nil
	}
	return m.result(c, claims), nil
}

// foreign tells of a character that is in no token. The library would overlook line
// ends, and one token would have many spellings.
func foreign(r rune) bool {
	return r != '.' && r != '-' && r != '_' && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
}

func deny(why string) access.Result {
	return access.Result{Verdict: access.Deny, Why: "jwt: " + why}
}

// reason is in our words: the library's tell parts of the token.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return "there is no key for the token"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the signature is wrong"
	}
	return "the token is not valid"
}

// result is what follows from the claims of a token that is in order.
func (m *Module) result(c *access.Credentials, claims jwt.MapClaims) access.Result {
	v := template.Of(c)
	for _, want := range m.claims {
		value, ok := want.value.Fill(&v, nil)
		if !ok || !holds(claims[want.name], value) {
			return deny("the claim " + want.name + " is another")
		}
	}
	r := access.Result{Verdict: access.Allow, Why: name}
	exp, err := claims.GetExpirationTime()
	if err != nil {
		return deny("the claim exp is not a time")
	}
	if exp != nil {
		r.Expires = exp.Time
	}
	if m.o.UsernameClaim != "" {
		user, ok := claims[m.o.UsernameClaim].(string)
		if !ok || user == "" || !template.Sound(&access.Credentials{Username: user}) {
			return deny("the claim " + m.o.UsernameClaim + " is not a user name")
		}
		r.Username = user
	}
	if m.o.SuperClaim != "" {
		r.Superuser, _ = claims[m.o.SuperClaim].(bool)
	}
	if said, ok := claims[m.o.ACLClaim]; ok && m.o.ACLClaim != "" {
		if r.Rules, err = rules(said); err != nil {
			return deny("the claim " + m.o.ACLClaim + " is not a list of rules")
		}
		r.HasRules = true
	}
	return r
}

// holds tells whether a claim is a text, or a list with it in, as aud may be.
func holds(claim any, text string) bool {
	switch claim := claim.(type) {
	case string:
		return claim == text
	case []any:
		return slices.Contains(claim, any(text))
	}
	return false
}
