// Package fakenode is a broker in plain values, enough to ask everything of it that admin.Sources can be asked: what the
// tests of the command line and of HTTP talk to.
package fakenode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
	"emqttd/actors/admin"
	"emqttd/actors/admin/events"
	"emqttd/actors/admin/operators"
	"emqttd/actors/configuration"
	"emqttd/actors/system/trace"
	"emqttd/config"
	"emqttd/protocol/topic"
)

// Node is the broker. Its fields may be changed before it is asked.
type Node struct {
	mu               sync.Mutex
	ClientRows       []admin.ClientInfo
	SessionRows      []admin.SessionInfo
	SubscriptionRows []admin.SubscriptionInfo
	RouteRows        []admin.RouteInfo
	Drained          string
	Kicked           []string
	Killed           []string
	Published        []admin.PublishRequest
	PublishError     error
	Stopped          chan struct{}
	Up               bool
	Chain            *access.Chain
	Retained         []string
	Held             admin.SessionContents
	AlarmRows        []admin.AlarmInfo
	Operators        *operators.Accounts
	Trace            trace.Tracer
	LogLevel         string
	Events           events.Hub
	Config           *configuration.Owner // without a file; see WithFile
}

// Since is when everything began.
var Since = time.Unix(1479808000, 0)

// NewChain knows the user boss, who may do everything, and joe, who may publish to his own topics.
func NewChain(anonymous bool) *access.Chain {
	scheme, err := hash.Parse("sha256")
	must(err)
	users, err := access.OpenAccounts(access.UserNames, access.NoTable{}, nil, scheme)
	must(err)
	clients, err := access.OpenAccounts(access.ClientIDs, access.NoTable{}, nil, scheme)
	must(err)
	bans, err := access.OpenBans(access.NoTable{})
	must(err)
	must(users.Add(context.Background(), "boss", []byte("b-secret"), true))
	must(users.Add(context.Background(), "joe", []byte("j-secret"), false))
	return access.NewChain(access.Options{
		AllowAnonymous: anonymous, NoMatchAllow: true, Modules: []access.Module{users, rules{users}}, Users: users, Clients: clients,
		Bans: bans, Backoff: access.NewBackoff(access.BackoffOptions{After: 5, First: time.Hour, Longest: time.Hour, Size: 100}),
	})
}

// Table keeps entries in memory.
type Table map[string][]byte

// Put implements access.Table.
func (t Table) Put(key, value []byte) error { t[string(key)] = value; return nil }

// Delete implements access.Table.
func (t Table) Delete(key []byte) error { delete(t, string(key)); return nil }

// Each implements access.Table.
func (t Table) Each(f func(key, value []byte) error) error {
	for k, v := range t {
		if err := f([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func newOperators() *operators.Accounts {
	a, err := operators.Open(operators.Options{Table: Table{}})
	must(err)
	return a
}

// start is a list that has no way to jump ahead.
func start(int) (string, int) { return "", 0 }

// rules lets joe publish below joe/ only.
type rules struct{ access.Module }

func (rules) Rules(context.Context, *access.Credentials) ([]acl.Rule, error) {
	return acl.Parse("acl.conf", []byte("{allow, all, pubsub, [\"%u/#\"]}.\n{deny, {user, \"joe\"}, pubsub, [\"#\"]}.\n"))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// New returns a node with two clients, their sessions and subscriptions.
func New() *Node {
	return &Node{
		Up: true, Stopped: make(chan struct{}), Chain: NewChain(true), Operators: newOperators(),
		Retained: []string{"r/1", "r/2"}, Config: conf(),
		Held: admin.SessionContents{
			Inflight: []admin.QueuedMessage{{Topic: "t", QoS: 1, Size: 5, From: "c1", Arrived: Since.UTC(), PacketID: 7, Waits: "puback"}},
			Queue:    []admin.QueuedMessage{{Topic: "t", QoS: 1, Size: 9, From: "c1", Arrived: Since.UTC()}},
			QueueLen: 7,
		},
		AlarmRows: []admin.AlarmInfo{{ID: "a1", Severity: "warning", Title: "one", Summary: "of them", Since: Since.UTC()}},
		ClientRows: []admin.ClientInfo{
			{ID: "c1", IP: "127.0.0.1", Port: 52011, CleanSession: true, ProtoVersion: 4, KeepAlive: 60, ConnectedAt: Since},
			{ID: "c2\x1b[2J", Username: "al", IP: "::1", Port: 1, ProtoVersion: 5, ConnectedAt: Since},
		},
		SessionRows: []admin.SessionInfo{
			{ClientID: "c1", CleanSession: true, Subscriptions: 2, MaxInflight: 32, CreatedAt: Since},
			{ClientID: "c2", QueueLen: 7, QueueDropped: 1, Delivered: 3, Enqueued: 9, AwaitingRel: 4, Inflight: 5, CreatedAt: Since},
		},
		SubscriptionRows: []admin.SubscriptionInfo{
			{ClientID: "c1", Topic: "a/#", QoS: 1},
			{ClientID: "c1", Topic: "b//c/", Group: "g"},
			{ClientID: "c2", Topic: "x", QoS: 2},
		},
		RouteRows: []admin.RouteInfo{{Topic: "a/#", Node: "emq@127.0.0.1"}, {Topic: "b//c/", Node: "emq@127.0.0.1"}},
	}
}

// pages cuts rows as a source does; the cursor is an index in disguise.
func pages[T any](rows []T, cursor string, limit int) ([]T, string) {
	at, _ := strconv.Atoi(strings.TrimPrefix(cursor, "@"))
	if limit >= len(rows)-at {
		return rows[at:], ""
	}
	return rows[at : at+limit], fmt.Sprintf("@%d", at+limit)
}

func find[T any](rows []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(rows, is); i >= 0 {
		return rows[i], true
	}
	var none T
	return none, false
}

// conf is the configuration of a node for which nothing is set.
func conf() *configuration.Owner {
	owner, err := configuration.New(configuration.Options{Loaded: config.Plain(config.Default())})
	if err != nil {
		panic(err) // it keeps nothing on disk
	}
	return owner
}

// Sources is how it is asked.
func (f *Node) Sources() *admin.Sources {
	number := func(n int) admin.Actor {
		return admin.Actor{ID: fmt.Sprintf("node/sessions/%d", n), Name: strconv.Itoa(n), ChildCount: n}
	}
	tree := admin.Actor{ID: "node", Name: "node", ChildCount: 2, Children: []admin.Actor{
		{ID: "node/sessions", Name: "sessions", ChildCount: 2, Restarts: 1, Children: []admin.Actor{number(0), number(1)}},
		{ID: "node/admin", Name: "admin", Mailbox: 3, Kind: "*admin.admin"},
	}}
	return &admin.Sources{
		Node: "emq@127.0.0.1", Version: "0.1.0", AllowAnonymous: func() bool { return true },
		Access:        f.Chain,
		CleanACLCache: func(id string) bool { return id == "c1" },
		Running:       func() bool { return f.Up },
		Uptime:        func() time.Duration { return 212 * time.Second },
		Stop:          func() { close(f.Stopped) },
		Drain: func(server string, moved bool) int {
			f.Drained = fmt.Sprint(server, moved)
			return 7
		},
		Undrain: func() { f.Drained = "off" },
		Clients: func(cursor string, limit int) ([]admin.ClientInfo, string) { return pages(f.ClientRows, cursor, limit) },
		Client: func(id string) (admin.ClientInfo, bool) {
			return find(f.ClientRows, func(c admin.ClientInfo) bool { return c.ID == id })
		},
		Kick: func(id string) bool {
			f.Kicked = append(f.Kicked, id)
			return id == "c1"
		},
		Sessions: func(filter admin.SessionFilter, cursor string, limit int) ([]admin.SessionInfo, string) {
			var rows []admin.SessionInfo
			for _, s := range f.SessionRows {
				if filter.Match(s.CleanSession) {
					rows = append(rows, s)
				}
			}
			return pages(rows, cursor, limit)
		},
		Session: func(id string) (admin.SessionInfo, bool) {
			return find(f.SessionRows, func(s admin.SessionInfo) bool { return s.ClientID == id })
		},
		Subscriptions: func(cursor string, limit int) ([]admin.SubscriptionInfo, string) {
			return pages(f.SubscriptionRows, cursor, limit)
		},
		SubscriptionsOf: func(id string) ([]admin.SubscriptionInfo, bool) {
			var rows []admin.SubscriptionInfo
			for _, s := range f.SubscriptionRows {
				if s.ClientID == id {
					rows = append(rows, s)
				}
			}
			return rows, len(rows) > 0
		},
		Subscribe:   f.subscribe,
		Unsubscribe: func(id, filter string) error { return f.subscribe(id, filter, 0) },
		Topics: func(cursor string, limit int) ([]string, string) {
			return pages([]string{"a/#", "b//c/"}, cursor, limit)
		},
		Routes: func(cursor string, limit int) ([]admin.RouteInfo, string) { return pages(f.RouteRows, cursor, limit) },
		Route: func(topic string) []admin.RouteInfo {
			if r, ok := find(f.RouteRows, func(r admin.RouteInfo) bool { return r.Topic == topic }); ok {
				return []admin.RouteInfo{r}
			}
			return nil
		},
		Stats: func() []admin.Stat {
			return []admin.Stat{{Name: "clients/count", Value: int64(len(f.ClientRows))}, {Name: "clients/max", Value: 5}, {Name: "routes/count", Value: 2}}
		},
		Metrics: func() []admin.Stat {
			return []admin.Stat{{Name: "packets/sent", Value: 2}, {Name: "bytes/received", Value: 1}}
		},
		Listeners: func() []admin.ListenerInfo {
			return []admin.ListenerInfo{{
				Name: "tcp.external", Protocol: "mqtt:tcp", Listen: "0.0.0.0:1883", Acceptors: 16, MaxClients: 102400, CurrentClients: 2,
				ShutdownCount: []admin.Stat{{Name: "keepalive_timeout", Value: 3}, {Name: "closed", Value: 10}},
			}}
		},
		StartListener: oneListener, StopListener: oneListener,
		ReloadListener: func(name string) error {
			if name == "" {
				return nil
			}
			return oneListener(name)
		},
		Tree: func(id string, _ bool) (admin.Actor, bool) {
			if id == "node/topics" {
				return admin.Actor{ID: id, Name: "topics", Children: []admin.Actor{{ID: "node/topics/0", Name: "0", Mailbox: 1}}}, true
			}
			return tree, id == "node"
		},
		Inspect: func(id string) (admin.Actor, bool) {
			return find(tree.Children, func(a admin.Actor) bool { return a.ID == id })
		},
		Kill: func(id string) bool {
			f.Killed = append(f.Killed, id)
			return id == "node/sessions/1"
		},
		Recovering: func() string { return "sessions: 7" },
		StoreStats: func() []admin.Stat {
			return []admin.Stat{{Name: "refusing", Value: 0}, {Name: "disk_bytes", Value: 4096}}
		},
		StoreCheck: func() (admin.StoreReport, error) {
			return admin.StoreReport{Figures: []admin.Stat{{Name: "session", Value: 3}}, Sound: true}, nil
		},
		StoreBackup:  func(dir string) (string, error) { return "/home/" + dir, nil },
		StoreRestore: func(string) (string, error) { return "", errors.New("it is the backup of another node") },
		StoreExport:  func(file string) (string, error) { return file + " (9 records)", nil },
		Loads: func(limit, _ int, _ time.Duration) ([]admin.ActorLoad, int) {
			loads := []admin.ActorLoad{{ID: "node/admin", Mailbox: 3, Rate: 0.5}, {ID: "node/sessions/1", Rate: 120}, {ID: "node/topics/0", Mailbox: 3, Rate: 7}}
			return loads[:min(limit, len(loads))], 5
		},
		Actors:        func() int { return 1234 },
		ExplainClient: func(id string) ([]string, error) { return []string{"client " + id}, nil },
		ExplainTopic:  func(name string) ([]string, error) { return []string{"topic " + name}, nil },
		ExplainMessage: func(tag string) ([]string, error) {
			_, err := trace.ParseTag(tag)
			return []string{"message " + tag}, err
		},
		Trace: &f.Trace, Path: func(p string) string { return p },
		LogLevel: func() string { return f.LogLevel },
		SetLogLevel: func(level string) error {
			f.LogLevel = level
			return nil
		},
		RetainedTopics: func(cursor string, limit int) ([]string, string) {
			return pages(f.Retained, cursor, limit)
		},
		CleanRetained: func() (int, error) {
			n := len(f.Retained)
			f.Retained = nil
			return n, nil
		},
		Contents: func(id string, _ int) (admin.SessionContents, bool) { return f.Held, id == "c2" },
		Alarms:   func() []admin.AlarmInfo { return f.AlarmRows },
		Settings: func() []admin.Setting {
			return []admin.Setting{{Key: "mqtt.max_packet_size", Value: "64KB", Type: "size"}, {Key: "node.cookie", Value: "******", Type: "string"}}
		},
		Plugins: func() []admin.PluginInfo {
			return []admin.PluginInfo{{Name: "emq_retainer", Version: "1.0", Description: "EMQ Retainer", Active: true}, {Name: "emq_web_hook", Version: "1.0", Description: "EMQ Webhook Plugin"}}
		},
		ChangePlugin: func(verb, name string) error {
			switch verb + " " + name {
			case "load emq_web_hook", "unload emq_retainer", "reload emq_retainer":
				return nil
			case "load emq_retainer":
				return admin.ErrPluginLoaded
			case "unload emq_web_hook", "reload emq_web_hook":
				return admin.ErrPluginNotStarted
			}
			return errors.New("not_found")
		},
		Config: f.Config, Operators: f.Operators, Events: &f.Events,
		SeekClients: start, SeekSessions: start, SeekSubscriptions: start,
		Publish: func(p admin.PublishRequest) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.PublishError == nil {
				f.Published = append(f.Published, p)
			}
			return f.PublishError
		},
	}
}

func (f *Node) subscribe(id, filter string, _ byte) error {
	if _, ok := find(f.SessionRows, func(s admin.SessionInfo) bool { return s.ClientID == id }); !ok {
		return admin.ErrNoSession
	}
	_, err := topic.ParseSubscription(filter)
	return err
}

// oneListener knows of one.
func oneListener(name string) error {
	if name != "tcp.external" {
		return errors.New("there is no such listener")
	}
	return nil
}
