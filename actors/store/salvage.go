package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// salvage is called when pebble cannot open the folder for what stands in it. It
// moves the folder aside, as it is, and builds a new one from every record that
// can be read in the old one's tables and logs: of each key the latest version.
// Deletions of whole ranges are not looked at: what they have deleted comes back
// as dead items and orphans, which the recovery that follows deletes again.
func (d *Disk) salvage(dir string, lock *pebble.Lock, cause error) (*pebble.DB, *pebble.Lock, error) {
	fs := d.opts.FS
	aside := dir + ".corrupt-" + now()
	d.log.Error("store is corrupt: it is moved aside and what can be read is copied to a new one",
		slog.Any("reason", cause), slog.String("folder", aside))
	// the lock is a file of the folder; nobody else wants a folder that does not open
	if err := errors.Join(lock.Close(), fs.Rename(dir, aside), fs.MkdirAll(dir, 0o755)); err != nil {
		return nil, nil, fmt.Errorf("is corrupt (%w) and cannot be moved aside: %w", cause, err)
	}
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return nil, nil, err
	}
	db, err := d.openPebble(dir, lock)
	if err != nil {
		return nil, lock, err
	}
	r := &rescue{disk: d, db: db, from: aside, piece: db.NewIndexedBatch()}
	if err := r.run(); err != nil {
		return nil, lock, errors.Join(err, db.Close())
	}
	d.log.Error("store was rebuilt", slog.Int("records", r.records), slog.Int("unreadable_parts", r.holes), slog.String("folder", aside))
	return db, lock, nil
}

// kindRescue holds, while a store is rebuilt, the sequence number of pebble under
// which each key was found last.
const kindRescue = 'x'

// rescue copies the records of a folder into a new database.
type rescue struct {
	disk    *Disk
	db      *pebble.DB
	from    string
	piece   *pebble.Batch // indexed, so that what is in it is seen
	records int
	holes   int
}

func (r *rescue) run() error {
	names, err := r.disk.opts.FS.List(r.from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := r.table(name); err != nil {
			return err
		}
	}
	if err := r.logs(); err != nil {
		return err
	}
	if err := r.piece.DeleteRange([]byte{kindRescue}, []byte{kindRescue + 1}, nil); err != nil {
		return err
	}
	if err := r.flush(0); err != nil {
		return err
	}
	return errors.Join(r.piece.Close(), r.db.Flush())
}

// damaged notes that something of a file cannot be read.
func (r *rescue) damaged(name string, err error) {
	r.holes++
	r.disk.log.Error("store: a part of a file cannot be read and is passed over", slog.String("file", name), slog.Any("reason", err))
}

// table copies what can be read of a table. An error is one of the new store.
func (r *rescue) table(name string) error {
	fs := r.disk.opts.FS
	f, err := fs.Open(fs.PathJoin(r.from, name))
	if err != nil {
		r.damaged(name, err)
		return nil
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		r.damaged(name, errors.Join(err, f.Close()))
		return nil
	}
	o := (&pebble.Options{}).Clone()
	o.EnsureDefaults()
	table, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		r.damaged(name, err) // the reader has closed the file
		return nil
	}
	defer func() { _ = table.Close() }() // it was only read
	for lower := []byte(nil); ; {
		last, bad, err := r.scan(table, lower)
		if err != nil || bad == nil {
			return err
		}
		r.damaged(name, bad)
		if lower = past(table, last); lower == nil {
			return nil
		}
	}
}

// scan copies the records of a table from a key on, up to the first that cannot
// be read (bad); last is the key of the last that could.
func (r *rescue) scan(table *sstable.Reader, lower []byte) (last []byte, bad, err error) {
	iter, bad := table.NewIter(sstable.NoTransforms, lower, nil, sstable.AssertNoBlobHandles)
	if bad != nil {
		return lower, bad, nil
	}
	defer func() { bad = errors.Join(bad, iter.Close()) }()
	last = append([]byte(nil), lower...)
	for kv := iter.First(); kv != nil; kv = iter.Next() {
		last = append(last[:0], kv.K.UserKey...)
		value, _, bad := kv.Value(nil)
		if bad != nil {
			return last, bad, nil
		}
		if err := r.found(kv.K.Kind(), kv.K.UserKey, value, uint64(kv.K.SeqNum())); err != nil {
			return last, nil, err
		}
	}
	return last, iter.Error(), nil
}

// past is the first key after last from which a table can be read again; nil if
// there is none.
func past(table *sstable.Reader, last []byte) (lower []byte) {
	if len(last) == 0 {
		last = []byte{0}
	}
	leap(last, func(key []byte) bool {
		iter, err := table.NewIter(sstable.NoTransforms, key, nil, sstable.AssertNoBlobHandles)
		if err != nil {
			return true // not even its index: there is nothing to find
		}
		kv := iter.First()
		if kv != nil {
			lower = append([]byte(nil), kv.K.UserKey...)
		}
		return iter.Close() == nil || kv != nil
	})
	return lower
}

// logs copies what can be read of the logs, each up to its first hole.
func (r *rescue) logs() error {
	all, err := wal.Scan(wal.Dir{FS: r.disk.opts.FS, Dirname: r.from})
	if err != nil {
		r.damaged("log", err)
		return nil
	}
	for _, log := range all {
		if err := r.replay(log.OpenForRead(), log.String()); err != nil {
			return err
		}
	}
	return nil
}

func (r *rescue) replay(log wal.Reader, name string) error {
	defer func() { _ = log.Close() }() // it was only read
	var b bytes.Buffer
	for {
		b.Reset()
		record, _, err := log.NextRecord()
		if err == nil {
			_, err = io.Copy(&b, record)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			r.damaged(name, err)
			return nil
		}
		if err := r.batch(b.Bytes()); err != nil {
			return err
		}
	}
}

// batch copies the changes of one write.
func (r *rescue) batch(b []byte) error {
	header, ok := batchrepr.ReadHeader(b)
	if !ok {
		return nil
	}
	seq := uint64(header.SeqNum)
	for reader := batchrepr.Read(b); ; seq++ {
		kind, key, value, ok, err := reader.Next()
		if err != nil {
			r.damaged("log", err)
			return nil
		}
		if !ok {
			return nil
		}
		if err := r.found(kind, key, value, seq); err != nil {
			return err
		}
	}
}

// found copies a record, unless a later version of it was found before.
func (r *rescue) found(kind pebble.InternalKeyKind, key, value []byte, seq uint64) error {
	gone := kind == pebble.InternalKeyKindDelete
	if kind != pebble.InternalKeyKindSet && kind != pebble.InternalKeyKindSetWithDelete && !gone {
		return nil
	}
	if len(key) == 0 || key[0] == kindRescue {
		return nil
	}
	mark := append([]byte{kindRescue}, key...)
	before, closer, err := r.piece.Get(mark)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return err
	default:
		later := binary.BigEndian.Uint64(before) > seq
		if err := closer.Close(); err != nil || later {
			return err
		}
	}
	if gone {
		err = r.piece.Delete(key, nil)
	} else {
		r.records++
		err = r.piece.Set(key, value, nil)
	}
	if err := errors.Join(err, r.piece.Set(mark, binary.BigEndian.AppendUint64(nil, seq), nil)); err != nil {
		return err
	}
	return r.flush(1 << 20)
}

// flush writes what was copied if it is more than limit.
func (r *rescue) flush(limit int) error {
	if r.piece.Len() < limit {
		return nil
	}
	if err := errors.Join(r.piece.Commit(pebble.NoSync), r.piece.Close()); err != nil {
		return err
	}
	r.piece = r.db.NewIndexedBatch()
	return nil
}

// exists tells whether there is something of this name.
func exists(fs vfs.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}
