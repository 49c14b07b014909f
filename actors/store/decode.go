package store

import (
	"encoding/binary"
	"errors"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// errRecord is what a record cannot be decoded for: its version, its length or
// one of its values.
var errRecord = errors.New("record cannot be decoded")

// decoder reads a record. After the first value that is not there, it is bad and
// returns zeroes: whoever reads asks once, at the end.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

// record starts a record, whose first byte is its version.
func record(b []byte) decoder {
	d := decoder{b: b}
	if d.byte() != recordVersion {
		d.fail()
	}
	return d
}

// end is the verdict: nothing was missing and nothing is left.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	return nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo reads a number that must not be above limit.
func (d *decoder) upTo(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail()
		return 0
	}
	return v
}

func (d *decoder) priority() int16 {
	v := d.varint()
	if v != int64(int16(v)) {
		d.fail()
	}
	return int16(v)
}

// text reads bytes with their length in front. They are part of the record, not
// a copy.
func (d *decoder) text() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

// memory is where decoded messages live. Messages that follow on each other
// often have topic and publisher in common: then they share the strings.
type memory struct {
	topic topic.Name
	from  protocol.ClientID
	slab  []protocol.Message
}

// slabSize is how many messages one allocation holds: larger saves allocations,
// smaller lets go of memory when a client leaves single messages unacknowledged.
const slabSize = 16

// message reads a message into memory of its own.
func (d *decoder) message(mem *memory) *protocol.Message {
	flags := d.byte()
	arrived := d.varint()
	var expires int64
	if flags&flagExpires != 0 {
		expires = arrived + d.varint()
	}
	name, from, properties, payload := d.text(), d.text(), d.text(), d.text()
	if d.bad || flags&flagQoS > byte(protocol.ExactlyOnce) {
		d.fail()
		return nil
	}
	if len(mem.slab) == 0 {
		mem.slab = make([]protocol.Message, slabSize)
	}
	m := &mem.slab[0]
	mem.slab = mem.slab[1:]
	if string(name) != string(mem.topic) {
		mem.topic = topic.Name(name)
	}
	if string(from) != mem.from {
		mem.from = string(from)
	}
	*m = protocol.Message{
		Topic: mem.topic, From: mem.from, Arrived: arrived, Expires: expires,
		QoS: protocol.QoS(flags & flagQoS), Retain: flags&flagRetain != 0, Sys: flags&flagSys != 0,
	}
	body := make([]byte, len(payload)+len(properties))
	n := copy(body, payload)
	copy(body[n:], properties)
	if n > 0 {
		m.Payload = body[:n:n]
	}
	if len(properties) > 0 {
		m.Properties = body[n:]
	}
	return m
}

// skipMessage reads past a message and returns its protocol.Message.Size.
func (d *decoder) skipMessage() int {
	flags := d.byte()
	d.varint()
	if flags&flagExpires != 0 {
		d.varint()
	}
	m := protocol.Message{Topic: "", Payload: nil}
	name := d.text()
	d.text()
	m.Properties, m.Payload = d.text(), d.text()
	if d.bad || flags&flagQoS > byte(protocol.ExactlyOnce) {
		d.fail()
		return 0
	}
	return m.Size() + len(name)
}

func decodeSession(b []byte) (*Session, error) {
	d := record(b)
	flags := d.byte()
	s := &Session{Clean: flags&flagClean != 0, Connected: flags&flagConnected != 0, Moving: flags&flagMoving != 0}
	s.ClientID = string(d.text())
	if flags&flagOwner != 0 {
		s.Owner = string(d.text())
	}
	s.Created, s.Expiry, s.Expires = d.varint(), d.varint(), d.varint()
	if flags&flagWill != 0 {
		s.Will = &Will{Delay: d.varint(), Expiry: d.varint(), Due: d.varint()}
		s.Will.Message = d.message(&memory{slab: make([]protocol.Message, 1)})
	}
	return s, d.end()
}

func decodeSubscription(text, b []byte) (Subscription, error) {
	d := record(b)
	flags := d.byte()
	s := Subscription{
		Text: string(text), QoS: protocol.QoS(flags & flagQoS),
		NoLocal: flags&flagNoLocal != 0, RetainAsPublished: flags&flagRetainAsPublished != 0,
		ID: uint32(d.upTo(1<<32 - 1)),
	}
	if !s.QoS.Valid() {
		d.fail()
	}
	return s, d.end()
}

// itemRecord is a decoded item whose message may be elsewhere.
type itemRecord struct {
	Item
	mid  uint64 // 0: the message is in the item
	size int    // of the message
}

// decodeItem reads the value of an item. Without mem it does not read the
// message, only its size.
func decodeItem(b []byte, mem *memory) (r itemRecord, err error) {
	d := record(b)
	flags := d.byte()
	r.QoS, r.Retain, r.Shared = protocol.QoS(flags&flagQoS), flags&flagRetain != 0, flags&flagShared != 0
	if !r.QoS.Valid() {
		d.fail()
	}
	if flags&flagSubID != 0 {
		r.SubID = uint32(d.upTo(1<<32 - 1))
	}
	if flags&flagMoreIDs != 0 {
		n := d.upTo(uint64(len(d.b))) // each takes a byte at least
		r.MoreIDs = make([]uint32, 0, n)
		for range n {
			r.MoreIDs = append(r.MoreIDs, uint32(d.upTo(1<<32-1)))
		}
	}
	switch {
	case r.Shared:
		if r.mid, r.size = d.uvarint(), int(d.upTo(1<<32)); r.mid == 0 {
			d.fail()
		}
	case mem == nil:
		r.size = d.skipMessage()
	default:
		if r.Message = d.message(mem); r.Message != nil {
			r.size = r.Message.Size()
		}
	}
	return r, d.end()
}

// maxFlights is how many packet identifiers there are.
const maxFlights = 65535

func decodeWindow(b []byte) (Window, error) {
	d := record(b)
	w := Window{LastID: protocol.PacketID(d.upTo(maxFlights)), NextSeq: d.uvarint()}
	for range d.upTo(uint64(len(d.b))) {
		w.Heads = append(w.Heads, Head{Priority: d.priority(), Seq: d.uvarint()})
	}
	for len(d.b) > 0 {
		n := int(d.upTo(maxFlights))
		f := Flight{ID: protocol.PacketID(d.upTo(maxFlights)), Phase: d.byte(), Priority: d.priority()}
		f.Seq = w.NextSeq + uint64(d.varint())
		if n == 0 || f.ID == 0 || d.bad || len(w.Flights)+n > maxFlights {
			return Window{}, errRecord
		}
		for ; n > 0; n-- {
			w.Flights = append(w.Flights, f)
			f.ID, f.Seq = nextID(f.ID), f.Seq+1
		}
	}
	return w, d.end()
}

func decodeAwaiting(b []byte) (int64, error) {
	d := record(b)
	at := d.varint()
	return at, d.end()
}

// decodeMessage reads the record of a message that stands by itself.
func decodeMessage(b []byte, mem *memory) (*protocol.Message, error) {
	d := record(b)
	m := d.message(mem)
	return m, d.end()
}
