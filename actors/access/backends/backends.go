// Package backends makes the modules of access that ask somebody else, from the
// configuration. access.FromConfig puts a Guard before each:
//
//	access.FromConfig(cfg, access.Parts{
//		Pool:    pool,
//		Backend: func(name string) (access.Module, error) { return backends.New(cfg, name, pool, log) },
//	})
package backends

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
	"emqttd/actors/access/jwt"
	"emqttd/actors/access/ldap"
	"emqttd/actors/access/mongo"
	"emqttd/actors/access/mysql"
	"emqttd/actors/access/pgsql"
	"emqttd/actors/access/redis"
	"emqttd/actors/access/sqlauth"
	"emqttd/actors/access/stored"
	"emqttd/actors/access/web"
	"emqttd/config"
)

// Names are the words of the modules that New makes.
var Names = []string{"redis", "mysql", "pgsql", "mongo", "ldap", "http", "jwt"}

// New makes the module of a word of access.modules. It reads keys and certificates
// and connects to nobody. Slow password hashes share pool. The module is an
// access.RuleSource, Judge or Watcher only as far as it is set up to be one, and an
// access.Closer.
func New(cfg *config.Config, name string, pool *hash.Pool, log *slog.Logger) (access.Module, error) {
	b := builder{cfg: cfg, pool: pool, log: log}
	switch name {
	case "redis":
		return b.redis(&cfg.Auth.Redis)
	case "mysql":
		return b.mysql(&cfg.Auth.MySQL)
	case "pgsql":
		return b.pgsql(&cfg.Auth.PgSQL)
	case "mongo":
		return b.mongo(&cfg.Auth.Mongo)
	case "ldap":
		return b.ldap(&cfg.Auth.LDAP)
	case "http":
		return b.http(&cfg.Auth.HTTP)
	case "jwt":
		return b.jwt(&cfg.Auth.JWT)
	}
	return nil, fmt.Errorf("there is no back end %q", name)
}

// module is what all but http and jwt can do.
type module interface {
	access.Module
	access.RuleSource
	access.Reviewer
	access.Closer
}

// The modules without what they are not set up to do: the chain asks, and polls, all
// that can.
type (
	withoutRules struct {
		access.Module
		access.Reviewer
		access.Closer
	}
	watchedWithoutRules struct {
		withoutRules
		access.Watcher
	}
	withRules        struct{ module }
	watchedWithRules struct {
		module
		access.Watcher
	}
)

// only leaves of a module what is set up.
func only(m module, rules bool, w access.Watcher) access.Module {
	switch {
	case rules && w != nil:
		return watchedWithRules{m, w}
	case rules:
		return withRules{m}
	case w != nil:
		return watchedWithoutRules{withoutRules{m, m, m}, w}
	}
	return withoutRules{m, m, m}
}

type builder struct {
	cfg  *config.Config
	pool *hash.Pool
	log  *slog.Logger
}

func (b *builder) redis(a *config.AuthRedis) (access.Module, error) {
	h, err := b.hash("redis", a.PasswordHash)
	if err != nil {
		return nil, err
	}
	t, err := b.tls("redis", a.SSL, a.TLS)
	if err != nil {
		return nil, err
	}
	o := redis.Options{
		Addrs: a.Servers, Cluster: a.Type == "cluster", Username: a.Username, Password: string(a.Password), Database: a.Database,
		TLS: t, Pool: a.Pool, Timeout: a.Timeout, Auth: a.AuthCmd, Super: a.SuperCmd, ACL: a.ACLCmd, Hash: h,
		NoMatch: verdict(a.ACLNoMatch), Watch: a.Watch, Log: b.log,
	}
	if a.Type == "sentinel" {
		o.Master = a.Sentinel
	}
	m, err := redis.New(o)
	if err != nil {
		return nil, err
	}
	var w access.Watcher
	if a.Watch {
		w = m
	}
	return only(m, a.ACLCmd != "", w), nil
}

func (b *builder) sql(name string, a *config.AuthSQL) (sqlauth.Options, *tls.Config, error) {
	h, err := b.hash(name, a.PasswordHash)
	if err != nil {
		return sqlauth.Options{}, nil, err
	}
	t, err := b.tls(name, a.SSL, a.TLS)
	return sqlauth.Options{
		Auth: a.AuthQuery, Super: a.SuperQuery, ACL: a.ACLQuery, Hash: h, NoMatch: verdict(a.ACLNoMatch), Log: b.log,
	}, t, err
}

func (b *builder) mysql(a *config.AuthSQL) (access.Module, error) {
	o, t, err := b.sql("mysql", a)
	if err != nil {
		return nil, err
	}
	m, err := mysql.New(mysql.Options{
		Options: o, Addr: a.Server, Username: a.Username, Password: string(a.Password), Database: a.Database,
		TLS: t, Pool: a.Pool, Timeout: a.Timeout,
	})
	if err != nil {
		return nil, err
	}
	return only(m, a.ACLQuery != "", nil), nil
}

func (b *builder) pgsql(a *config.AuthPgSQL) (access.Module, error) {
	o, t, err := b.sql("pgsql", &a.AuthSQL)
	if err != nil {
		return nil, err
	}
	m, err := pgsql.New(pgsql.Options{
		Options: o, Addr: a.Server, Username: a.Username, Password: string(a.Password), Database: a.Database,
		Encoding: a.Encoding, TLS: t, Pool: a.Pool, Timeout: a.Timeout, Channel: a.WatchChannel,
	})
	if err != nil {
		return nil, err
	}
	var w access.Watcher
	if a.WatchChannel != "" {
		w = m
	}
	return only(m, a.ACLQuery != "", w), nil
}

func (b *builder) mongo(a *config.AuthMongo) (access.Module, error) {
	h, err := b.hash("mongo.auth_query", a.PasswordHash)
	if err != nil {
		return nil, err
	}
	t, err := b.tls("mongo", a.SSL, a.TLS)
	if err != nil {
		return nil, err
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	o := mongo.Options{
		Addrs: a.Servers, Type: a.Type, ReplicaSet: a.RSSetName, Username: a.Login, Password: string(a.Password),
		AuthSource: a.AuthSource, Database: a.Database, TLS: t, Pool: a.Pool, ReadSecondary: a.ReadSecondary, Timeout: a.Timeout,
		LocalThreshold: ms(a.Topology.LocalThreshold), ConnectTimeout: ms(a.Topology.ConnectTimeout),
		ServerSelectionTimeout: ms(a.Topology.ServerSelectionTimeout), Heartbeat: ms(a.Topology.HeartbeatFrequency),
		AuthCollection: a.AuthCollection, AuthSelector: a.AuthSelector, PasswordField: a.PasswordField, Hash: h,
		NoMatch: verdict(a.ACLNoMatch), Log: b.log,
	}
	if a.SuperQuery {
		o.SuperCollection, o.SuperSelector, o.SuperField = a.SuperCollection, a.SuperSelector, a.SuperField
	}
	if a.ACLQuery {
		o.ACLCollection, o.ACLSelectors = a.ACLCollection, a.Selectors()
	}
	m, err := mongo.New(o)
	if err != nil {
		return nil, err
	}
	return only(m, a.ACLQuery, nil), nil
}

func (b *builder) ldap(a *config.AuthLDAP) (access.Module, error) {
	h, err := b.hash("ldap", a.PasswordHash)
	if err != nil {
		return nil, err
	}
	t, err := b.tls("ldap", a.SSL || a.StartTLS, a.TLS)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(a.Servers))
	for i, s := range a.Servers {
		addrs[i] = net.JoinHostPort(s, strconv.Itoa(a.Port))
	}
	m, err := ldap.New(ldap.Options{
		Addrs: addrs, TLS: t, StartTLS: a.StartTLS && !a.SSL, BindDN: a.BindDN, BindPassword: string(a.BindPassword),
		Pool: a.Pool, Timeout: a.Timeout, UserDN: a.UserDN, AuthDN: a.AuthDN, Filter: a.Filter,
		PasswordAttribute: a.PasswordAttribute, Hash: h, SuperAttribute: a.SuperAttribute, PublishAttribute: a.PublishAttribute,
		SubscribeAttribute: a.SubscribeAttribute, PubSubAttribute: a.PubSubAttribute, NoMatch: verdict(a.ACLNoMatch), Log: b.log,
	})
	if err != nil {
		return nil, err
	}
	return only(m, a.PublishAttribute != "" || a.SubscribeAttribute != "" || a.PubSubAttribute != "", nil), nil
}

func (b *builder) http(a *config.AuthHTTP) (access.Module, error) {
	t, err := b.tls("http", true, a.TLS)
	if err != nil {
		return nil, err
	}
	request := func(r config.HTTPRequest) web.Request {
		return web.Request{URL: r.URL, Method: r.Method, Params: r.Params}
	}
	return web.New(web.Options{
		Auth: request(a.Auth), Super: request(a.Super), ACL: request(a.ACL), JSON: a.JSON, Headers: a.Headers,
		TLS: t, Pool: a.Pool, Timeout: a.Timeout, NoMatch: verdict(a.ACLNoMatch),
	})
}

func (b *builder) jwt(a *config.AuthJWT) (access.Module, error) {
	t, err := b.tls("jwt", true, a.TLS)
	if err != nil {
		return nil, err
	}
	o := jwt.Options{
		Secret: []byte(a.Secret), JWKS: a.JWKS, Refresh: a.JWKSRefresh, TLS: t, Timeout: a.Timeout, FromUsername: a.From == "username",
		Claims: a.Claims, ACLClaim: a.ACLClaim, UsernameClaim: a.UsernameClaim, SuperClaim: a.SuperClaim,
	}
	if a.PubKey != "" {
		if o.PublicKey, err = os.ReadFile(b.cfg.Path(a.PubKey)); err != nil {
			return nil, fmt.Errorf("auth.jwt.pubkey: %w", err)
		}
	}
	return jwt.New(o)
}

func (b *builder) hash(name, scheme string) (stored.Hash, error) {
	s, err := hash.Parse(scheme)
	if err != nil {
		return stored.Hash{}, fmt.Errorf("auth.%s.password_hash: %w", name, err)
	}
	return stored.Hash{Scheme: s, Pool: b.pool}, nil
}

func verdict(word string) access.Verdict {
	switch word {
	case "allow":
		return access.Allow
	case "deny":
		return access.Deny
	}
	return access.Ignore
}

// tls reads what a back end is reached with by TLS, nil if it is not.
func (b *builder) tls(name string, on bool, c config.TLSClient) (*tls.Config, error) {
	if !on {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.NoVerify}
	if c.CACertFile != "" {
		pem, err := os.ReadFile(b.cfg.Path(c.CACertFile))
		if err != nil {
			return nil, fmt.Errorf("auth.%s: cacertfile: %w", name, err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("auth.%s: cacertfile: %s holds no certificate", name, c.CACertFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("auth." + name + ": certfile and keyfile belong together")
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(b.cfg.Path(c.CertFile), b.cfg.Path(c.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("auth.%s: certfile: %w", name, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
