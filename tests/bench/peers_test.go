package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

// reports makes one for each value of a figure.
func reports(key string, values ...float64) (all []result) {
	for _, v := range values {
		all = append(all, result{key: v})
	}
	return all
}

func TestAGoalIsHeldAgainstTheOtherOfTheSameRepetition(t *testing.T) {
	cost := figure{what: "cost", unit: "µs", of: plain("cost")}
	for _, tc := range []struct {
		goal  goal
		must  string
		found string
		kept  bool
	}{
		{atMost(cost, 2.5, ""), "≤ 2.5 µs", "2 (1 – 6) µs", true},
		{atLeast(cost, 2.5, ""), "≥ 2.5 µs", "2 (1 – 6) µs", false},
		{atMost(cost, 0.5, mosquitto), "≤ 0.5 × mosquitto's", "0.5 (0.1 – 1.5) ×", true},
		{atLeast(cost, 0.6, nats), "≥ 0.6 × NATS's", "0.667 (0.333 – 2) ×", true},
		{atMost(cost, 0.6, bestOther), "≤ 0.6 × the best other's", "0.667 (0.333 – 2) × NATS's", false},
		{atLeast(cost, 1, bestOther), "≥ 1 × the best other's", "0.5 (0.1 – 1.5) × mosquitto's", false},
		{atMost(cost, 1, mochi), "≤ 1 × mochi's", "nothing", false},
	} {
		o := &outcome{
			work: work{others: []string{mosquitto, nats}, goals: []goal{tc.goal}},
			Reports: map[string][]result{
				emqttd: reports("cost", 1, 2, 6), mosquitto: reports("cost", 10, 4, 4), nats: reports("cost", 3, 3, 3),
			},
		}
		f := o.judge()[0]
		if f.Must != tc.must || f.Found != tc.found || f.Kept != tc.kept {
			t.Errorf("must %s: found %s, kept %v; want must %s, found %s, kept %v", f.Must, f.Found, f.Kept, tc.must, tc.found, tc.kept)
		}
	}
}

func TestTablesAreRenewedBetweenTheirMarks(t *testing.T) {
	c := &comparison{Date: "today", runs: 3, Works: []*outcome{{
		Name: "work", work: work{shown: []figure{messageRate}, others: []string{nats}},
		Reports: map[string][]result{emqttd: reports("received_per_s", 1000, 3000)}, Failed: map[string]string{nats: "it | fell\nover"},
	}}}
	path := filepath.Join(t.TempDir(), "peers.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.store(path); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.HasPrefix(text, "before\n"+beginMark) || !strings.HasSuffix(text, endMark+"\nafter\n") || strings.Contains(text, "old") ||
		strings.Count(text, "| emqttd | 2,000 | 2 |") != 1 || !strings.Contains(text, "| nats | left out: it / fell |") {
		t.Error(text)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.store(path); err == nil {
		t.Error("a document without marks was overwritten")
	}
}

// TestEveryWorkHasItsFigures runs all works on our node, with a fraction of the
// load. The others are programs that do not start: they are left out, and told of.
func TestEveryWorkHasItsFigures(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/emqttd", "./cmd/emqttd_bench")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir) // without mosquitto
	var progress strings.Builder
	c := &comparison{rivals: &rivals{bin: dir, peers: filepath.Join(dir, "none")}, short: true, runs: 1, progress: &progress}
	c.measure(t.Context(), regexp.MustCompile(""))
	if len(c.Works) != len(works) {
		t.Fatalf("%d works, want %d", len(c.Works), len(works))
	}
	for _, o := range c.Works {
		if len(o.Goals) == 0 || len(o.Reports[emqttd]) != 1 {
			t.Errorf("%s: %d goals, %d reports of ours: %s", o.Name, len(o.Goals), len(o.Reports[emqttd]), o.Failed[emqttd])
			continue
		}
		for _, f := range o.work.shown {
			if _, ok := f.of(o.Reports[emqttd][0]); !ok {
				t.Errorf("%s: no %s in %v", o.Name, f.what, o.Reports[emqttd][0])
			}
		}
		if o.Failed[mochi] == "" || !strings.Contains(progress.String(), o.Name+", 1 of 1: mochi …") {
			t.Errorf("%s: nobody was told that a broker does not start", o.Name)
		}
	}
}

func TestAWorkLeavesAProfile(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/emqttd", "./cmd/emqttd_bench")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := &comparison{rivals: &rivals{bin: dir}, profiles: filepath.Join(dir, "profiles")}
	if err := c.profile(t.Context(), &outcome{Name: "a work", Command: "rtt -c 1 --warm 1ms --for 10ms"}); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(filepath.Join(dir, "profiles", "a-work.1.pprof")); err != nil || i.Size() == 0 {
		t.Errorf("%v, %v", i, err)
	}
}
