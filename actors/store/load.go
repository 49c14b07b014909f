package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"emqttd/protocol"
)

// Load returns up to max items of one level with Seq >= from, oldest first. It
// sees what has been applied, not what still waits to be written. The items and
// their messages belong to the caller. An item whose shared message is gone has
// been released by everybody and is left out.
//
// It reads from memory or from the disk on the caller's goroutine, some
// microseconds for the call and less than one for each item.
func (d *Disk) Load(sid SessionID, priority int16, from uint64, max int) (items []Item, err error) {
	err = d.reading(func() error {
		items, err = d.load(sid, priority, from, max)
		return err
	})
	return items, err
}

func (d *Disk) load(sid SessionID, priority int16, from uint64, max int) ([]Item, error) {
	var keys [2 * itemKeyLen]byte
	lower := appendItemKey(keys[:0], sid, priority, from)
	upper := appendItemKey(keys[itemKeyLen:itemKeyLen], sid, priority, 1<<64-1)
	iter, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("load queue: %w", err)
	}
	items := make([]Item, 0, min(max, 64))
	var mem memory
	for ok := iter.First(); ok && len(items) < max; ok = iter.Next() {
		it, err := d.item(iter, &mem)
		if err != nil {
			d.complain(iter.Key(), err)
			continue
		}
		if it.Message != nil {
			items = append(items, it)
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		return items, fmt.Errorf("load queue: %w", err)
	}
	return items, nil
}

// item decodes the item under the iterator. Its Message is nil if it is a
// shared one that is gone.
func (d *Disk) item(iter *pebble.Iterator, mem *memory) (Item, error) {
	value, err := iter.ValueAndErr()
	if err != nil {
		return Item{}, err
	}
	r, err := decodeItem(value, mem)
	if err != nil {
		return Item{}, err
	}
	var ok bool
	if r.Priority, r.Seq, ok = splitItemKey(iter.Key()); !ok {
		return Item{}, errRecord
	}
	if r.Shared {
		r.Message, err = d.message(r.mid, mem)
	}
	return r.Item, err
}

// message reads a message that stands by itself; nil if it is gone.
func (d *Disk) message(mid uint64, mem *memory) (*protocol.Message, error) {
	var key [messageKeyLen]byte
	value, closer, err := d.db.Get(appendMessageKey(key[:0], mid))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeMessage(value, mem)
	if m != nil {
		m.StoreID = mid
	}
	return m, errors.Join(err, closer.Close())
}
