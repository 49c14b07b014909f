package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup writes a consistent copy of the live store into a folder that must not
// exist. On the same file system its tables are hard links, which take no room
// until the store has replaced them.
func (d *Disk) Backup(dir string) error {
	return d.reading(func() error {
		if (&files{d.opts.FS, d}).inside(dir) {
			return fmt.Errorf("backup: %s is inside the store's own folder: name another", dir)
		}
		if exists(d.opts.FS, dir) {
			return fmt.Errorf("backup: %s is there already: name a folder that is not", dir)
		}
		if err := d.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		return nil
	})
}

// Restore copies a backup to the folder of a node that is stopped, and reads
// all of it there. The folder must be empty or not exist. Of o it needs Node,
// Log and FS; a backup of another node is refused.
func Restore(from, to string, o Options) error {
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	names, err := fs.List(from)
	if err != nil || len(names) == 0 {
		return fmt.Errorf("restore: %s is not a backup: %w", from, errors.Join(err, errEmpty(names)))
	}
	if there, err := fs.List(to); err == nil && len(there) > 0 {
		return fmt.Errorf("restore: %s is not empty: move it away first", to)
	}
	if err := fs.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, name := range names {
		if name == lockName {
			continue
		}
		if err := copyFile(fs, fs.PathJoin(from, name), fs.PathJoin(to, name)); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	if err := syncFolder(fs, to); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	o.Dir, o.OnState, o.Progress, o.MinFree = to, nil, nil, 0
	return verify(o)
}

// lockName is the file that pebble locks.
const lockName = "LOCK"

func errEmpty(names []string) error {
	if len(names) == 0 {
		return errors.New("it holds no files")
	}
	return nil
}

func copyFile(fs vfs.FS, from, to string) error {
	if err := vfs.Copy(fs, from, to); err != nil {
		return err
	}
	f, err := fs.OpenReadWrite(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncFolder(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// verify opens a store, reads all of it and closes it.
func verify(o Options) error {
	o.strict = true
	d, err := Open(o)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	report, err := d.Check()
	if err == nil && !report.Sound() {
		err = fmt.Errorf("%d records cannot be decoded, %d parts cannot be read", report.Undecodable, report.Holes)
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("restore: what was copied to %s is not sound: %w", o.Dir, err)
	}
	return nil
}

// now is the time in the names of folders that are set aside.
func now() string { return time.Now().UTC().Format("20060102T150405") }
