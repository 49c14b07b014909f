package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// TestEveryLineOfTheTableGetsItsFigures looks at how the table comes about, not
// at how fast the broker is: with a tenth of the load on a busy machine that says
// nothing.
func TestEveryLineOfTheTableGetsItsFigures(t *testing.T) {
	s := suite{bin: t.TempDir(), short: true}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", s.bin+string(filepath.Separator), "./cmd/emqttd", "./cmd/emqttd_bench")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var table strings.Builder
	if err := s.run(context.Background(), "", &table); err != nil && !errors.Is(err, errAbove) {
		t.Fatal(err)
	}
	if strings.Contains(table.String(), "failed") {
		t.Error(table.String())
	}
	for _, m := range measurements {
		for _, f := range m.figures {
			line := regexp.QuoteMeta("| "+m.name+": "+f.what+" | ") + `-?[\d.,e+-]+ `
			if !regexp.MustCompile(line).MatchString(table.String()) {
				t.Errorf("no line for %s: %s\n%s", m.name, f.what, table.String())
			}
		}
	}
}

func TestABrokerThatDoesNotStartIsAFailure(t *testing.T) {
	s := suite{bin: t.TempDir(), short: true}
	var table strings.Builder
	if err := s.run(context.Background(), "round trip", &table); !errors.Is(err, errAbove) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(table.String(), "| round trip | failed |") {
		t.Error(table.String())
	}
}
