package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/tests/conformance/script"
)

func TestAStatementFailsIfOneOfItsTestsFails(t *testing.T) {
	for _, c := range []struct {
		tests []Outcome
		want  Outcome
	}{
		{nil, Undecidable},
		{[]Outcome{Undecidable}, Undecidable},
		{[]Outcome{Undecidable, Passed}, Passed},
		{[]Outcome{Passed, Failed, Passed}, Failed},
	} {
		var tests []TestResult
		for _, o := range c.tests {
			tests = append(tests, TestResult{Outcome: o})
		}
		if got := judge(tests); got != c.want {
			t.Errorf("%v: %s", c.tests, got)
		}
	}
}

func TestStatementsAreSelectedByVersionAndName(t *testing.T) {
	all := []*script.Statement{
		{Version: "3.1.1", ID: "X-1", Tests: []*script.Test{{Name: "3.1.1/X-1 one"}, {Name: "3.1.1/X-1 two"}}},
		{Version: "5.0", ID: "X-1", Tests: []*script.Test{{Name: "5.0/X-1 one"}}},
		{Version: "5.0", ID: "X-2", Why: "none"},
	}
	if n := len(Select(all, "5.0", nil)); n != 2 {
		t.Errorf("%d of 5.0", n)
	}
	got := Select(all, "all", regexp.MustCompile("two"))
	if len(got) != 1 || len(got[0].Tests) != 1 || len(all[0].Tests) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestTheLastLineHasTheTotals(t *testing.T) {
	results := []Result{
		{Version: "5.0", ID: "X-1", Outcome: Passed, Tests: []TestResult{{Name: "good", Outcome: Passed}}},
		{Version: "5.0", ID: "X-2", Outcome: Failed, Tests: []TestResult{{Name: "bad", Outcome: Failed, Detail: "why"}}},
		{Version: "5.0", ID: "X-3", Outcome: Undecidable},
	}
	var b strings.Builder
	Text(&b, results, false)
	if s := b.String(); !strings.HasSuffix(s, "\nconformance: 1 passed, 1 failed, 1 undecidable\n") || !strings.Contains(s, "why") || strings.Contains(s, "good") {
		t.Error(s)
	}
}

func TestNobodyListeningFailsEveryTest(t *testing.T) {
	test := &script.Test{Name: "t", Level: 5, Steps: []script.Line{{Text: "a connect"}}}
	results := Run([]*script.Statement{{Version: "5.0", ID: "X", Tests: []*script.Test{test}}}, script.Options{Addr: "127.0.0.1:1"}, 2)
	if results[0].Outcome != Failed || !strings.Contains(results[0].Tests[0].Detail, "dial") {
		t.Errorf("%+v", results)
	}
}

func TestTheTableHasAColumnForEachBroker(t *testing.T) {
	r := func(o Outcome) []Result {
		return []Result{{Version: "5.0", ID: "X-1", Requirement: "a | b", Outcome: o, Tests: []TestResult{{Name: "5.0/X-1 title", Outcome: o, Detail: "why"}}}}
	}
	path := filepath.Join(t.TempDir(), "table.md")
	if err := Document(path, []Column{{"ours", r(Passed)}, {"theirs", r(Failed)}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`| X-1 | a \| b | title | yes | **no** |`, "## What theirs does otherwise", "| ours | 5.0 | 1 | 0 | 0 |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
