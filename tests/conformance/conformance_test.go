package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/config"
	"emqttd/tests/conformance/report"
	"emqttd/tests/conformance/script"
	"emqttd/tests/conformance/spec"
	"emqttd/tests/conformance/wrong"
	"emqttd/tests/testkit"
)

// patience is for a loaded machine: a broker that is right is never waited for.
var patience = script.Options{Timeout: 10 * time.Second, Quiet: 300 * time.Millisecond, Scram: "user:pencil"}

// suspicion is for the wrong broker: most tests fail because nothing comes.
var suspicion = script.Options{Timeout: 1500 * time.Millisecond, Quiet: 300 * time.Millisecond, Scram: "user:pencil"}

const atOnce = 32

// ours starts our node with the user for SCRAM whom the tests know.
func ours(t *testing.T) (addr, ws string) {
	t.Helper()
	users := filepath.Join(t.TempDir(), "scram.conf")
	if err := os.WriteFile(users, []byte("user = pencil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := testkit.Start(t, func(c *config.Config) {
		c.Auth.ScramFile = users
		l := c.Listeners[0]
		l.Type = config.ListenerWS
		c.Listeners = append(c.Listeners, l)
	})
	return b.Addr(testkit.TCP), "ws://" + b.Addr("ws.test") + "/mqtt"
}

func statements(t *testing.T) []*script.Statement {
	t.Helper()
	all, err := spec.Statements()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOurNodeConforms(t *testing.T) {
	o := patience
	o.Addr, o.WS = ours(t)
	results := report.Run(statements(t), o, atOnce)
	for _, r := range results {
		for _, test := range r.Tests {
			if test.Outcome == report.Failed {
				t.Errorf("%s\n\trequirement: %s\n\t%s", test.Name, r.Requirement, test.Detail)
			}
		}
	}
	var last strings.Builder
	report.Text(&last, results, false)
	t.Log(last.String()[strings.LastIndex(strings.TrimSpace(last.String()), "\n")+1:])
}

func TestEveryTestFailsOnTheWrongBroker(t *testing.T) {
	right, _ := ours(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, atOnce)
	done := map[string]bool{}
	for _, s := range statements(t) {
		for _, test := range s.Tests {
			key := s.Version + test.File + test.Name[strings.IndexByte(test.Name, ' '):]
			if done[key] && strings.HasPrefix(test.File, "shared:") {
				continue // the same exchange, for another statement
			}
			done[key] = true
			wg.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				if err := failsOn(test, right); err != nil {
					mu.Lock()
					defer mu.Unlock()
					t.Errorf("%s: %v", test.Name, err)
				}
			})
		}
	}
	wg.Wait()
}

// failsOn runs a test on a broker with the faults that it names.
func failsOn(test *script.Test, right string) error {
	if len(test.Faults) == 0 {
		return errors.New("names no fault that makes it fail")
	}
	o := suspicion
	o.Token = script.NewToken()
	b, err := wrong.Start(right, o.Token, test.Faults)
	if err != nil {
		return err
	}
	defer b.Close()
	o.Addr = b.Addr()
	if o.WS, err = b.WebSocket(); err != nil {
		return err
	}
	err = script.Run(test, o)
	switch {
	case err == nil:
		return fmt.Errorf("passes on the wrong broker %q", test.Faults)
	case errors.Is(err, script.ErrUndecided):
		return fmt.Errorf("decides nothing on the wrong broker: %w", err)
	case strings.Contains(err.Error(), "no verb"), strings.Contains(err.Error(), "no client"), strings.Contains(err.Error(), "no packet"):
		return fmt.Errorf("is not written well: %w", err)
	}
	if os.Getenv("CONFORMANCE_FAULTS") != "" {
		fmt.Printf("%s\n\t%s\n\t%v\n", test.Name, strings.Join(test.Faults, " ! "), err)
	}
	return nil
}

func TestNoMoreThanFifteenPercentAreUndecidable(t *testing.T) {
	total, without := map[string]int{}, map[string]int{}
	for _, s := range statements(t) {
		total[s.Version]++
		if s.Why != "" {
			without[s.Version]++
		}
		for _, test := range s.Tests {
			if !strings.HasPrefix(test.Name, s.Version+"/"+s.ID+" ") {
				t.Errorf("the name %q does not begin with %s", test.Name, s.Key())
			}
		}
	}
	for version, least := range map[string]int{"3.1.1": 139, "5.0": 248} {
		if total[version] < least {
			t.Errorf("%d statements of %s, want %d at least", total[version], version, least)
		}
		if without[version]*100 > total[version]*15 {
			t.Errorf("%d of %d statements of %s have no test", without[version], total[version], version)
		}
	}
}
