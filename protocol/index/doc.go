// Package index finds the topic filters that match a topic name, among
// millions, while filters are added and removed.
//
// An Index maps filters to small ids. It has one writer and any number of
// readers, which take no lock and never wait.
//
//	exact filters     seeded hash, 256 open-addressing tables of
//	                  {tag 32 | text 32}; the text is compared on a hit
//	wildcard filters  trie in an arena: the edge to a literal child is found by
//	                  a seeded hash of (node, level), the level is compared; it
//	                  leads to a stored filter, or, where several part, to a
//	                  node of 32 bytes in chunks, which has the '+' child and
//	                  what ends there
//	text              arena of 128 KB chunks, slots by size class; a filter's
//	                  id stands in front of its text
//
// Nothing in the tables is a pointer, so that ten million filters cost the
// garbage collector nothing.
//
// # How readers stay safe without locks
//
// Growth never moves what a reader holds. Vectors and the text arena grow by
// chunks; a hash table that is too full is rebuilt beside the old one, which
// readers finish with and the garbage collector frees.
//
// What is removed is first unlinked by one atomic store and then retired: its
// node, id and text slot wait in a queue until no reader that could have seen
// them is left. Readers announce themselves in an Epochs (see there): two
// atomic additions on a counter which few others use. A reader that stays
// inside for long costs memory, never correctness.
//
// The clients choose the strings, so hashes are seeded per process, and text
// is always compared. A match visits at most min(2^levels, nodes) nodes, and
// the levels are bounded by topic.MaxLevels: the branches come from '+'
// filters that match a prefix of this very name.
package index
