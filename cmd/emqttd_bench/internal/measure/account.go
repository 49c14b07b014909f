package measure

import "math/bits"

// Account says what became of the messages of one sender at one receiver: each
// has a number, from 0 on, and must arrive once and in order. It remembers
// every number, one bit each, so that nothing it says is a guess.
type Account struct {
	seen      []uint64
	next      uint32 // one above the highest number seen
	Received  int64  // different messages
	Twice     int64  // arrivals of a message that had arrived
	Reordered int64  // first arrivals behind a later message
}

// Arrived takes a message down and tells whether it is the first of its number.
func (a *Account) Arrived(number uint32) bool {
	word, bit := int(number>>6), uint64(1)<<(number&63)
	for word >= len(a.seen) {
		a.seen = append(a.seen, 0)
	}
	if a.seen[word]&bit != 0 {
		a.Twice++
		return false
	}
	a.seen[word] |= bit
	a.Received++
	if number < a.next {
		a.Reordered++
	} else {
		a.next = number + 1
	}
	return true
}

// Missing is how many of the first n messages have not arrived.
func (a *Account) Missing(n uint32) int64 {
	missing := int64(n)
	for i, w := range a.seen {
		switch first := uint32(i) << 6; {
		case first >= n:
			return missing
		case n-first < 64:
			w &= 1<<(n-first) - 1
		}
		missing -= int64(bits.OnesCount64(w))
	}
	return missing
}
