//go:build !unix

package machine

// MaxFiles is 0: there is no such limit.
func MaxFiles() uint64 { return 0 }

// OpenFiles is 0: the system does not tell.
func OpenFiles() int { return 0 }

// Load has nothing to tell.
func Load() (load [3]float64, ok bool) { return load, false }
