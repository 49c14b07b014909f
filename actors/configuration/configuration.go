// Package configuration owns the running configuration of a node.
//
//	emq.conf ──read──▶ validate ──▶ prepare ──▶ write ──▶ history ──▶ commit
//	                      │            │          │          │
//	                      └────────────┴── refused: nothing has changed
//
// The actor node/configuration is the only one that changes it: it takes what an
// operator asks for, one thing at a time, reads all layers as at start, and has the
// parts of the node that a difference concerns make ready for it. Only when all of
// them are is anything carried out, so that a file with a mistake, or a value that a
// part cannot have, leaves all as it was. What needs a restart is accepted, kept, and
// reported as pending until then.
//
// Each configuration that was accepted has a number and is kept in the history
// below node.data_dir: who, when, what changed, and the files as they were. Whatever
// is done, and wherever a crash interrupts it, the configuration that runs, the files
// and the newest of the history are the same, but for what somebody has edited since.
//
// The actor's parent is the root. Files are read and written on a goroutine of its
// own, which holds the turn that all incarnations of the actor share: a crash of the
// actor costs nothing. Its mailbox is bounded, and so is what waits for the turn.
// Who only reads asks the Owner, which has the last state in an atomic pointer.
package configuration

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/config"
)

// A Part is a part of the node that can take other settings while it runs.
type Part struct {
	Name string
	// Keys are its keys; one that ends with . or _ stands for all that begin with it.
	// A part is asked only if one of them has changed.
	Keys []string
	// Prepare makes ready what can fail, without any effect: from runs, to will.
	Prepare func(from, to *config.Config) (Ready, error)
}

// Ready is what a Part has made ready. One of both is called; nil is nothing to do.
type Ready struct {
	Commit func() // carry it out; it cannot fail
	Drop   func() // give it up: another part could not
}

// Concerns tells whether a key is one of the part.
func (p *Part) Concerns(key string) bool {
	return slices.ContainsFunc(p.Keys, func(k string) bool {
		return k == key || strings.ContainsAny(k[len(k)-1:], "._") && strings.HasPrefix(key, k)
	})
}

// Options are what an Owner needs.
type Options struct {
	// Loaded is what the node was started with.
	Loaded *config.Loaded
	// Dir is where the history is kept. Empty: it is in memory only.
	Dir string
	Log *slog.Logger
	// Refused is told when a file could not become the running configuration, and
	// with nil when one did again. nil: nobody is.
	Refused func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Owner is the configuration of a node. Its methods may be called from any
// goroutine, except that of an actor: they read files.
type Owner struct {
	o       Options
	parts   []Part
	state   atomic.Pointer[state]
	history *history
	turn    sync.Mutex // of who changes it: held by one goroutine at a time, never by an actor
	submit  func(Request) (Outcome, error)

	accepted, refused atomic.Uint64
}

// state is what is the case. It is replaced, never written to.
type state struct {
	running *config.Config // what the parts work with
	loaded  *config.Loaded // what was accepted last: running, once all is restarted
	number  int            // of loaded in the history

	// pending tells them apart, which takes a millisecond and is asked at every scrape of the metrics: it is done once.
	pending func() []config.Change
}

func newState(running *config.Config, loaded *config.Loaded, number int) *state {
	return &state{running, loaded, number, sync.OnceValue(func() []config.Change {
		return config.Changes(running, loaded.Config)
	})}
}

// New makes the Owner of the configuration that the node is about to run with, and
// opens its history. A history that cannot be kept is an error.
func New(o Options) (*Owner, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h, err := openHistory(o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	w := &Owner{o: o, history: h}
	w.submit = w.do
	number, err := w.begin()
	if err != nil {
		return nil, err
	}
	w.state.Store(newState(o.Loaded.Config, o.Loaded, number))
	return w, nil
}

// begin enters what the node starts with into the history, unless it is the newest
// already. It differs after an edit, and after a crash between a file and its entry.
func (w *Owner) begin() (int, error) {
	last := w.history.last()
	if last != nil && last.same(w.o.Loaded.Files) {
		return last.Number, nil
	}
	e := &Entry{Time: w.o.Now(), By: "start", What: "start", Files: w.o.Loaded.Files}
	if last != nil {
		if before, problems := w.reread(last.Files); problems.Err() == nil {
			e.Changes = config.Changes(before.Config, w.o.Loaded.Config)
		}
	}
	publish, err := w.history.stage(e)
	if err == nil {
		err = publish()
	}
	return e.Number, err
}

// SetParts says what there is that takes settings. It is called once, before the
// first change.
func (w *Owner) SetParts(parts []Part) { w.parts = parts }

// Running is what the node works with now. It is not written to, and not followed
// by those who keep it.
func (w *Owner) Running() *config.Config { return w.state.Load().running }

// Number is that of the configuration which was accepted last.
func (w *Owner) Number() int { return w.state.Load().number }

// Accepted and Refused count configurations since the node was started.
func (w *Owner) Accepted() uint64 { return w.accepted.Load() }

// Refused: see Accepted.
func (w *Owner) Refused() uint64 { return w.refused.Load() }

// Row is one key as operators see it.
type Row struct {
	Key   string          `json:"key"`
	Value string          `json:"value"` // that the node works with; a secret is masked
	Live  config.Liveness `json:"live"`
	// Pending is what the value will be after a restart; empty if the same.
	Pending string `json:"pending"`
}

// Settings are those whose keys begin with the words of a prefix; all if it is empty.
func (w *Owner) Settings(prefix string) []Row {
	s := w.state.Load()
	pending := map[string]config.Change{}
	for _, c := range s.pending() {
		pending[c.Key] = c
	}
	rows := []Row{}
	for _, v := range s.running.Settings() {
		if !below(v.Key, prefix) {
			continue
		}
		row := Row{Key: v.Key, Value: v.Value, Live: v.Live}
		if c, ok := pending[v.Key]; ok {
			row.Pending = cmp.Or(c.To, "(none)")
			delete(pending, v.Key)
		}
		rows = append(rows, row)
	}
	for _, c := range s.pending() { // keys that only the next start will have
		if _, left := pending[c.Key]; left && below(c.Key, prefix) {
			rows = append(rows, Row{Key: c.Key, Live: c.Live, Pending: c.To})
		}
	}
	return rows
}

// below tells whether a key is the prefix or begins with its words.
func below(key, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, ".")
	return prefix == "" || key == prefix || strings.HasPrefix(key, prefix+".")
}

// Explanation is a config.Explanation of the running node.
type Explanation struct {
	config.Explanation
	// Pending is what the value will be after a restart; empty if the same.
	Pending string `json:"pending"`
}

// Explain tells all about a key. The error of an unknown one names the nearest.
func (w *Owner) Explain(key string) (Explanation, error) {
	e, err := w.state.Load().loaded.Explain(key)
	x := Explanation{Explanation: e}
	for _, r := range w.Settings(e.Key) {
		if r.Key == e.Key && err == nil && r.Pending != "" {
			x.Value, x.Pending = r.Value, r.Pending
		}
	}
	return x, err
}

// Check reads a file, or what the node was started with if it is empty, as a start
// would, and says all that is wrong or odd.
func (w *Owner) Check(file string) config.Problems {
	_, problems := w.read(file)
	return problems
}

func (w *Owner) read(file string) (*config.Loaded, config.Problems) {
	if file == "" {
		return w.state.Load().loaded.Again(nil)
	}
	return w.state.Load().loaded.Other(file)
}

// Diff is what a reload of a file, or of what the node was started with if it is
// empty, would change, and what is pending already. An error says what is wrong
// with the file, all of it.
func (w *Owner) Diff(file string) ([]config.Change, error) {
	next, problems := w.read(file)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return config.Changes(w.Running(), next.Config), nil
}

// DiffNumber is what a rollback to a configuration of the history would change.
func (w *Owner) DiffNumber(number int) ([]config.Change, error) {
	e, err := w.history.get(number)
	if err != nil {
		return nil, err
	}
	next, problems := w.reread(e.Files)
	if err := problems.Err(); err != nil {
		return nil, fmt.Errorf("number %d is no configuration for this node any more: %w", number, err)
	}
	return config.Changes(w.Running(), next.Config), nil
}

// Pending is what needs a restart.
func (w *Owner) Pending() []config.Change {
	return slices.Clone(w.state.Load().pending())
}

// History lists what was accepted, the newest first, without the files.
func (w *Owner) History() []Entry { return w.history.list() }

// reread reads the sources of the node with files as they were.
func (w *Owner) reread(files []config.FileText) (*config.Loaded, config.Problems) {
	texts := map[string][]byte{}
	for _, f := range files {
		texts[f.Path] = f.Text
	}
	return w.o.Loaded.Again(texts)
}
