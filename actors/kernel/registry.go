package kernel

import cmap "github.com/orcaman/concurrent-map"

// The framework's process registry is 1,024 maps of this many shards each. With
// the 32 they have by default, a node of ten thousand clients keeps each of its
// actors in a map of its own (some 300 bytes each), and one without clients
// keeps 32,768 empty maps. The 1,024 locks that are left suffice for many cores.
//
// It must be set before the first actor system is made, and not change after.
func init() { cmap.SHARD_COUNT = 1 }
