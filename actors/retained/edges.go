package retained

// edges is an open-addressing hash of node numbers with linear probing. It
// holds numbers only: who asks knows the hashes and compares.
type edges struct {
	slots []uint32 // 0 = free
	live  int
}

// home is where the probing starts; -1 if there is nothing to probe.
func (e *edges) home(hash uint32) int {
	if len(e.slots) == 0 {
		return -1
	}
	return int(uint64(hash) * uint64(len(e.slots)) >> 32)
}

func (e *edges) following(i int) int {
	if i++; i == len(e.slots) {
		return 0
	}
	return i
}

// insert adds a number that is not there. hashOf tells the hash of the others.
func (e *edges) insert(id, hash uint32, hashOf func(uint32) uint32) {
	if (e.live+1)*5 > len(e.slots)*4 { // load 0.53 to 0.8
		old := e.slots
		e.slots = make([]uint32, max(16, (e.live+1)*15/8))
		for _, other := range old {
			if other != 0 {
				e.place(other, hashOf(other))
			}
		}
	}
	e.place(id, hash)
	e.live++
}

func (e *edges) place(id, hash uint32) {
	i := e.home(hash)
	for e.slots[i] != 0 {
		i = e.following(i)
	}
	e.slots[i] = id
}

// remove takes a number out and closes the gap, so that there are no marks of
// what has been deleted.
func (e *edges) remove(id, hash uint32, hashOf func(uint32) uint32) {
	gap := e.home(hash)
	for e.slots[gap] != id {
		gap = e.following(gap)
	}
	e.live--
	n := len(e.slots)
	for i := e.following(gap); e.slots[i] != 0; i = e.following(i) {
		// The element at i may fill the gap unless its home lies between
		// the two, going round.
		if home := e.home(hashOf(e.slots[i])); (i-home+n)%n >= (i-gap+n)%n {
			e.slots[gap] = e.slots[i]
			gap = i
		}
	}
	e.slots[gap] = 0
}
