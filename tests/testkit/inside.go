package testkit

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/admin"
	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
)

// The operator's command line goes over gRPC, which the framework configures by
// a global variable each time a node starts; with several nodes in one process
// the race detector sees it. Tests in this process therefore look at a node from
// within, and those of the real program use the command line.

// System is the actor system of the node.
func (b *Broker) System() *actor.ActorSystem { return b.Node.System() }

// Metrics are the counters of the node.
func (b *Broker) Metrics() *metrics.Registry { return b.Node.Metrics() }

// Tree is the picture of the actors under one, the children of shards among
// them.
func (b *Broker) Tree(t testing.TB, id string) kernel.Node {
	t.Helper()
	n, err := kernel.FullTree(b.System(), b.System().NewLocalPID(id), Patience)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Shape is the drawing of the tree that `emqttd_ctl actors tree --shape` prints.
func (b *Broker) Shape(t testing.TB) string {
	t.Helper()
	n, err := kernel.Tree(b.System(), b.System().NewLocalPID("node"), Patience)
	if err != nil {
		t.Fatal(err)
	}
	return kernel.Shape(n)
}

// Kill crashes an actor as `emqttd_ctl actors kill` does; false if there is no
// such actor.
func (b *Broker) Kill(id string) bool { return kernel.KillByID(b.System(), id) == nil }

// Value finds a figure by its name, 0 if it has not been counted.
func Value(values []metrics.Value, name string) int {
	for _, v := range values {
		if v.Name == name {
			return int(v.Value)
		}
	}
	return 0
}

// Ended is how many connections ended or were refused for a reason.
func (b *Broker) Ended(reason string) int {
	return Value(b.Metrics().Closes(), reason) + Value(b.Metrics().Refusals(), reason)
}

// Get asks the HTTP API under /api/v2/ and decodes the objects of its answer.
func Get[T any](t testing.TB, b *Broker, path string) []T {
	t.Helper()
	ask, err := http.NewRequest(http.MethodGet, "http://"+b.Addr(API)+"/api/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.SetBasicAuth("admin", "public")
	r, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s %v", path, r.Status, body, err)
	}
	var answer struct {
		Result struct{ Objects []T }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
	return answer.Result.Objects
}

// Command asks the admin actor of the node, as emqttd_ctl does, for the first page
// of a command's answer.
func (b *Broker) Command(t testing.TB, args ...string) (text string, exitCode int) {
	t.Helper()
	f := b.System().Root.RequestFuture(b.System().NewLocalPID("node/admin"), &admin.Command{Args: args}, Patience)
	answer, err := f.Result()
	if err != nil {
		t.Fatalf("emqttd_ctl %q: %v", args, err)
	}
	r := answer.(*admin.Result)
	return r.Text, r.ExitCode
}

// Balanced waits until every message is accounted for: at a quiet point, when
// nobody publishes any more.
func (b *Broker) Balanced(t testing.TB) {
	t.Helper()
	Eventually(t, "every message is accounted for", func() bool {
		s := b.Metrics().Ledger.Sheet()
		return s.Unaccounted() == 0
	})
}
