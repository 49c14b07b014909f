package access

import (
	"context"
	"net/http"
	"time"

	"emqttd/actors/access/acl"
)

// Credentials are what a client says of itself in its CONNECT, and what its
// listener knows of it. They are immutable while a module looks at them.
// Password and Header are never logged.
type Credentials struct {
	ClientID string
	Username string // empty: none
	Password []byte // nil: none
	Peer     string // IP address
	Listener string // key of the listener, `listener.tcp.external`
	Protocol string // mqtt, mqtt-sn, coap, stomp …
	CertCN   string // common name of the client's certificate, if it showed one
	CertDN   string // and its whole subject
	// Header is that of the request which became a WebSocket, else nil.
	Header http.Header
}

// Verdict is what a module says.
type Verdict uint8

// The verdicts.
const (
	Ignore Verdict = iota // the next module decides
	Allow
	Deny
)

// String is the verdict in a word.
func (v Verdict) String() string { return [...]string{"ignore", "allow", "deny"}[v] }

// Result is a module's answer to Credentials.
type Result struct {
	Verdict   Verdict
	Superuser bool // no access rule binds it
	// Username replaces the client's, if it is set.
	Username string
	// Expires is when the client must be gone; zero is never.
	Expires time.Time
	// Rules are judged for this client before those of others, if HasRules.
	Rules    []acl.Rule
	HasRules bool
	// Why is the rule or query that decided, for `access test` and logs. It holds
	// no secret.
	Why string
}

// Module is one step of the chain. An error means that the back end could not
// answer. Methods are called from many goroutines at a time; they must end soon
// after ctx does.
type Module interface {
	// Name is the module's word in the configuration: redis, http …
	Name() string
	Authenticate(ctx context.Context, c *Credentials) (Result, error)
}

// RuleSource is a Module that knows access rules: all those that concern the
// client, in the order in which they are judged. They are kept for the
// connection until they are too old or a Watcher says that they changed.
type RuleSource interface {
	Rules(ctx context.Context, c *Credentials) ([]acl.Rule, error)
}

// Judge is a Module that decides about each action and topic itself. For
// acl.Subscribe the topic is a filter, without a prefix such as $share/g/.
type Judge interface {
	Authorize(ctx context.Context, c *Credentials, a acl.Action, topic string) (Verdict, error)
}

// Watcher is a Module that learns of changes. Watch calls changed with whom each
// concerns until ctx ends; an error is that it cannot hear any longer, and it is
// called again later.
type Watcher interface {
	Watch(ctx context.Context, changed func(Selector)) error
}

// Closer is a Module that holds connections.
type Closer interface{ Close() error }

// Selector is a set of clients: those with the ClientID and the Username; an
// empty one is any.
type Selector struct{ ClientID, Username string }

// Matches tells whether a client is in the set.
func (s Selector) Matches(clientID, username string) bool {
	return (s.ClientID == "" || s.ClientID == clientID) && (s.Username == "" || s.Username == username)
}
