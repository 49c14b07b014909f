package sessions

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// A session travels as a row of records, each with its length in front. A chunk
// may end within a record, since a message may be larger than a chunk.
//
// A record has one of its fields set. What a receiver does not know, it skips, so
// that a later version may add to it.
type record struct {
	Facts    *factsRecord        `msgpack:"s,omitempty"`
	Sub      *subscriptionRecord `msgpack:"u,omitempty"`
	Awaiting *awaitingRecord     `msgpack:"a,omitempty"`
	Item     *itemRecord         `msgpack:"i,omitempty"`
}

// factsRecord is the first record.
type factsRecord struct {
	ClientID string         `msgpack:"c"`
	Owner    string         `msgpack:"o,omitempty"`
	Created  int64          `msgpack:"b"`
	Expiry   int64          `msgpack:"e"`
	Expires  int64          `msgpack:"x,omitempty"`
	Clean    bool           `msgpack:"n,omitempty"`
	Sent     uint64         `msgpack:"t,omitempty"`
	LastID   uint16         `msgpack:"l,omitempty"`
	Dropped  uint64         `msgpack:"d,omitempty"`
	Enqueued uint64         `msgpack:"q,omitempty"`
	Will     *messageRecord `msgpack:"w,omitempty"`
	// Of the will.
	Delay      int64 `msgpack:"y,omitempty"`
	WillExpiry int64 `msgpack:"z,omitempty"`
	Due        int64 `msgpack:"u,omitempty"`
}

type subscriptionRecord struct {
	Text    string `msgpack:"t"`
	ID      uint32 `msgpack:"i,omitempty"`
	QoS     uint8  `msgpack:"q,omitempty"`
	NoLocal bool   `msgpack:"l,omitempty"`
	Retain  bool   `msgpack:"r,omitempty"` // as published
}

// awaitingRecord is an inbound QoS 2 identifier.
type awaitingRecord struct {
	ID uint16 `msgpack:"i"`
	At int64  `msgpack:"t"`
}

// itemRecord is an item of the queue or, with Flight, of the window.
type itemRecord struct {
	Message *messageRecord `msgpack:"m,omitempty"`
	Flight  uint16         `msgpack:"f,omitempty"` // packet identifier
	Phase   uint8          `msgpack:"p,omitempty"`
	QoS     uint8          `msgpack:"q,omitempty"`
	Retain  bool           `msgpack:"r,omitempty"`
	SubID   uint32         `msgpack:"s,omitempty"`
	MoreIDs []uint32       `msgpack:"i,omitempty"`
}

type messageRecord struct {
	Topic      string `msgpack:"t"`
	Payload    []byte `msgpack:"p,omitempty"`
	Properties []byte `msgpack:"r,omitempty"`
	From       string `msgpack:"f,omitempty"`
	Arrived    int64  `msgpack:"a,omitempty"`
	Expires    int64  `msgpack:"e,omitempty"`
	Origin     uint64 `msgpack:"o,omitempty"`
	Serial     uint64 `msgpack:"n,omitempty"`
	QoS        uint8  `msgpack:"q,omitempty"`
	Retain     bool   `msgpack:"l,omitempty"`
	Sys        bool   `msgpack:"s,omitempty"`
}

// maxRecord is a little more than the largest message that MQTT allows.
const maxRecord = 1<<28 + 1<<17

// packer makes chunks of records.
type packer struct {
	buf bytes.Buffer
	one bytes.Buffer
}

func (p *packer) add(r *record) error {
	p.one.Reset()
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&p.one)
	enc.UseCompactInts(true)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("encode a record of a session: %w", err)
	}
	var size [binary.MaxVarintLen64]byte
	p.buf.Write(size[:binary.PutUvarint(size[:], uint64(p.one.Len()))])
	p.buf.Write(p.one.Bytes())
	if p.one.Cap() > 2*chunkSize {
		p.one = bytes.Buffer{}
	}
	return nil
}

func (p *packer) full() bool { return p.buf.Len() >= chunkSize }

// take is the next chunk, not larger than chunkSize.
func (p *packer) take() []byte {
	data := bytes.Clone(p.buf.Next(chunkSize))
	if p.buf.Len() == 0 && p.buf.Cap() > 2*chunkSize {
		p.buf = bytes.Buffer{}
	}
	return data
}

// unpacker takes chunks apart.
type unpacker struct{ rest []byte }

var errRecordSize = errors.New("a record of a session has an impossible size")

// each calls f with every record that is complete.
func (u *unpacker) each(data []byte, f func(*record) error) error {
	if len(u.rest) > 0 { // of a message larger than a chunk, perhaps: it is moved once only
		u.rest = append(u.rest, data...)
		data = u.rest
	}
	left := data
	for len(left) > 0 {
		size, n := binary.Uvarint(left)
		if n < 0 || size > maxRecord || n > 0 && size == 0 {
			return errRecordSize
		}
		if n == 0 || uint64(len(left)-n) < size {
			break
		}
		var r record
		if err := msgpack.Unmarshal(left[n:n+int(size)], &r); err != nil {
			return fmt.Errorf("decode a record of a session: %w", err)
		}
		if err := f(&r); err != nil {
			return err
		}
		left = left[n+int(size):]
	}
	if len(u.rest) == 0 || len(left) < len(data) {
		u.rest = bytes.Clone(left)
	}
	return nil
}

// done tells whether nothing is left that is no whole record.
func (u *unpacker) done() bool { return len(u.rest) == 0 }

func messageToRecord(m *protocol.Message) *messageRecord {
	if m == nil {
		return nil
	}
	return &messageRecord{
		Topic: string(m.Topic), Payload: m.Payload, Properties: m.Properties, From: m.From,
		Arrived: m.Arrived, Expires: m.Expires, Origin: m.Origin, Serial: m.Serial,
		QoS: uint8(m.QoS), Retain: m.Retain, Sys: m.Sys,
	}
}

var errRecordValue = errors.New("a record of a session has an impossible value")

func (r *messageRecord) message() (*protocol.Message, error) {
	m := &protocol.Message{
		Topic: topic.Name(r.Topic), Payload: r.Payload, Properties: r.Properties, From: r.From,
		Arrived: r.Arrived, Expires: r.Expires, Origin: r.Origin, Serial: r.Serial,
		QoS: protocol.QoS(r.QoS), Retain: r.Retain, Sys: r.Sys,
	}
	if !m.QoS.Valid() || topic.CheckName(m.Topic) != nil {
		return nil, errRecordValue
	}
	return m, nil
}

func itemToRecord(it *delivery.Item) *itemRecord {
	r := &itemRecord{
		Message: messageToRecord(it.Message), QoS: uint8(it.QoS), Retain: it.Retain, SubID: it.SubID,
	}
	if it.MoreIDs != nil {
		r.MoreIDs = *it.MoreIDs
	}
	return r
}

func flightToRecord(f *delivery.Flight) *itemRecord {
	r := itemToRecord(&f.Item)
	r.Flight, r.Phase = uint16(f.ID), uint8(f.Phase)
	return r
}

// item is the item that the record describes, which has a message unless it is a
// flight that needs none any more.
func (r *itemRecord) item() (it delivery.Item, err error) {
	it = delivery.Item{QoS: protocol.QoS(r.QoS), Retain: r.Retain, SubID: r.SubID}
	if len(r.MoreIDs) > 0 {
		it.MoreIDs = &r.MoreIDs
	}
	phase := delivery.Phase(r.Phase)
	switch {
	case !it.QoS.Valid():
		return it, errRecordValue
	case r.Flight != 0 && phase == delivery.AwaitPubcomp:
		return it, nil
	case r.Flight != 0 && phase != delivery.AwaitPuback && phase != delivery.AwaitPubrec, r.Message == nil:
		return it, errRecordValue
	}
	it.Message, err = r.Message.message()
	return it, err
}
