package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// withFile are the plugins that have a file of their own: its keys are theirs, and
// are read when they are loaded.
var withFile = []string{
	"emq_mod_delayed", "emq_mod_flapping", "emq_mod_rewrite", "emq_mod_slow_subscribers",
	"emq_mod_subscription", "emq_mod_topic_metrics", "emq_web_hook",
}

// ModuleKey is the key which makes a plugin file that of a WebAssembly module.
const ModuleKey = "wasm.file"

// PluginsWithFile are the names of the plugins whose files Load leaves alone, as it
// does all files with a ModuleKey.
func PluginsWithFile() []string { return slices.Clone(withFile) }

// ownFile tells whether a file in the folder of plugins is for the plugin only. One
// that cannot be read is not, so that Load says so.
func ownFile(file string) bool {
	if slices.Contains(withFile, strings.TrimSuffix(filepath.Base(file), ".conf")) {
		return true
	}
	src, err := os.ReadFile(file)
	return err == nil && slices.ContainsFunc(lex(src), func(e entry) bool { return e.key == ModuleKey })
}

// ReadFile reads the settings of a plugin's own file, whatever its keys are. Of a
// key that is there twice the last line counts. An error names file and line; that
// of a file which does not exist is fs.ErrNotExist.
func ReadFile(file string) (map[string]string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, e := range lex(src) {
		switch {
		case e.problem != "":
			return nil, fmt.Errorf("%s:%d: %s", shorten(file), e.line, e.problem)
		case e.include != "":
			return nil, fmt.Errorf("%s:%d: the file of a plugin includes no other", shorten(file), e.line)
		}
		settings[e.key] = e.value
	}
	return settings, nil
}
