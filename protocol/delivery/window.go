package delivery

import "emqttd/protocol"

// phase says what a flight waits for.
type phase uint8

const (
	acked        phase = iota // nothing: its place in the window is a gap
	awaitPuback               // QoS 1
	awaitPubrec               // QoS 2, first half
	awaitPubcomp              // QoS 2, second half: PUBREL has been sent
)

// flight is a message that has been sent and not yet acknowledged in full. Its
// msg is nil from PUBREC on. [MQTT-4.3.3-8]
type flight struct {
	item
	sent  int64 // last time, Unix milliseconds; 0: not yet on this connection
	id    protocol.PacketID
	phase phase
}

// window holds the flights of one client in the order in which they were first
// sent, which is the order in which they are sent again. [MQTT-4.6.0-1]
//
// Identifiers are handed out round robin, so that in send order they ascend
// (modulo 65535) and one is found by its distance from the first. Only a client
// that leaves one message unacknowledged while 65,535 others pass makes the
// order break; then the window is searched from the front until it is empty.
type window struct {
	ring    []flight // capacity is a power of two
	head, n int      // n counts gaps too
	live    int
	unsent  int               // of those: not yet sent on this connection
	taken   int               // of those: the client has the message, only PUBCOMP is to come
	last    protocol.PacketID // the identifier handed out last
	jumbled bool
}

func (w *window) at(i int) *flight { return &w.ring[(w.head+i)&(len(w.ring)-1)] }

// distance from identifier a to b in handing-out order.
func distance(a, b protocol.PacketID) int {
	d := int(b) - int(a)
	if d < 0 {
		d += 65535
	}
	return d
}

// next hands out an identifier that is not in use. The caller knows that fewer
// than 65535 are. [MQTT-2.3.1-2]
func (w *window) next() protocol.PacketID {
	for {
		w.last++
		if w.last == 0 {
			w.last = 1
		}
		if w.n == 0 {
			return w.last
		}
		if !w.jumbled {
			if w.last != w.at(0).id {
				return w.last
			}
			w.jumbled = true
		}
		if w.find(w.last) == nil {
			return w.last
		}
	}
}

// add appends a flight with a new identifier.
func (w *window) add(it item, p phase, now int64) *flight {
	id := w.next()
	if w.n == len(w.ring) {
		w.resize()
	}
	w.n++
	w.live++
	f := w.at(w.n - 1)
	*f = flight{item: it, sent: now, id: id, phase: p}
	return f
}

// restore appends a flight that was kept. It has not been sent on this
// connection.
func (w *window) restore(id protocol.PacketID, p phase, it item) {
	if w.n == len(w.ring) {
		w.resize()
	}
	w.n++
	w.live++
	w.unsent++
	if p == awaitPubcomp {
		w.taken++
	}
	*w.at(w.n - 1) = flight{item: it, id: id, phase: p}
	if w.n > 1 && distance(w.at(0).id, id) <= distance(w.at(0).id, w.at(w.n-2).id) {
		w.jumbled = true
	}
}

// resize closes the gaps, and doubles the ring when that frees less than half.
func (w *window) resize() {
	size := max(8, len(w.ring))
	if 2*w.live >= size {
		size *= 2
	}
	w.adopt(make([]flight, size))
}

// adopt moves the flights into another ring, which has room for them, and closes
// the gaps.
func (w *window) adopt(next []flight) {
	k := 0
	for i := range w.n {
		if f := w.at(i); f.phase != acked {
			next[k] = *f
			k++
		}
	}
	w.ring, w.head, w.n = next, 0, k
}

// find returns the flight with an identifier, nil if there is none.
func (w *window) find(id protocol.PacketID) *flight {
	if w.n == 0 || id == 0 {
		return nil
	}
	if w.jumbled {
		for i := range w.n {
			if f := w.at(i); f.id == id && f.phase != acked {
				return f
			}
		}
		return nil
	}
	first := w.at(0).id
	d := distance(first, id)
	lo, hi := 0, w.n // the place is in [lo, hi)
	for i := min(d, w.n-1); lo < hi; i = (lo + hi) / 2 {
		switch f := w.at(i); {
		case f.id == id:
			if f.phase == acked {
				return nil
			}
			return f
		case distance(first, f.id) < d:
			lo = i + 1
		default:
			hi = i
		}
	}
	return nil
}

// remove takes a flight out of the window. It is as trim.
func (w *window) remove(f *flight) (spare []flight) {
	w.clear(f)
	return w.trim()
}

// clear makes a flight a gap, which keeps its place.
func (w *window) clear(f *flight) {
	if f.sent == 0 {
		w.unsent--
	}
	if f.phase == awaitPubcomp {
		w.taken--
	}
	*f = flight{id: f.id}
	w.live--
}

// trim takes gaps off the front, and gives up the ring of an empty window if it is
// large. There is nothing in that.
func (w *window) trim() (spare []flight) {
	for w.n > 0 && w.at(0).phase == acked {
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
	}
	if w.n == 0 {
		w.jumbled = false
		if len(w.ring) > ringKeep {
			spare, w.ring, w.head = w.ring, nil, 0
		}
	}
	return spare
}

// oldest is the time at which the flight that was sent longest ago was sent.
func (w *window) oldest() (sent int64, ok bool) {
	for i := range w.n {
		if f := w.at(i); f.phase != acked && f.sent != 0 && (!ok || f.sent < sent) {
			sent, ok = f.sent, true
		}
	}
	return sent, ok
}
