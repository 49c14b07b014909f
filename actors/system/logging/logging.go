// Package logging writes the node's log: log/slog with EMQ's levels, lines and files.
//
//	2026-11-23 12:00:01.123 [info] client connected client_id=c1 peer=10.0.0.7:52011
//
// A record goes to up to four sinks, each with a level of its own: the console (stderr), the console file, the info
// file and the error file. Files rotate by size. A record whose level no sink wants costs one comparison.
//
// Writing is synchronous and a write error is not reported anywhere but on stderr, once per file: the log must not be
// able to stop the broker.
package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"emqttd/config"
)

// Levels of EMQ which slog lacks, at distances that sort as EMQ sorts them.
const (
	LevelNotice    = slog.LevelInfo + 2
	LevelCritical  = slog.LevelError + 4
	LevelAlert     = slog.LevelError + 8
	LevelEmergency = slog.LevelError + 12
	levelNone      = slog.Level(math.MaxInt32)
)

var levels = []struct {
	name  string
	level slog.Level
}{
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"notice", LevelNotice},
	{"warning", slog.LevelWarn},
	{"error", slog.LevelError},
	{"critical", LevelCritical},
	{"alert", LevelAlert},
	{"emergency", LevelEmergency},
	{"none", levelNone},
}

// ParseLevel returns the level that EMQ calls name.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range levels {
		if l.name == name {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("unknown log level %q", name)
}

// levelName is the name of the highest level that is not above l.
func levelName(l slog.Level) string {
	name := levels[0].name
	for _, known := range levels[:len(levels)-1] {
		if l >= known.level {
			name = known.name
		}
	}
	return name
}

// Log is an open log. Close it after the last record.
type Log struct {
	*slog.Logger
	files []*rotating
	crash *os.File
}

// Open opens the log files of c and returns the logger; console is written to when log.console is console or both.
// Folders that do not exist are made. It returns all that is wrong with the files at once, and then leaves nothing open.
func Open(c *config.Config, console io.Writer) (*Log, error) {
	var errs []error
	l := new(Log)
	h := &handler{sinks: new([]sink), level: new(slog.LevelVar)}
	level, err := ParseLevel(c.Log.Level)
	errs = append(errs, err)
	h.level.Set(level)
	add := func(w io.Writer, level *slog.LevelVar) { *h.sinks = append(*h.sinks, sink{w: w, level: level}) }
	file := func(f config.LogFile, level *slog.LevelVar) {
		if f.File == "" {
			return
		}
		r, err := openRotating(c.Path(f.File), int64(f.Size), f.Count)
		if err != nil {
			errs = append(errs, err)
			return
		}
		l.files = append(l.files, r)
		add(r, level)
	}
	if c.Log.Console == "console" || c.Log.Console == "both" {
		add(console, h.level)
	}
	if c.Log.Console == "file" || c.Log.Console == "both" {
		file(c.Log.ConsoleFile, h.level)
	}
	file(c.Log.Info, fixed(slog.LevelInfo))
	file(c.Log.Error, fixed(slog.LevelError))
	errs = append(errs, l.openCrash(c))
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	h.ready()
	l.Logger = slog.New(h)
	return l, nil
}

func fixed(level slog.Level) *slog.LevelVar {
	v := new(slog.LevelVar)
	v.Set(level)
	return v
}

// errForeign says that a logger is none that Open made.
var errForeign = errors.New("the level of this log cannot be changed")

// Level is EMQ's name of the lowest level that the console and the console file of
// a logger of ours get.
func Level(l *slog.Logger) string {
	h, ok := l.Handler().(*handler)
	switch {
	case !ok:
		return "unknown"
	case h.level.Level() == levelNone:
		return "none"
	default:
		return levelName(h.level.Level())
	}
}

// SetLevel changes that level, from any goroutine, for all loggers that were
// derived from the same Log. The info and the error file keep theirs.
func SetLevel(l *slog.Logger, name string) error {
	level, err := ParseLevel(name)
	if err != nil {
		return err
	}
	h, ok := l.Handler().(*handler)
	if !ok {
		return errForeign
	}
	h.level.Set(level)
	h.measure()
	return nil
}

// openCrash has the runtime write what it prints at a fatal crash to a file too.
func (l *Log) openCrash(c *config.Config) error {
	if !c.Log.Crash || c.Log.CrashFile == "" {
		return nil
	}
	f, err := openAppend(c.Path(c.Log.CrashFile))
	if err != nil {
		return err
	}
	l.crash = f
	return debug.SetCrashOutput(f, debug.CrashOptions{})
}

// Close closes the files. Records that come later are lost.
func (l *Log) Close() error {
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.Close())
	}
	if l.crash != nil {
		errs = append(errs, debug.SetCrashOutput(nil, debug.CrashOptions{}), l.crash.Close())
	}
	return errors.Join(errs...)
}
