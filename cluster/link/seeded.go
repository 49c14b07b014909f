//go:build !simbug

package link

// The mistake that the simulation must find when it is built with the tag simbug: a
// stream that resumes writes again what the peer has, and the peer takes it.
const (
	// Seeded says that the mistake is there.
	Seeded         = false
	resendsAll     = false
	takesDuplicate = false
)
