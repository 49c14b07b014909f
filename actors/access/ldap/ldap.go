// Package ldap authenticates clients by a directory, and reads their access rules
// there. It finds out whether a password is right either by binding as the client's
// entry with it, or by comparing it with an attribute of the entry.
//
// Names of clients are escaped where they become part of a distinguished name or a
// filter, and an empty password, with which every server lets one bind, is refused.
package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/pool"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/template"
)

// Options say where the directory is and what is in it.
type Options struct {
	Addrs    []string    // host:port; the next is tried when one does not answer
	TLS      *tls.Config // ldaps, or with StartTLS TLS on the plain port; nil: none
	StartTLS bool
	// BindDN and BindPassword are who searches; "" is nobody.
	BindDN, BindPassword string
	Pool                 int // most connections to search, and as many to bind as clients; 0 is 8
	// Timeout bounds connecting and each answer, also where a context has no
	// deadline; 0 is 5 s.
	Timeout time.Duration

	// UserDN is the client's entry, with %u, %c and %a. If it is set, the client is
	// who can bind as it, and nothing is searched.
	UserDN string
	// AuthDN is where Filter is searched, both with %u, %c and %a.
	AuthDN, Filter string
	// PasswordAttribute is compared with the password, by Hash, and with the
	// attribute salt if there is one; "" binds as the entry that was found.
	PasswordAttribute string
	Hash              stored.Hash
	// SuperAttribute marks a super-user by TRUE or 1. The others hold the topics that
	// the client may publish to, subscribe to, or both. "": not asked for.
	SuperAttribute, PublishAttribute, SubscribeAttribute, PubSubAttribute string
	// NoMatch is what holds when no topic does; Ignore leaves a client without any
	// topic to the next module and denies the others.
	NoMatch access.Verdict
	Log     *slog.Logger
}

// Module asks a directory.
type Module struct {
	o                      Options
	dialer                 *dialer
	search                 *pool.Pool[*ldap.Conn] // bound as BindDN
	bind                   *pool.Pool[*ldap.Conn] // bound as whoever came last
	userDN, authDN, filter template.Template
	naming                 naming
	teller                 stored.Teller
}

const name = "ldap"

// saltAttribute of an entry belongs to its PasswordAttribute.
const saltAttribute = "salt"

// New checks the options. It does not connect.
func New(o Options) (*Module, error) {
	if o.Pool == 0 {
		o.Pool = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.UserDN == "" && o.AuthDN == "" {
		return nil, errors.New("auth.ldap: neither user_dn nor auth_dn is set")
	}
	if o.Filter == "" {
		o.Filter = "(username=%u)"
	}
	if !strings.HasPrefix(o.Filter, "(") {
		o.Filter = "(" + o.Filter + ")"
	}
	m := &Module{
		o: o, dialer: &dialer{addrs: o.Addrs, tls: o.TLS, startTLS: o.StartTLS, timeout: o.Timeout},
		userDN: template.Parse(o.UserDN, template.Identity),
		authDN: template.Parse(o.AuthDN, template.Identity),
		filter: template.Parse(o.Filter, template.Identity),
		teller: stored.Teller{Log: o.Log},
	}
	sample := template.Values{Username: "u", ClientID: "c", Peer: "::1"}
	if text, _ := m.filter.Fill(&sample, ldap.EscapeFilter); text != "" {
		if _, err := ldap.CompileFilter(text); err != nil {
			return nil, fmt.Errorf("auth.ldap.filter: %w", err)
		}
	}
	for key, dn := range map[string]template.Template{"user_dn": m.userDN, "auth_dn": m.authDN} {
		if text, _ := dn.Fill(&sample, ldap.EscapeDN); text != "" {
			if _, err := ldap.ParseDN(text); err != nil {
				return nil, fmt.Errorf("auth.ldap.%s: %w", key, err)
			}
		}
	}
	m.naming = parseNaming(o.Filter)
	if o.UserDN != "" {
		m.naming = parseNaming(o.UserDN)
	}
	m.search = pool.New(o.Pool, 5*time.Minute, m.dialBound, end)
	m.bind = pool.New(o.Pool, 5*time.Minute, m.dialer.dial, end)
	return m, nil
}

// Close ends the connections. Nothing may be asked any more.
func (m *Module) Close() error {
	m.search.Close()
	m.bind.Close()
	return nil
}

// Name is the module's word in the configuration.
func (m *Module) Name() string { return name }

func (m *Module) dialBound(ctx context.Context) (*ldap.Conn, error) {
	c, err := m.dialer.dial(ctx)
	if err != nil || m.o.BindDN == "" {
		return c, err
	}
	if err := during(ctx, c, func() error { return c.Bind(m.o.BindDN, m.o.BindPassword) }); err != nil {
		end(c)
		return nil, fmt.Errorf("bind as %s: %w", m.o.BindDN, err)
	}
	return c, nil
}

// Authenticate finds out whether the password is right. A client without an entry
// is for the next module, but one that cannot bind as UserDN is refused: servers do
// not say whether that entry is there.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if len(c.Password) == 0 || !template.Sound(c) {
		return access.Result{Verdict: access.Deny, Why: "ldap: no user name or password"}, nil
	}
	v := template.Of(c)
	if m.o.UserDN != "" {
		return m.authenticateAs(ctx, &v, c.Password)
	}
	e, ok, err := m.find(ctx, &v, m.o.PasswordAttribute, saltAttribute, m.o.SuperAttribute)
	switch {
	case !ok:
		return access.Result{Verdict: access.Deny, Why: "ldap: no user name"}, nil
	case err != nil || e == nil:
		return access.Result{}, err
	}
	var r access.Result
	if m.o.PasswordAttribute == "" {
		r, err = m.bindAs(ctx, e.DN, c.Password)
	} else {
		r, err = m.o.Hash.Authenticate(ctx, c.Password, e.GetEqualFoldAttributeValue(m.o.PasswordAttribute),
			e.GetEqualFoldAttributeValue(saltAttribute), "ldap: "+m.o.PasswordAttribute)
	}
	r.Superuser = r.Verdict == access.Allow && m.super(e)
	return r, err
}

// Review looks whether the client that was admitted still has an entry. Where only
// the client itself may read that, nothing can be said.
func (m *Module) Review(ctx context.Context, c *access.Credentials) (access.Result, error) {
	v := template.Of(c)
	e, ok, err := m.find(ctx, &v, m.o.SuperAttribute)
	switch {
	case err != nil || !ok:
		return access.Result{}, err
	case e != nil:
		return access.Result{Verdict: access.Allow, Superuser: m.super(e), Why: "ldap"}, nil
	case m.o.BindDN == "" && m.o.UserDN != "":
		return access.Result{}, nil
	}
	return access.Result{Verdict: access.Deny, Why: "ldap: the user is gone"}, nil
}

func (m *Module) authenticateAs(ctx context.Context, v *template.Values, password []byte) (access.Result, error) {
	dn, ok := m.userDN.Fill(v, ldap.EscapeDN)
	if !ok {
		return access.Result{Verdict: access.Deny, Why: "ldap: no user name"}, nil
	}
	r, err := m.bindAs(ctx, dn, password)
	if err != nil || r.Verdict != access.Allow || m.o.SuperAttribute == "" {
		return r, err
	}
	e, _, err := m.find(ctx, v, m.o.SuperAttribute)
	if err != nil {
		return access.Result{}, err
	}
	r.Superuser = e != nil && m.super(e)
	return r, nil
}

// bindAs finds out whether the password is that of an entry.
func (m *Module) bindAs(ctx context.Context, dn string, password []byte) (r access.Result, err error) {
	err = m.bind.Do(ctx, func(c *ldap.Conn) (bool, error) {
		err := during(ctx, c, func() error { return c.Bind(dn, string(password)) })
		return usable(c, err), err
	})
	switch {
	case err == nil:
		return access.Result{Verdict: access.Allow, Why: "ldap: bind"}, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultNoSuchObject, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.ErrorEmptyPassword):
		return access.Result{Verdict: access.Deny, Why: "ldap: bind"}, nil
	}
	return access.Result{}, fmt.Errorf("ldap: bind: %w", err)
}

// find returns the client's entry with some attributes, and nil if there is none; ok
// is false when the client lacks a name that is needed to look for it.
func (m *Module) find(ctx context.Context, v *template.Values, attributes ...string) (e *ldap.Entry, ok bool, err error) {
	request, ok := m.request(v, attributes)
	if !ok {
		return nil, false, nil
	}
	var result *ldap.SearchResult
	err = m.search.Do(ctx, func(c *ldap.Conn) (bool, error) {
		err := during(ctx, c, func() (err error) {
			result, err = c.Search(request)
			return err
		})
		return usable(c, err), err
	})
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax):
		return nil, true, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, true, fmt.Errorf("ldap: more than one entry is about the client")
	case err != nil:
		return nil, true, fmt.Errorf("ldap: search: %w", err)
	case len(result.Entries) > 1:
		return nil, true, fmt.Errorf("ldap: more than one entry is about the client")
	case len(result.Entries) == 0:
		return nil, true, nil
	}
	return result.Entries[0], true, nil
}

func (m *Module) request(v *template.Values, attributes []string) (*ldap.SearchRequest, bool) {
	wanted := make([]string, 0, len(attributes)+1)
	for _, a := range attributes {
		if a != "" {
			wanted = append(wanted, a)
		}
	}
	if len(wanted) == 0 {
		wanted = append(wanted, "1.1") // none at all, in the words of RFC 4511 4.5.1.8
	}
	base, scope, filter := m.authDN, ldap.ScopeWholeSubtree, m.filter
	if m.o.UserDN != "" {
		base, scope, filter = m.userDN, ldap.ScopeBaseObject, template.Parse("(objectClass=*)", "")
	}
	dn, ok := base.Fill(v, ldap.EscapeDN)
	if !ok {
		return nil, false
	}
	text, ok := filter.Fill(v, ldap.EscapeFilter)
	if !ok {
		return nil, false
	}
	return ldap.NewSearchRequest(dn, scope, ldap.NeverDerefAliases, 2, int(m.o.Timeout/time.Second)+1, false, text, wanted, nil), true
}

func (m *Module) super(e *ldap.Entry) bool {
	if m.o.SuperAttribute == "" {
		return false
	}
	value := e.GetEqualFoldAttributeValue(m.o.SuperAttribute)
	return strings.EqualFold(value, "TRUE") || value == "1"
}

// Rules are those of the attributes of the client's entry. Directories take "Alice "
// for "alice", MQTT does not: a client that another module has let in by such a name
// is not the one that the rules are for, and may do nothing.
func (m *Module) Rules(ctx context.Context, c *access.Credentials) ([]acl.Rule, error) {
	attributes := []struct {
		name   string
		action acl.Action
	}{{m.o.PublishAttribute, acl.Publish}, {m.o.SubscribeAttribute, acl.Subscribe}, {m.o.PubSubAttribute, acl.PubSub}}
	var names []string
	for _, a := range attributes {
		if a.name != "" {
			names = append(names, a.name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	if !template.Sound(c) {
		return stored.DenyAll("ldap: the client's name is not text"), nil
	}
	v := template.Of(c)
	e, _, err := m.find(ctx, &v, append(names, m.naming.attribute)...)
	if err != nil {
		return nil, err
	}
	if e != nil && !m.naming.is(e, &v) {
		return stored.DenyAll("ldap: the directory writes the client's name in another way"), nil
	}
	var g stored.Grants
	for _, a := range attributes {
		if e == nil || a.name == "" {
			continue
		}
		for _, topic := range e.GetEqualFoldAttributeValues(a.name) {
			g.Add(a.action, topic, "ldap: "+a.name)
		}
	}
	m.teller.Tell(name, g.Skipped)
	return g.End(m.o.NoMatch, name), nil
}
