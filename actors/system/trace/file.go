package trace

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// file is the file of one trace. Lines go to the system at once, so that one who
// looks at the file sees them.
type file struct {
	mu sync.Mutex
	f  *os.File
}

func openFile(path string) (*file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("trace file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trace file: %w", err)
	}
	return &file{f: f}, nil
}

// line writes a line as the log has them. What cannot be written is lost: a full
// disk must not stop clients.
func (f *file) line(at time.Time, text string) {
	b := at.AppendFormat(make([]byte, 0, 64+len(text)), "2006-01-02 15:04:05.000")
	b = append(b, " [debug] "...)
	b = append(b, text...)
	b = append(b, '\n')
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		_, _ = f.f.Write(b)
	}
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.f.Close()
	f.f = nil
	return err
}

// quote makes text that clients chose fit for one line.
func quote(s string) string {
	for _, c := range s {
		if c == utf8.RuneError || c == ' ' || c == '"' || !unicode.IsPrint(c) {
			return strconv.Quote(s)
		}
	}
	return s
}
