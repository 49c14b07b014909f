package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const shippedFile = "../etc/emq.conf"

func TestShippedFileIsTheDefaultsAndSixListeners(t *testing.T) {
	cfg, p := Load(Sources{File: shippedFile})
	if got := p.String(); got != "" {
		t.Fatal(got)
	}
	var listeners []string
	for _, l := range cfg.Listeners {
		listeners = append(listeners, l.Key()+" = "+l.Address)
	}
	want := []string{
		"listener.tcp.external = 0.0.0.0:1883", "listener.tcp.internal = 127.0.0.1:11883", "listener.ssl.external = 0.0.0.0:8883",
		"listener.ws.external = 0.0.0.0:8083", "listener.wss.external = 0.0.0.0:8084", "listener.api.mgmt = 127.0.0.1:8080",
	}
	if !reflect.DeepEqual(listeners, want) {
		t.Errorf("listeners %q, want %q", listeners, want)
	}
	cfg.Listeners, cfg.Node.Home = nil, ""
	if !reflect.DeepEqual(cfg, Default()) {
		t.Errorf("first difference %s", firstDifference(cfg.Dump(), Default().Dump()))
	}
}

func TestShippedListenersHaveTheDefaultOptions(t *testing.T) {
	shipped, _ := Load(Sources{File: shippedFile})
	bare, p := Load(Sources{Flags: map[string]string{"listener.tcp.external": "1883", "listener.api.mgmt": "127.0.0.1:8080"}})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	for _, l := range shipped.Listeners {
		for _, want := range bare.Listeners {
			if l.Key() == want.Key() && !reflect.DeepEqual(l, want) {
				t.Errorf("got %+v, want %+v", l, want)
			}
		}
	}
}

// A setting in the shipped file, in force or not.
var documented = regexp.MustCompile(`(?m)^(# )?([a-z0-9_.]+) = (.*)$`)

// shippedText is emq.conf and the plugin files.
func shippedText(t *testing.T) string {
	t.Helper()
	plugins, err := filepath.Glob("../etc/plugins/*.conf")
	if err != nil || len(plugins) == 0 {
		t.Fatalf("%d plugin files, %v", len(plugins), err)
	}
	var all strings.Builder
	plugins = slices.DeleteFunc(plugins, ownFile)
	for _, file := range append(plugins, shippedFile) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestShippedFileDocumentsEverySupportedKey(t *testing.T) {
	text := shippedText(t)
	found := map[string]bool{}
	defaults := Default().Dump()
	for _, m := range documented.FindAllStringSubmatch(text, -1) {
		comment, key, value := m[1] != "", m[2], m[3]
		k := lookup(key)
		if k == nil || k.Status != Supported {
			t.Errorf("%s is not a supported key", key)
			continue
		}
		found[k.Name] = true
		if !comment {
			continue
		}
		if _, err := k.parse(value); err != nil {
			t.Errorf("%s = %s: %v", key, value, err)
		}
		if k.isPattern() && k.Default != "" && value != k.Default || !k.isPattern() && k.Default != "" && !strings.Contains(defaults, key+" = "+value+"\n") {
			t.Errorf("the comment says %s = %s, which is not the default", key, value)
		}
	}
	for _, k := range Keys() {
		if k.Status == Supported && !found[k.Name] {
			t.Errorf("%s is not documented", k.Name)
		}
	}
}

// TestEveryShippedSettingHasACommentAbove: each one, or each block of them.
func TestEveryShippedSettingHasACommentAbove(t *testing.T) {
	above := ""
	for _, line := range strings.Split(shippedText(t), "\n") {
		if documented.MatchString(line) && !strings.HasPrefix(above, "## ") && !documented.MatchString(above) {
			t.Errorf("no comment above %q", line)
		}
		above = line
	}
}
