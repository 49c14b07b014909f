package store

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2"

	"emqttd/actors/kernel"
)

// write is sent to the actor by whoever commits first after it took a group.
type write struct{}

var writeMessage any = &write{}

// Spec describes the actor "store", a permanent child of the root. It is the
// only one who writes to the database. It has to stand before everybody who
// commits, so that it ends after them.
func (d *Disk) Spec() kernel.ChildSpec {
	return kernel.ChildSpec{
		Name:    "store",
		Props:   kernel.NewProps(func() actor.Actor { return &writer{disk: d} }),
		Restart: kernel.Permanent,
	}
}

// writer has no state but its store, so that a restart goes on where it was.
type writer struct{ disk *Disk }

// Receive implements actor.Actor.
func (w *writer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.disk.line.attach(c.Self(), c.ActorSystem().Root)
	case *write:
		if w.disk.writeNext() {
			w.disk.line.again()
		}
	case *actor.Stopping, *actor.Restarting:
		w.disk.line.detach()
	case *actor.Stopped:
		for w.disk.writeNext() {
		}
	default:
		c.Logger().Warn("unexpected message", slog.String("actor", c.Self().Id), slog.String("message", fmt.Sprintf("%T", m)))
	}
}

// attach makes pid the actor that is told of commits.
func (l *line) attach(pid *actor.PID, root *actor.RootContext) {
	l.mu.Lock()
	l.pid, l.root = pid, root
	l.mu.Unlock()
	l.again()
}

// detach lets commits wait until there is an actor again.
func (l *line) detach() {
	l.mu.Lock()
	l.pid = nil
	l.mu.Unlock()
}

// again tells the actor if there is something to write and it is not told yet.
// It takes one group at a time so that what else waits in its mailbox gets its
// turn.
func (l *line) again() {
	l.mu.Lock()
	pid, root := l.pid, l.root
	tell := pid != nil && len(l.groups) > 0 && !l.told
	if tell {
		l.told = true
	}
	l.mu.Unlock()
	if tell {
		root.Send(pid, writeMessage)
	}
}

// writeNext takes the next group, hands it to the settler and applies it, while
// the disk is still syncing the one before. It waits while two are on their way
// already. false: there was none.
func (d *Disk) writeNext() bool {
	g := d.line.take()
	if g == nil {
		return false
	}
	d.settle <- g
	defer func() { g.ready <- struct{}{} }()
	if !d.failed(g) && g.n > 0 {
		d.figures.applying.Store(time.Now().UnixNano())
		g.err = d.guard("write", func() error { return d.apply(g) })
		d.figures.applying.Store(0)
		d.figures.groups.Add(1)
		d.figures.changes.Add(uint64(g.n))
		d.figures.bytes.Add(uint64(len(g.buf)))
	}
	return true
}

// apply writes a group to the log and makes it visible. It does not wait for
// the disk.
func (d *Disk) apply(g *group) error {
	binary.LittleEndian.PutUint32(g.buf[8:], g.n)
	b := d.db.NewBatch()
	if err := b.SetRepr(g.buf); err != nil {
		return err
	}
	if d.opts.Sync == Always {
		if err := d.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
			return err
		}
		g.batch = b
		return nil
	}
	if err := d.db.Apply(b, pebble.NoSync); err != nil {
		return err
	}
	select {
	case d.dirty <- struct{}{}:
	default: // the ticker knows already
	}
	return nil
}

// settler waits for the disk, group by group, and calls back.
func (d *Disk) settler() {
	defer close(d.settled)
	for g := range d.settle {
		select {
		case <-g.ready:
		case <-d.broken:
			select {
			case <-g.ready:
			default: // whoever applies it may be stuck inside: leave it to him
				g = &group{done: g.done}
				g.err = d.failure.Load()
			}
		}
		d.sync(g)
		for _, done := range g.done {
			done(g.err)
		}
		d.line.giveBack(g, d.opts.memTable)
	}
}

// sync waits until the group is safe, or is known not to be.
func (d *Disk) sync(g *group) {
	if g.batch == nil {
		d.failed(g)
		return
	}
	started := time.Now()
	d.figures.syncing.Store(started.UnixNano())
	g.err = g.batch.SyncWait()
	d.figures.syncing.Store(0)
	d.figures.syncs.Add(1)
	d.figures.syncTime.Add(int64(time.Since(started)))
	if g.err != nil {
		d.fail(reasonDisk, g.err)
	}
	d.failed(g)
	// The batch is left to the collector: closed, pebble would use the group's
	// memory again, which is ours.
	g.batch = nil
}

// ticker syncs the log every Options.Interval in which something was written.
func (d *Disk) ticker() {
	timer := time.NewTicker(d.opts.Interval)
	defer timer.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-d.dirty:
		}
		select {
		case <-d.quit:
			return
		case <-timer.C:
		}
		if d.failure.Load() != nil {
			return
		}
		// an error has been told by guard
		_ = d.guard("sync", func() error { return d.db.LogData(nil, pebble.Sync) })
	}
}
