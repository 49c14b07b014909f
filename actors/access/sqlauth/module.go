// Package sqlauth is what the back ends of access on SQL databases have in common:
// EMQ's queries for passwords, super-users and access rules, what their rows mean,
// and the answers of the chain that follow from them.
//
// Nothing that a client says becomes part of a query's text; see Prepare.
package sqlauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/template"
)

// DB asks a database. NULL is an empty text, a boolean t or f.
type DB interface {
	// Rows returns the names of the columns and at most limit rows.
	Rows(ctx context.Context, text string, args []any, limit int) (columns []string, rows [][]string, err error)
}

// ErrNotAValue is among the errors of a DB when a client's name cannot be a value of
// the column that it is compared with. The database is well, and the client is
// refused: had its rows been found, one might have denied it something.
var ErrNotAValue = errors.New("the client's name is not a value of the column")

// Options are the queries in EMQ's words. An empty one is not asked.
type Options struct {
	// Auth selects the password, and the salt if the hash needs it.
	Auth string
	// Super selects one column, which is 1 or true for a super-user.
	Super string
	// ACL selects allow, ipaddr, username, clientid, access and topic.
	ACL string
	// Hash compares passwords with the stored ones.
	Hash stored.Hash
	// NoMatch is what holds when no row decides: Ignore leaves it to the next module.
	NoMatch access.Verdict
	Log     *slog.Logger
}

// Module answers for a database.
type Module struct {
	db               DB
	name             string
	auth, super, acl *Query // nil: not asked
	hash             stored.Hash
	noMatch          access.Verdict
	teller           stored.Teller
}

// maxRules bounds what one client's rules may cost; more is an error.
const maxRules = 10_000

// New prepares the queries. It does not connect.
func New(name string, o Options, d Dialect, db DB) (*Module, error) {
	m := &Module{db: db, name: name, hash: o.Hash, noMatch: o.NoMatch, teller: stored.Teller{Log: o.Log}}
	for _, q := range []struct {
		key, text string
		to        **Query
	}{{"auth_query", o.Auth, &m.auth}, {"super_query", o.Super, &m.super}, {"acl_query", o.ACL, &m.acl}} {
		if q.text == "" {
			continue
		}
		var err error
		if *q.to, err = Prepare(q.text, d); err != nil {
			return nil, fmt.Errorf("auth.%s.%s: %w", name, q.key, err)
		}
	}
	return m, nil
}

// Name is the module's word in the configuration.
func (m *Module) Name() string { return m.name }

// Authenticate compares the password with the stored one. A client that is not in
// the table is for the next module; one without a password is refused.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if m.auth == nil {
		return access.Result{}, nil
	}
	v := template.Of(c)
	if !template.Sound(c) || c.Password == nil || m.auth.Needs(&v) {
		return access.Result{Verdict: access.Deny, Why: m.name + ": no user name or password"}, nil
	}
	names, rows, err := m.rows(ctx, "auth_query", m.auth, &v, 2)
	if errors.Is(err, ErrNotAValue) {
		return access.Result{Verdict: access.Deny, Why: err.Error()}, nil
	}
	if err != nil || len(rows) == 0 {
		return access.Result{}, err
	}
	if len(rows) > 1 {
		return access.Result{}, fmt.Errorf("%s: auth_query: more than one row is about the client", m.name)
	}
	r, err := m.hash.Authenticate(ctx, c.Password,
		column(names, rows[0], "password", 0), column(names, rows[0], "salt", 1), m.name+": auth_query")
	if err == nil && r.Verdict == access.Allow {
		r.Superuser, err = m.isSuper(ctx, &v)
	}
	if err != nil {
		return access.Result{}, err
	}
	return r, nil
}

// Review looks whether the client that was admitted is still in the table.
func (m *Module) Review(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if m.auth == nil {
		return access.Result{}, nil
	}
	v := template.Of(c)
	_, rows, err := m.rows(ctx, "auth_query", m.auth, &v, 1)
	if err != nil {
		return access.Result{}, err
	}
	if len(rows) == 0 {
		return access.Result{Verdict: access.Deny, Why: m.name + ": auth_query: the user is gone"}, nil
	}
	super, err := m.isSuper(ctx, &v)
	if err != nil {
		return access.Result{}, err
	}
	return access.Result{Verdict: access.Allow, Superuser: super, Why: m.name + ": auth_query"}, nil
}

func (m *Module) isSuper(ctx context.Context, v *template.Values) (bool, error) {
	if m.super == nil || m.super.Needs(v) {
		return false, nil
	}
	_, rows, err := m.rows(ctx, "super_query", m.super, v, 1)
	if errors.Is(err, ErrNotAValue) {
		return false, nil
	}
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		return false, err
	}
	switch rows[0][0] {
	case "1", "t", "true":
		return true, nil
	}
	return false, nil
}

// Rules are those of the rows that the query selects for the client.
func (m *Module) Rules(ctx context.Context, c *access.Credentials) ([]acl.Rule, error) {
	if m.acl == nil {
		return nil, nil
	}
	if !template.Sound(c) {
		return stored.DenyAll(m.name + ": the client's name is not text"), nil
	}
	v := template.Of(c)
	names, rows, err := m.rows(ctx, "acl_query", m.acl, &v, maxRules+1)
	if errors.Is(err, ErrNotAValue) {
		return stored.DenyAll(err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	if len(rows) > maxRules {
		return nil, fmt.Errorf("%s: acl_query: more than %d rows are about one client", m.name, maxRules)
	}
	all, skipped, err := rules(m.name+": acl_query", names, rows)
	if err != nil {
		return nil, err
	}
	m.teller.Tell(m.name, skipped)
	return stored.NoMatch(all, m.noMatch, m.name), nil
}

func (m *Module) rows(ctx context.Context, key string, q *Query, v *template.Values, limit int) ([]string, [][]string, error) {
	names, rows, err := m.db.Rows(ctx, q.Text, q.Args(v), limit)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s: %w", m.name, key, err)
	}
	return names, rows, nil
}

// column is the value of the column of that name, or else of the one at place.
func column(names, row []string, name string, place int) string {
	for i, n := range names {
		if n == name {
			return row[i]
		}
	}
	if place < len(row) {
		return row[place]
	}
	return ""
}
