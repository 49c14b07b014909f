package link

// item is a message on its way to a peer.
type item struct {
	kind uint32
	body []byte
	done func(error) // may be nil
}

// lane is what one side sends in one numbered lane: what waits to be written, and
// what was written and is not acknowledged. It is a plain value; the Peer guards it.
type lane struct {
	items  []item // items[head:] have the numbers first, first+1, …
	head   int
	first  uint64
	next   int // of items, the first that was not written to the stream there is now
	bytes  int // of all items
	flying int // of those that were written
}

func newLane() lane { return lane{first: 1} }

func (l *lane) push(i item) {
	if l.head > 1024 && l.head > len(l.items)/2 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.next, l.head = l.items[:n], l.next-l.head, 0
	}
	l.items = append(l.items, i)
	l.bytes += len(i.body)
}

// len is how many messages are not acknowledged.
func (l *lane) len() int { return len(l.items) - l.head }

// written is how many of them were written.
func (l *lane) written() int { return l.next - l.head }

// unwritten tells whether something waits to be written.
func (l *lane) unwritten() bool { return l.next < len(l.items) }

// take returns the next message to be written and its number.
func (l *lane) take() (i item, seq uint64) {
	i = l.items[l.next]
	seq = l.first + uint64(l.next-l.head)
	l.next++
	l.flying += len(i.body)
	return i, seq
}

// acknowledge forgets all up to a number and returns the callbacks of those that
// have one. It reports false for what was never written.
func (l *lane) acknowledge(seq uint64, done []func(error)) ([]func(error), bool) {
	if seq < l.first {
		return done, true // said before
	}
	n := seq - l.first + 1
	if n > uint64(l.written()) {
		return done, false
	}
	for range n {
		i := &l.items[l.head]
		if i.done != nil {
			done = append(done, i.done)
		}
		l.bytes -= len(i.body)
		l.flying -= len(i.body)
		*i = item{}
		l.head++
	}
	l.first += n
	if l.head == len(l.items) {
		l.items, l.head, l.next = l.items[:0], 0, 0
		if cap(l.items) > 4096 {
			l.items = nil // a burst must not be paid for ever
		}
	}
	return done, true
}

// resume makes the lane ready for a new stream, on which the peer says it has all up
// to received. It returns how many will be written again, and false for what cannot
// be: then it is not the same conversation.
func (l *lane) resume(received uint64) (again int, ok bool) {
	if received+1 < l.first || received+1-l.first > uint64(l.written()) {
		return 0, false
	}
	if resendsAll {
		received = l.first - 1
	}
	next := l.head + int(received+1-l.first)
	for _, i := range l.items[next:l.next] {
		l.flying -= len(i.body)
		again++
	}
	l.next = next
	return again, true
}

// abandon empties the lane and returns the callbacks.
func (l *lane) abandon() (done []func(error)) {
	for _, i := range l.items[l.head:] {
		if i.done != nil {
			done = append(done, i.done)
		}
	}
	*l = lane{first: l.first}
	return done
}
