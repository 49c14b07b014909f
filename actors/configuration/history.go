package configuration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"emqttd/config"
)

// maxEntries is how many configurations are kept: months of changes by hand, and a
// few megabytes.
const maxEntries = 50

// Entry is one configuration that was accepted.
type Entry struct {
	Number  int             `json:"number"`
	Time    time.Time       `json:"time"`
	By      string          `json:"by"`   // who
	What    string          `json:"what"` // reload, set KEY, rollback N, or start
	Changes []config.Change `json:"changes"`
	// Files are what was read, secrets and all. Lists leave them out.
	Files []config.FileText `json:"files,omitempty"`
}

// same tells whether the files of the entry are these.
func (e *Entry) same(files []config.FileText) bool {
	return slices.EqualFunc(e.Files, files, func(a, b config.FileText) bool {
		return a.Path == b.Path && bytes.Equal(a.Text, b.Text)
	})
}

// history keeps the entries, the oldest first, each in a file of its own which only
// the node's user can read.
type history struct {
	dir string // empty: nothing is on disk

	mu      sync.Mutex // of entries, which lists read
	entries []*Entry
	staged  string // a file that is not published yet
}

func openHistory(dir string, log *slog.Logger) (*history, error) {
	h := &history{dir: dir}
	if dir == "" {
		return h, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("history of the configuration: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("history of the configuration: %w", err)
	}
	for _, n := range names {
		switch path := filepath.Join(dir, n.Name()); {
		case strings.Contains(n.Name(), ".new-"):
			_ = os.Remove(path) // of a process that ended while it wrote
		case filepath.Ext(path) == ".json":
			e, err := readEntry(path)
			if err != nil {
				log.Warn("an entry of the history of the configuration cannot be read", "file", path, "reason", err)
				continue
			}
			h.entries = append(h.entries, e)
		}
	}
	slices.SortFunc(h.entries, func(a, b *Entry) int { return a.Number - b.Number })
	return h, nil
}

func readEntry(path string) (*Entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e := new(Entry)
	if err := json.Unmarshal(text, e); err != nil {
		return nil, err
	}
	if e.Number <= 0 {
		return nil, errors.New("it has no number")
	}
	return e, nil
}

func (h *history) path(number int) string {
	return filepath.Join(h.dir, fmt.Sprintf("%06d.json", number))
}

// last is the newest entry, nil if there is none.
func (h *history) last() *Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) == 0 {
		return nil
	}
	return h.entries[len(h.entries)-1]
}

func (h *history) get(number int) (*Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.entries, func(e *Entry) bool { return e.Number == number })
	if i < 0 {
		return nil, fmt.Errorf("%w: %d", ErrNoEntry, number)
	}
	return h.entries[i], nil
}

func (h *history) list() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Entry, 0, len(h.entries))
	for _, e := range slices.Backward(h.entries) {
		row := *e
		row.Files = nil
		row.Changes = orNone(row.Changes)
		list = append(list, row)
	}
	return list
}

// stage gives an entry its number and makes it ready on disk; publish puts it where
// the next start finds it, and forgets those that are too old.
func (h *history) stage(e *Entry) (publish func() error, err error) {
	e.Number = 1
	if last := h.last(); last != nil {
		e.Number = last.Number + 1
	}
	if h.dir != "" {
		text, err := json.Marshal(e)
		if err == nil {
			h.staged, err = stageFile(h.path(e.Number), text, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("history of the configuration: %w", err)
		}
	}
	return func() error { return h.publish(e) }, nil
}

// unstage takes back what was made ready.
func (h *history) unstage() error {
	if h.staged == "" {
		return nil
	}
	temp := h.staged
	h.staged = ""
	return os.Remove(temp)
}

func (h *history) publish(e *Entry) error {
	if h.dir != "" {
		temp := h.staged
		h.staged = ""
		if err := publishFile(temp, h.path(e.Number)); err != nil {
			return fmt.Errorf("history of the configuration: %w", err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	for len(h.entries) > maxEntries {
		if h.dir != "" {
			if err := os.Remove(h.path(h.entries[0].Number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				break // it is tried again with the next one
			}
		}
		h.entries = h.entries[1:]
	}
	return nil
}
