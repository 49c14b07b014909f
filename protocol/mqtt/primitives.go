package mqtt

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// reader walks through the body of one packet. The first error sticks and
// leaves nothing to read, so that decoders need not ask after every field.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(e *Error) {
	if r.err == nil {
		r.err = e
	}
	r.b = nil
}

// end tells how decoding went: all of the body must have been read.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		return ErrTrailingBytes
	}
	return r.err
}

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.fail(ErrTruncated)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) u16() uint16 {
	if len(r.b) < 2 {
		r.fail(ErrTruncated)
		return 0
	}
	n := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return n
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.fail(ErrTruncated)
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

// varint reads a Variable Byte Integer, which MQTT 5 wants in the fewest bytes.
// [MQTT-1.5.5-1]
func (r *reader) varint() uint32 {
	var n uint32
	for i := range min(len(r.b), 4) {
		c := r.b[i]
		n |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				break
			}
			r.b = r.b[i+1:]
			return n
		}
		if i == 3 {
			break
		}
	}
	if n := len(r.b); n < 4 && (n == 0 || r.b[n-1] >= 0x80) {
		r.fail(ErrTruncated)
	} else {
		r.fail(ErrMalformedVarint)
	}
	return 0
}

// take reads n bytes, which alias the body; their capacity ends with them.
func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(ErrTruncated)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// binary reads Binary Data: two bytes of length, then the data. The result is
// nil only after an error.
func (r *reader) binary() []byte { return r.take(int(r.u16())) }

// str reads a UTF-8 Encoded String, which aliases the body.
func (r *reader) str() string {
	p := r.binary()
	if r.err != nil {
		return ""
	}
	if e := checkString(p); e != nil {
		r.fail(e)
		return ""
	}
	return alias(p)
}

// topicName reads the Topic Name of a PUBLISH or of a Will Message; it may still
// be empty.
func (r *reader) topicName() string {
	p := r.binary()
	if r.err != nil {
		return ""
	}
	if e := checkTopicName(p); e != nil {
		r.fail(e)
		return ""
	}
	return alias(p)
}

// packetID reads a Packet Identifier, which is never zero.
func (r *reader) packetID() uint16 {
	id := r.u16()
	if id == 0 {
		r.fail(ErrPacketIDZero) // [MQTT-2.3.1-1]
	}
	return id
}

// alias is a string over the bytes of p, valid as long as nobody reuses them.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// wildcards may stand in a Topic Filter, never in a Topic Name.
const wildcards = "+#"

// Words for the tests on eight bytes at once.
const (
	lows   = 0x0101010101010101
	highs  = 0x8080808080808080
	pluses = lows * '+'
	hashes = lows * '#'
)

// zeros is not zero if one of the bytes of x is.
func zeros(x uint64) uint64 { return (x - lows) &^ x & highs }

// oddWord is not zero if a byte in w is NUL or outside ASCII.
func oddWord(w uint64) uint64 { return zeros(w) | w&highs }

// oddTopicWord is oddWord which also finds wildcards.
func oddTopicWord(w uint64) uint64 { return oddWord(w) | zeros(w^pluses) | zeros(w^hashes) }

// checkString checks a UTF-8 Encoded String: well-formed, without surrogates,
// which utf8.Valid refuses, and without U+0000. A byte order mark is an ordinary
// character [MQTT-1.5.3-3]. Nearly all strings are ASCII, hence the fast path.
func checkString(p []byte) *Error {
	var odd uint64
	q := p
	for ; len(q) >= 8; q = q[8:] {
		odd |= oddWord(binary.LittleEndian.Uint64(q))
	}
	for _, c := range q {
		if c-1 >= 0x7f { // NUL wraps around
			odd = 1
		}
	}
	if odd == 0 {
		return nil
	}
	return checkUnicode(p)
}

func checkUnicode(p []byte) *Error {
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNullCharacter // [MQTT-1.5.3-2]
	}
	if !utf8.Valid(p) {
		return ErrInvalidUTF8 // [MQTT-1.5.3-1]
	}
	return nil
}

// checkTopicName is checkString which also refuses wildcards. [MQTT-3.3.2-2]
func checkTopicName(p []byte) *Error {
	var odd uint64
	q := p
	for ; len(q) >= 8; q = q[8:] {
		odd |= oddTopicWord(binary.LittleEndian.Uint64(q))
	}
	for _, c := range q {
		if c-1 >= 0x7f || c == '+' || c == '#' {
			odd = 1
		}
	}
	if odd == 0 {
		return nil
	}
	if e := checkUnicode(p); e != nil {
		return e
	}
	if bytes.ContainsAny(p, wildcards) {
		return ErrTopicWildcard
	}
	return nil
}

// varintSize is how many bytes n takes as a Variable Byte Integer.
func varintSize(n uint32) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	default:
		return 4
	}
}

func appendVarint(dst []byte, n uint32) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// appendString writes a UTF-8 Encoded String or Binary Data. One that is longer
// than two bytes can say is a bug of the caller: cut short it would no longer be
// what was meant.
func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	if len(s) > 0xffff {
		panic("mqtt: a string of more than 65535 bytes")
	}
	dst = append(dst, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}
