package store

import (
	"errors"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// endings are sessions that are over and whose records are still there.
type endings struct {
	mu         sync.Mutex
	fresh, due []SessionID
}

// End says that a session is over. Its record goes with the next group, after
// which done (may be nil) is called as for a Commit; the rest, and its
// references to shared messages, within seconds. Nothing may be committed or
// entered for the session afterwards; a receipt into which it was entered
// before may still be open.
func (d *Disk) End(sid SessionID, done func(error)) {
	o := opsPool.Get().(*Ops)
	defer releaseOps(o)
	o.DropSession(sid)
	d.Commit(o, func(err error) {
		if err == nil {
			d.ended.mu.Lock()
			d.ended.fresh = append(d.ended.fresh, sid)
			d.ended.mu.Unlock()
		}
		if done != nil {
			done(err)
		}
	})
}

// bury clears away the sessions that ended before it was called last: by now
// the receipts that were open then are written, so that nothing comes after.
func (d *Disk) bury() {
	e := &d.ended
	e.mu.Lock()
	due := e.due
	e.due, e.fresh = e.fresh, nil
	e.mu.Unlock()
	for _, sid := range due {
		// what cannot be read is left to the next recovery, which tells of it
		_ = d.reading(func() error { return d.clear(sid, true) })
	}
}

// clear deletes what there is of a session besides its record, and gives back
// its references to shared messages if they have been counted.
func (d *Disk) clear(sid SessionID, counted bool) error {
	o := opsPool.Get().(*Ops)
	defer releaseOps(o)
	if counted {
		if err := d.giveBack(o, sid); err != nil {
			return err
		}
	}
	for _, kind := range []byte{kindSubscription, kindAwaiting, kindItem} {
		if err := d.clearKind(o, kind, sid); err != nil {
			return err
		}
	}
	o.delete(appendSessionKey(o.scratch[:0], kindWindow, sid))
	d.Commit(o, nil)
	return nil
}

// giveBack releases the shared messages of a session's items that are alive;
// those of dead ones the session has released itself.
func (d *Disk) giveBack(o *Ops, sid SessionID) error {
	var w Window
	value, closer, err := d.db.Get(appendSessionKey(nil, kindWindow, sid))
	if err == nil {
		w, err = decodeWindow(value)
		if err = errors.Join(err, closer.Close()); err != nil {
			return err
		}
	} else if !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	flights := w.places()
	return d.eachOf(kindItem, sid, func(iter *pebble.Iterator) error {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		priority, seq, _ := splitItemKey(iter.Key())
		if _, flying := flights[place{priority, seq}]; !flying && seq < w.head(priority) {
			return nil
		}
		if r, err := decodeItem(value, nil); err == nil && r.Shared && d.refs.release(r.mid) {
			o.dropMessage(r.mid)
		}
		return nil
	})
}

// clearKind deletes the records of one kind: one by one, or all of them in one
// range if they are many.
func (d *Disk) clearKind(o *Ops, kind byte, sid SessionID) error {
	var keys [][]byte
	err := d.eachOf(kind, sid, func(iter *pebble.Iterator) error {
		if len(keys) > pointDeletes {
			return errEnough
		}
		keys = append(keys, append([]byte(nil), iter.Key()...))
		return nil
	})
	if errors.Is(err, errEnough) {
		o.dropAll(kind, sid)
		return nil
	}
	for _, key := range keys {
		o.delete(key)
	}
	return err
}

// errEnough ends a walk that has seen what it wanted.
var errEnough = errors.New("enough")

// eachOf calls f on each record of one kind that a session has.
func (d *Disk) eachOf(kind byte, sid SessionID, f func(*pebble.Iterator) error) error {
	lower := appendSessionKey(nil, kind, sid)
	iter, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return err
	}
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		err = f(iter)
	}
	return errors.Join(err, iter.Error(), iter.Close())
}

// present tells whether the folder is still there.
func (d *Disk) present() error {
	_, err := d.opts.FS.Stat(d.opts.FS.PathJoin(d.opts.Dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("the folder " + d.opts.Dir + " has been removed while the node was running")
	}
	return nil
}
