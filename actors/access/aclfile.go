package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/access/acl"
)

// ACLFile is etc/acl.conf: rules for everybody, read again when the file changes.
// A nil ACLFile has none.
type ACLFile struct {
	path, name string
	now        atomic.Pointer[[]acl.Rule]

	mu   sync.Mutex // of Reload
	text []byte     // what was read last, good or bad
	bad  error      // what was wrong with it
}

// OpenACLFile reads a file. name is what it is called in Origin and in errors.
// Unless it must exist, a file that does not has no rules.
func OpenACLFile(path, name string, mustExist bool) (*ACLFile, error) {
	f := &ACLFile{path: path, name: name}
	if _, err := f.Reload(); err != nil && (mustExist || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again, and tells whether the rules are others now. While
// the file has mistakes, or is not there, the rules before stay.
func (f *ACLFile) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := os.ReadFile(f.path)
	if err != nil {
		return false, fmt.Errorf("access rules: %w", err)
	}
	if f.text != nil && bytes.Equal(text, f.text) {
		return false, f.bad
	}
	rules, err := acl.Parse(f.name, text)
	f.text = text
	if f.bad = nil; err != nil {
		f.bad = fmt.Errorf("access rules: %w", err)
		return false, f.bad
	}
	f.now.Store(&rules)
	return true, nil
}

// Rules are those in force; nobody changes them.
func (f *ACLFile) Rules() []acl.Rule { return f.rules() }

func (f *ACLFile) rules() []acl.Rule {
	if f == nil {
		return nil
	}
	if r := f.now.Load(); r != nil {
		return *r
	}
	return nil
}

// lookEvery is how often the file's size and time are looked at: changes are to be
// in force within a second, of which one interval goes by until whoever writes
// the file has finished. It costs some µs, and sees what notifications of the
// system do not: network file systems, and folders that are links which move.
const lookEvery = 250 * time.Millisecond

// watch reloads the file when it changes, until ctx ends.
func (f *ACLFile) watch(ctx context.Context, log *slog.Logger, changed func()) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var seen, read fs.FileInfo // at the last look, and when it was read
	said, first := "", true    // it may have changed since it was opened
	for {
		now, _ := os.Stat(f.path)
		if settled := same(now, seen); settled && (first || !same(now, read)) {
			said = f.look(log, said, changed)
			read, first = now, false
		}
		seen = now
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// same tells whether a file has not been touched in between; nil is no file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// look reloads the file and reports what came of it, an error once only.
func (f *ACLFile) look(log *slog.Logger, said string, changed func()) string {
	ok, err := f.Reload()
	if ok {
		log.Info("access rules read", "file", f.path, "rules", len(f.rules()))
		changed()
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) && f.now.Load() == nil {
		return ""
	}
	if err.Error() != said {
		log.Error("access rules not read, those before stay", "file", f.path, "reason", err)
	}
	return err.Error()
}
