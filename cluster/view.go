package cluster

import (
	"slices"
	"strings"
)

// View is who counts, as one node sees it at one time. It is not changed after it
// was made. Two nodes may have different views for a while; what depends on them
// must bear it.
type View struct {
	// Epoch grows with each view of this node. It means nothing to others.
	Epoch uint64
	// Members are this node and all that are up or suspect, by name.
	Members []Member
	self    string
}

// NewView makes a view of self and others.
func NewView(epoch uint64, self Member, others []Member) *View {
	self.State = Up
	v := &View{Epoch: epoch, Members: append([]Member{self}, others...), self: self.Name}
	slices.SortFunc(v.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// Member finds a member by its name.
func (v *View) Member(name string) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, name, func(m Member, n string) int { return strings.Compare(m.Name, n) })
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// Owner is the member whose a slot is: the one with the highest weight, so that a
// member that comes or goes moves no slots but its own (rendezvous hashing).
func (v *View) Owner(slot int) Member {
	best, most := 0, uint64(0)
	for i := range v.Members {
		if w := weight(v.Members[i].Name, slot); i == 0 || w > most {
			best, most = i, w
		}
	}
	return v.Members[best]
}

// Owns tells whether a slot is this node's.
func (v *View) Owns(slot int) bool { return v.Owner(slot).Name == v.self }

// weight must be the same on every node, and scatter names that differ in one
// character.
func weight(name string, slot int) uint64 {
	return mix(Hash(name) ^ mix(uint64(slot)+0x9E3779B97F4A7C15))
}

// Hash is a hash of a text that is the same on every node and in every version.
// It is not secret: nothing may depend on texts being spread that strangers chose.
func Hash(s string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}
