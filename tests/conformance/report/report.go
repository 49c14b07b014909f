// Package report runs the statements against a broker and says how it did.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"

	"emqttd/tests/conformance/script"
)

// Outcome of a test or a statement.
type Outcome string

// The outcomes.
const (
	Passed      Outcome = "passed"
	Failed      Outcome = "failed"
	Undecidable Outcome = "undecidable"
)

// TestResult is how a test went.
type TestResult struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"` // what went wrong, or why nothing was decided
}

// Result is how a statement went: failed if a test failed, passed if one passed
// and none failed, else undecidable.
type Result struct {
	Version     string       `json:"version"`
	ID          string       `json:"id"`
	Requirement string       `json:"requirement"`
	Outcome     Outcome      `json:"outcome"`
	Why         string       `json:"why,omitempty"` // it cannot be decided
	Tests       []TestResult `json:"tests,omitempty"`
}

// Run runs the tests of statements, n at once.
func Run(statements []*script.Statement, o script.Options, n int) []Result {
	results := make([]Result, len(statements))
	type job struct {
		test *script.Test
		into *TestResult
	}
	var jobs []job
	for i, s := range statements {
		results[i] = Result{Version: s.Version, ID: s.ID, Requirement: s.Text, Why: s.Why, Tests: make([]TestResult, len(s.Tests))}
		for j, t := range s.Tests {
			jobs = append(jobs, job{t, &results[i].Tests[j]})
		}
	}
	// Those that wait longest first: the run takes as long as they do.
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(waits(b.test), waits(a.test)) })
	queue := make(chan job)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for j := range queue {
				*j.into = one(j.test, o)
			}
		})
	}
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	wg.Wait()
	for i := range results {
		results[i].Outcome = judge(results[i].Tests)
	}
	return results
}

func waits(t *script.Test) (n int) {
	for _, l := range t.Steps {
		if len(l.Text) > 4 && l.Text[:4] == "wait" {
			n++
		}
	}
	return n
}

func one(t *script.Test, o script.Options) TestResult {
	r := TestResult{Name: t.Name, Outcome: Passed}
	if err := script.Run(t, o); err != nil {
		r.Outcome, r.Detail = Failed, err.Error()
		if errors.Is(err, script.ErrUndecided) {
			r.Outcome = Undecidable
		}
	}
	return r
}

func judge(tests []TestResult) Outcome {
	o := Undecidable
	for _, t := range tests {
		if t.Outcome == Failed {
			return Failed
		}
		if t.Outcome == Passed {
			o = Passed
		}
	}
	return o
}

// Select keeps the statements of a version ("all" for both) which have a test
// whose name matches, and of those only these tests.
func Select(all []*script.Statement, version string, run *regexp.Regexp) (kept []*script.Statement) {
	for _, s := range all {
		if version != "all" && version != s.Version {
			continue
		}
		c := *s
		if run != nil {
			c.Tests = nil
			for _, t := range s.Tests {
				if run.MatchString(t.Name) {
					c.Tests = append(c.Tests, t)
				}
			}
			if len(c.Tests) == 0 {
				continue
			}
		}
		kept = append(kept, &c)
	}
	return kept
}

// Count counts the statements by outcome.
func Count(results []Result) map[Outcome]int {
	n := map[Outcome]int{}
	for _, r := range results {
		n[r.Outcome]++
	}
	return n
}

// Text writes what failed, and the totals in the last line.
func Text(w io.Writer, results []Result, verbose bool) {
	for _, r := range results {
		for _, t := range r.Tests {
			if t.Outcome == Failed || verbose {
				fmt.Fprintf(w, "%-11s %s\n", t.Outcome, t.Name)
			}
			if t.Outcome == Failed {
				fmt.Fprintf(w, "            requirement: %s\n            %s\n", r.Requirement, t.Detail)
			}
		}
	}
	n := Count(results)
	fmt.Fprintf(w, "conformance: %d passed, %d failed, %d undecidable\n", n[Passed], n[Failed], n[Undecidable])
}
