package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"emqttd/actors/access/hash"
	"emqttd/config"
)

// Parts are what FromConfig needs of others. Nil tables keep nothing.
type Parts struct {
	Users, Clients, Bans Table
	// Backend makes the module of a word of access.modules that is not built in:
	// redis, mysql, pgsql, mongo, ldap, http or jwt, without a Guard.
	Backend func(name string) (Module, error)
	// Pool bounds slow comparisons of passwords; nil makes one. Back ends should
	// share it.
	Pool  *hash.Pool
	Scram *Scram
	Log   *slog.Logger
}

// PasswordPool makes the pool for slow comparisons of passwords: half of the
// processors, so that the other half serves those who are connected.
func PasswordPool() *hash.Pool { return hash.NewPool(runtime.GOMAXPROCS(0)/2, 1000) }

// FromConfig makes the chain that a configuration asks for. It reads acl.conf and
// the tables, enters the users and clients of the configuration, and connects to
// nobody.
func FromConfig(cfg *config.Config, p Parts) (*Chain, error) {
	if p.Pool == nil {
		p.Pool = PasswordPool()
	}
	m := &cfg.MQTT
	o := Options{
		AllowAnonymous: m.AllowAnonymous, NoMatchAllow: m.ACLNoMatchAllow, StrictWildcards: cfg.ACL.StrictWildcards,
		CacheTTL: m.ACLCacheTTL, PollInterval: cfg.Access.PollInterval, Scram: p.Scram, Log: p.Log,
		Backoff: NewBackoff(BackoffOptions{
			After: cfg.Access.Backoff.After, First: cfg.Access.Backoff.First, Longest: cfg.Access.Backoff.Longest, Size: cfg.Access.Backoff.Size,
		}),
	}
	if m.CacheACL {
		o.CacheSize = m.ACLCacheMaxSize
	}
	var err error
	if o.Bans, err = OpenBans(orNone(p.Bans)); err != nil {
		return nil, err
	}
	if err := o.accounts(cfg, &p); err != nil {
		return nil, err
	}
	if o.ACL, err = aclFile(cfg); err != nil {
		return nil, err
	}
	for _, name := range cfg.Access.Modules {
		module, err := o.module(cfg, name, &p)
		if err != nil {
			return nil, fmt.Errorf("authentication module %s: %w", name, err)
		}
		o.Modules = append(o.Modules, module)
	}
	return NewChain(o), nil
}

func orNone(t Table) Table {
	if t == nil {
		return NoTable{}
	}
	return t
}

// aclFile opens the file of the access rules. It must exist where somebody chose
// another one than the default.
func aclFile(cfg *config.Config) (*ACLFile, error) {
	name := cfg.MQTT.ACLFile
	if name == "" {
		return nil, nil
	}
	return OpenACLFile(cfg.Path(name), name, name != config.Default().MQTT.ACLFile)
}

// accounts opens the node's own users and clients. As with EMQ, a user of the
// configuration is entered if he is not there, and a client overwrites what is.
func (o *Options) accounts(cfg *config.Config, p *Parts) error {
	scheme, err := hash.Parse(cfg.Auth.UserHash)
	if err != nil {
		return fmt.Errorf("auth.user.password_hash: %w", err)
	}
	if o.Users, err = OpenAccounts(UserNames, orNone(p.Users), p.Pool, scheme); err != nil {
		return err
	}
	if o.Clients, err = OpenAccounts(ClientIDs, orNone(p.Clients), p.Pool, scheme); err != nil {
		return err
	}
	ctx := context.Background()
	for _, l := range cfg.Auth.Users {
		if err := o.Users.Add(ctx, l.Name, []byte(l.Password), false); err != nil && !errors.Is(err, ErrExists) {
			return fmt.Errorf("user %q: %w", l.Name, err)
		}
	}
	for _, l := range cfg.Auth.Clients {
		if o.Clients.has(ctx, l.Name, []byte(l.Password)) {
			continue // other nodes need not hear of it with each start
		}
		if err := o.Clients.Set(ctx, l.Name, []byte(l.Password), false); err != nil {
			return fmt.Errorf("client %q: %w", l.Name, err)
		}
	}
	return nil
}

// module makes one module.
func (o *Options) module(cfg *config.Config, name string, p *Parts) (Module, error) {
	a := &cfg.Auth
	switch name {
	case "username":
		return o.Users, nil
	case "clientid":
		return o.Clients, nil
	case "source":
		rules := make([]SourceRule, len(a.Sources))
		for i, r := range a.Sources {
			rules[i] = SourceRule{Network: r.Network, Allow: r.Allow, Username: r.Username}
		}
		return Sources(rules), nil
	case "x509":
		return Certificate(a.X509.Subject == "dn"), nil
	case "cookie":
		return Cookies(a.Cookie.Name, []byte(a.Cookie.Secret), a.Cookie.Origins)
	}
	if p.Backend == nil {
		return nil, errors.New("it is not built in")
	}
	m, err := p.Backend(name)
	if err != nil {
		return nil, err
	}
	return Guard(m, guardOptions(backendOf(a, name))), nil
}

// backendOf is what the settings of a back end have in common with all others.
func backendOf(a *config.Auth, name string) config.Backend {
	return map[string]config.Backend{
		"redis": a.Redis.Backend, "mysql": a.MySQL.Backend, "pgsql": a.PgSQL.Backend, "mongo": a.Mongo.Backend,
		"ldap": a.LDAP.Backend, "http": a.HTTP.Backend, "jwt": a.JWT.Backend,
	}[name]
}

func guardOptions(b config.Backend) GuardOptions {
	return GuardOptions{
		Timeout: b.Timeout, Retries: b.Retries, Workers: b.Pool, Queue: b.Queue,
		BreakerFailures: b.BreakerFailures, BreakerDelay: b.BreakerDelay, OnErrorIgnore: b.OnErrorIgnore,
	}
}
