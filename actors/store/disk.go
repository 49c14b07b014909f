package store

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sync says when a commit counts as safe.
type Sync uint8

const (
	// Always: when it has been synced to the disk. A power cut costs nothing
	// that was acknowledged.
	Always Sync = iota
	// Interval: when it has been handed to the log; the log is synced every
	// Options.Interval, which is what a power cut, or the death of the process,
	// may cost.
	Interval
	// Never: when it has been handed to the log, which is written as it fills
	// and left to the operating system.
	Never
)

// Options say where and how to keep things. Dir, Node and Log must be set.
type Options struct {
	Dir      string        // the folder of the database; made if it is not there
	Node     string        // node.name: the folder of another node is refused
	FS       vfs.FS        // nil: the disk
	Sync     Sync          // when a commit counts as safe
	Interval time.Duration // of Sync Interval; 0 is 10 ms
	// MinFree is how many bytes stay free on the file system: below it new
	// durable work is refused, until there is a tenth more than that.
	MinFree uint64
	Log     *slog.Logger
	// OnState is told when Refusing changes, on a goroutine of the store or of
	// whoever met the failure; it must not block. nil: nobody wants to know.
	OnState func(State)
	// Progress is told how far Recover and Retained are, a few times a second,
	// on their goroutine. nil: nobody wants to know.
	Progress func(Progress)

	strict   bool   // a corrupt folder is an error: nothing is set aside
	memTable uint64 // memTableSize; smaller in tests, so that tables are written soon
}

// Disk is a durable store. All its methods may be called by any goroutine.
type Disk struct {
	opts Options
	db   *pebble.DB
	log  *slog.Logger

	files  *files // what pebble sees of the file system
	opened atomic.Bool

	use    sync.RWMutex // read-locked by whoever uses db, so that Close waits
	closed bool         // guarded by use

	line    line           // what waits to be written
	settle  chan *group    // applied, in order, not yet safe
	quit    chan struct{}  // closed by Close: the helpers end
	dirty   chan struct{}  // Sync Interval: something has been applied
	settled chan struct{}  // closed when the settler has ended
	wait    sync.WaitGroup // for the other helpers
	once    sync.Once

	failure  atomic.Pointer[failure]
	broken   chan struct{} // closed with the first failure
	refusing atomic.Bool
	state    stateBox

	sessions counter    // of session identifiers
	messages counter    // of identifiers of shared messages
	raise    sync.Mutex // held while both limits are raised
	receipts atomic.Uint32
	refs     references
	ended    endings
	figures  figures
}

// ErrClosed is what a commit gets that comes after Close.
var ErrClosed = errors.New("store is closed")

// Open opens the database in o.Dir, or makes one. An error is one line that
// says what to do about it.
func Open(o Options) (*Disk, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Interval <= 0 {
		o.Interval = 10 * time.Millisecond
	}
	if o.memTable == 0 {
		o.memTable = memTableSize
	}
	d := &Disk{
		opts: o, log: o.Log,
		settle: make(chan *group), quit: make(chan struct{}),
		dirty: make(chan struct{}, 1), settled: make(chan struct{}), broken: make(chan struct{}),
	}
	d.refs.init()
	if err := d.open(); err != nil {
		return nil, err
	}
	if err := d.claim(); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if f := d.failure.Load(); f != nil {
		return nil, errors.Join(d.describe(f.err), d.db.Close())
	}
	go d.settler()
	d.wait.Go(d.watch)
	if o.Sync == Interval {
		d.wait.Go(d.ticker)
	}
	return d, nil
}

// Close writes what has been committed, calls back whoever waits for it, and
// closes the database. Commits that come later are refused with ErrClosed. The
// store's actor has ended by then, or was never started.
func (d *Disk) Close() error {
	var err error
	d.once.Do(func() { err = d.close() })
	return err
}

func (d *Disk) close() error {
	d.line.close()
	for d.writeNext() {
	}
	close(d.settle)
	close(d.quit)
	<-d.settled
	if d.failure.Load() != nil {
		return nil // what still uses pebble may wait for the disk for ever
	}
	d.wait.Wait()
	d.use.Lock()
	defer d.use.Unlock()
	d.closed = true
	return d.guard("close", d.db.Close)
}

// Refusing tells whether new durable work is to be refused now: the disk is
// failing or nearly full. It costs one atomic load.
func (d *Disk) Refusing() bool { return d.refusing.Load() }

// reading runs f with the database open for reading.
func (d *Disk) reading(f func() error) error {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.closed {
		return ErrClosed
	}
	if fail := d.failure.Load(); fail != nil {
		return fail
	}
	return f()
}

// line is what waits to be written: groups, of which the last one fills.
type line struct {
	mu     sync.Mutex
	groups []*group
	spare  []*group
	told   bool // the actor has been told that there is something
	closed bool
	pid    *actor.PID // of the actor while it runs
	root   *actor.RootContext
}

// group is what one write makes safe.
type group struct {
	buf   []byte // a pebble batch
	n     uint32
	done  []func(error)
	batch *pebble.Batch // nil until it is applied, and where there is nothing to sync
	err   error
	ready chan struct{} // takes one value when it has been applied, or could not be
}

const (
	// batchHeader is what pebble's batches start with: sequence number, count.
	batchHeader = 12
	// groupSize and groupOps bound a group, so that it hardly ever takes more than
	// half of pebble's memory table, which would have to be written out for it.
	groupSize = 2 << 20
	groupOps  = 10_000
	// opSize is more than a change takes in the memory table besides its bytes.
	opSize = 256
	// spareSize is the largest group whose memory is used again.
	spareSize = 1 << 20
)

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

// last is the group that fills. The caller holds the lock.
func (l *line) last(size int, ops uint32) *group {
	if n := len(l.groups); n > 0 {
		g := l.groups[n-1]
		if len(g.buf)+size <= groupSize && g.n+ops <= groupOps {
			return g
		}
	}
	var g *group
	if n := len(l.spare); n > 0 {
		g, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		g = &group{buf: make([]byte, batchHeader), ready: make(chan struct{}, 1)}
	}
	l.groups = append(l.groups, g)
	return g
}

// take is the oldest group, nil if there is none.
func (l *line) take() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = false
	if len(l.groups) == 0 {
		return nil
	}
	g := l.groups[0]
	l.groups[0] = nil
	if l.groups = l.groups[1:]; len(l.groups) == 0 {
		l.groups = nil
	}
	return g
}

// large tells whether a group takes more than half of a memory table. Then pebble
// reads it where it stands until it has been written out, so that its memory must
// not be used again.
func (g *group) large(memTable uint64) bool {
	return uint64(len(g.buf))+uint64(g.n)*opSize >= memTable/2
}

// giveBack keeps the memory of a group that is done, unless pebble kept it.
func (l *line) giveBack(g *group, memTable uint64) {
	if cap(g.buf) > spareSize || g.err != nil || g.large(memTable) {
		return
	}
	clear(g.done)
	*g = group{buf: g.buf[:batchHeader], done: g.done[:0], ready: g.ready}
	l.mu.Lock()
	if len(l.spare) < 4 {
		l.spare = append(l.spare, g)
	}
	l.mu.Unlock()
}

// Commit appends the changes to the group that is written next and returns at
// once; it keeps nothing of o. When the group is as safe as Options.Sync
// promises, done is called, in the order of the Commits, on a goroutine of the
// store that it must not block; an error says that it is not safe and never
// will be. done may be nil. Without changes done is called when everything that
// was committed before is safe.
func (d *Disk) Commit(o *Ops, done func(error)) {
	if o.Empty() && done == nil {
		return
	}
	l := &d.line
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		if done != nil {
			done(ErrClosed)
		}
		return
	}
	if o.Empty() {
		g := l.last(0, 0)
		g.done = append(g.done, done)
	} else {
		g := l.last(len(o.buf), o.n)
		g.buf = append(g.buf, o.buf...)
		g.n += o.n
		if done != nil {
			g.done = append(g.done, done)
		}
	}
	var tell *actor.PID
	if !l.told && l.pid != nil {
		l.told, tell = true, l.pid
	}
	root := l.root
	l.mu.Unlock()
	if tell != nil {
		root.Send(tell, writeMessage)
	}
}

func (d *Disk) failed(g *group) bool {
	if f := d.failure.Load(); f != nil {
		g.err = f
	}
	return g.err != nil
}
