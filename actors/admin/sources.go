package admin

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin/events"
	"emqttd/actors/admin/operators"
	"emqttd/actors/configuration"
	"emqttd/actors/system/trace"
)

// Sources is everything that the admin actor and the HTTP API know of the node: functions that actors/node fills in.
// They are called from many goroutines at once, never from an actor's own, and may block for seconds.
//
// A list function returns at most limit rows after the cursor and the cursor of the next page; "" is both the first
// page and the end. Rows that come and go meanwhile may be missed or not; those that stay are listed exactly once. The
// cursor is opaque here.
type Sources struct {
	Node           string // the node's name, such as emq@127.0.0.1
	Version        string
	AllowAnonymous func() bool // mqtt.allow_anonymous: with it the HTTP API asks nobody who he is

	// Access is the chain that decides about clients, users of the HTTP API among them.
	Access *access.Chain
	// CleanACLCache forgets what is kept about the rights of a connected client; false when there is none.
	CleanACLCache func(id string) bool

	Running func() bool          // false while the node starts or stops
	Uptime  func() time.Duration // since the node started
	Stop    func()               // begins an orderly stop and returns at once
	// Drain refuses new clients and begins to send away those that are there; it returns how many there are. server is
	// told to clients of MQTT 5 and may be empty; moved says that they need not come back. Undrain takes clients again.
	Drain   func(server string, moved bool) (clients int)
	Undrain func()
	// Cluster is what there is of other nodes; nil where there can be none.
	Cluster Cluster

	Clients func(cursor string, limit int) (page []ClientInfo, next string)
	Client  func(id string) (ClientInfo, bool)
	Kick    func(id string) bool // closes the connection; false when there is none

	Sessions func(filter SessionFilter, cursor string, limit int) (page []SessionInfo, next string)
	Session  func(id string) (SessionInfo, bool)

	Subscriptions   func(cursor string, limit int) (page []SubscriptionInfo, next string)
	SubscriptionsOf func(id string) (all []SubscriptionInfo, found bool) // found: the session exists
	// Subscribe and Unsubscribe act for a session. filter is as a client would write it, $share/ and $local/ included.
	// They return ErrNoSession, or what is wrong with the filter.
	Subscribe   func(id, filter string, qos byte) error
	Unsubscribe func(id, filter string) error

	Topics func(cursor string, limit int) (page []string, next string)
	Routes func(cursor string, limit int) (page []RouteInfo, next string)
	Route  func(topic string) []RouteInfo // of exactly this filter

	Stats     func() []Stat // clients/count, clients/max, …, in the order in which they are to be shown
	Metrics   func() []Stat
	Listeners func() []ListenerInfo
	// They take the name of a listener, tcp.external. Connections are not touched.
	StartListener func(name string) error
	StopListener  func(name string) error
	// ReloadListener has it read certificates again, or all where name is empty.
	ReloadListener func(name string) error

	// What explains why messages were or were not delivered, line by line. An error says what cannot be explained.
	ExplainClient  func(id string) ([]string, error)
	ExplainTopic   func(topic string) ([]string, error)
	ExplainMessage func(tag string) ([]string, error)

	Trace *trace.Tracer
	// Path is where a file is that an operator names, relative to the node's home.
	Path func(string) string
	// LogLevel is the lowest level that the log writes; SetLogLevel changes it until the node stops.
	LogLevel    func() string
	SetLogLevel func(level string) error

	// Tree returns the supervision tree below the actor with this id ("node" is the root). The children of shards are
	// counted; they are listed too when all is true.
	Tree    func(id string, all bool) (Actor, bool)
	Inspect func(id string) (Actor, bool) // one actor, without its children
	Kill    func(id string) bool          // crashes the actor; false when there is none

	// Loads looks twice, some time apart, at no more than limit actors: see ActorLoad. turn is counted up from one call to
	// the next, so that each looks at others. left is how many were not looked at.
	Loads func(limit, turn int, apart time.Duration) (loads []ActorLoad, left int)
	// Actors is how many actors there are.
	Actors func() int

	Publish func(PublishRequest) error // nil when the message was taken over

	RetainedTopics func(cursor string, limit int) (page []string, next string)
	CleanRetained  func() (int, error) // returns how many messages there were

	// Contents is what is on its way to a client and what waits for it, at most limit messages of each; false when there is
	// no such session.
	Contents func(id string, limit int) (SessionContents, bool)
	Alarms   func() []AlarmInfo // those that are on
	Settings func() []Setting   // the configuration that is in force, without secrets

	// Plugins are all that can be loaded. ChangePlugin loads, unloads or reloads one; it returns ErrPluginLoaded,
	// ErrPluginNotStarted, or what else is wrong in one line.
	Plugins      func() []PluginInfo
	ChangePlugin func(verb, name string) error

	// Config is the configuration that is in force, with its history.
	Config *configuration.Owner

	// Operators may use the HTTP API.
	Operators *operators.Accounts
	// Events tells what changes.
	Events *events.Hub

	// Seek finds a cursor of a list from which its row is no more than some hundred rows away: behind the cursor row begins
	// at that number. For lists that are asked for by page numbers.
	SeekClients       func(row int) (cursor string, behind int)
	SeekSessions      func(row int) (cursor string, behind int)
	SeekSubscriptions func(row int) (cursor string, behind int)

	// Recovering says how far the recovery is while the node starts, for example "sessions: 12000"; empty otherwise.
	Recovering func() string
	// What can be done with the store. They take a folder or file, relative to the node's home, and return where it is.
	StoreStats   func() []Stat
	StoreCheck   func() (StoreReport, error)
	StoreBackup  func(dir string) (string, error)
	StoreRestore func(dir string) (string, error)
	StoreExport  func(file string) (string, error)
}

// Refusals of Sources.
var (
	ErrNoSession = errors.New("no such session")
	ErrTooLarge  = errors.New("message too large")
	ErrUnsafe    = errors.New("the store does not keep the message now")
)

// Missing returns what was left nil: a mistake in the program, to be found at start-up and not by the
// operator's first question.
func (s *Sources) Missing() error {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); (f.Kind() == reflect.Func || f.Kind() == reflect.Pointer) && f.IsNil() {
			return fmt.Errorf("admin: Sources.%s is not set", v.Type().Field(i).Name)
		}
	}
	return nil
}

// ClientInfo is one connected client.
type ClientInfo struct {
	ID           string    `json:"client_id"`
	Username     string    `json:"username"` // "" when it gave none
	IP           string    `json:"ip"`
	Port         int       `json:"port"`
	CleanSession bool      `json:"clean_session"`
	ProtoVersion byte      `json:"protocol_version"` // 3, 4 or 5
	KeepAlive    int       `json:"keepalive"`        // seconds
	ConnectedAt  time.Time `json:"connected_at"`
}

// SessionFilter chooses sessions for a list.
type SessionFilter uint8

// The filters: persistent is clean session 0.
const (
	AllSessions SessionFilter = iota
	PersistentSessions
	TransientSessions
)

// Match reports whether a session with this clean session flag is wanted.
func (f SessionFilter) Match(cleanSession bool) bool {
	return f == AllSessions || (f == TransientSessions) == cleanSession
}

// SessionInfo is one session, connected or not.
type SessionInfo struct {
	ClientID      string    `json:"client_id"`
	Connected     bool      `json:"connected"`
	CleanSession  bool      `json:"clean_session"`
	Subscriptions int       `json:"subscriptions"`
	MaxInflight   int       `json:"max_inflight"`
	Inflight      int       `json:"inflight"`
	QueueLen      int       `json:"queue"`
	QueueDropped  uint64    `json:"queue_dropped"`
	AwaitingRel   int       `json:"awaiting_rel"`
	Delivered     uint64    `json:"delivered"` // messages delivered to the client
	Enqueued      uint64    `json:"enqueued"`  // messages that had to wait in the queue
	CreatedAt     time.Time `json:"created_at"`
}

// SubscriptionInfo is one subscription of one session.
type SubscriptionInfo struct {
	ClientID string `json:"client_id"`
	Topic    string `json:"topic"`           // the filter, without $share/<group>/, $queue/ and $local/
	Group    string `json:"share,omitempty"` // of a shared subscription; "" = none
	QoS      byte   `json:"qos"`
}

// RouteInfo says that a node has subscribers for a filter.
type RouteInfo struct {
	Topic string `json:"topic"`
	Node  string `json:"node"`
}

// Stat is one named number.
type Stat struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// ListenerInfo is one listener.
type ListenerInfo struct {
	Name           string  `json:"name"` // tcp.external
	Stopped        bool    `json:"stopped"`
	Protocol       string  `json:"protocol"` // as EMQ writes it: mqtt:tcp, mqtt:api
	Listen         string  `json:"listen"`   // ip:port
	Acceptors      int     `json:"acceptors"`
	MaxClients     int     `json:"max_clients"`
	CurrentClients int     `json:"current_clients"`
	ShutdownCount  Figures `json:"shutdown_count"` // reason and number of the connections that ended with it; none with 0
}

// Actor is one actor of the supervision tree.
type Actor struct {
	ID         string  `json:"id"`             // node/sessions/17
	Name       string  `json:"name"`           // 17
	Kind       string  `json:"kind,omitempty"` // the Go type, "" when it is not known
	Mailbox    int     `json:"mailbox"`        // messages waiting
	Restarts   int     `json:"restarts"`
	ChildCount int     `json:"child_count"`
	Children   []Actor `json:"children,omitempty"` // empty where children are only counted
}

// PublishRequest is one message that an operator publishes.
type PublishRequest struct {
	ClientID string // whom it is said to come from
	Topic    string // a valid topic name
	Payload  []byte // owned by the receiver from now on
	QoS      byte   // 0, 1 or 2
	Retain   bool
}

// ActorLoad is what one actor has to do.
type ActorLoad struct {
	ID      string  `json:"id"`
	Mailbox int     `json:"mailbox"` // messages waiting
	Rate    float64 `json:"rate"`    // messages handled in a second
}

// QueuedMessage is a message on its way to a client, or waiting for it. Its payload is not shown.
type QueuedMessage struct {
	Topic   string    `json:"topic"`
	QoS     byte      `json:"qos"` // at which the client gets it
	Size    int       `json:"size"`
	From    string    `json:"from"`
	Arrived time.Time `json:"arrived_at"`
	// Of one that is on its way:
	PacketID uint16     `json:"packet_id,omitempty"`
	Waits    string     `json:"waits_for,omitempty"` // puback, pubrec, pubcomp
	Sent     *time.Time `json:"sent_at,omitempty"`   // nil: not yet on this connection
}

// SessionContents is what a session holds for its client.
type SessionContents struct {
	Inflight []QueuedMessage `json:"inflight"`
	Queue    []QueuedMessage `json:"queue"`
	// QueueLen is how many wait, those on disk and those beyond the limit included.
	QueueLen int `json:"queue_length"`
}

// AlarmInfo is an alarm that is on.
type AlarmInfo struct {
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	Title    string    `json:"title"`
	Summary  string    `json:"summary"`
	Since    time.Time `json:"occurred_at"`
}

// Setting is one key of the configuration.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Type  string `json:"datatype"`
}
