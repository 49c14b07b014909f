package kernel

// ring is a FIFO queue of messages in a circular buffer whose length is a power
// of two. The zero value is empty and holds no memory.
type ring struct {
	buf  []any
	head int
	n    int
}

// firstSlots is what a ring starts with: most turns see one to three messages.
const firstSlots = 4

func (r *ring) push(msg any) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = msg
	r.n++
}

// pop removes the oldest message; the ring must not be empty.
func (r *ring) pop() any {
	msg := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return msg
}

func (r *ring) at(i int) any { return r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring) grow() {
	size := firstSlots
	if len(r.buf) > 0 {
		size = 2 * len(r.buf)
	}
	buf := make([]any, size)
	for i := range r.n {
		buf[i] = r.at(i)
	}
	r.buf, r.head = buf, 0
}

// trim gives back the buffer of an empty ring which a burst has blown up.
func (r *ring) trim(slots int) {
	if len(r.buf) > slots {
		r.buf = nil
	}
	r.head = 0
}
