package access

import (
	"net/netip"
	"sync"
	"time"
)

// Backoff makes whoever gives wrong passwords wait: for each source address (each
// /64 of IPv6), so that one cannot try many, and for each user name, so that many
// cannot try one. It forgets those that have been quiet, and takes a bounded
// amount of memory. A nil Backoff lets everybody try.
type Backoff struct {
	o  BackoffOptions
	mu sync.Mutex
	// Apart, so that a flood of invented names does not make it forget addresses.
	sources, users failures
}

// BackoffOptions: see NewBackoff.
type BackoffOptions struct {
	After          int           // failures that are free
	First, Longest time.Duration // the wait after the next one, and at most
	Size           int           // addresses and names that are remembered
}

// NewBackoff makes one, which lets everybody try while o.After is 0.
func NewBackoff(o BackoffOptions) *Backoff { return &Backoff{o: o} }

// SetOptions changes what counts from the next failure on. Who waits goes on waiting,
// unless After is 0 now.
func (b *Backoff) SetOptions(o BackoffOptions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.o = o
}

// Wait is how long the source or the user must still wait; 0 is not at all.
func (b *Backoff) Wait(peer, user string) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.o.After == 0 {
		return 0
	}
	now := time.Now()
	wait := b.sources.get(sourceOf(peer)).until.Sub(now)
	if user != "" {
		wait = max(wait, b.users.get(user).until.Sub(now))
	}
	return max(wait, 0)
}

// Failed notes a wrong password.
func (b *Backoff) Failed(peer, user string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.o.After == 0 {
		return
	}
	b.failed(&b.sources, sourceOf(peer))
	if user != "" {
		b.failed(&b.users, user)
	}
}

func (b *Backoff) failed(in *failures, key string) {
	now := time.Now()
	f := in.get(key)
	if now.Sub(f.last) > b.o.Longest {
		f.count = 0
	}
	f.count++
	f.last = now
	if n := f.count - b.o.After; n > 0 {
		wait := b.o.Longest
		if n < 32 && b.o.First<<(n-1) < wait && b.o.First<<(n-1) > 0 {
			wait = b.o.First << (n - 1)
		}
		f.until = now.Add(wait)
	}
	in.set(key, f, b.o.Size)
}

// Succeeded forgets the user's failures, and one of the source's: behind an
// address with many clients one that is mistaken does not lock out the others,
// and one's own password gives no free guesses at those of others.
func (b *Backoff) Succeeded(peer, user string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if user != "" {
		b.users.remove(user)
	}
	key := sourceOf(peer)
	if f := b.sources.get(key); f.count > 0 {
		f.count--
		b.sources.set(key, f, b.o.Size)
	}
}

// sourceOf is the address that failures are counted for. Who has an IPv6 address
// has 2^64 of them.
func sourceOf(peer string) string {
	a, err := netip.ParseAddr(peer)
	if err != nil || a.Unmap().Is4() {
		return peer
	}
	p, _ := a.WithZone("").Prefix(64) // it has so many bits
	return p.String()
}

type failure struct {
	count       int
	last, until time.Time
}

// failures are remembered in two generations: when the younger one is full it
// becomes the older one, and what that one held is forgotten.
type failures struct{ young, old map[string]failure }

func (f *failures) get(key string) failure {
	if v, ok := f.young[key]; ok {
		return v
	}
	return f.old[key]
}

func (f *failures) set(key string, v failure, size int) {
	if _, ok := f.young[key]; !ok && len(f.young) >= size/2 || f.young == nil {
		f.old, f.young = f.young, map[string]failure{}
	}
	f.young[key] = v
}

func (f *failures) remove(key string) {
	delete(f.young, key)
	delete(f.old, key)
}
