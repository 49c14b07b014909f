package routes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/actors/topics"
	"emqttd/cluster/wire"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// A body of the data lane is a version byte, a part byte, and messages, each an
// array of
//
//	flags, id, topic, payload, properties, from, age, life, origin, serial,
//	filter, group, passed, filter, group, passed, …
//
// The id says which acceptance the sender waits for, 0 for none. Times are told as
// spans, because clocks differ: the age of the message in milliseconds, and how
// long it lives from its arrival on. An origin of 0 is the sender. What follows
// the serial are the shared groups for which the receiver was picked. Readers pass
// over what later versions add behind that: there is an element with the number of
// groups before them.
const (
	headLen   = 2
	wholePart = 0 // the body is complete
	morePart  = 1 // the next one goes on where it ends
	lastPart  = 2

	fields = 11 // of a message, without its groups

	flagQoS      = 3
	flagRetain   = 1 << 2
	flagSys      = 1 << 3
	flagOnlyThem = 1 << 4 // no ordinary subscription of the receiver is known
)

const (
	// maxBody is the largest body that is handed over: what does not fit is cut
	// into parts.
	maxBody = 256 << 10
	// fullFrame is the size from which on a frame gets no further message, so that
	// few have to be cut.
	fullFrame = 240 << 10
)

// frameWriter encodes messages into a frame. The zero value is ready.
type frameWriter struct {
	buf      bytes.Buffer
	enc      *msgpack.Encoder
	messages int
}

// add appends an item to the frame: id is that of its acceptance, now Unix
// milliseconds, self the incarnation of this node.
func (w *frameWriter) add(d *topics.Deliver, it *topics.Delivery, id uint64, now int64, self uint64) {
	if w.messages == 0 {
		w.buf.WriteByte(wire.Version)
		w.buf.WriteByte(wholePart)
		if w.enc == nil {
			w.enc = msgpack.NewEncoder(&w.buf)
		}
	}
	w.messages++
	m := it.Message
	flags := uint64(m.QoS) & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if m.Sys {
		flags |= flagSys
	}
	if it.Shared {
		flags |= flagOnlyThem
	}
	age, life := int64(-1), int64(0)
	if m.Arrived != 0 {
		age = max(now-m.Arrived, 0)
	}
	if m.Expires != 0 {
		life = max(m.Expires-max(m.Arrived, 0), 1)
	}
	origin := m.Origin
	if origin == self {
		origin = 0
	}
	e := w.enc // errors are those of the buffer, which has none
	_ = e.EncodeArrayLen(fields + 3*len(it.MoreIDs))
	_ = e.EncodeUint(flags)
	_ = e.EncodeUint(id)
	_ = e.EncodeString(string(m.Topic))
	_ = e.EncodeBytes(m.Payload)
	_ = e.EncodeBytes(m.Properties)
	_ = e.EncodeString(m.From)
	_ = e.EncodeInt(age)
	_ = e.EncodeInt(life)
	_ = e.EncodeUint(origin)
	_ = e.EncodeUint(m.Serial)
	_ = e.EncodeUint(uint64(len(it.MoreIDs)))
	d.Shares(it, func(s topics.Share) {
		_ = e.EncodeString(string(s.Filter))
		_ = e.EncodeString(s.Group)
		_ = e.EncodeBool(s.Passed)
	})
}

// take returns the bodies of the frame and how many messages they have, and starts
// a new one.
func (w *frameWriter) take() (bodies [][]byte, messages int) {
	messages = w.messages
	all := w.buf.Bytes()
	if len(all) <= maxBody {
		bodies = [][]byte{bytes.Clone(all)}
	} else {
		bodies = split(all[headLen:])
	}
	w.messages = 0
	if w.buf.Reset(); w.buf.Cap() > 4*maxBody {
		w.buf, w.enc = bytes.Buffer{}, nil
	}
	return bodies, messages
}

// split cuts what is too large for one body into parts.
func split(rest []byte) (bodies [][]byte) {
	for len(rest) > 0 {
		n := min(len(rest), maxBody-headLen)
		part := byte(morePart)
		if n == len(rest) {
			part = lastPart
		}
		body := make([]byte, 0, headLen+n)
		bodies = append(bodies, append(append(body, wire.Version, part), rest[:n]...))
		rest = rest[n:]
	}
	return bodies
}

var (
	errVersion = errors.New("unknown version of a frame")
	errShort   = errors.New("frame is cut off")
)

// join puts the parts of a frame together; content is nil as long as there is
// more to come. It keeps body if that is complete.
func join(parts, body []byte) (content, left []byte, err error) {
	if len(body) < headLen || body[0] != wire.Version {
		return nil, nil, errVersion
	}
	rest := body[headLen:]
	switch body[1] {
	case wholePart:
		return rest, nil, nil
	case morePart:
		return nil, append(parts, rest...), nil
	default:
		return append(parts, rest...), nil, nil
	}
}

// slab is how many messages are allocated at once.
const slab = 32

// frameReader decodes the messages of a frame, which share its bytes.
type frameReader struct {
	content []byte
	r       bytes.Reader
	dec     *msgpack.Decoder
	slab    []protocol.Message
	now     int64
	origin  uint64 // incarnation of the sender
}

// incoming is a message from another node, and what it is for.
type incoming struct {
	*protocol.Message
	id       uint64
	onlyThem bool
	shares   []topics.Share
}

func (f *frameReader) reset(content []byte, now int64, origin uint64) {
	f.content, f.now, f.origin = content, now, origin
	f.r.Reset(content)
	if f.dec == nil {
		f.dec = msgpack.NewDecoder(&f.r)
	} else {
		f.dec.Reset(&f.r)
	}
}

func (f *frameReader) more() bool { return f.r.Len() > 0 }

// next decodes one message; in.shares is used again for the one after.
func (f *frameReader) next(in *incoming) error {
	n, err := f.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if n < fields {
		return fmt.Errorf("a message with %d fields: %w", n, errShort)
	}
	if len(f.slab) == 0 {
		f.slab = make([]protocol.Message, slab)
	}
	m := &f.slab[0]
	f.slab = f.slab[1:]
	in.Message, in.shares = m, in.shares[:0]
	flags := f.uint(&err)
	in.id, in.onlyThem = f.uint(&err), flags&flagOnlyThem != 0
	m.QoS, m.Retain, m.Sys = protocol.QoS(flags&flagQoS), flags&flagRetain != 0, flags&flagSys != 0
	m.Topic = topic.Name(f.text(&err))
	m.Payload, m.Properties = f.bytes(&err), f.bytes(&err)
	m.From = f.text(&err)
	age, life := f.int(&err), f.int(&err)
	if age >= 0 {
		m.Arrived = f.now - age
	}
	if life > 0 {
		m.Expires = m.Arrived + life
	}
	if m.Origin = f.uint(&err); m.Origin == 0 {
		m.Origin = f.origin
	}
	m.Serial = f.uint(&err)
	groups := f.uint(&err)
	if err == nil && groups > uint64(n-fields)/3 {
		err = errShort
	}
	for ; err == nil && groups > 0; groups-- {
		in.shares = append(in.shares, f.share(&err))
		n -= 3
	}
	for ; err == nil && n > fields; n-- {
		err = f.dec.Skip()
	}
	if err == nil && !m.QoS.Valid() {
		err = fmt.Errorf("QoS %d", m.QoS)
	}
	if err == nil {
		err = topic.CheckName(m.Topic)
	}
	return err
}

func (f *frameReader) share(err *error) topics.Share {
	s := topics.Share{Filter: topic.Filter(f.text(err)), Group: f.text(err)}
	if *err == nil {
		s.Passed, *err = f.dec.DecodeBool()
	}
	return s
}

func (f *frameReader) uint(err *error) (n uint64) {
	if *err == nil {
		n, *err = f.dec.DecodeUint64()
	}
	return n
}

func (f *frameReader) int(err *error) (n int64) {
	if *err == nil {
		n, *err = f.dec.DecodeInt64()
	}
	return n
}

// bytes returns a part of the frame.
func (f *frameReader) bytes(err *error) []byte {
	if *err != nil {
		return nil
	}
	var n int
	if n, *err = f.dec.DecodeBytesLen(); *err != nil || n < 0 {
		return nil
	}
	at := len(f.content) - f.r.Len()
	if n > f.r.Len() {
		*err = errShort
		return nil
	}
	_, _ = f.r.Seek(int64(n), io.SeekCurrent) // it is inside
	return f.content[at : at+n : at+n]
}

// text is bytes as a string: nobody writes to a frame that has arrived.
func (f *frameReader) text(err *error) string {
	b := f.bytes(err)
	return unsafe.String(unsafe.SliceData(b), len(b))
}
