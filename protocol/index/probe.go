package index

import (
	"hash/maphash"

	"emqttd/protocol/topic"
)

// Space is what several indexes share so that a reader enters once and hashes
// a name once for all of them: the epochs and the seed.
type Space struct {
	Epochs
	seed maphash.Seed
}

// NewSpace returns a space with a seed of its own.
func NewSpace() *Space { return &Space{seed: maphash.MakeSeed()} }

// Hash is the hash of a name, filter or level in this space. Its low 16 bits
// are not used by the tables: choose shards by them.
func (s *Space) Hash(text string) uint64 { return maphash.String(s.seed, text) }

// Probe is a topic name prepared for matching. It is large: keep one and Reset
// it for each name. It belongs to one goroutine.
type Probe struct {
	space  *Space
	name   string
	full   uint64
	levels int // 0: not yet split
	deep   bool
	hash   [topic.MaxLevels]uint64 // 0: not yet computed
	end    [topic.MaxLevels]uint16
	stack  [topic.MaxLevels + 1]visit // see Index.Wild
}

// visit is a node that waits for its turn, and the level of the name that is
// matched below it.
type visit struct {
	node  uint32
	level uint32
}

// Reset prepares p for name, whose bytes it keeps until the next Reset.
func (p *Probe) Reset(s *Space, name topic.Name) {
	p.space, p.name, p.levels, p.deep = s, string(name), 0, false
	p.full = s.Hash(p.name)
}

// Hash is the hash of the whole name.
func (p *Probe) Hash() uint64 { return p.full }

// FirstLevel is the hash of the first level.
func (p *Probe) FirstLevel() uint64 {
	p.split()
	return p.levelHash(0)
}

// split finds the levels, unless that has been done.
func (p *Probe) split() {
	if p.levels != 0 {
		return
	}
	n := 0
	for i := 0; i <= len(p.name); i++ {
		if i < len(p.name) && p.name[i] != '/' {
			continue
		}
		if n == topic.MaxLevels {
			p.deep = true // matches filters that end in '#' only
			break
		}
		p.hash[n] = 0
		p.end[n] = uint16(i)
		n++
	}
	p.levels = n
}

// levelHash is computed for those levels only which the walk comes to: most
// filters part at the second one.
func (p *Probe) levelHash(i uint32) uint64 {
	if p.hash[i] == 0 {
		p.hash[i] = p.space.Hash(p.level(i))
	}
	return p.hash[i]
}

func (p *Probe) level(i uint32) string {
	if i == 0 {
		return p.name[:p.end[0]]
	}
	return p.name[p.end[i-1]+1 : p.end[i]]
}

// rest is the name from level i on; i is above zero.
func (p *Probe) rest(i uint32) string { return p.name[p.end[i-1]+1:] }
