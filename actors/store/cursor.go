package store

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// cursor walks over the records of one kind in the order of their keys, and
// over the holes which corrupt blocks have left.
type cursor struct {
	iter   *pebble.Iterator
	kind   byte
	valid  bool
	last   []byte // the key it was on last
	holes  int    // so often something could not be read
	onHole func(after []byte, err error)
}

// walk returns a cursor on the first record of a kind.
func (d *Disk) walk(kind byte) (*cursor, error) {
	iter, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return nil, err
	}
	c := &cursor{iter: iter, kind: kind, last: []byte{kind}, onHole: d.hole}
	c.settle(iter.First())
	return c, nil
}

func (c *cursor) close() { _ = c.iter.Close() } // its errors are the holes, which were told

func (c *cursor) next() { c.settle(c.iter.Next()) }

func (c *cursor) seek(key []byte) {
	c.last = append(c.last[:0], key...)
	c.settle(c.iter.SeekGE(key))
}

// settle notes where a move has led, and gets over a hole.
func (c *cursor) settle(ok bool) {
	c.valid = ok
	if ok {
		c.last = append(c.last[:0], c.iter.Key()...)
		return
	}
	err := c.iter.Error()
	if err == nil {
		return
	}
	c.holes++
	c.onHole(c.last, err)
	from := append([]byte(nil), c.last...)
	leap(from, func(key []byte) bool {
		if key[0] != c.kind {
			return true // beyond the last record of the kind
		}
		if c.valid = c.iter.SeekGE(key); c.valid {
			c.last = append(c.last[:0], c.iter.Key()...)
			return true
		}
		return c.iter.Error() == nil
	})
}

// leap tries ever larger keys after from until one will do: first those that
// differ from it in the last byte, by 1, 2, 4 and so on, then in the byte before,
// and so on. Like this no more than about twice the hole is passed over.
func leap(from []byte, try func(key []byte) bool) {
	key := append([]byte(nil), from...)
	if try(append(key, 0)) {
		return
	}
	for i := len(key) - 1; i >= 0; i-- {
		for step := 1; int(from[i])+step <= 0xff; step *= 2 {
			key[i] = from[i] + byte(step)
			if try(key[:i+1]) {
				return
			}
		}
	}
}

// session is the session of the record it is on.
func (c *cursor) session() (SessionID, bool) {
	if !c.valid {
		return 0, false
	}
	return sessionOfKey(c.last)
}

// to moves on to the first record of a session, and tells of the sessions it
// passes, which have no record of their own.
func (c *cursor) to(sid SessionID, orphan func(SessionID)) {
	for c.valid {
		at, ok := c.session()
		switch {
		case ok && at >= sid:
			return
		case ok:
			orphan(at)
			c.seek(appendSessionKey(nil, c.kind, at+1))
		default:
			c.next()
		}
	}
}

// on tells whether it is on a record of a session.
func (c *cursor) on(sid SessionID) bool {
	at, ok := c.session()
	return ok && at == sid
}

// hole tells that something after a key cannot be read.
func (d *Disk) hole(after []byte, err error) {
	attrs := []any{slog.String("kind", string(after[:1])), slog.Any("reason", err)}
	if sid, ok := sessionOfKey(after); ok && after[0] != kindRetained && after[0] != kindTable {
		attrs = append(attrs, slog.Uint64("session", uint64(sid)))
	}
	d.log.Error("store: a part of a table cannot be read and is passed over", attrs...)
}

// complain tells of a record that cannot be decoded.
func (d *Disk) complain(key []byte, err error) {
	attrs := []any{slog.String("kind", string(key[:1])), slog.Any("reason", err)}
	if sid, ok := sessionOfKey(key); ok && key[0] != kindRetained && key[0] != kindTable {
		attrs = append(attrs, slog.Uint64("session", uint64(sid)))
	}
	d.log.Error("store: a record cannot be decoded", attrs...)
}

// quarantine moves a record that cannot be decoded out of the way.
func (d *Disk) quarantine(o *Ops, key, value []byte, err error) {
	if value == nil {
		return // it could not even be read, which has been told
	}
	d.figures.quarantined.Add(1)
	d.complain(key, err)
	b := append(append(o.scratch[:0], kindQuarantine), key...)
	keyLen := len(b)
	o.set(append(b, value...), keyLen)
	o.delete(append(o.scratch[:0], key...))
}

// value is the value of the record; an empty one, which nothing decodes, if it
// cannot be read.
func (c *cursor) value() []byte {
	v, err := c.iter.ValueAndErr()
	if err != nil {
		c.holes++
		c.onHole(c.last, err)
		return nil
	}
	return v
}

// number is the identifier in a key of kind m.
func (c *cursor) number() (uint64, error) {
	if len(c.last) != messageKeyLen {
		return 0, fmt.Errorf("key of %d bytes: %w", len(c.last), errRecord)
	}
	return binary.BigEndian.Uint64(c.last[1:]), nil
}
