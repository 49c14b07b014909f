package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Table is a small durable map for others, such as users that the broker keeps
// itself. Keys and values are theirs.
type Table struct {
	disk *Disk
	name string
}

// Table returns the table of a name of up to 255 bytes. It panics for a longer
// one: names are constants.
func (d *Disk) Table(name string) *Table {
	if len(name) > 255 {
		panic("store: name of a table is too long")
	}
	return &Table{disk: d, name: name}
}

// Put writes an entry. done is called as for Disk.Commit.
func (t *Table) Put(key, value []byte, done func(error)) {
	o := opsPool.Get().(*Ops)
	defer releaseOps(o)
	o.putTable(t.name, key, value)
	t.disk.Commit(o, done)
}

// Delete deletes an entry. done is called as for Disk.Commit.
func (t *Table) Delete(key []byte, done func(error)) {
	o := opsPool.Get().(*Ops)
	defer releaseOps(o)
	o.delete(appendTableKey(o.scratch[:0], t.name, key))
	t.disk.Commit(o, done)
}

// Get reads an entry; ok is false if there is none. It does not see what is
// still to be written.
func (t *Table) Get(key []byte) (value []byte, ok bool, err error) {
	err = t.disk.reading(func() error {
		b, closer, err := t.disk.db.Get(appendTableKey(nil, t.name, key))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read table %s: %w", t.name, err)
		}
		if d := record(b); !d.bad {
			value, ok = append([]byte{}, d.b...), true
		} else {
			err = fmt.Errorf("read table %s: %w", t.name, errRecord)
		}
		return errors.Join(err, closer.Close())
	})
	return value, ok, err
}

// Each calls f with every entry in the order of the keys. The bytes are valid
// during the call only. Entries that cannot be read are logged and passed over.
func (t *Table) Each(f func(key, value []byte)) error {
	return t.disk.reading(func() error {
		prefix := appendTableKey(nil, t.name, nil)
		c, err := t.disk.walk(kindTable)
		if err != nil {
			return fmt.Errorf("read table %s: %w", t.name, err)
		}
		defer c.close()
		for c.seek(prefix); c.valid && len(c.last) >= len(prefix) && string(c.last[:len(prefix)]) == string(prefix); c.next() {
			d := record(c.value())
			if d.bad {
				t.disk.complain(c.last, errRecord)
				continue
			}
			f(c.last[len(prefix):], d.b)
		}
		return nil
	})
}
