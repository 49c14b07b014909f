package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
	"emqttd/protocol/topic"
)

// fakeNode is a broker in plain values, enough to ask everything of it.
type fakeNode struct {
	mu        sync.Mutex
	clients   []ClientInfo
	sessions  []SessionInfo
	subs      []SubscriptionInfo
	routes    []RouteInfo
	drained   string
	kicked    []string
	killed    []string
	published []PublishRequest
	publish   error
	stopped   chan struct{}
	running   bool
	chain     *access.Chain
}

var fixed = time.Unix(1479808000, 0)

// newChain knows the user boss, who may do everything, and joe, who may publish to his own topics.
func newChain(anonymous bool) *access.Chain {
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

func newFake() *fakeNode {
	return &fakeNode{
		running: true, stopped: make(chan struct{}), chain: newChain(true),
		clients: []ClientInfo{
			{ID: "c1", IP: "127.0.0.1", Port: 52011, CleanSession: true, ProtoVersion: 4, KeepAlive: 60, ConnectedAt: fixed},
			{ID: "c2\x1b[2J", Username: "al", IP: "::1", Port: 1, ProtoVersion: 5, ConnectedAt: fixed},
		},
		sessions: []SessionInfo{
			{ClientID: "c1", CleanSession: true, Subscriptions: 2, MaxInflight: 32, CreatedAt: fixed},
			{ClientID: "c2", QueueLen: 7, QueueDropped: 1, Delivered: 3, Enqueued: 9, AwaitingRel: 4, Inflight: 5, CreatedAt: fixed},
		},
		subs: []SubscriptionInfo{
			{ClientID: "c1", Topic: "a/#", QoS: 1},
			{ClientID: "c1", Topic: "b//c/", Group: "g"},
			{ClientID: "c2", Topic: "x", QoS: 2},
		},
		routes: []RouteInfo{{"a/#", "emq@127.0.0.1"}, {"b//c/", "emq@127.0.0.1"}},
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

func (f *fakeNode) sources() *Sources {
	number := func(n int) Actor {
		return Actor{ID: fmt.Sprintf("node/sessions/%d", n), Name: strconv.Itoa(n), ChildCount: n}
	}
	tree := Actor{ID: "node", Name: "node", ChildCount: 2, Children: []Actor{
		{ID: "node/sessions", Name: "sessions", ChildCount: 2, Restarts: 1, Children: []Actor{number(0), number(1)}},
		{ID: "node/admin", Name: "admin", Mailbox: 3, Kind: "*admin.admin"},
	}}
	return &Sources{
		Node: "emq@127.0.0.1", Version: "0.1.0", AllowAnonymous: true,
		Access:        f.chain,
		CleanACLCache: func(id string) bool { return id == "c1" },
		Running:       func() bool { return f.running },
		Uptime:        func() time.Duration { return 212 * time.Second },
		Stop:          func() { close(f.stopped) },
		Drain: func(server string, moved bool) int {
			f.drained = fmt.Sprint(server, moved)
			return 7
		},
		Undrain: func() { f.drained = "off" },
		Clients: func(cursor string, limit int) ([]ClientInfo, string) { return pages(f.clients, cursor, limit) },
		Client: func(id string) (ClientInfo, bool) {
			return find(f.clients, func(c ClientInfo) bool { return c.ID == id })
		},
		Kick: func(id string) bool {
			f.kicked = append(f.kicked, id)
			return id == "c1"
		},
		Sessions: func(filter SessionFilter, cursor string, limit int) ([]SessionInfo, string) {
			var rows []SessionInfo
			for _, s := range f.sessions {
				if filter.Match(s.CleanSession) {
					rows = append(rows, s)
				}
			}
			return pages(rows, cursor, limit)
		},
		Session: func(id string) (SessionInfo, bool) {
			return find(f.sessions, func(s SessionInfo) bool { return s.ClientID == id })
		},
		Subscriptions: func(cursor string, limit int) ([]SubscriptionInfo, string) { return pages(f.subs, cursor, limit) },
		SubscriptionsOf: func(id string) ([]SubscriptionInfo, bool) {
			var rows []SubscriptionInfo
			for _, s := range f.subs {
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
		Routes: func(cursor string, limit int) ([]RouteInfo, string) { return pages(f.routes, cursor, limit) },
		Route: func(topic string) []RouteInfo {
			if r, ok := find(f.routes, func(r RouteInfo) bool { return r.Topic == topic }); ok {
				return []RouteInfo{r}
			}
			return nil
		},
		Stats: func() []Stat {
			return []Stat{{"clients/count", int64(len(f.clients))}, {"clients/max", 5}, {"routes/count", 2}}
		},
		Metrics: func() []Stat { return []Stat{{"packets/sent", 2}, {"bytes/received", 1}} },
		Listeners: func() []ListenerInfo {
			return []ListenerInfo{{
				Name: "tcp.external", Protocol: "mqtt:tcp", Listen: "0.0.0.0:1883", Acceptors: 16, MaxClients: 102400, CurrentClients: 2,
				ShutdownCount: []Stat{{"keepalive_timeout", 3}, {"closed", 10}},
			}}
		},
		StartListener: oneListener, StopListener: oneListener,
		ReloadListener: func(name string) error {
			if name == "" {
				return nil
			}
			return oneListener(name)
		},
		Tree: func(id string, _ bool) (Actor, bool) { return tree, id == "node" },
		Inspect: func(id string) (Actor, bool) {
			return find(tree.Children, func(a Actor) bool { return a.ID == id })
		},
		Kill: func(id string) bool {
			f.killed = append(f.killed, id)
			return id == "node/sessions/1"
		},
		Recovering: func() string { return "sessions: 7" },
		StoreStats: func() []Stat { return []Stat{{"refusing", 0}, {"disk_bytes", 4096}} },
		StoreCheck: func() (StoreReport, error) {
			return StoreReport{Figures: []Stat{{"session", 3}}, Sound: true}, nil
		},
		StoreBackup:  func(dir string) (string, error) { return "/home/" + dir, nil },
		StoreRestore: func(string) (string, error) { return "", errors.New("it is the backup of another node") },
		StoreExport:  func(file string) (string, error) { return file + " (9 records)", nil },
		Publish: func(p PublishRequest) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.publish == nil {
				f.published = append(f.published, p)
			}
			return f.publish
		},
	}
}

func (f *fakeNode) subscribe(id, filter string, _ byte) error {
	if _, ok := find(f.sessions, func(s SessionInfo) bool { return s.ClientID == id }); !ok {
		return ErrNoSession
	}
	_, err := topic.ParseSubscription(filter)
	return err
}

// ctl runs a command as a command line does: page after page.
func ctl(t *testing.T, src *Sources, args ...string) (string, int) {
	t.Helper()
	r := NewRegistry()
	var text strings.Builder
	cmd := &Command{Args: args}
	for range 10000 {
		res := r.run(src, cmd)
		text.WriteString(res.Text)
		if res.Cursor == "" {
			return text.String(), res.ExitCode
		}
		cmd.Cursor = res.Cursor
	}
	t.Fatal("the pages do not end")
	return "", 0
}

// oneListener knows of one.
func oneListener(name string) error {
	if name != "tcp.external" {
		return errors.New("there is no such listener")
	}
	return nil
}
