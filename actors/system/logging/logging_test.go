package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"emqttd/config"
)

func quietConfig(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Node.Home = t.TempDir()
	c.Log = config.Log{Dir: "log", Console: "off", Level: "info"}
	return c
}

func open(t *testing.T, c *config.Config, console io.Writer) *Log {
	t.Helper()
	l, err := Open(c, console)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func read(t *testing.T, c *config.Config, name string) string {
	t.Helper()
	b, err := os.ReadFile(c.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLineLooksLikeEMQ(t *testing.T) {
	var out bytes.Buffer
	c := quietConfig(t)
	c.Log.Console = "console"
	l := open(t, c, &out)
	l.With("node", "emq@127.0.0.1").WithGroup("peer").Log(context.Background(), LevelNotice, "client connected",
		"client_id", "a b", "port", 1883, "clean", true, "took", 3*time.Second, slog.Group("tls", "version", "1.3"),
		"err", errors.New("x=\"y\"\n[error] forged"), "empty", "")
	want := `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ` + regexp.QuoteMeta(`[notice] client connected node=emq@127.0.0.1 `+
		`peer.client_id="a b" peer.port=1883 peer.clean=true peer.took=3s peer.tls.version=1.3 `+
		`peer.err="x=\"y\"\n[error] forged" peer.empty=""`) + "\n$"
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestEverySinkGetsItsLevelsOnly(t *testing.T) {
	var console bytes.Buffer
	c := quietConfig(t)
	c.Log.Console, c.Log.Level = "both", "warning"
	c.Log.ConsoleFile = config.LogFile{File: "log/console.log"}
	c.Log.Info = config.LogFile{File: "log/info.log"}
	c.Log.Error = config.LogFile{File: "log/error.log"}
	l := open(t, c, &console)
	l.Debug("D")
	l.Info("I")
	l.Warn("W")
	l.Error("E")
	l.Log(context.Background(), LevelCritical, "C")
	for name, got := range map[string]string{
		"console W E C":         console.String(),
		"log/console.log W E C": read(t, c, "log/console.log"),
		"log/info.log I W E C":  read(t, c, "log/info.log"),
		"log/error.log E C":     read(t, c, "log/error.log"),
	} {
		fields := strings.Fields(name)
		var messages []string
		for line := range strings.Lines(got) {
			messages = append(messages, strings.Fields(line)[3])
		}
		if strings.Join(messages, " ") != strings.Join(fields[1:], " ") {
			t.Errorf("%s: got %v, want %v", fields[0], messages, fields[1:])
		}
	}
}

func TestLevelNoneIsSilentAndALevelThatIsOffAllocatesNothing(t *testing.T) {
	c := quietConfig(t)
	c.Log.Console, c.Log.Level = "console", "none"
	l := open(t, c, io.Discard)
	if l.Enabled(context.Background(), LevelEmergency) {
		t.Error("emergency is on at level none")
	}
	if n := testing.AllocsPerRun(100, func() { l.Debug("x") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFilesRotateBySizeAndKeepWholeLines(t *testing.T) {
	c := quietConfig(t)
	c.Log.Error = config.LogFile{File: "log/error.log", Size: 200, Count: 2}
	l := open(t, c, io.Discard)
	for i := range 20 {
		l.Error("message", "n", i)
	}
	files, err := filepath.Glob(c.Path("log/error.log*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v; want error.log, .0 and .1", files, err)
	}
	var all string
	for _, name := range []string{"log/error.log.1", "log/error.log.0", "log/error.log"} {
		s := read(t, c, name)
		if len(s) > 200 || !strings.HasSuffix(s, "\n") {
			t.Errorf("%s has %d bytes: %q", name, len(s), s)
		}
		all += s
	}
	if !strings.HasSuffix(all, "n=19\n") || strings.Count(all, "\n") != strings.Count(all, "[error] message n=") {
		t.Errorf("lines were lost or cut:\n%s", all)
	}
}

func TestRotationGoesOnFromTheSizeOfAnExistingFile(t *testing.T) {
	c := quietConfig(t)
	c.Log.Error = config.LogFile{File: "error.log", Size: 100, Count: 1}
	if err := os.WriteFile(c.Path("error.log"), bytes.Repeat([]byte("x"), 99), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, c, io.Discard).Error("new")
	if old := read(t, c, "error.log.0"); len(old) != 99 {
		t.Errorf("old file has %d bytes", len(old))
	}
}

func TestOpenNamesEveryFileThatCannotBeWritten(t *testing.T) {
	c := quietConfig(t)
	if err := os.WriteFile(c.Path("log"), nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	c.Log.Info = config.LogFile{File: "log/info.log"}
	c.Log.Error = config.LogFile{File: "log/error.log"}
	_, err := Open(c, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "info.log") || !strings.Contains(err.Error(), "error.log") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkRecord(b *testing.B) {
	h := &handler{sinks: &[]sink{{w: io.Discard, level: fixed(slog.LevelInfo)}}}
	h.ready()
	log := slog.New(h)
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(context.Background(), slog.LevelInfo, "client connected", slog.String("client_id", "c1"), slog.Int("port", 1883))
	}
}

func TestTheLevelOfTheConsoleChangesWhileItRuns(t *testing.T) {
	var console bytes.Buffer
	c := quietConfig(t)
	c.Log.Console, c.Log.Level = "console", "warning"
	c.Log.Error = config.LogFile{File: "log/error.log"}
	l := open(t, c, &console)
	child := l.With("node", "n")
	child.Debug("before")
	if err := SetLevel(child, "debug"); err != nil || Level(l.Logger) != "debug" {
		t.Fatalf("%v, level %s", err, Level(child))
	}
	child.Debug("now")
	if err := SetLevel(l.Logger, "none"); err != nil || Level(child) != "none" {
		t.Fatalf("%v, level %s", err, Level(child))
	}
	child.Error("after")
	if got := console.String(); strings.Contains(got, "before") || !strings.Contains(got, "now") || strings.Contains(got, "after") {
		t.Errorf("the console has %q", got)
	}
	if got := read(t, c, "log/error.log"); !strings.Contains(got, "after") || strings.Contains(got, "now") {
		t.Errorf("the error file has %q", got)
	}
	if err := SetLevel(child, "loud"); err == nil {
		t.Error("a level that there is not was taken")
	}
}
