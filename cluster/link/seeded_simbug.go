//go:build simbug

package link

const (
	resendsAll     = true
	takesDuplicate = true
)
