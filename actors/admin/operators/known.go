package operators

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// known remembers credentials that were good, so that a program which sends the same ones with each request does not pay
// for a slow comparison each time. What is remembered is no use to who reads it: a keyed hash, whose key this process
// does not tell. Any change of users makes it forget all.
type known struct {
	key []byte

	mu         sync.Mutex
	generation uint64
	good       map[mark]Who
}

type mark [sha256.Size]byte

// maxKnown bounds it: there are a handful of operators.
const maxKnown = 256

func newKnown() *known {
	k := &known{key: make([]byte, sha256.Size), good: map[mark]Who{}}
	_, _ = rand.Read(k.key) // it does not fail
	return k
}

// mark is what credentials are remembered by, and the generation in which they were looked at.
func (k *known) mark(name, password string) (m mark, generation uint64) {
	h := hmac.New(sha256.New, k.key)
	_, _ = h.Write([]byte(name + ":" + password)) // a name has no colon
	h.Sum(m[:0])
	k.mu.Lock()
	defer k.mu.Unlock()
	return m, k.generation
}

func (k *known) get(m mark) (Who, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	who, ok := k.good[m]
	return who, ok
}

// put remembers what was found out in a generation, unless users have changed since.
func (k *known) put(m mark, generation uint64, who Who) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if generation != k.generation {
		return
	}
	if len(k.good) >= maxKnown {
		clear(k.good)
	}
	k.good[m] = who
}

func (k *known) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation++
	clear(k.good)
}
