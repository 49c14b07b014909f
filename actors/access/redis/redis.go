// Package redis authenticates clients, and knows their access rules, by EMQ's
// commands to Redis: a single server, one behind sentinels, or a cluster. Its Module
// makes connections when they are needed: the server may come and go.
//
// With Options.Watch a changed key is told at once, if the server announces changes:
// its notify-keyspace-events must have K, and A or g$hx.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/template"
)

// Options say where the server is and what it is asked.
type Options struct {
	// Addrs are host:port of the server, of the sentinels or of some members of the
	// cluster.
	Addrs []string
	// Master is the name that sentinels know the server by; "" is no sentinels.
	Master             string
	Cluster            bool
	Username, Password string // of the server; sentinels have none
	Database           int
	TLS                *tls.Config // nil: none
	Pool               int         // most connections, to each server of a cluster; 0 is 8
	// Timeout bounds connecting, and each read and write, also where a context has
	// no deadline; 0 is 5 s.
	Timeout time.Duration

	// Auth answers with the password, or the password and the salt; Super with 1 for
	// a super-user; ACL with the fields and values of a hash. Each is a command's
	// words, in which %u, %c and %a are filled in. An empty one is not asked.
	Auth, Super, ACL string
	// Hash compares passwords with the stored ones.
	Hash stored.Hash
	// NoMatch is what holds when no field decides; Ignore leaves a client without any
	// field to the next module and denies the others, as EMQ 2.3 does.
	NoMatch access.Verdict
	// Watch listens to changes of the keys.
	Watch bool
	// Keepalive is how often Watch makes sure that the server is still there; 0 is 15 s.
	Keepalive time.Duration
	Log       *slog.Logger
}

// Module asks a server.
type Module struct {
	client           redis.UniversalClient
	auth, super, acl command
	o                Options
	watched          atomic.Bool // Watch has been called before
	teller           stored.Teller
}

const name = "redis"

// silent is the library's logger: what it would say is in the errors.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// New prepares the commands. It does not connect.
func New(o Options) (*Module, error) {
	redis.SetLogger(silent{})
	if o.Pool == 0 {
		o.Pool = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Keepalive == 0 {
		o.Keepalive = 15 * time.Second
	}
	m := &Module{o: o, auth: parse(o.Auth), super: parse(o.Super), acl: parse(o.ACL), teller: stored.Teller{Log: o.Log}}
	m.client = redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: o.Addrs, MasterName: o.Master, IsClusterMode: o.Cluster, Dialer: dialer(o.Timeout, o.TLS),
		DB: o.Database, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		PoolSize: o.Pool, PoolTimeout: o.Timeout, ConnMaxIdleTime: 5 * time.Minute,
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, ContextTimeoutEnabled: true,
		MaxRetries:               1, // with another connection, if the first was stale
		DialerRetries:            1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return m, nil
}

// Close ends the connections. Nothing may be asked any more.
func (m *Module) Close() error { return m.client.Close() }

// Name is the module's word in the configuration.
func (m *Module) Name() string { return name }

// Authenticate compares the password with the stored one. A client that is not
// there is for the next module; one without a password is refused.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if m.auth == nil {
		return access.Result{}, nil
	}
	v := template.Of(c)
	args, ok := m.auth.fill(&v)
	if !ok || c.Password == nil || !template.Sound(c) {
		return access.Result{Verdict: access.Deny, Why: "redis: no user name or password"}, nil
	}
	values, err := m.do(ctx, "auth_cmd", args)
	if err != nil || len(values) == 0 || values[0] == absent {
		return access.Result{}, err
	}
	values = append(values, "") // no salt
	r, err := m.o.Hash.Authenticate(ctx, c.Password, values[0], values[1], "redis: auth_cmd")
	if err == nil && r.Verdict == access.Allow {
		r.Superuser, err = m.isSuper(ctx, &v)
	}
	if err != nil {
		return access.Result{}, err
	}
	return r, nil
}

// Review looks whether the client that was admitted is still there.
func (m *Module) Review(ctx context.Context, c *access.Credentials) (access.Result, error) {
	v := template.Of(c)
	args, ok := m.auth.fill(&v)
	if !ok {
		return access.Result{}, nil
	}
	values, err := m.do(ctx, "auth_cmd", args)
	if err != nil {
		return access.Result{}, err
	}
	if len(values) == 0 || values[0] == absent {
		return access.Result{Verdict: access.Deny, Why: "redis: auth_cmd: the user is gone"}, nil
	}
	super, err := m.isSuper(ctx, &v)
	if err != nil {
		return access.Result{}, err
	}
	return access.Result{Verdict: access.Allow, Superuser: super, Why: "redis: auth_cmd"}, nil
}

func (m *Module) isSuper(ctx context.Context, v *template.Values) (bool, error) {
	args, ok := m.super.fill(v)
	if !ok {
		return false, nil
	}
	values, err := m.do(ctx, "super_cmd", args)
	return err == nil && len(values) > 0 && values[0] == "1", err
}

// Rules are those of the hash of the client: field is a topic, value 1 to subscribe
// to it, 2 to publish to it, 3 for both. What a hash does not allow it denies.
func (m *Module) Rules(ctx context.Context, c *access.Credentials) ([]acl.Rule, error) {
	if m.acl == nil {
		return nil, nil
	}
	if !template.Sound(c) {
		return stored.DenyAll("redis: the client's name is not text"), nil
	}
	v := template.Of(c)
	args, ok := m.acl.fill(&v)
	if !ok {
		return stored.NoMatch(nil, m.o.NoMatch, name), nil
	}
	values, err := m.do(ctx, "acl_cmd", args)
	if err != nil {
		return nil, err
	}
	g, err := grants(values)
	if err != nil {
		return nil, err
	}
	m.teller.Tell(name, g.Skipped)
	return g.End(m.o.NoMatch, name), nil
}

// grants makes access rules of fields and values by turns.
func grants(values []string) (g stored.Grants, err error) {
	if len(values)%2 != 0 {
		return g, errors.New("redis: acl_cmd: the answer is not of fields and values: use HGETALL")
	}
	for pair := range slices.Chunk(values, 2) {
		origin := "redis: acl_cmd: field " + strconv.Quote(pair[0])
		switch pair[1] {
		case "1":
			g.Add(acl.Subscribe, pair[0], origin)
		case "2":
			g.Add(acl.Publish, pair[0], origin)
		case "3":
			g.Add(acl.PubSub, pair[0], origin)
		default:
			g.Skip(fmt.Errorf("%s is %q, not 1, 2 or 3", origin, pair[1]))
		}
	}
	slices.SortFunc(g.Rules, func(a, b acl.Rule) int { return strings.Compare(a.Origin, b.Origin) })
	return g, nil
}

// do returns the values of an answer; none is nil.
func (m *Module) do(ctx context.Context, key string, args []any) ([]string, error) {
	answer, err := m.client.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redis: %s: %w", key, err)
	}
	values, err := flatten(answer)
	if err != nil {
		return nil, fmt.Errorf("redis: %s: %w", key, err)
	}
	return values, nil
}
