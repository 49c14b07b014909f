//go:build simbug

package link

const (
	// Seeded says that the mistake is there.
	Seeded         = true
	resendsAll     = true
	takesDuplicate = true
)
