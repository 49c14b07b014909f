package logging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// rotating is a file that is renamed to file.0 when a write would make it larger than size; file.0 becomes file.1 and
// so on, and what is beyond count goes. It is safe for concurrent use.
type rotating struct {
	path  string
	size  int64 // 0 = never
	count int   // 0 = the old content is thrown away
	once  sync.Once

	mu      sync.Mutex
	file    *os.File
	written int64
}

// OpenFile opens a log file that rotates at size bytes and keeps count old ones. It is safe for concurrent use; each
// Write is one or more whole lines.
func OpenFile(path string, size int64, count int) (io.WriteCloser, error) {
	return openRotating(path, size, count)
}

func openRotating(path string, size int64, count int) (*rotating, error) {
	r := &rotating{path: path, size: size, count: count}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

func openAppend(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("log file %s: %w", path, err)
	}
	// Client ids and addresses are in it: not for everybody.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

func (r *rotating) open() error {
	f, err := openAppend(r.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.written = f, info.Size()
	return nil
}

// Write writes one line. A line is never split between two files.
func (r *rotating) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return 0, fs.ErrClosed
	}
	if r.size > 0 && r.written > 0 && r.written+int64(len(line)) > r.size {
		if err := r.rotate(); err != nil {
			r.complain(err)
			if r.file == nil {
				return 0, err
			}
		}
	}
	n, err := r.file.Write(line)
	r.written += int64(n)
	if err != nil {
		r.complain(err)
	}
	return n, err
}

// rotate moves the files up by one and starts a new one. When a file cannot be moved, the log goes on in the old one
// and it is tried again after another size bytes. The file is closed first: Windows does not rename open ones.
func (r *rotating) rotate() error {
	closed := r.file.Close()
	r.file = nil
	shifted := r.shift()
	opened := r.open()
	if shifted != nil {
		r.written = 0
	}
	return errors.Join(closed, shifted, opened)
}

func (r *rotating) shift() error {
	if r.count == 0 {
		return os.Truncate(r.path, 0)
	}
	for i := r.count - 2; i >= 0; i-- {
		if err := os.Rename(r.numbered(i), r.numbered(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(r.path, r.numbered(0))
}

func (r *rotating) numbered(i int) string { return fmt.Sprintf("%s.%d", r.path, i) }

// complain tells once that the file has trouble. There is no better place for it than stderr.
func (r *rotating) complain(err error) {
	r.once.Do(func() { fmt.Fprintf(os.Stderr, "emqttd: log file %s: %v\n", r.path, err) })
}

// Close closes the file. Writes that come later fail.
func (r *rotating) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
