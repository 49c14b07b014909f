package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
)

// Sources says where settings come from.
type Sources struct {
	// File is the path of emq.conf. Empty: no file is read, and no plugin files.
	File string
	// Env is the environment as os.Environ gives it; nil for none.
	Env []string
	// Flags are settings from the command line, by key.
	Flags map[string]string
	// Texts replace what is in files, by absolute path: what would be if that were
	// written. nil for none.
	Texts map[string][]byte
}

// setting is one setting of one layer: what koanf keeps for a key. The fields
// are exported because koanf copies its values by reflection.
type setting struct {
	Key     string // canonical
	Written string // as it was written
	Value   string
	Raw     string // Value before placeholders were resolved
	Where   string // as in Problem; empty for a default
	Layer   string // as in Explanation
	File    string // absolute; empty outside files
	Line    int    // in File
	Seq     int    // place among all settings
}

// layer is a set of settings by key. It is the koanf.Provider for them.
type layer map[string]any

func (l layer) Read() (map[string]any, error) { return l, nil }

func (l layer) ReadBytes() ([]byte, error) {
	return nil, errors.New("config: a layer of settings has no bytes")
}

// delimiter separates the levels of koanf's tree. It cannot be in a key, so the
// tree is flat: EMQ uses one name as leaf and as branch.
const delimiter = "\x00"

// loader is the state of one Load.
type loader struct {
	problems Problems
	seq      int
	home     string
	layer    string             // whose files are read
	texts    map[string][]byte  // Sources.Texts
	files    []FileText         // that were read
	seen     map[string]setting // what the files have set so far
}

// Load reads all layers and checks everything. It reports all problems at once;
// when there is an error among them the Config is nil. It does not write, and
// opens nothing but the configuration files.
func Load(src Sources) (*Config, Problems) {
	l, problems := Read(src)
	if len(problems.Errors) > 0 {
		return nil, problems
	}
	return l.Config, problems
}

// Default is the configuration of a node for which nothing is set: no
// listeners, and relative paths start at the working directory.
func Default() *Config {
	l := &loader{}
	cfg := l.merge(defaults()).decode()
	if err := l.problems.Err(); err != nil {
		panic("config: " + err.Error()) // the registry is wrong
	}
	return cfg
}

// defaults is the lowest layer.
func defaults() layer {
	d := layer{}
	for _, k := range known().keys {
		if k.Status == Supported && !k.isPattern() && k.Default != "" {
			d[k.Name] = setting{Key: k.Name, Value: k.Default, Layer: LayerDefault}
		}
	}
	return d
}

// merge lays the layers over each other; later ones override earlier ones.
func (l *loader) merge(layers ...layer) *decoder {
	k := koanf.New(delimiter)
	for _, m := range layers {
		if err := k.Load(m, nil); err != nil {
			panic("config: " + err.Error()) // a layer in memory can be read
		}
	}
	d := &decoder{loader: l, settings: map[string]setting{}}
	for key, v := range k.All() {
		d.settings[key] = v.(setting)
	}
	return d
}

// homeOf finds the node's home: EMQ_HOME, else the folder that holds the `etc/`
// of the file, else the folder of the file.
func homeOf(src Sources) string {
	home := ""
	for _, e := range src.Env {
		if v, ok := strings.CutPrefix(e, "EMQ_HOME="); ok {
			home = v
		}
	}
	if home == "" && src.File != "" {
		file, err := filepath.Abs(src.File)
		if err != nil {
			file = src.File
		}
		if home = filepath.Dir(file); filepath.Base(home) == "etc" {
			home = filepath.Dir(home)
		}
	}
	if abs, err := filepath.Abs(home); err == nil {
		return abs
	}
	return home // without a working directory a relative home is all there is
}

// pluginsDir takes the folder of the plugin files from the first layer that has it.
func pluginsDir(layers ...layer) string {
	for _, m := range layers {
		if s, ok := m["mqtt.plugins.etc_dir"].(setting); ok {
			return s.Value
		}
	}
	return ""
}

// fileLayer reads emq.conf and what it includes.
func (l *loader) fileLayer(file string) layer {
	m := layer{}
	l.layer = LayerFile
	if file != "" {
		l.readFile(m, file, nil)
	}
	return m
}

// pluginLayer reads the *.conf files of a folder in the order of their names. A
// folder that does not exist has none.
func (l *loader) pluginLayer(dir string) layer {
	m := layer{}
	l.layer = LayerPluginFile
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(l.home, dir)
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.unreadable(shorten(dir), err)
	}
	for _, n := range names {
		if file := filepath.Join(dir, n.Name()); filepath.Ext(file) == ".conf" && !ownFile(file) {
			l.readFile(m, shorten(file), nil)
		}
	}
	return m
}

// shorten makes a path below the working directory relative, for messages.
func shorten(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return rel
}

func (l *loader) unreadable(file string, err error) {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	l.seq++
	l.problems.add(Problem{Where: file, Cause: Unreadable, Message: fmt.Sprintf("cannot be read: %v", err), seq: l.seq})
}

// readFile adds the settings of a file, and of those it includes, to m. parents
// are the files that include it.
func (l *loader) readFile(m layer, file string, parents []string) {
	src, path, err := l.text(file)
	if err != nil {
		l.unreadable(file, err)
		return
	}
	for _, e := range lex(src) {
		l.seq++
		where := fmt.Sprintf("%s:%d", file, e.line)
		switch {
		case e.problem != "":
			l.problems.add(Problem{Where: where, Cause: Syntax, Message: e.problem, seq: l.seq})
		case e.include != "":
			l.include(m, file, where, e.include, parents)
		default:
			s := setting{Written: e.key, Value: e.value, Raw: e.raw, Where: where, Layer: l.layer, File: path, Line: e.line, Seq: l.seq}
			if l.identify(&s) {
				l.warnTwice(s)
				m[s.Key] = s
			}
		}
	}
}

// text reads a file and notes what was read.
func (l *loader) text(file string) (src []byte, path string, err error) {
	if path, err = filepath.Abs(file); err != nil {
		return nil, "", err
	}
	src, replaced := l.texts[path]
	if !replaced {
		if src, err = os.ReadFile(path); err != nil {
			return nil, "", err
		}
	}
	if !slices.ContainsFunc(l.files, func(f FileText) bool { return f.Path == path }) {
		l.files = append(l.files, FileText{path, src})
	}
	return src, path, nil
}

// include reads the files of an include line as if they stood there.
func (l *loader) include(m layer, file, where, glob string, parents []string) {
	fail := func(message string) {
		l.problems.add(Problem{Where: where, Cause: Unreadable, Message: message, seq: l.seq})
	}
	if !filepath.IsAbs(glob) {
		glob = filepath.Join(filepath.Dir(file), glob)
	}
	files, err := filepath.Glob(glob)
	if err != nil {
		fail("the pattern of the include is malformed")
		return
	}
	if len(files) == 0 && !strings.ContainsAny(glob, `*?[`) {
		fail("the included file does not exist")
		return
	}
	parents = append(slices.Clip(parents), filepath.Clean(file))
	for _, f := range files {
		if slices.Contains(parents, filepath.Clean(f)) {
			fail("the include leads back to a file that is being read")
			continue
		}
		l.readFile(m, f, parents)
	}
}

// identify fills in the canonical key, or reports that there is none.
func (l *loader) identify(s *setting) bool {
	s.Key = canonical(s.Written)
	if lookup(s.Key) != nil {
		return true
	}
	l.problems.add(Problem{
		Where: s.Where, Key: s.Written, Cause: UnknownKey, Message: "unknown key",
		Nearest: nearest(s.Written), seq: s.Seq,
	})
	return false
}

// warnTwice warns where a file sets what a file has set before.
func (l *loader) warnTwice(s setting) {
	if before, ok := l.seen[s.Key]; ok {
		as := ""
		if before.Written != s.Written {
			as = " as " + before.Written
		}
		l.problems.add(Problem{
			Where: s.Where, Key: s.Written, Cause: Duplicate, seq: s.Seq,
			Message: fmt.Sprintf("given twice: this line wins over %s%s", before.Where, as),
		})
	}
	l.seen[s.Key] = s
}
