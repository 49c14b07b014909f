package node

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emqttd/cluster"
)

// met opens the file of a node that starts, and returns what is in it.
func met(t *testing.T, path string) (*acquaintances, []cluster.Candidate, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	a := newAcquaintances(path, slog.New(slog.NewTextHandler(log, nil)))
	return a, a.load(), log
}

func TestANodeRemembersWhomItHasMetAndForgetsWhomItLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", acquaintancesFile)
	b, c := cluster.Candidate{Name: "b", Address: "b:1"}, cluster.Candidate{Name: "c", Address: "c:1"}
	for i, step := range []struct{ before, now, after []cluster.Candidate }{
		{nil, []cluster.Candidate{b, c}, []cluster.Candidate{b, c}},
		{[]cluster.Candidate{b, c}, []cluster.Candidate{b, {Address: "never:1"}}, []cluster.Candidate{b}},
		{[]cluster.Candidate{b}, nil, nil}, // it has left
	} {
		a, list, _ := met(t, path)
		if !slices.Equal(list, step.before) {
			t.Errorf("start %d: it remembers %v, not %v", i, list, step.before)
		}
		a.note([]cluster.Candidate{c}) // soon replaced
		a.note(step.now)
		a.close()
		a, list, log := met(t, path)
		a.close()
		if !slices.Equal(list, step.after) || log.Len() > 0 {
			t.Errorf("after start %d it remembers %v, not %v: %s", i, list, step.after, log)
		}
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 1 {
		t.Errorf("it has left %v", files)
	}
}

func TestGarbageInPlaceOfTheNodesThatWereMetIsALineInTheLog(t *testing.T) {
	for _, text := range []string{"", "\x00\x01", "{}", `[{"name":"b"}]`, `[{"address":"b:1"}]`, `["b"]`} {
		path := filepath.Join(t.TempDir(), acquaintancesFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, list, log := met(t, path)
		if len(list) != 0 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%q: %v, and in the log %s", text, list, log)
		}
		a.note([]cluster.Candidate{{Name: "b", Address: "b:1"}})
		a.close()
		if a, list, _ = met(t, path); len(list) != 1 {
			t.Errorf("%q was not replaced: %v", text, list)
		}
		a.close()
	}
}
