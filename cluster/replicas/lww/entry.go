package lww

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Entry is one entry on its way to another node.
type Entry struct {
	Key string
	Version
	Value []byte // nil for a tombstone
}

// entryFields is how many fields an entry has; a reader passes over more.
const entryFields = 4

// AppendEntry appends an entry as msgpack. value appends its value; nil is for a
// tombstone.
func AppendEntry(b []byte, key string, v Version, value func([]byte) []byte) []byte {
	b = append(b, msgpcode.FixedArrayLow|entryFields, msgpcode.Str32)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(key))), key...)
	b = binary.BigEndian.AppendUint64(append(b, msgpcode.Uint64), v.Stamp)
	b = binary.BigEndian.AppendUint32(append(b, msgpcode.Uint32), v.Origin)
	if value == nil {
		return append(b, msgpcode.Nil)
	}
	at := len(b) + 1
	b = value(append(b, msgpcode.Bin32, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

var errEntry = errors.New("an entry has too few fields")

// ReadEntries calls f with each entry of a chunk. Their keys and values are copies.
func ReadEntries(chunk []byte, f func(Entry)) error {
	r := bytes.NewReader(chunk)
	d := msgpack.NewDecoder(r)
	for r.Len() > 0 {
		e, err := readEntry(d)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		f(e)
	}
	return nil
}

func readEntry(d *msgpack.Decoder) (e Entry, err error) {
	n, err := d.DecodeArrayLen()
	if err != nil {
		return e, err
	}
	if n < entryFields {
		return e, errEntry
	}
	if e.Key, err = d.DecodeString(); err != nil {
		return e, err
	}
	if e.Stamp, err = d.DecodeUint64(); err != nil {
		return e, err
	}
	if e.Origin, err = d.DecodeUint32(); err != nil {
		return e, err
	}
	if e.Value, err = d.DecodeBytes(); err != nil {
		return e, err
	}
	for range n - entryFields {
		if err := d.Skip(); err != nil {
			return e, err
		}
	}
	return e, nil
}
