// Package stored is what the back ends of access have in common about what they
// keep for a client: passwords and access rules.
package stored

import (
	"context"
	"errors"
	"fmt"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
)

// Hash compares passwords with what is kept of them. Its zero value is plain text.
type Hash struct {
	Scheme hash.Scheme
	Pool   *hash.Pool // bounds the slow schemes; nil does not
}

// Authenticate is the answer to a password, given what is stored of it in place of
// origin. An error is that the comparison did not get its turn. A stored one that is
// not of the scheme, or is empty, is nobody's password: that is the fault of one row
// and does not mean that the back end fails.
func (h Hash) Authenticate(ctx context.Context, password []byte, stored, salt, origin string) (access.Result, error) {
	ok, err := h.Pool.Check(ctx, h.Scheme, stored, salt, password)
	switch {
	case errors.Is(err, hash.ErrStored):
		return access.Result{Verdict: access.Deny, Why: origin + ": " + err.Error()}, nil
	case err != nil:
		return access.Result{}, fmt.Errorf("%s: compare the password: %w", origin, err)
	case ok:
		return access.Result{Verdict: access.Allow, Why: origin}, nil
	}
	return access.Result{Verdict: access.Deny, Why: origin + ": wrong password"}, nil
}
