package store

import "sync"

// references counts, for each message that stands in a record of its own, the
// items that refer to it. The counts are only in memory; Recover makes them.
type references struct{ shards [refShards]refShard }

const refShards = 16

type refShard struct {
	mu sync.Mutex
	m  map[uint64]reference
}

// reference is 8 bytes, because there is one for each shared message.
type reference struct {
	count   uint32
	receipt uint32 // that has written the record last
}

func (r *references) init() {
	for i := range r.shards {
		r.shards[i].m = make(map[uint64]reference)
	}
}

func (r *references) shard(mid uint64) *refShard { return &r.shards[mid%refShards] }

// enter counts one more reference to a message that is referred to already. 0
// says that it is not, or not any more: its record is being deleted, so that
// the message needs a new one. written says that the receipt has the record
// among its changes; another receipt's may never be committed.
func (r *references) enter(mid uint64, receipt uint32) (_ uint64, written bool) {
	if mid == 0 {
		return 0, false
	}
	s := r.shard(mid)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.m[mid]
	if !ok {
		return 0, false
	}
	written = ref.receipt == receipt
	s.m[mid] = reference{count: ref.count + 1, receipt: receipt}
	return mid, written
}

// add counts one reference more, which may be the first.
func (r *references) add(mid uint64, receipt uint32) {
	s := r.shard(mid)
	s.mu.Lock()
	s.m[mid] = reference{count: s.m[mid].count + 1, receipt: receipt}
	s.mu.Unlock()
}

// release takes a reference back and tells whether it was the last.
func (r *references) release(mid uint64) (last bool) {
	s := r.shard(mid)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.m[mid]
	if !ok {
		return false
	}
	if ref.count--; ref.count > 0 {
		s.m[mid] = ref
		return false
	}
	delete(s.m, mid)
	return true
}

func (r *references) has(mid uint64) bool {
	s := r.shard(mid)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.m[mid]
	return ok
}

// forgotten takes the records out of o that nobody refers to any more: those
// who did have been quicker than the receipt. An identifier that is gone does
// not come back, so there is no hurry about it.
func (r *references) forgotten(mids []uint64, o *Ops) {
	for _, mid := range mids {
		if !r.has(mid) {
			o.dropMessage(mid)
		}
	}
}

// len is how many messages are referred to.
func (r *references) len() (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}
