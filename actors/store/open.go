package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// formatVersion is the version of the folder as a whole: which kinds of
	// records there are and what their keys look like.
	formatVersion = 1
	// pebbleFormat is fixed, so that a newer pebble does not make the folder
	// unreadable for the emqttd before.
	pebbleFormat = pebble.FormatWALSyncChunks
	// cacheSize is for blocks of tables. Queues are read once, in order, so
	// that more would not help.
	cacheSize = 16 << 20
	// memTableSize is what a queue that is drained at once never leaves. Twice
	// this is the log that is read at a start.
	memTableSize = 16 << 20
)

// open opens pebble, after trying whether the folder can be ours at all.
func (d *Disk) open() error {
	d.files = &files{FS: d.opts.FS, disk: d}
	fs, dir := d.opts.FS, d.opts.Dir
	if info, err := fs.Stat(dir); err == nil && !info.IsDir() {
		return d.describe(errors.New("is not a folder"))
	}
	if err := makeDir(fs, dir); err != nil {
		return d.describe(openError(err))
	}
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return d.describe(lockError(err))
	}
	db, err := d.openPebble(dir, lock)
	if err != nil && isCorruption(err) && !d.opts.strict && d.failure.Load() == nil {
		if db, lock, err = d.salvage(dir, lock, err); lock == nil {
			return d.describe(err)
		}
	}
	if f := d.failure.Load(); f != nil { // an error that pebble has not been told of
		if err == nil {
			_ = db.Close() // nothing of it reaches the disk
		}
		err = f.err
	}
	// pebble holds the lock as long as it is open
	if unlock := lock.Close(); unlock != nil && err == nil {
		err = errors.Join(unlock, db.Close())
	}
	if err != nil {
		return d.describe(openError(err))
	}
	d.db = db
	d.opened.Store(true)
	return nil
}

// describe makes an error of opening one line for whoever starts the node.
func (d *Disk) describe(err error) error { return fmt.Errorf("store %s: %w", d.opts.Dir, err) }

func lockError(err error) error {
	if errors.Is(err, os.ErrPermission) || isReadOnly(err) {
		return fmt.Errorf("is not writable: %w", err)
	}
	return fmt.Errorf("is in use by another process: %w", err)
}

func openError(err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, os.ErrPermission) || isReadOnly(err):
		return fmt.Errorf("is not writable: %w", err)
	case strings.Contains(text, "format major version") || strings.Contains(text, "format version"):
		return fmt.Errorf("was written by a newer emqttd: %w", err)
	}
	return err
}

func isReadOnly(err error) bool { return strings.Contains(err.Error(), "read-only file system") }

// isCorruption tells whether opening failed for what stands in the files.
func isCorruption(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist)
}

func (d *Disk) openPebble(dir string, lock *pebble.Lock) (db *pebble.DB, err error) {
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref()
	o := &pebble.Options{
		FS: d.files, Lock: lock, Cache: cache, Logger: &logger{disk: d},
		FormatMajorVersion: pebbleFormat,
		MemTableSize:       d.opts.memTable,
		// As many memory tables may wait to be written out before writers wait.
		MemTableStopWritesThreshold: 4,
		// A drained queue is mostly deletions: merged early, they and what they
		// delete are gone before they sink to the lower levels.
		L0CompactionThreshold:     4,
		L0CompactionFileThreshold: 100,
		L0StopWritesThreshold:     64,
		LBaseMaxBytes:             64 << 20,
		MaxOpenFiles:              512,
		WALBytesPerSync:           512 << 10,
		BytesPerSync:              1 << 20,
		MaxManifestFileSize:       16 << 20,
		// Ranges in memory make iterators slow, the more the slower: written out
		// soon, they are few. It gives the room of a long queue back, too.
		FlushDelayDeleteRange: 2 * time.Second,
	}
	o.EventListener = &pebble.EventListener{
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { d.figures.delayed.Store(true) },
		WriteStallEnd:   func() { d.figures.delayed.Store(false) },
		BackgroundError: d.backgroundError,
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			d.backgroundError(fmt.Errorf("corrupt file %s: %w", info.Path, info.Details))
		},
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		s := pebble.DBCompressionFastest
		s.Name = "store"
		return s
	})
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("open: %v", r)
		}
	}()
	return pebble.Open(dir, o)
}

// claim reads the header, or writes that of a new folder, and sets aside
// identifiers for this run.
func (d *Disk) claim() error {
	value, closer, err := d.db.Get(headerKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		if err := d.writeHeader(); err != nil {
			return d.describe(err)
		}
	case err != nil:
		return d.describe(err)
	default:
		err = checkHeader(value, d.opts.Node)
		if err := errors.Join(err, closer.Close()); err != nil {
			return d.describe(err)
		}
	}
	if err := d.startCounters(); err != nil {
		return d.describe(err)
	}
	return nil
}

func (d *Disk) writeHeader() error {
	b := binary.AppendUvarint([]byte{recordVersion}, formatVersion)
	b = appendText(b, d.opts.Node)
	b = binary.AppendVarint(b, time.Now().Unix())
	return d.guard("write header", func() error { return d.db.Set(headerKey, b, pebble.Sync) })
}

// checkHeader says why a folder is not for us, if it is not.
func checkHeader(value []byte, node string) error {
	d := decoder{b: value}
	if v := d.byte(); v > recordVersion {
		return fmt.Errorf("was written by a newer emqttd (header version %d, this one knows %d): start that one, or restore a backup", v, recordVersion)
	}
	format, owner := d.uvarint(), string(d.text())
	d.varint()
	if err := d.end(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if format > formatVersion {
		return fmt.Errorf("was written by a newer emqttd (format %d, this one knows %d): start that one, or restore a backup", format, formatVersion)
	}
	if owner != node {
		return fmt.Errorf("belongs to node %s, this is %s: set node.name or give this node another data folder", owner, node)
	}
	return nil
}

// counter hands out identifiers that were never handed out before. What it may
// hand out in this run has been set aside on the disk.
type counter struct {
	last  atomic.Uint64
	limit atomic.Uint64 // on the disk, or in a group before whatever uses the identifier
	slack uint64        // how near to the limit it is raised
}

const (
	sessionsAside = 1 << 16
	messagesAside = 1 << 20
)

func (d *Disk) startCounters() error {
	sessions, messages, err := d.highest()
	if err != nil {
		return err
	}
	d.sessions.slack, d.messages.slack = sessionsAside/2, messagesAside/2
	d.sessions.last.Store(sessions)
	d.messages.last.Store(messages)
	o := d.setAside()
	b := d.db.NewBatch()
	if err := b.SetRepr(o.batch()); err != nil {
		return err
	}
	return d.guard("write identifiers", func() error { return d.db.Apply(b, pebble.Sync) })
}

// highest is what has been set aside before. If that cannot be read, it is what
// can be seen in use.
func (d *Disk) highest() (sessions, messages uint64, err error) {
	value, closer, err := d.db.Get(idsKey)
	if err == nil {
		r := record(value)
		sessions, messages = r.uvarint(), r.uvarint()
		bad := r.end()
		if err := closer.Close(); err != nil {
			return 0, 0, err
		}
		if bad == nil {
			return sessions, messages, nil
		}
	} else if !errors.Is(err, pebble.ErrNotFound) {
		d.log.Error("store: identifiers cannot be read, looking for the highest in use", slog.Any("reason", err))
	}
	for _, kind := range []byte{kindSession, kindWindow, kindItem, kindSubscription, kindAwaiting, kindMessage} {
		id, err := d.lastID(kind)
		if err != nil {
			return 0, 0, err
		}
		if kind == kindMessage {
			messages = id
		} else {
			sessions = max(sessions, id)
		}
	}
	return sessions, messages, nil
}

// lastID is the number in the last key of a kind.
func (d *Disk) lastID(kind byte) (uint64, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return 0, err
	}
	var id SessionID
	if it.Last() {
		id, _ = sessionOfKey(it.Key())
	}
	return uint64(id), it.Close()
}

// setAside raises both limits and returns the change that says so.
func (d *Disk) setAside() *Ops {
	d.sessions.limit.Store(d.sessions.last.Load() + sessionsAside)
	d.messages.limit.Store(d.messages.last.Load() + messagesAside)
	o := new(Ops)
	b := append(o.scratch, idsKey...)
	b = binary.AppendUvarint(append(b, recordVersion), d.sessions.limit.Load())
	o.set(binary.AppendUvarint(b, d.messages.limit.Load()), len(idsKey))
	return o
}

// batch is the changes as a batch of pebble's.
func (o *Ops) batch() []byte {
	b := append(make([]byte, batchHeader), o.buf...)
	binary.LittleEndian.PutUint32(b[8:], o.n)
	return b
}

// next hands out an identifier. When half of those set aside are used up it sets
// aside more, in a group that is written long before anything that can refer to
// one of them.
func (c *counter) next(d *Disk) uint64 {
	id := c.last.Add(1)
	if id+c.slack < c.limit.Load() {
		return id
	}
	d.raise.Lock()
	defer d.raise.Unlock()
	if id+c.slack >= c.limit.Load() {
		d.Commit(d.setAside(), nil)
	}
	return id
}

// NewSessionID returns an identifier that no session has had before.
func (d *Disk) NewSessionID() SessionID { return SessionID(d.sessions.next(d)) }

// logger takes what pebble has to say. Its running commentary goes nowhere.
type logger struct{ disk *Disk }

func (l *logger) Infof(string, ...any) {}

func (l *logger) Errorf(format string, args ...any) {
	l.disk.log.Error("store: pebble: " + fmt.Sprintf(format, args...))
}

// fatal is what Fatalf panics with on a goroutine of ours.
type fatal struct{ text string }

func (f fatal) Error() string { return f.text }

// Fatalf is called when the log or the manifest cannot be written; pebble
// expects that the process ends in it. Ours goes on without its store: the
// caller must not come back, so that it does nothing on wrong premises.
func (l *logger) Fatalf(format string, args ...any) {
	err := fatal{fmt.Sprintf(format, args...)}
	l.disk.fail(reasonDisk, err)
	if ourGoroutine() {
		panic(err) // for guard
	}
	runtime.Goexit() // one of pebble's: what it has locked is unlocked by its defers
}

// ourGoroutine tells whether a function of this package called pebble.
func ourGoroutine() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "actors/store.") {
			return true
		}
		if !more {
			return false
		}
	}
}

// guard runs what may meet a failing disk: pebble panics where it cannot go on.
// Any error is the end of the store.
func (d *Disk) guard(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", what, r)
		}
		if err != nil {
			d.fail(reasonDisk, err)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
