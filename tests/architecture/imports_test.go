// Package architecture holds the rules about the whole that need no tool but
// Go: who may import whom, and that the tree which runs is the one that
// docs/ARCHITECTURE.md draws.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"emqttd/tests/testkit"
)

const (
	module     = "emqttd"
	protoactor = "github.com/asynkron/protoactor-go"
)

// listed is what these tests look at in the output of go list -json.
type listed struct {
	ImportPath, Dir                             string
	GoFiles, Imports, TestImports, XTestImports []string
}

// list asks the go command once: it is what takes the time in these tests.
var list = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = testkit.Root()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []listed {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// under reports whether a package is path or below it.
func under(pkg, path string) bool { return pkg == path || strings.HasPrefix(pkg, path+"/") }

func ours(pkg string) bool { return under(pkg, module) }

// standard reports whether a package belongs to the standard library: those have
// no dot in the first part of their path.
func standard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".") && !ours(pkg)
}

// layers are our packages in the order of the way of a PUBLISH, lowest first. A
// package may import those of lines above its own, and of its own line only
// what is below the same path.
var layers = [][]string{
	{"emqttd/protocol", "emqttd/config", "emqttd/actors/kernel", "emqttd/cluster/replicas/lww"},
	{"emqttd/actors/store"},
	{"emqttd/actors/access", "emqttd/actors/hooks", "emqttd/actors/system", "emqttd/actors/retained"},
	{"emqttd/cluster", "emqttd/actors/configuration"},
	{"emqttd/actors/topics"},
	{"emqttd/cluster/routes"},
	{"emqttd/actors/sessions"},
	{"emqttd/actors/connections"},
	{"emqttd/actors/plugins", "emqttd/actors/bridges", "emqttd/actors/gateways"},
	{"emqttd/actors/listeners", "emqttd/actors/admin"},
	{"emqttd/actors/node"},
	{"emqttd/cmd"},
	{"emqttd/tests"},
}

// layerOf finds the line with the longest path that a package is below.
func layerOf(pkg string) (level int, path string) {
	level = -1
	for i, l := range layers {
		for _, p := range l {
			if under(pkg, p) && len(p) > len(path) {
				level, path = i, p
			}
		}
	}
	return level, path
}

func TestEveryPackageHasALayer(t *testing.T) {
	for _, p := range packages(t) {
		if level, _ := layerOf(p.ImportPath); level < 0 {
			t.Errorf("%s stands in no layer: add it to layers where it belongs", p.ImportPath)
		}
	}
}

func TestNoLowerLayerImportsAnUpperOne(t *testing.T) {
	for _, p := range packages(t) {
		level, path := layerOf(p.ImportPath)
		for _, imported := range p.Imports {
			if !ours(imported) {
				continue
			}
			if l, other := layerOf(imported); l > level || l == level && other != path {
				t.Errorf("%s imports %s, which does not stand below it", p.ImportPath, imported)
			}
		}
	}
}

func TestNobodyImportsACommand(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if under(imported, "emqttd/cmd") && !under(p.ImportPath, "emqttd/cmd") {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestOnlyTestsImportWhatIsForTests(t *testing.T) {
	forTests := []string{"emqttd/tests", "testing", "go.uber.org/goleak", "pgregory.net/rapid"}
	for _, p := range packages(t) {
		if under(p.ImportPath, "emqttd/tests") {
			continue
		}
		for _, imported := range p.Imports {
			if slices.ContainsFunc(forTests, func(f string) bool { return under(imported, f) }) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// TestProtocolImportsNothingThatActs guards the pure core: rules without actors,
// sockets, goroutines, clocks, files or loggers.
func TestProtocolImportsNothingThatActs(t *testing.T) {
	acts := []string{"net", "os", "log", "sync", "context", "io/fs"} // of time only time.Duration, see below
	pure := []string{"sync/atomic"}
	for _, p := range packages(t) {
		if !under(p.ImportPath, "emqttd/protocol") {
			continue
		}
		for _, imported := range p.Imports {
			switch {
			case under(imported, "emqttd/protocol"), slices.Contains(pure, imported):
			case !standard(imported):
				t.Errorf("%s imports %s: only the standard library", p.ImportPath, imported)
			case slices.ContainsFunc(acts, func(a string) bool { return under(imported, a) }):
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// TestProtocolReadsNoClock: the time of an event is an argument.
func TestProtocolReadsNoClock(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)\b`)
	for _, p := range packages(t) {
		if !under(p.ImportPath, "emqttd/protocol") {
			continue
		}
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if use := clock.Find(text); use != nil {
				t.Errorf("%s/%s uses %s", p.ImportPath, file, use)
			}
		}
	}
}

func TestConfigIsALeafOfPlainStructs(t *testing.T) {
	for _, p := range packages(t) {
		if !under(p.ImportPath, "emqttd/config") {
			continue
		}
		for _, imported := range p.Imports {
			if ours(imported) && !under(imported, "emqttd/config") || under(imported, protoactor) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestKernelKnowsProtoActorAndNothingElse(t *testing.T) {
	const mapOfTheFramework = "github.com/orcaman/concurrent-map" // a type in Proto.Actor's process registry
	for _, p := range packages(t) {
		if p.ImportPath != "emqttd/actors/kernel" {
			continue
		}
		for _, imported := range p.Imports {
			if !standard(imported) && !under(imported, protoactor+"/actor") && imported != mapOfTheFramework {
				t.Errorf("kernel imports %s", imported)
			}
		}
	}
}

// TestNoFrameworkPartThatWeReplace keeps out the parts of the framework that its
// users meet first and whose cost or behaviour we cannot have: the cluster
// package, grains, persistence.
func TestNoFrameworkPartThatWeReplace(t *testing.T) {
	allowed := []string{protoactor + "/actor", protoactor + "/remote"}
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if under(imported, protoactor) && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}
