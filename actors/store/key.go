package store

import (
	"encoding/binary"

	"emqttd/protocol"
)

// The first byte of a key is the kind of its record.
const (
	kindHeader       = 'h'
	kindSession      = 's'
	kindSubscription = 'u'
	kindWindow       = 'w'
	kindAwaiting     = 'a'
	kindItem         = 'q'
	kindMessage      = 'm'
	kindRetained     = 'r'
	kindTable        = 't'
	kindQuarantine   = 'z'
)

// Numbers in keys are big endian, so that they sort.
const (
	sessionKeyLen  = 1 + 8
	itemKeyLen     = sessionKeyLen + 2 + 8
	awaitingKeyLen = sessionKeyLen + 2
	messageKeyLen  = 1 + 8
)

var (
	headerKey = []byte{kindHeader}
	idsKey    = []byte("h/ids")
)

func appendSessionKey(b []byte, kind byte, sid SessionID) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), uint64(sid))
}

func appendItemKey(b []byte, sid SessionID, priority int16, seq uint64) []byte {
	b = appendSessionKey(b, kindItem, sid)
	b = binary.BigEndian.AppendUint16(b, uint16(priority)^0x8000) // negative priorities sort first
	return binary.BigEndian.AppendUint64(b, seq)
}

func appendAwaitingKey(b []byte, sid SessionID, id protocol.PacketID) []byte {
	return binary.BigEndian.AppendUint16(appendSessionKey(b, kindAwaiting, sid), uint16(id))
}

func appendMessageKey(b []byte, mid uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kindMessage), mid)
}

func appendTableKey(b []byte, table string, key []byte) []byte {
	b = append(b, kindTable, byte(len(table)))
	return append(append(b, table...), key...)
}

// sessionOfKey is the session to which a key of kind s, u, w, a or q belongs;
// false if it is too short to say.
func sessionOfKey(key []byte) (SessionID, bool) {
	if len(key) < sessionKeyLen {
		return 0, false
	}
	return SessionID(binary.BigEndian.Uint64(key[1:])), true
}

// splitItemKey reads a key of kind q.
func splitItemKey(key []byte) (priority int16, seq uint64, ok bool) {
	if len(key) != itemKeyLen {
		return 0, 0, false
	}
	return int16(binary.BigEndian.Uint16(key[9:]) ^ 0x8000), binary.BigEndian.Uint64(key[11:]), true
}

// after is the first key that is greater than every key with this prefix; nil
// if there is none.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
