package scenario

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/config"
	"emqttd/tests/testkit"
)

func scrape(t testing.TB, b *testkit.Broker) string {
	t.Helper()
	r, err := http.Get("http://" + b.Addr(testkit.API) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s %s %v", r.Status, body, err)
	}
	return string(body)
}

func TestMetricsNeedNoUserOnThisMachine(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.AllowAnonymous = false })
	for _, name := range []string{"emq_clients 0", "emq_unaccounted_messages 0", "go_goroutines "} {
		if !strings.Contains(scrape(t, b), "\n"+name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// Every figure that the dashboard asks for is one that a node has.
func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "etc", "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	b, _ := startTwo(t)
	m := b.Metrics()
	m.Overload("shedding") // reasons are there when they have occurred
	m.DropUnmatched("acl_denied", 1)
	m.Close("normal")
	m.Refuse("banned")
	there := map[string]bool{}
	for _, f := range regexp.MustCompile(`(?m)^(\w+)`).FindAllString(scrape(t, b), -1) {
		there[f] = true
	}
	names := regexp.MustCompile(`\b(emq|go|process)_\w+`)
	asked := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			for _, name := range names.FindAllString(target.Expr, -1) {
				asked++
				if !there[name] {
					t.Errorf("%s: there is no %s", p.Title, name)
				}
			}
		}
	}
	if asked < 20 {
		t.Errorf("the dashboard asks for %d metrics only", asked)
	}
}

// BenchmarkMetricsPage is one answer of /metrics while many clients are there.
func BenchmarkMetricsPage(b *testing.B) {
	const clients = 100_000
	broker := testkit.Start(b)
	for i := range clients {
		broker.DialMemory(b).Connect(testkit.Hello(clientID(i)))
	}
	b.ResetTimer()
	for b.Loop() {
		scrape(b, broker)
	}
}
