package config

import (
	"net/netip"
	"time"
)

// Secret is text that printing does not show.
type Secret string

// String is a mask, or nothing where there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText is String, for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const mask = "******"

// AccessChain holds what concerns the chain of authentication modules as a whole.
type AccessChain struct {
	// Modules are the words of the modules in the order in which they are asked:
	// those of AccessModules. Load replaces "auto".
	Modules []string `conf:"modules"`
	// PollInterval is how often all clients are judged anew, for back ends that
	// cannot say when something changed; 0 is never.
	PollInterval time.Duration `conf:"poll_interval" validate:"omitempty,min=1s"`
	// Backoff protects against guessing passwords.
	Backoff Backoff `conf:"backoff"`
}

// Backoff makes whoever fails to authenticate wait, longer each time.
type Backoff struct {
	// After is how many failures of one source address, or of one user name, are
	// free; 0 switches it off.
	After int `conf:"after" validate:"min=0"`
	// First is the wait after the next one; it doubles with each up to Longest.
	First   time.Duration `conf:"first" validate:"min=100ms"`
	Longest time.Duration `conf:"longest" validate:"min=1s"`
	// Size bounds how many addresses and names are remembered.
	Size int `conf:"size" validate:"min=16"`
}

// ACL holds how access rules are judged.
type ACL struct {
	// StrictWildcards refuses a filter that has a topic in common with one that
	// is denied, not only one that covers it.
	StrictWildcards bool `conf:"strict_wildcards"`
}

// Auth names what authentication modules need.
type Auth struct {
	// ScramFile holds the users of SCRAM-SHA-256; see Config.Path. Empty: off.
	ScramFile string `conf:"scram.file"`
	// UserHash is how the passwords of Users and Clients are kept.
	UserHash string `conf:"user.password_hash"`
	// Users and Clients are the user names and client identifiers of the
	// configuration, Sources the rules for source addresses, each in order.
	Users   []Login      `conf:"-"`
	Clients []Login      `conf:"-"`
	Sources []SourceRule `conf:"-"`

	X509   AuthX509   `conf:"x509"`
	Cookie AuthCookie `conf:"cookie"`
	Redis  AuthRedis  `conf:"redis"`
	MySQL  AuthSQL    `conf:"mysql"`
	PgSQL  AuthPgSQL  `conf:"pgsql"`
	Mongo  AuthMongo  `conf:"mongo"`
	LDAP   AuthLDAP   `conf:"ldap"`
	HTTP   AuthHTTP   `conf:"http"`
	JWT    AuthJWT    `conf:"jwt"`
}

// Login is a name with its password.
type Login struct {
	// Number is the N of auth.user.N, or empty for the form of EMQ 2.0.
	Number   string
	Name     string
	Password Secret
}

// SourceRule says of the clients of a network that they may come in, that they
// may not, or who they are.
type SourceRule struct {
	Number int // the N of auth.source.N; lower ones come first
	Allow  bool
	// Username is who the clients are; it is allowed, too.
	Username string
	// Network is the zero Prefix where the rule is for all.
	Network netip.Prefix
}

// Backend is what all modules that ask somebody else have in common.
type Backend struct {
	// Pool is the number of calls at one time, and of connections.
	Pool int `conf:"pool" validate:"min=1,max=4096"`
	// Queue is how many calls may wait for one of the pool; one more is refused.
	Queue int `conf:"queue" validate:"min=0"`
	// Timeout is how long one call may take, with its retries.
	Timeout time.Duration `conf:"timeout" validate:"min=10ms"`
	// Retries is how often a call that failed is made again.
	Retries int `conf:"retries" validate:"min=0,max=10"`
	// BreakerFailures in a row open the breaker: for BreakerDelay nobody asks.
	BreakerFailures int           `conf:"breaker_failures" validate:"min=1"`
	BreakerDelay    time.Duration `conf:"breaker_delay" validate:"min=10ms"`
	// OnErrorIgnore lets the next module decide while this one cannot answer;
	// else the client is refused.
	OnErrorIgnore bool `conf:"on_error"`
}

// TLSClient is how a back end is reached by TLS. Paths: see Config.Path.
type TLSClient struct {
	CertFile   string `conf:"certfile"`
	KeyFile    string `conf:"keyfile"`
	CACertFile string `conf:"cacertfile"`
	// NoVerify accepts any certificate of the server.
	NoVerify bool `conf:"verify"`
}

// AuthX509 takes the subject of a client's certificate as proof of who it is.
type AuthX509 struct {
	// Subject is cn or dn.
	Subject string `conf:"subject"`
}

// AuthCookie knows clients by a signed cookie of the request that became their
// WebSocket.
type AuthCookie struct {
	Name string `conf:"name"`
	// Secret is the key of its HMAC-SHA-256.
	Secret Secret `conf:"secret"`
	// Origins are pages of other hosts that may open a WebSocket with it.
	Origins []string `conf:"origins"`
}

// AuthRedis asks Redis.
type AuthRedis struct {
	Backend
	// Type is single, sentinel or cluster.
	Type string `conf:"type"`
	// Servers are host:port; the sentinels or some members of a cluster.
	Servers []string `conf:"server" validate:"min=1"`
	// Sentinel is the name of the master.
	Sentinel string    `conf:"sentinel"`
	Database int       `conf:"database" validate:"min=0"`
	Username string    `conf:"username"`
	Password Secret    `conf:"password"`
	SSL      bool      `conf:"ssl"`
	TLS      TLSClient `conf:"ssl_opts"`
	AuthCmd  string    `conf:"auth_cmd"`
	SuperCmd string    `conf:"super_cmd"`
	ACLCmd   string    `conf:"acl_cmd"`
	// PasswordHash: see package hash.
	PasswordHash string `conf:"password_hash"`
	// ACLNoMatch is ignore, allow or deny: the answer where no rule decides.
	ACLNoMatch string `conf:"acl_nomatch"`
	// Watch listens to the notifications of changed keys.
	Watch bool `conf:"watch"`
}

// AuthSQL asks MySQL; AuthPgSQL has it, too.
type AuthSQL struct {
	Backend
	Server   string    `conf:"server" validate:"required"`
	Username string    `conf:"username"`
	Password Secret    `conf:"password"`
	Database string    `conf:"database"`
	SSL      bool      `conf:"ssl"`
	TLS      TLSClient `conf:"ssl_opts"`
	// The queries. A quoted placeholder, '%u', is a parameter of a prepared statement.
	AuthQuery    string `conf:"auth_query"`
	SuperQuery   string `conf:"super_query"`
	ACLQuery     string `conf:"acl_query"`
	PasswordHash string `conf:"password_hash"`
	ACLNoMatch   string `conf:"acl_nomatch"`
}

// AuthPgSQL asks PostgreSQL.
type AuthPgSQL struct {
	AuthSQL
	Encoding string `conf:"encoding"`
	// WatchChannel is what is listened to for changes; empty is off.
	WatchChannel string `conf:"watch_channel"`
}

// AuthMongo asks MongoDB.
type AuthMongo struct {
	Backend
	Type       string    `conf:"type"`
	RSSetName  string    `conf:"rs_set_name"`
	Servers    []string  `conf:"server" validate:"min=1"`
	Login      string    `conf:"login"`
	Password   Secret    `conf:"password"`
	AuthSource string    `conf:"auth_source"`
	Database   string    `conf:"database" validate:"required"`
	SSL        bool      `conf:"ssl"`
	TLS        TLSClient `conf:"ssl_opts"`
	// ReadSecondary reads from a secondary where there is one.
	ReadSecondary bool          `conf:"r_mode"`
	Topology      MongoTopology `conf:"topology"`
	// AuthCollection is where users are, found by AuthSelector, which is of the
	// form a=%u,b=%c: all must match.
	AuthCollection string `conf:"auth_query.collection"`
	AuthSelector   string `conf:"auth_query.selector"`
	// PasswordField may be "password,salt".
	PasswordField   string `conf:"auth_query.password_field"`
	PasswordHash    string `conf:"auth_query.password_hash"`
	SuperQuery      bool   `conf:"super_query"`
	SuperCollection string `conf:"super_query.collection"`
	SuperField      string `conf:"super_query.super_field"`
	SuperSelector   string `conf:"super_query.selector"`
	ACLQuery        bool   `conf:"acl_query"`
	ACLCollection   string `conf:"acl_query.collection"`
	// ACLSelector finds the rules, or ACLSelectors, any of which may match; see Selectors.
	ACLSelector  string            `conf:"acl_query.selector"`
	ACLSelectors []NumberedSetting `conf:"-"`
	ACLNoMatch   string            `conf:"acl_nomatch"`
}

// Selectors are those of the access rules: the numbered ones, or else the one.
func (m *AuthMongo) Selectors() []string {
	if len(m.ACLSelectors) == 0 {
		return []string{m.ACLSelector}
	}
	all := make([]string, len(m.ACLSelectors))
	for i, s := range m.ACLSelectors {
		all[i] = s.Value
	}
	return all
}

// NumberedSetting is one of several settings with a number at their end.
type NumberedSetting struct {
	Number int
	Value  string
}

// MongoTopology are options of the driver, in milliseconds; 0 leaves them to it.
type MongoTopology struct {
	LocalThreshold         int `conf:"local_threshold_ms" validate:"min=0"`
	ConnectTimeout         int `conf:"connect_timeout_ms" validate:"min=0"`
	ServerSelectionTimeout int `conf:"server_selection_timeout_ms" validate:"min=0"`
	HeartbeatFrequency     int `conf:"heartbeat_frequency_ms" validate:"min=0"`
}

// AuthLDAP asks a directory.
type AuthLDAP struct {
	Backend
	// Servers are names or addresses, asked at Port.
	Servers []string `conf:"servers" validate:"min=1"`
	Port    int      `conf:"port" validate:"min=1,max=65535"`
	// SSL is ldaps, StartTLS asks for TLS on the plain port.
	SSL      bool      `conf:"ssl"`
	StartTLS bool      `conf:"start_tls"`
	TLS      TLSClient `conf:"ssl"`
	// BindDN and BindPassword are who searches; without them it is anonymous.
	BindDN       string `conf:"bind_dn"`
	BindPassword Secret `conf:"bind_password"`
	// UserDN is the client's entry, which is bound as with its password. If it is
	// set nothing is searched.
	UserDN string `conf:"user_dn"`
	// AuthDN is where Filter is searched.
	AuthDN string `conf:"auth_dn"`
	Filter string `conf:"filter"`
	// PasswordAttribute is compared by PasswordHash; where it is empty the entry
	// that was found is bound as.
	PasswordAttribute string `conf:"password_attribute"`
	PasswordHash      string `conf:"password_hash"`
	// SuperAttribute marks a super-user by true or 1; the others hold the topics
	// that the user may publish to, subscribe to, or both. Empty: not asked for.
	SuperAttribute     string `conf:"super_attribute"`
	PublishAttribute   string `conf:"publish_attribute"`
	SubscribeAttribute string `conf:"subscribe_attribute"`
	PubSubAttribute    string `conf:"pubsub_attribute"`
	ACLNoMatch         string `conf:"acl_nomatch"`
}

// AuthHTTP asks a service of the user's.
type AuthHTTP struct {
	Backend
	Auth  HTTPRequest `conf:"auth_req"`
	Super HTTPRequest `conf:"super_req"`
	ACL   HTTPRequest `conf:"acl_req"`
	// JSON sends parameters as a JSON object, unless the method is get.
	JSON bool `conf:"format"`
	// Headers of the request that became a WebSocket are passed on.
	Headers    []string  `conf:"headers"`
	TLS        TLSClient `conf:"ssl_opts"`
	ACLNoMatch string    `conf:"acl_nomatch"`
}

// HTTPRequest is one request to a service.
type HTTPRequest struct {
	// URL is empty where nothing is asked.
	URL    string `conf:""`
	Method string `conf:"method"` // get, post or put
	// Params are name=value, where a value may be a placeholder such as %u.
	Params []string `conf:"params"`
}

// AuthJWT checks tokens.
type AuthJWT struct {
	Backend
	// Secret is the key of HS256, HS384 and HS512.
	Secret Secret `conf:"secret"`
	// PubKey is a PEM file for RS* and ES*; see Config.Path.
	PubKey string `conf:"pubkey"`
	// JWKS is the URL of a set of keys, read again every JWKSRefresh.
	JWKS        string        `conf:"jwks"`
	JWKSRefresh time.Duration `conf:"jwks_refresh" validate:"min=1s"`
	TLS         TLSClient     `conf:"ssl_opts"`
	// From is where the token is: password or username.
	From string `conf:"from"`
	// Claims that must be there, claim=value, where a value may be %u or %c.
	Claims []string `conf:"claims"`
	// ACLClaim, UsernameClaim and SuperClaim name the claims that hold access
	// rules, the user name and whether it is a super-user. Empty: none.
	ACLClaim      string `conf:"acl_claim"`
	UsernameClaim string `conf:"username_claim"`
	SuperClaim    string `conf:"super_claim"`
}
