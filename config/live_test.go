package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestEverySupportedKeySaysWhenAChangeIsInForce(t *testing.T) {
	used := map[string]bool{}
	for _, k := range Keys() {
		if (k.Live() == 0) == (k.Status == Supported) {
			t.Errorf("%s is %s, and live %q", k.Name, k.Status, k.Live())
		}
		words := strings.Split(k.Name, ".")
		for n := range words {
			used[strings.Join(words[:n+1], ".")] = true
			if words[0] == "listener" && n >= 2 {
				used[strings.Join(append([]string{"listener", "*"}, words[3:n+1]...), ".")] = true
			}
		}
	}
	for name := range live {
		if !used[name] {
			t.Errorf("there is no key %s", name)
		}
	}
}

var liveLine = regexp.MustCompile(`^## Live: (.*)\.$`)

// TestShippedFilesSayWhenAChangeIsInForce: the nearest line `## Live: …` above a key,
// of its block or of its section, is what the registry says.
func TestShippedFilesSayWhenAChangeIsInForce(t *testing.T) {
	text, err := os.ReadFile(shippedFile)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "##---") {
			said = ""
		}
		if m := liveLine.FindStringSubmatch(line); m != nil {
			said = m[1]
		}
		m := documented.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if k := lookup(m[2]); k == nil || k.Live().String() != said {
			t.Errorf("emq.conf:%d: %s is live %q, the file says %q", i+1, m[2], k.Live(), said)
		}
	}
}
