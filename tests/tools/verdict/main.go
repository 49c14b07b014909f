// Command verdict reads what `go test -json` wrote and says in one line how it
// went:
//
//	go run ./tests/tools/verdict .cache/test/*.json
//
// It fails when a test failed and when there was none. Under CI=true it fails
// when a test was skipped, too: what is not run there is not known to work.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	var v verdict
	for _, path := range os.Args[1:] {
		if err := v.addFile(path); err != nil {
			fmt.Fprintf(os.Stderr, "verdict: %v\n", err)
			os.Exit(1)
		}
	}
	os.Exit(v.say(os.Stdout, os.Getenv("CI") == "true"))
}

// verdict counts tests, subtests among them.
type verdict struct {
	passed  int
	failed  []string
	skipped []string
}

// event is what verdict looks at in a line of go test -json.
type event struct{ Action, Package, Test string }

func (v *verdict) addFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := v.add(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (v *verdict) add(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var e event
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := e.Package + " " + e.Test
		switch {
		case e.Action == "fail": // of a package too: it may not have come to its tests
			v.failed = append(v.failed, name)
		case e.Test == "":
		case e.Action == "pass":
			v.passed++
		case e.Action == "skip":
			v.skipped = append(v.skipped, name)
		}
	}
}

// say returns the exit code.
func (v *verdict) say(w io.Writer, ci bool) int {
	for _, name := range v.failed {
		fmt.Fprintf(w, "failed: %s\n", name)
	}
	for _, name := range v.skipped {
		fmt.Fprintf(w, "skipped: %s\n", name)
	}
	failed := len(v.failed)
	if ci {
		failed += len(v.skipped)
	}
	fmt.Fprintf(w, "%d passed, %d failed", v.passed, failed)
	if n := len(v.skipped); n > 0 && ci {
		fmt.Fprintf(w, " (a skipped test is a failure under CI=true)")
	} else if n > 0 {
		fmt.Fprintf(w, ", %d skipped", n)
	}
	fmt.Fprintln(w)
	if failed > 0 || v.passed == 0 {
		return 1
	}
	return 0
}
