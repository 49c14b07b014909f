package main

import "encoding/binary"

// stampSize is the smallest payload that a scenario can account for.
const stampSize = 20

// stamp begins each payload: the run, so that what others left on the broker is
// not taken for ours, who sent it, its number there, and when it was sent or, at
// a rate, due.
type stamp struct {
	run, sender, number uint32
	at                  int64
}

func (s stamp) put(b []byte) {
	binary.BigEndian.PutUint32(b, s.run)
	binary.BigEndian.PutUint32(b[4:], s.sender)
	binary.BigEndian.PutUint32(b[8:], s.number)
	binary.BigEndian.PutUint64(b[12:], uint64(s.at))
}

func readStamp(b []byte) (stamp, bool) {
	if len(b) < stampSize {
		return stamp{}, false
	}
	return stamp{
		binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]),
		binary.BigEndian.Uint32(b[8:]), int64(binary.BigEndian.Uint64(b[12:])),
	}, true
}

// payload is a buffer of a size, at least of a stamp, filled with letters.
func payload(size int) []byte {
	b := make([]byte, max(size, stampSize))
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return b
}
