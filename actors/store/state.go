package store

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// State says whether new durable work is refused, and why.
type State struct {
	Refusing bool
	// Reason is disk_low, disk_failed, disk_stalled or folder_gone; empty while
	// nothing is refused.
	Reason string
	// Text is one line for an operator.
	Text string
}

const (
	reasonLow     = "disk_low"
	reasonDisk    = "disk_failed"
	reasonStalled = "disk_stalled"
	reasonGone    = "folder_gone"
)

// failure is why the store is at its end. It lasts until the node is restarted.
type failure struct {
	reason string
	err    error
}

func (f *failure) Error() string { return fmt.Sprintf("store failed (%s): %v", f.reason, f.err) }
func (f *failure) Unwrap() error { return f.err }

// stateBox holds what OnState was told last.
type stateBox struct {
	mu  sync.Mutex
	now State
}

// State says whether new durable work is refused now, and why.
func (d *Disk) State() State {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	return d.state.now
}

// become tells of a new state. From a failure there is no way back.
func (d *Disk) become(s State) {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if s.Reason == d.state.now.Reason {
		return
	}
	if d.failure.Load() != nil && s.Reason != reasonDisk && s.Reason != reasonGone {
		return
	}
	d.state.now = s
	d.refusing.Store(s.Refusing)
	if s.Refusing {
		d.log.Error("store refuses durable work", slog.String("reason", s.Reason), slog.String("text", s.Text))
	} else {
		d.log.Info("store takes durable work again")
	}
	if d.opts.OnState != nil {
		d.opts.OnState(s)
	}
}

// fail ends the store: nothing is written any more, and whoever waits for
// something is told that it never will be. What is in memory goes on.
func (d *Disk) fail(reason string, err error) {
	f := &failure{reason: reason, err: err}
	if !d.failure.CompareAndSwap(nil, f) {
		return
	}
	close(d.broken)
	if !d.opened.Load() {
		return // it is being opened: the error goes to whoever does that
	}
	d.become(State{Refusing: true, Reason: reason, Text: err.Error() + "; put it right and restart the node"})
}

// backgroundError is told when pebble could not write or merge a table. It tries
// again by itself; the log, which is what acknowledgements wait for, is not
// concerned. The same text is logged once a minute.
func (d *Disk) backgroundError(err error) {
	now := time.Now().UnixNano()
	last := d.figures.complained.Load()
	d.figures.errors.Add(1)
	if now-last < int64(time.Minute) && last != 0 || !d.figures.complained.CompareAndSwap(last, now) {
		return
	}
	d.log.Error("store: a table could not be written or read", slog.Any("reason", err))
}

// figures are counted while the store runs.
type figures struct {
	groups, changes, bytes atomic.Uint64
	syncs                  atomic.Uint64
	syncTime               atomic.Int64 // nanoseconds, all syncs together
	syncing                atomic.Int64 // since when (Unix nanoseconds) a sync has been under way; 0: none is
	applying               atomic.Int64 // likewise, a write: pebble lets it wait when tables cannot be written
	errors                 atomic.Uint64
	complained             atomic.Int64
	quarantined            atomic.Uint64
	delayed                atomic.Bool // pebble lets writers wait
}

// stalled is how long a sync may take before new work is refused. A disk that
// needs this long is failing, or a network file system has lost its server.
const stalled = 10 * time.Second

// watch looks after the disk once a second.
func (d *Disk) watch() {
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-d.broken:
			return
		case now := <-timer.C:
			d.look(now)
			d.bury()
		}
	}
}

// look is one look at the disk.
func (d *Disk) look(now time.Time) {
	for _, busy := range []*atomic.Int64{&d.figures.syncing, &d.figures.applying} {
		since := busy.Load()
		if since == 0 || now.UnixNano()-since < int64(stalled) {
			continue
		}
		d.become(State{Refusing: true, Reason: reasonStalled, Text: "the disk has not answered for " + stalled.String()})
		return
	}
	if err := d.present(); err != nil {
		d.fail(reasonGone, err)
		return
	}
	usage, err := d.opts.FS.GetDiskUsage(d.opts.Dir)
	if err != nil {
		return // a file system that does not tell
	}
	limit := d.opts.MinFree
	if d.State().Reason == reasonLow {
		limit += limit / 10
	}
	if usage.AvailBytes < limit {
		d.become(State{Refusing: true, Reason: reasonLow, Text: fmt.Sprintf("%d bytes are free at %s, %d are wanted", usage.AvailBytes, d.opts.Dir, d.opts.MinFree)})
		return
	}
	d.become(State{})
}
