// Package lww holds the rules of tables that are the same on every node: the last
// writer wins, and two nodes find out in a few KB where their tables differ.
//
// Each entry has a key and the Version of its last change; what was removed leaves
// a tombstone, an entry without a value. All entries are spread over Buckets; the
// Digest of a table has for each bucket the XOR of the Marks of its entries, so
// that it is kept up to date with two XORs for a change, and the digest of a table
// in several parts is the XOR of theirs. Where two digests differ, the marks of
// the bucket tell which entries do.
package lww

import "slices"

// Version says when and where an entry was changed. The zero value is older than
// every other one.
type Version struct {
	// Stamp is a time of the hybrid logical clock: 48 bits of Unix milliseconds and
	// a 16 bit counter.
	Stamp uint64
	// Origin is the node, as Origin makes it of its name. It decides between two
	// changes in the same instant.
	Origin uint32
}

// After tells whether v wins over o.
func (v Version) After(o Version) bool {
	return v.Stamp > o.Stamp || v.Stamp == o.Stamp && v.Origin > o.Origin
}

// Millis is the time of the change in Unix milliseconds.
func (v Version) Millis() int64 { return int64(v.Stamp >> 16) }

// Origin is the number of a node in versions.
func Origin(node string) uint32 { return uint32(hash(node)) }

// Buckets is how many there are: a digest takes 8 KB, and of a million entries a
// single one that differs is found among a thousand marks, which take 8 KB too.
const Buckets = 1024

// Digest has the XOR of the marks of each bucket.
type Digest [Buckets]uint64

// Mark stands for an entry in one version. Two that are equal by chance are as
// likely as with any 64 bits; nobody can choose a version, so nobody can choose one.
type Mark = uint64

// Place is where an entry stands in a digest, and its mark.
func Place(key string, v Version) (bucket int, mark Mark) {
	h := hash(key)
	return int(h >> (64 - 10)), mix(h ^ mix(v.Stamp^mix(uint64(v.Origin)+0x9E3779B97F4A7C15)))
}

// Toggle enters an entry, or takes it out.
func (d *Digest) Toggle(key string, v Version) {
	bucket, mark := Place(key, v)
	d[bucket] ^= mark
}

// Add joins the digest of another part of the table.
func (d *Digest) Add(o *Digest) {
	for i := range d {
		d[i] ^= o[i]
	}
}

// Set is a set of buckets.
type Set [Buckets / 64]uint64

// Differing are the buckets in which two tables differ.
func Differing(a, b *Digest) (s Set) {
	for i := range a {
		if a[i] != b[i] {
			s[i/64] |= 1 << (i % 64)
		}
	}
	return s
}

// Used are the buckets that have entries.
func (d *Digest) Used() Set { return Differing(d, new(Digest)) }

// And are the buckets of both.
func (s Set) And(o Set) Set {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

// Empty tells whether there is none.
func (s *Set) Empty() bool { return *s == Set{} }

// Has tells whether a bucket is one of the set.
func (s *Set) Has(bucket int) bool { return s[bucket/64]>>(bucket%64)&1 == 1 }

// Marks are the entries that somebody has.
type Marks []Mark

// Sort makes them ready for Has.
func (m Marks) Sort() { slices.Sort(m) }

// Has tells whether an entry is among them, which are sorted.
func (m Marks) Has(x Mark) bool {
	_, ok := slices.BinarySearch(m, x)
	return ok
}

// hash is FNV-1a with a finish that changes every bit. It is the same on every
// node and in every version of the broker.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}
