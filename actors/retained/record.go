package retained

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// A message goes to other nodes as the value of an entry whose key is its topic:
// an array of its fields, of which a later version may have more.
const recordFields = 6

const (
	recordQoS = 0x03
	recordSys = 0x08
)

func appendRecord(b []byte, m *protocol.Message) []byte {
	flags := byte(m.QoS) & recordQoS
	if m.Sys {
		flags |= recordSys
	}
	b = append(b, msgpcode.FixedArrayLow|recordFields, flags) // flags are below 0x80: a number of one byte
	b = binary.BigEndian.AppendUint64(append(b, msgpcode.Int64), uint64(m.Arrived))
	b = binary.BigEndian.AppendUint64(append(b, msgpcode.Int64), uint64(m.Expires))
	b = append(binary.BigEndian.AppendUint32(append(b, msgpcode.Str32), uint32(len(m.From))), m.From...)
	b = append(binary.BigEndian.AppendUint32(append(b, msgpcode.Bin32), uint32(len(m.Properties))), m.Properties...)
	return append(binary.BigEndian.AppendUint32(append(b, msgpcode.Bin32), uint32(len(m.Payload))), m.Payload...)
}

var errRecord = errors.New("a retained message cannot be decoded")

// decodeRecord makes the message of an entry, in memory of its own.
func decodeRecord(e *lww.Entry) (*protocol.Message, error) {
	d := msgpack.NewDecoder(bytes.NewReader(e.Value))
	n, err := d.DecodeArrayLen()
	if err != nil || n < recordFields {
		return nil, errRecord
	}
	m := &protocol.Message{Topic: topic.Name(e.Key), Retain: true}
	flags, err := d.DecodeUint8()
	fields := []error{err}
	m.QoS, m.Sys = protocol.QoS(flags&recordQoS), flags&recordSys != 0
	m.Arrived, err = d.DecodeInt64()
	fields = append(fields, err)
	m.Expires, err = d.DecodeInt64()
	fields = append(fields, err)
	m.From, err = d.DecodeString()
	fields = append(fields, err)
	m.Properties, err = d.DecodeBytes()
	fields = append(fields, err)
	m.Payload, err = d.DecodeBytes()
	if err := errors.Join(append(fields, err)...); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	if !m.QoS.Valid() || len(m.Payload) == 0 || topic.CheckName(e.Key) != nil {
		return nil, errRecord
	}
	if len(m.Properties) == 0 {
		m.Properties = nil
	}
	return m, nil
}
