// Package mongo authenticates clients, and knows their access rules, by documents of
// MongoDB in EMQ's layout: a user has the fields password, salt and is_superuser, and
// rules are arrays of topics in the fields publish, subscribe and pubsub. The driver
// makes connections when they are needed: the server may come and go.
package mongo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/template"
)

// Options say where the server is and what is in it.
type Options struct {
	Addrs []string // host:port of the server, or of some members
	// Type is single, rs for a replica set, sharded, or unknown, which lets the driver
	// find out.
	Type       string
	ReplicaSet string // its name, for rs
	Username   string // "" does not log in
	Password   string
	AuthSource string // database that knows the user
	// Mechanism of logging in; "" agrees on SCRAM.
	Mechanism     string
	Database      string
	TLS           *tls.Config // nil: none
	Pool          int         // most connections to each server; 0 is 8
	ReadSecondary bool        // read from a secondary where there is one
	// Timeout bounds connecting, finding a server and each operation, also where a
	// context has no deadline; 0 is 5 s.
	Timeout time.Duration
	// The driver's options of the same names; 0 leaves them to it.
	LocalThreshold, ConnectTimeout, ServerSelectionTimeout, Heartbeat time.Duration

	// Collections: of users, of super-users, of rules; "" is not asked.
	AuthCollection, SuperCollection, ACLCollection string
	// Selectors of the form field=%u,other=%c: all must be equal. For rules it is
	// enough that one of several selects a document.
	AuthSelector, SuperSelector string
	ACLSelectors                []string
	// PasswordField is the field of the password, "password", or it and that of the
	// salt, "password,salt".
	PasswordField string
	Hash          stored.Hash
	SuperField    string // true in the document of a super-user
	// NoMatch is what holds when no topic does; Ignore leaves a client without any
	// document to the next module and denies the others, as EMQ 2.3 does.
	NoMatch access.Verdict
	Log     *slog.Logger
}

// Module asks a server.
type Module struct {
	client              *driver.Client
	db                  *driver.Database
	o                   Options
	auth, super         selector
	acl                 []selector
	passwordField, salt string // "" for no salt
	teller              stored.Teller
}

const name = "mongo"

// maxDocuments bounds what one client's rules may cost; more is an error.
const maxDocuments = 1000

// New checks the options. It does not wait for the server.
func New(o Options) (*Module, error) {
	m := &Module{o: o, teller: stored.Teller{Log: o.Log}}
	m.passwordField, m.salt, _ = strings.Cut(o.PasswordField, ",")
	if m.passwordField == "" {
		m.passwordField = "password"
	}
	if err := m.parse(); err != nil {
		return nil, err
	}
	c, err := driver.Connect(m.options())
	if err != nil {
		return nil, fmt.Errorf("auth.mongo: %w", err)
	}
	m.client, m.db = c, c.Database(o.Database)
	return m, nil
}

func (m *Module) parse() (err error) {
	if m.o.AuthCollection != "" {
		if m.auth, err = parseSelector(m.o.AuthSelector); err != nil {
			return fmt.Errorf("auth.mongo.auth_query.selector: %w", err)
		}
	}
	if m.o.SuperCollection != "" {
		if m.super, err = parseSelector(m.o.SuperSelector); err != nil {
			return fmt.Errorf("auth.mongo.super_query.selector: %w", err)
		}
	}
	if m.o.ACLCollection != "" {
		if m.acl, err = parseSelectors(m.o.ACLSelectors); err != nil {
			return fmt.Errorf("auth.mongo.acl_query.selector: %w", err)
		}
	}
	return nil
}

func (m *Module) options() *options.ClientOptions {
	o := &m.o
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	either := func(d time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return o.Timeout
	}
	pool := uint64(8)
	if o.Pool > 0 {
		pool = uint64(o.Pool)
	}
	c := options.Client().SetHosts(o.Addrs).SetAppName("emqttd").SetMaxPoolSize(pool).SetMaxConnIdleTime(5 * time.Minute).
		SetTimeout(o.Timeout).SetConnectTimeout(either(o.ConnectTimeout)).SetServerSelectionTimeout(either(o.ServerSelectionTimeout))
	if o.LocalThreshold > 0 {
		c.SetLocalThreshold(o.LocalThreshold)
	}
	if o.Heartbeat > 0 {
		c.SetHeartbeatInterval(o.Heartbeat)
	}
	if o.TLS != nil {
		c.SetTLSConfig(o.TLS)
	}
	if o.ReadSecondary {
		c.SetReadPreference(readpref.SecondaryPreferred())
	}
	switch {
	case o.Type == "rs" && o.ReplicaSet != "":
		c.SetReplicaSet(o.ReplicaSet)
	case o.Type == "single" && len(o.Addrs) == 1:
		c.SetDirect(true)
	}
	if o.Username != "" {
		c.SetAuth(options.Credential{
			AuthMechanism: o.Mechanism, AuthSource: o.AuthSource, Username: o.Username, Password: o.Password, PasswordSet: true,
		})
	}
	return c
}

// Close ends the connections. Nothing may be asked any more.
func (m *Module) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return m.client.Disconnect(ctx)
}

// Name is the module's word in the configuration.
func (m *Module) Name() string { return name }

// Authenticate compares the password with the stored one. A client without a
// document is for the next module; one without a password is refused.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if m.auth == nil {
		return access.Result{}, nil
	}
	v := template.Of(c)
	query, ok := m.auth.fill(&v)
	if !ok || c.Password == nil || !template.Sound(c) {
		return access.Result{Verdict: access.Deny, Why: "mongo: no user name or password"}, nil
	}
	user, err := m.one(ctx, "auth_query", m.o.AuthCollection, query)
	if err != nil || user == nil {
		return access.Result{}, err
	}
	r, err := m.o.Hash.Authenticate(ctx, c.Password, text(user, m.passwordField), text(user, m.salt), "mongo: auth_query")
	if err == nil && r.Verdict == access.Allow {
		r.Superuser, err = m.isSuper(ctx, &v)
	}
	if err != nil {
		return access.Result{}, err
	}
	return r, nil
}

// Review looks whether the client that was admitted still has a document.
func (m *Module) Review(ctx context.Context, c *access.Credentials) (access.Result, error) {
	v := template.Of(c)
	query, ok := m.auth.fill(&v)
	if m.auth == nil || !ok {
		return access.Result{}, nil
	}
	user, err := m.one(ctx, "auth_query", m.o.AuthCollection, query)
	if err != nil {
		return access.Result{}, err
	}
	if user == nil {
		return access.Result{Verdict: access.Deny, Why: "mongo: auth_query: the user is gone"}, nil
	}
	super, err := m.isSuper(ctx, &v)
	if err != nil {
		return access.Result{}, err
	}
	return access.Result{Verdict: access.Allow, Superuser: super, Why: "mongo: auth_query"}, nil
}

func (m *Module) isSuper(ctx context.Context, v *template.Values) (bool, error) {
	if m.super == nil {
		return false, nil
	}
	query, ok := m.super.fill(v)
	if !ok {
		return false, nil
	}
	d, err := m.one(ctx, "super_query", m.o.SuperCollection, query)
	if err != nil || d == nil {
		return false, err
	}
	super, ok := d.Lookup(m.o.SuperField).BooleanOK()
	return super && ok, nil
}

// one returns a document, and nil if there is none.
func (m *Module) one(ctx context.Context, key, collection string, query bson.D) (bson.Raw, error) {
	d, err := m.db.Collection(collection).FindOne(ctx, query).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mongo: %s: %w", key, err)
	}
	return d, d.Validate()
}

// text is a field of a document, and empty if it is not there or is no text.
func text(d bson.Raw, field string) string {
	if field == "" {
		return ""
	}
	s, _ := d.Lookup(field).StringValueOK()
	return s
}

// Rules are those of the documents that the selectors find.
func (m *Module) Rules(ctx context.Context, c *access.Credentials) ([]acl.Rule, error) {
	if m.acl == nil {
		return nil, nil
	}
	if !template.Sound(c) {
		return stored.DenyAll("mongo: the client's name is not text"), nil
	}
	v := template.Of(c)
	var g stored.Grants
	if query, ok := fillAny(m.acl, &v); ok {
		cursor, err := m.db.Collection(m.o.ACLCollection).Find(ctx, query, options.Find().SetLimit(maxDocuments+1))
		if err != nil {
			return nil, fmt.Errorf("mongo: acl_query: %w", err)
		}
		var all []bson.Raw
		if err := cursor.All(ctx, &all); err != nil {
			return nil, fmt.Errorf("mongo: acl_query: %w", err)
		}
		if len(all) > maxDocuments {
			return nil, fmt.Errorf("mongo: acl_query: more than %d documents are about one client", maxDocuments)
		}
		for _, d := range all {
			grant(&g, d)
		}
	}
	m.teller.Tell(name, g.Skipped)
	return g.End(m.o.NoMatch, name), nil
}

// grant adds what a document allows.
func grant(g *stored.Grants, d bson.Raw) {
	g.Found()
	for _, f := range []struct {
		name   string
		action acl.Action
	}{{"publish", acl.Publish}, {"subscribe", acl.Subscribe}, {"pubsub", acl.PubSub}} {
		value := d.Lookup(f.name)
		if value.Type == 0 {
			continue
		}
		origin := "mongo: acl_query: " + f.name
		if topic, ok := value.StringValueOK(); ok {
			g.Add(f.action, topic, origin)
			continue
		}
		array, ok := value.ArrayOK()
		if !ok {
			g.Skip(fmt.Errorf("%s is no array", origin))
			continue
		}
		topics, err := array.Values()
		if err != nil {
			g.Skip(fmt.Errorf("%s: %w", origin, err))
		}
		for _, t := range topics {
			if topic, ok := t.StringValueOK(); ok {
				g.Add(f.action, topic, origin)
			} else {
				g.Skip(fmt.Errorf("%s holds what is no text", origin))
			}
		}
	}
}
