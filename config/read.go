package config

import (
	"cmp"
	"slices"
)

// The layers of settings, lowest first.
const (
	LayerDefault     = "default"
	LayerFile        = "file"
	LayerPluginFile  = "plugin file"
	LayerEnvironment = "environment"
	LayerFlag        = "flag"
)

// FileText is a configuration file as it was read.
type FileText struct {
	Path string `json:"path"` // absolute
	Text []byte `json:"text"`
}

// Loaded is a configuration with where it comes from. It is not written to.
type Loaded struct {
	// Config is incomplete where Read reported errors.
	Config *Config
	// Files are those that were read, each once, in the order of reading. Files of
	// plugins are not among them: those are read when the plugins are loaded.
	Files []FileText

	src      Sources
	settings map[string]setting // by canonical key, those of no layer but the highest
}

// Read is Load for those who must know more than the Config.
func Read(src Sources) (*Loaded, Problems) {
	l := &loader{home: homeOf(src), texts: src.Texts, seen: map[string]setting{}}
	files := l.fileLayer(src.File)
	env, flags := l.envLayer(src.Env), l.flagLayer(src.Flags)
	plugins := layer{}
	if src.File != "" {
		plugins = l.pluginLayer(pluginsDir(flags, env, files, defaults()))
	}
	d := l.merge(defaults(), files, plugins, env, flags)
	cfg := d.decode()
	cfg.Node.Home = l.home
	d.validate(cfg)
	bySeq := func(a, b Problem) int { return cmp.Compare(a.seq, b.seq) }
	slices.SortStableFunc(l.problems.Errors, bySeq)
	slices.SortStableFunc(l.problems.Warnings, bySeq)
	return &Loaded{Config: cfg, Files: l.files, src: src, settings: d.settings}, l.problems
}

// Source is the emq.conf that was read, empty if there was none.
func (l *Loaded) Source() string { return l.src.File }

// Again reads the same sources as they are now, with the environment and the flags
// of then. texts are as in Sources.
func (l *Loaded) Again(texts map[string][]byte) (*Loaded, Problems) {
	src := l.src
	src.Texts = texts
	return Read(src)
}

// Other reads another emq.conf as if the node had been started with it. Relative
// paths in it start at the folder of its own.
func (l *Loaded) Other(file string) (*Loaded, Problems) {
	src := l.src
	src.File, src.Texts = file, nil
	return Read(src)
}

// Plain is a configuration that comes from no file. All of it looks like defaults.
func Plain(c *Config) *Loaded { return &Loaded{Config: c} }
