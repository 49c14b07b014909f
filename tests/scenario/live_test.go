package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/plugins"
	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// liveRow proves a key on a running node: what a client sees is other before and
// after `conf set`.
type liveRow struct {
	key, to string
	see     func(r *liveRig) string
	// before is what see says before; empty where it would have to wait for what does
	// not happen, and the value before, in liveBase, is such that it would not.
	before, after string
	with          []string // what else is set first: key, value, key, value
}

// liveBase is set on the node of the test: no time is over within testkit.Patience,
// so that only the change can be the reason.
var liveBase = []string{
	"log.console.level = error", "mqtt.keepalive_backoff = 100", "mqtt.client.idle_timeout = 1h",
	"mqtt.session.retry_interval = 1h", "mqtt.session.await_rel_timeout = 1h", "mqtt.broker.sys_interval = 1h",
	"mqtt.acl_cache_ttl = 1h", "mqtt.mqueue.low_watermark = 0%", "access.backoff.after = 0", "access.backoff.first = 1h",
	"access.backoff.longest = 2h",
	"listener.ssl.x = 127.0.0.1:0", "listener.ws.x = 127.0.0.1:0", "listener.wss.x = 127.0.0.1:0",
	"listener.tcp.test.send_timeout = 1h", "listener.ssl.x.send_timeout = 1h", "listener.ws.x.send_timeout = 1h", "listener.wss.x.send_timeout = 1h",
}

// liveRows are the rows; those of a name are played on a node of their own.
func liveRows() map[string][]liveRow {
	api := "listener." + testkit.API
	rows := map[string][]liveRow{"access": liveAccessRows(), "connections": liveConnectionRows(), "sessions": liveSessionRows(), "other": {
		{key: "log.console.level", to: "info", see: (*liveRig).logsInfo, before: "quiet", after: "logged"},
		{key: api + ".max_clients", to: "1", see: (*liveRig).asksHTTP, before: "answered", after: "closed"},
		{key: api + ".access.1", to: "deny all", see: (*liveRig).asksHTTP, before: "answered", after: "closed"},
	}}
	for _, l := range []string{"tcp.test", "ssl.x", "ws.x", "wss.x"} {
		rows[l] = liveListenerRows(l)
	}
	return rows
}

// TestEveryKeyThatIsLiveIsProvenOnARunningNode: each key that the documentation calls
// live has a row, and what the row says is so.
func TestEveryKeyThatIsLiveIsProvenOnARunningNode(t *testing.T) {
	all, has := liveRows(), map[string]bool{}
	for _, rows := range all {
		for _, row := range rows {
			has[registered(row.key)] = true
		}
	}
	for _, k := range config.Keys() {
		if live := k.Live() == config.AtOnce || k.Live() == config.NewConnections; live != has[k.Name] {
			t.Errorf("%s is live %q; a row for it: %t", k.Name, k.Live(), has[k.Name])
		}
	}
	for name, rows := range all {
		r := newLiveRig(t) // one after the other: gRPC has a logger for all of the process
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of a row is waiting
			for _, row := range rows {
				t.Run(row.key, func(t *testing.T) { r.prove(t, row) })
			}
		})
	}
}

// registered is the name in the registry of a key of the test.
func registered(key string) string {
	w := strings.Split(key, ".")
	if w[0] == "listener" {
		w[2] = "$name"
		if w[3] == "access" {
			w[4] = "$n"
		}
	}
	return strings.Join(w, ".")
}

// liveRig is the node of the test, and the row that is proven.
type liveRig struct {
	*testing.T
	b    *testkit.Broker
	text string // of emq.conf at first
	// listener is that of the row's key; tcp.test for others.
	listener string
	asked    *atomic.Int64 // decisions of the plugin judge on topics under asked/
	names    int
	old      *testkit.Client // has been connected since before the change
	round    string          // before or after
}

func newLiveRig(t *testing.T) *liveRig {
	t.Helper()
	rules := filepath.Join(t.TempDir(), "acl.conf")
	text := `{deny, all, pubsub, ["secret/a/#"]}.` + "\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &liveRig{T: t, asked: new(atomic.Int64)}
	judge := &plugins.Plugin{Name: "judge", Version: "1", Description: "judges", Start: func(e *plugins.Env) error { return e.AddAccess(&judge{r.asked}) }}
	r.b = testkit.StartFrom(t, []*plugins.Plugin{judge}, append(liveBase, "mqtt.acl_file = "+rules)...)
	r.ctl("plugins", "load", "judge")
	b, err := os.ReadFile(r.b.File)
	if err != nil {
		t.Fatal(err)
	}
	r.text = string(b)
	return r
}

// judge knows the password of ann, and counts what it is asked.
type judge struct{ asked *atomic.Int64 }

func (*judge) Name() string { return "judge" }

func (*judge) Authenticate(_ context.Context, c *access.Credentials) (access.Result, error) {
	if !strings.HasPrefix(c.Username, "ann") {
		return access.Result{}, nil
	}
	if string(c.Password) != "right" {
		return access.Result{Verdict: access.Deny, Why: "wrong password"}, nil
	}
	return access.Result{Verdict: access.Allow}, nil
}

func (j *judge) Authorize(_ context.Context, _ *access.Credentials, _ acl.Action, topic string) (access.Verdict, error) {
	if strings.HasPrefix(topic, "asked/") {
		j.asked.Add(1)
	}
	return access.Ignore, nil
}

// prove plays a row, and puts the file back.
func (on *liveRig) prove(t *testing.T, row liveRow) {
	r := *on
	r.T, r.listener = t, testkit.TCP
	if w := strings.Split(row.key, "."); w[0] == "listener" {
		r.listener = w[1] + "." + w[2]
	}
	t.Cleanup(func() {
		on.names = r.names
		if err := os.WriteFile(r.b.File, []byte(r.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.T = t
		r.ctl("conf", "reload")
	})
	r.old = r.b.DialMemory(t)
	r.old.Connect(testkit.Hello(r.name()))
	for i := 0; i < len(row.with); i += 2 {
		r.ctl("conf", "set", row.with[i], row.with[i+1])
	}
	if row.before != "" {
		r.round = "before"
		if got := row.see(&r); got != row.before {
			t.Fatalf("before: %s, want %s", got, row.before)
		}
	}
	r.round = "after"
	r.ctl("conf", "set", row.key, row.to)
	if got := row.see(&r); got != row.after {
		t.Errorf("with %s = %s: %s, want %s", row.key, row.to, got, row.after)
	}
	r.old.Ping()
}

// ctl gives a command line to the node, which must carry it out.
func (r *liveRig) ctl(args ...string) string {
	r.Helper()
	out, code := r.b.Command(r, args...)
	if code != 0 {
		r.Fatalf("%q: %d %s", args, code, out)
	}
	return out
}

// name is one that no client and no topic has had.
func (r *liveRig) name() string {
	r.names++
	return fmt.Sprintf("n%d", r.names)
}

// client is a new one, over memory.
func (r *liveRig) client(change ...func(*mqtt.Connect)) (*testkit.Client, *mqtt.Connack) {
	r.Helper()
	c, p := r.b.DialMemory(r), testkit.Hello(r.name())
	for _, f := range change {
		f(p)
	}
	return c, c.Connect(p)
}

func v5(p *mqtt.Connect) { p.Version = mqtt.V5 }
