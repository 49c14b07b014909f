package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesOfPluginsAreLeftToThem(t *testing.T) {
	home := t.TempDir()
	file := writeAt(t, home, "etc/emq.conf", "")
	writeAt(t, home, "etc/plugins/emq_mod_rewrite.conf", "module.rewrite.rule.1 = a b c\nany.key = 1\n")
	writeAt(t, home, "etc/plugins/own.conf", "wasm.file = own.wasm\nown.key = 1\n")
	writeAt(t, home, "etc/plugins/other.conf", "mqtt.session.max_inflight = 7\n")
	cfg, p := Load(Sources{File: file})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if cfg.MQTT.Session.MaxInflight != 7 {
		t.Error("the file that is nobody's own was not read")
	}
}

func TestKeysOfAPluginElsewhereSayWhereTheyBelong(t *testing.T) {
	for line, plugin := range map[string]string{
		"module.rewrite.rule.1 = a b c":     "emq_mod_rewrite",
		"module.subscription.1.topic = a":   "emq_mod_subscription",
		"web.hook.api.url = http://a.local": "emq_web_hook",
	} {
		_, p := Load(Sources{File: write(t, line+"\n")})
		if want := "belongs in etc/plugins/" + plugin + ".conf"; p.Err() == nil || !strings.Contains(p.Err().Error(), want) {
			t.Errorf("%s: %v, want %s", line, p.Err(), want)
		}
	}
}

func TestPluginFileIsReadWithItsGrammar(t *testing.T) {
	got, err := ReadFile(write(t, "## a comment\na.b = 1 # 2\na.b = x=y\n"))
	if want := map[string]string{"a.b": "x=y"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{"\na b\n": ":2: expected", "include x\n": ":1: the file of a plugin"} {
		if _, err := ReadFile(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.conf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestEveryPluginWithAFileHasAnExample(t *testing.T) {
	for _, name := range PluginsWithFile() {
		file := "../etc/plugins/" + name + ".conf"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := ReadFile(file); err != nil || len(got) > 0 {
			t.Errorf("%s sets %v, %v: examples are comments", file, got, err)
		}
		if !commented.Match(text) {
			t.Errorf("%s shows no key", file)
		}
	}
}
