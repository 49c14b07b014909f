package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fixtures are the settings of the files that EMQ shipped.
const fixtures = "../tests/fixtures"

var update = flag.Bool("update", false, "write the golden files and docs/configuration.md anew")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date: run `go test ./config -update` and review the difference; first at %s", file, firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "\n got " + a[i] + "\nwant " + b[i]
		}
	}
	return "the end"
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixtures, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

// write puts a configuration file into a home of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	return writeAt(t, t.TempDir(), "etc/emq.conf", text)
}

func writeAt(t *testing.T, home, name, text string) string {
	t.Helper()
	file := filepath.Join(home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestShippedFilesOfEMQFailOnlyByWhatIsNotYetThere(t *testing.T) {
	files := append(glob(t, "emq-*.conf"), glob(t, "plugins-v2.3.11/*.conf")...)
	if len(files) != 5+18 {
		t.Errorf("%d fixtures", len(files))
	}
	var b strings.Builder
	for _, file := range files {
		_, p := Load(Sources{File: file})
		for _, e := range p.Errors {
			if e.Cause != NotSupplied {
				t.Errorf("%s", e)
			}
		}
		b.WriteString("# " + filepath.ToSlash(file) + "\n" + filepath.ToSlash(p.String()) + "\n")
	}
	golden(t, "testdata/fixtures.golden", b.String())
}

// A setting that EMQ shipped as a comment.
var commented = regexp.MustCompile(`(?m)^# (\S+ ?= ?.*)$`)

func TestEveryKeyOfEMQIsKnownAndItsValueRead(t *testing.T) {
	for _, file := range append(glob(t, "emq-*.conf"), glob(t, "plugins-v2.3.11/*.conf")...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range lex(commented.ReplaceAll(text, []byte("$1"))) {
			if e.key == "" {
				t.Errorf("%s:%d: %+v", file, e.line, e)
				continue
			}
			k := lookup(canonical(e.key))
			if k == nil {
				t.Errorf("%s:%d: %s is not known", file, e.line, e.key)
				continue
			}
			if _, err := k.parse(e.value); err != nil && e.key != "mqtt.session.collect_interval" { // a number became a flag
				t.Errorf("%s:%d: %s = %s: %v", file, e.line, e.key, e.value, err)
			}
		}
	}
}

// accepted is the fixture without the lines that are refused.
func accepted(t *testing.T, file string) *Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixtures, file))
	if err != nil {
		t.Fatal(err)
	}
	refused := regexp.MustCompile(`(?m)^(mqtt\.acl_file|mqtt\.bridge|cluster\.multicast).*$`)
	cfg, p := Load(Sources{File: write(t, refused.ReplaceAllString(string(text), ""))})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestFileOfEMQ20MeansWhatItMeantThere(t *testing.T) {
	got := accepted(t, "emq-v2.0.conf").Dump()
	for _, want := range []string{
		"node.name = emqttd@127.0.0.1",
		"mqtt.client.idle_timeout = 30s",
		"mqtt.session.max_inflight = 100",
		"mqtt.session.retry_interval = 1m",
		"mqtt.session.await_rel_timeout = 20s",
		"mqtt.session.max_awaiting_rel = 0",
		"mqtt.session.expiry_interval = 1d",
		"mqtt.mqueue.max_length = 0",
		"mqtt.mqueue.high_watermark = 60%",
		"mqtt.broker.sys_interval = 1m",
		"listener.tcp.external = 0.0.0.0:1883",
		"listener.tcp.external.acceptors = 8",
		"listener.tcp.external.max_clients = 1024",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestFileOfEMQ2311DiffersFromTheDefaultsInItsQueueAndItsWindowOnly(t *testing.T) {
	cfg := accepted(t, "emq-v2.3.11.conf")
	var keys []string
	for i := range cfg.Listeners {
		keys = append(keys, cfg.Listeners[i].Key())
	}
	if got := strings.Join(keys, " "); got != "listener.tcp.external listener.tcp.internal listener.ssl.external listener.ws.external listener.wss.external listener.api.mgmt" {
		t.Errorf("listeners %s", got)
	}
	if l := cfg.Listeners[1]; l.Acceptors != 4 || l.Backlog != 512 || l.SendTimeout.Seconds() != 5 || l.NoDelay {
		t.Errorf("internal listener %+v", l)
	}
	cfg.Listeners = nil
	want := strings.NewReplacer(
		"mqtt.mqueue.max_length = 0", "mqtt.mqueue.max_length = 1000",
		"mqtt.session.max_inflight = 100", "mqtt.session.max_inflight = 32",
	).Replace(Default().Dump())
	if got := cfg.Dump(); got != want {
		t.Errorf("first difference %s", firstDifference(got, want))
	}
}
