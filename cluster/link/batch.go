package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/cluster/wire"
)

// The lanes of a stream. What links tell each other is not numbered: it is of the
// moment.
const (
	laneLink    = 0
	laneControl = 1
	laneData    = 2
	lanes       = 2 // that are numbered
)

// record is one message in a batch.
type record struct {
	lane uint8
	seq  uint64 // from 1 in each numbered lane of a conversation
	kind uint32
	body []byte
}

// A batch is what a stream carries as one message: a version byte and, one after the
// other, msgpack arrays of lane, number, kind and body. Readers skip elements that a
// newer version may append to the arrays, and records of lanes they do not know.

// maxBatch is how many bytes the writer puts together. Larger ones would hold up a
// heartbeat, smaller ones cost more per message.
const maxBatch = 256 << 10

// recordHead is the most that stands before a body.
const recordHead = 1 + 1 + 9 + 5 + 5

// codes of msgpack
const (
	codeArray4 = 0x94
	codeUint8  = 0xcc
	codeUint16 = 0xcd
	codeUint32 = 0xce
	codeUint64 = 0xcf
	codeBin8   = 0xc4
	codeBin16  = 0xc5
	codeBin32  = 0xc6
)

func appendRecord(b []byte, r *record) []byte {
	b = append(b, codeArray4, r.lane)
	b = appendUint(b, r.seq)
	b = appendUint(b, uint64(r.kind))
	b = append(b, codeBin32)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.body)))
	return append(b, r.body...)
}

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, codeUint16), uint16(v))
	case v <= 0xffff_ffff:
		return binary.BigEndian.AppendUint32(append(b, codeUint32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(b, codeUint64), v)
	}
}

var errBatch = errors.New("a batch that cannot be read")

// openBatch checks the version and returns the records' bytes.
func openBatch(b []byte) ([]byte, error) {
	if len(b) == 0 || !wire.Readable(b[0]) {
		return nil, fmt.Errorf("%w: unknown version", errBatch)
	}
	return b[1:], nil
}

// nextRecord reads one record; its body is part of b.
func nextRecord(b []byte) (r record, rest []byte, err error) {
	elements, b, err := arrayLength(b)
	if err != nil || elements < 4 {
		return r, nil, errBatch
	}
	var lane, kind uint64
	if lane, b, err = readUint(b); err != nil || lane > 0xff {
		return r, nil, errBatch
	}
	if r.seq, b, err = readUint(b); err != nil {
		return r, nil, errBatch
	}
	if kind, b, err = readUint(b); err != nil || kind > 1<<32-1 {
		return r, nil, errBatch
	}
	r.lane, r.kind = uint8(lane), uint32(kind)
	if r.body, b, err = readBin(b); err != nil {
		return r, nil, errBatch
	}
	if elements > 4 {
		if b, err = skip(b, elements-4); err != nil {
			return r, nil, errBatch
		}
	}
	return r, b, nil
}

func arrayLength(b []byte) (int, []byte, error) {
	if len(b) == 0 || b[0]&0xf0 != 0x90 {
		return 0, nil, errBatch
	}
	return int(b[0] & 0x0f), b[1:], nil
}

func readUint(b []byte) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, errBatch
	}
	code, b := b[0], b[1:]
	switch {
	case code < 0x80:
		return uint64(code), b, nil
	case code == codeUint8 && len(b) >= 1:
		return uint64(b[0]), b[1:], nil
	case code == codeUint16 && len(b) >= 2:
		return uint64(binary.BigEndian.Uint16(b)), b[2:], nil
	case code == codeUint32 && len(b) >= 4:
		return uint64(binary.BigEndian.Uint32(b)), b[4:], nil
	case code == codeUint64 && len(b) >= 8:
		return binary.BigEndian.Uint64(b), b[8:], nil
	}
	return 0, nil, errBatch
}

func readBin(b []byte) (body, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errBatch
	}
	n := 0
	code, b := b[0], b[1:]
	switch {
	case code == codeBin8 && len(b) >= 1:
		n, b = int(b[0]), b[1:]
	case code == codeBin16 && len(b) >= 2:
		n, b = int(binary.BigEndian.Uint16(b)), b[2:]
	case code == codeBin32 && len(b) >= 4:
		n, b = int(binary.BigEndian.Uint32(b)), b[4:]
	default:
		return nil, nil, errBatch
	}
	if n < 0 || n > len(b) || n > wire.MaxBody {
		return nil, nil, errBatch
	}
	return b[:n:n], b[n:], nil // cut off, so that an append cannot reach the neighbour
}

// skip passes over values that only a newer version knows.
func skip(b []byte, values int) ([]byte, error) {
	r := bytes.NewReader(b)
	d := msgpack.NewDecoder(r)
	for range values {
		if err := d.Skip(); err != nil {
			return nil, errBatch
		}
	}
	return b[len(b)-r.Len():], nil
}
