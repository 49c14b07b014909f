package fakenode

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/actors/configuration"
	"emqttd/config"
)

// WithFile gives the node a configuration that can be changed: an emq.conf with these
// lines, whose path it returns.
func (f *Node) WithFile(t testing.TB, lines ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "etc", "emq.conf")
	text := strings.Join(lines, "\n") + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	loaded, problems := config.Read(config.Sources{File: file})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	owner, err := configuration.New(configuration.Options{Loaded: loaded})
	if err != nil {
		t.Fatal(err)
	}
	f.Config = owner
	return file
}
