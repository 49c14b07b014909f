package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"emqttd/actors/system/metrics"
	"emqttd/config"
	"emqttd/tests/testkit"
)

// startTwo starts two nodes that know each other.
func startTwo(t *testing.T) (one, two *testkit.Broker) {
	t.Helper()
	one = testkit.Start(t)
	two = testkit.Start(t, func(c *config.Config) {
		c.Node.Name = "emq2@127.0.0.1"
		c.Cluster.Discovery, c.Cluster.Seeds = config.Static, []string{one.DistAddr()}
	})
	for end := time.Now().Add(testkit.Patience); ; {
		if text, _ := one.Command(t, "cluster", "status"); strings.Contains(text, "emq2@127.0.0.1") {
			return one, two
		}
		if time.Now().After(end) {
			t.Fatal("the nodes do not find each other")
		}
	}
}

// documentedMetrics are the names of docs/observability.md, as expressions.
func documentedMetrics(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "docs", "observability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## Metrics\n")
	part, _, _ = strings.Cut(part, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(part, -1) {
		for _, name := range regexp.MustCompile("`(emq_\\w*…?)").FindAllStringSubmatch(row[1], -1) {
			if name[1] != "emq_" { // emq_<name>_total, for EMQ's counters
				names = append(names, strings.ReplaceAll(name[1], "…", `\w+`))
			}
		}
	}
	return names
}

// TestEachMetricIsDocumentedAndEachDocumentedOneIsThere asks a node that has another one.
func TestEachMetricIsDocumentedAndEachDocumentedOneIsThere(t *testing.T) {
	b, _ := startTwo(t)
	m := b.Metrics()
	m.Overload("shedding") // reasons are there when they have occurred
	m.DropUnmatched("acl_denied", 1)
	m.Close("normal")
	m.Refuse("banned")
	var there []string
	for _, name := range regexp.MustCompile(`(?m)^emq_\w+`).FindAllString(scrape(t, b), -1) {
		if !slices.Contains(there, name) {
			there = append(there, name)
		}
	}
	emqs := map[string]bool{} // EMQ's own, of which the page has the pattern
	for i := range metrics.NumMetrics {
		emqs["emq_"+strings.ReplaceAll(i.String(), "/", "_")+"_total"] = true
	}
	for _, s := range m.Stats() {
		name, kind, _ := strings.Cut(s.Name, "/")
		if kind == "max" {
			name += "_max"
		}
		emqs["emq_"+name] = true
	}
	used := map[string]bool{}
	documented := documentedMetrics(t)
	for _, name := range there {
		known := emqs[name]
		for _, d := range documented {
			if regexp.MustCompile("^" + d + "$").MatchString(name) {
				known, used[d] = true, true
			}
		}
		if !known {
			t.Errorf("docs/observability.md does not have %s", name)
		}
	}
	for _, d := range documented {
		if !used[d] && !strings.HasPrefix(d, "emq_trace_spans_") { // there is no collector here
			t.Errorf("docs/observability.md has %s, which no node has", d)
		}
	}
	if len(documented) < 30 {
		t.Errorf("docs/observability.md has %d metrics only", len(documented))
	}
}
