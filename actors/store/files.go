package store

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// files is the file system as pebble sees it. It exists because pebble answers
// an error of its log or manifest by ending the process, some of them past
// recovery (it unlocks a mutex twice while it panics).
//
// So such an error is the end of the store, not of the process: from then on
// nothing is changed on the disk any more – whatever pebble still writes, renames
// and removes is passed over and reported as done. The folder stays as the failure
// left it, which is a state from which a restart recovers; and nobody who waits
// for a write is told that it is safe, because the store has failed before
// pebble hears of it. Errors of tables pass: pebble tries again by itself.
type files struct {
	vfs.FS
	disk *Disk
}

var _ vfs.FS = (*files)(nil)

// frozen tells whether the disk is not to be changed any more.
func (f *files) frozen() bool { return f.disk.failure.Load() != nil }

// met notes an error of an operation that pebble does not survive, and tells
// whether it is to be reported as done. An error of a backup, which is outside the
// store's folder, is none of the store's: whoever wants the backup gets it.
func (f *files) met(op, name string, err error) bool {
	if err == nil || f.table(name) || !f.inside(name) {
		return false
	}
	f.disk.fail(reasonDisk, fmt.Errorf("%s %s: %w", op, f.FS.PathBase(name), err))
	return true
}

// inside tells whether a name is that of the store's folder, or of something in it.
func (f *files) inside(name string) bool {
	dir, name := f.FS.PathJoin(f.disk.opts.Dir), f.FS.PathJoin(name)
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(f.FS.PathJoin(dir, "x"), "x"))
}

// table tells whether a file is one that pebble can do without.
func (f *files) table(name string) bool {
	base := f.FS.PathBase(name)
	return len(base) > 4 && (base[len(base)-4:] == ".sst" || base[len(base)-5:] == ".blob")
}

// change runs an operation without a file, unless the disk is frozen.
func (f *files) change(op, name string, do func() error) error {
	if f.frozen() {
		return nil
	}
	if err := do(); !f.met(op, name, err) {
		return err
	}
	return nil
}

// file runs an operation that returns a file to write to.
func (f *files) file(op, name string, do func() (vfs.File, error)) (vfs.File, error) {
	if f.frozen() {
		return nowhere{}, nil
	}
	file, err := do()
	if f.met(op, name, err) {
		return nowhere{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &written{File: file, fs: f, name: name}, nil
}

func (f *files) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *files) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file("open", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *files) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("reuse", to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *files) OpenDir(name string) (vfs.File, error) {
	return f.file("open", name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *files) Link(from, to string) error {
	return f.change("link", to, func() error { return f.FS.Link(from, to) })
}

func (f *files) Rename(from, to string) error {
	return f.change("rename", to, func() error { return f.FS.Rename(from, to) })
}

func (f *files) MkdirAll(name string, perm os.FileMode) error {
	return f.change("make", name, func() error { return f.FS.MkdirAll(name, perm) })
}

// Remove and RemoveAll only clear away: an error of theirs is none of the store's.
func (f *files) Remove(name string) error {
	if f.frozen() {
		return nil
	}
	return f.FS.Remove(name)
}

func (f *files) RemoveAll(name string) error {
	if f.frozen() {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (f *files) Unwrap() vfs.FS { return f.FS }

// written is a file that pebble writes.
type written struct {
	vfs.File
	fs   *files
	name string
}

func (w *written) do(op string, f func() error) error {
	return w.fs.change(op, w.name, f)
}

func (w *written) Write(p []byte) (n int, err error) {
	n = len(p)
	err = w.do("write", func() error {
		k, err := w.File.Write(p)
		if err != nil {
			n = k
		}
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (w *written) WriteAt(p []byte, at int64) (n int, err error) {
	n = len(p)
	err = w.do("write", func() error {
		k, err := w.File.WriteAt(p, at)
		if err != nil {
			n = k
		}
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (w *written) Sync() error     { return w.do("sync", w.File.Sync) }
func (w *written) SyncData() error { return w.do("sync", w.File.SyncData) }

func (w *written) SyncTo(length int64) (full bool, err error) {
	err = w.do("sync", func() (err error) {
		full, err = w.File.SyncTo(length)
		return err
	})
	return full, err
}

func (w *written) Preallocate(at, length int64) error {
	return w.do("preallocate", func() error { return w.File.Preallocate(at, length) })
}

func (w *written) Close() error {
	if err := w.File.Close(); !w.fs.frozen() && !w.fs.met("close", w.name, err) {
		return err
	}
	return nil
}

// nowhere is a file that takes everything and keeps nothing.
type nowhere struct{}

var _ vfs.File = nowhere{}

func (nowhere) Close() error                           { return nil }
func (nowhere) Read([]byte) (int, error)               { return 0, os.ErrNotExist }
func (nowhere) ReadAt([]byte, int64) (int, error)      { return 0, os.ErrNotExist }
func (nowhere) Write(p []byte) (int, error)            { return len(p), nil }
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nowhere) Preallocate(int64, int64) error         { return nil }
func (nowhere) Stat() (vfs.FileInfo, error)            { return nothing{}, nil }
func (nowhere) Sync() error                            { return nil }
func (nowhere) SyncTo(int64) (bool, error)             { return true, nil }
func (nowhere) SyncData() error                        { return nil }
func (nowhere) Prefetch(int64, int64) error            { return nil }
func (nowhere) Fd() uintptr                            { return vfs.InvalidFd }

// nothing is what there is to say about nowhere.
type nothing struct{}

func (nothing) Name() string           { return "" }
func (nothing) Size() int64            { return 0 }
func (nothing) Mode() os.FileMode      { return 0 }
func (nothing) ModTime() time.Time     { return time.Time{} }
func (nothing) IsDir() bool            { return false }
func (nothing) Sys() any               { return nil }
func (nothing) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
