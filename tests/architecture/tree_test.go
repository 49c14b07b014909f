package architecture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/config"
	"emqttd/tests/testkit"
)

// TestRunningTreeIsTheOneInTheBook starts a node with the listeners of the
// shipped emq.conf and compares the shape of its tree with the drawing in
// docs/ARCHITECTURE.md: the fenced block behind <!-- tree -->.
func TestRunningTreeIsTheOneInTheBook(t *testing.T) {
	shipped, problems := config.Load(config.Sources{File: filepath.Join(testkit.Root(), "etc", "emq.conf")})
	if shipped == nil {
		t.Fatal(problems.Err())
	}
	b := testkit.Start(t, func(c *config.Config) {
		c.Listeners = shipped.Listeners
		for i := range c.Listeners {
			c.Listeners[i].Address = "127.0.0.1:0"
		}
	})
	got := strings.TrimRight(b.Shape(t), "\n")
	if want := drawing(t); got != want {
		t.Errorf("the running tree:\n%s\n\ndocs/ARCHITECTURE.md draws:\n%s", got, want)
	}
}

// drawing is the tree of docs/ARCHITECTURE.md.
func drawing(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.Root(), "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, marked := strings.Cut(string(b), "<!-- tree -->")
	_, block, fenced := strings.Cut(rest, "```")
	_, block, lined := strings.Cut(block, "\n") // behind the name of a language
	tree, _, ends := strings.Cut(block, "\n```")
	if !marked || !fenced || !lined || !ends {
		t.Fatal("docs/ARCHITECTURE.md has no fenced block behind <!-- tree -->")
	}
	return tree
}
