package access

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestABadFileKeepsTheRulesBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenACLFile(path, "etc/acl.conf", true); err == nil {
		t.Error("a file that must be there is not missed")
	}
	f, err := OpenACLFile(path, "etc/acl.conf", false)
	if err != nil || len(f.Rules()) != 0 {
		t.Fatalf("%v, %v", f, err)
	}
	write("{allow, all}.")
	if changed, err := f.Reload(); !changed || err != nil || len(f.Rules()) != 1 {
		t.Errorf("%t, %v", changed, err)
	}
	if changed, err := f.Reload(); changed || err != nil {
		t.Errorf("unchanged: %t, %v", changed, err)
	}
	write("{allow, al}.")
	for range 2 {
		changed, err := f.Reload()
		if changed || err == nil || !strings.Contains(err.Error(), "etc/acl.conf:1:9: expected all") || len(f.Rules()) != 1 {
			t.Errorf("%t, %v, %d rules", changed, err, len(f.Rules()))
		}
	}
	if _, err := OpenACLFile(path, "etc/acl.conf", false); err == nil {
		t.Error("a node would start with a bad file")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := f.Reload(); changed || err == nil || len(f.Rules()) != 1 {
		t.Errorf("removed: %t, %v, %d rules", changed, err, len(f.Rules()))
	}
}

func TestTheCommandReloadsTheRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{allow, all}.")
	f, err := OpenACLFile(path, "acl.conf", true)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChain(Options{AllowAnonymous: true, ACL: f, CacheSize: 4})
	told := 0
	c.OnChange(func(Selector) { told++ })
	id := admit(t, c, Credentials{})
	write("{deny, all}.")
	if !id.MayPublish("a") || c.ReloadACL() != nil || id.MayPublish("a") || told != 1 {
		t.Errorf("told %d times", told)
	}
	if c.ReloadACL() != nil || told != 1 {
		t.Errorf("unchanged, and told %d times", told)
	}
	write("{deny")
	if c.ReloadACL() == nil || id.MayPublish("a") {
		t.Error("a bad file is taken")
	}
	if NewChain(Options{}).ReloadACL() == nil {
		t.Error("no file is read")
	}
}

// lines is a log that tells of each line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestAChangedFileIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl.conf")
	replace := func(text string) { // as editors do
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace("{allow, all}.")
	f, err := OpenACLFile(path, "acl.conf", true)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{more: make(chan struct{}, 1)}
	c := NewChain(Options{AllowAnonymous: true, ACL: f, CacheSize: 4, Log: slog.New(slog.NewTextHandler(log, nil))})
	id := admit(t, c, Credentials{})
	if !id.MayPublish("a") {
		t.Fatal("a is not allowed")
	}
	told := make(chan Selector, 10)
	c.OnChange(func(s Selector) { told <- s })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(done)
	}()
	replace("{deny, all}.")
	wait(t, told)
	if id.MayPublish("a") {
		t.Error("the change is not in force")
	}
	for len(log.more) > 0 {
		<-log.more
	}
	replace("{allow, al}.")
	wait(t, log.more)
	log.mu.Lock()
	if s := log.text.String(); !strings.Contains(s, "acl.conf:1:9") || !strings.Contains(s, "level=ERROR") {
		t.Errorf("the log says %s", s)
	}
	log.mu.Unlock()
	replace("{allow, all}. ")
	wait(t, told)
	if !id.MayPublish("a") {
		t.Error("the repaired file is not in force")
	}
	cancel()
	wait(t, done)
}

func wait[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("it does not come")
	}
}
