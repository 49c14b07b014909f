package link

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"emqttd/cluster"
)

const (
	firstPause = 250 * time.Millisecond
	// longPause is the longest between two attempts at a node of which nothing is
	// known but its address; a node that comes back is found after half of it, on
	// average.
	longPause = 8 * time.Second
	// urgentPause is the longest while there is a conversation to be saved.
	urgentPause = time.Second
	// grace is how long the side that does not dial waits for the other one.
	grace = 300 * time.Millisecond
	// forgotten is for how long a node is tried that only others have named.
	forgotten = 24 * time.Hour
)

// target is an address that may be dialled.
type target struct {
	address string
	name    string // "" until it has said hello
	found   bool   // by discovery
	joined  bool   // by an operator
	dialing bool
	self    bool // it is this node
	fails   int
	next    time.Time
	last    time.Time // when it was dialled
	since   time.Time // when it first failed, zero after a success
}

// contacts decide whom to dial and when. They are a plain value of members.
type contacts struct {
	targets map[string]*target // by address
	linked  map[string]bool    // names with a stream
	alive   map[string]bool    // names with a conversation
	changed bool               // what list says, since somebody has set it to false
}

func newContacts() contacts {
	return contacts{targets: map[string]*target{}, linked: map[string]bool{}, alive: map[string]bool{}}
}

// add makes sure that there is a target, to be dialled now if it is new.
func (c *contacts) add(address, name string, now time.Time) *target {
	t := c.targets[address]
	if t == nil {
		t = &target{address: address, next: now}
		c.targets[address] = t
		c.changed = true
	}
	c.name(t, name)
	return t
}

func (c *contacts) name(t *target, name string) {
	if name != "" && name != t.name {
		t.name, c.changed = name, true
	}
}

func (c *contacts) remove(address string) {
	delete(c.targets, address)
	c.changed = true
}

func (c *contacts) clear() {
	clear(c.targets)
	c.changed = true
}

// list is whom the node knows, by address.
func (c *contacts) list() []cluster.Candidate {
	out := make([]cluster.Candidate, 0, len(c.targets))
	for a, t := range c.targets {
		if !t.self {
			out = append(out, cluster.Candidate{Name: t.name, Address: a})
		}
	}
	slices.SortFunc(out, func(a, b cluster.Candidate) int { return strings.Compare(a.Address, b.Address) })
	return out
}

// discovered takes a list in place of the one before.
func (c *contacts) discovered(addresses map[string]string, now time.Time) {
	for address, t := range c.targets {
		if _, there := addresses[address]; t.found && !there {
			t.found = false
		}
	}
	for address, name := range addresses {
		t := c.add(address, "", now)
		if t.name == "" {
			c.name(t, name)
		}
		t.found = true
	}
}

// moved forgets other addresses of a node that only others have named.
func (c *contacts) moved(name, address string) {
	for a, t := range c.targets {
		if t.name == name && a != address && !t.found && !t.joined && !t.dialing {
			c.remove(a)
		}
	}
}

// forget removes a node that is not to be dialled; discovery may name it again.
func (c *contacts) forget(name string) {
	for a, t := range c.targets {
		if t.name == name && !t.found {
			c.remove(a)
		}
	}
}

// soon has all targets of a node dialled after a pause, whatever was before.
func (c *contacts) soon(name string, now time.Time, pause time.Duration) {
	for _, t := range c.targets {
		if t.name == name {
			t.fails, t.next = 0, later(now.Add(pause), t.last.Add(firstPause))
		}
	}
}

// due returns the addresses to dial now and marks them as being dialled, and when to
// ask again.
func (c *contacts) due(now time.Time) (addresses []string, next time.Time) {
	for a, t := range c.targets {
		switch {
		case t.dialing || t.self || c.linked[t.name] && t.name != "":
		case now.Before(t.next):
			if next.IsZero() || t.next.Before(next) {
				next = t.next
			}
		default:
			t.dialing, t.last = true, now
			addresses = append(addresses, a)
		}
	}
	return addresses, next
}

// dialled notes how an attempt ended.
func (c *contacts) dialled(address, name string, ok bool, now time.Time) {
	t := c.targets[address]
	if t == nil {
		return // forgotten meanwhile
	}
	t.dialing = false
	c.name(t, name)
	if ok {
		t.fails, t.since, t.next = 0, time.Time{}, later(now, t.last.Add(firstPause))
		return
	}
	if t.since.IsZero() {
		t.since = now
	}
	if !t.found && !t.joined && now.Sub(t.since) > forgotten {
		c.remove(address)
		return
	}
	most := longPause
	if c.alive[t.name] {
		most = urgentPause
	}
	pause := min(firstPause<<min(t.fails, 10), most)
	t.fails++
	t.next = now.Add(pause/2 + rand.N(pause)) // so that nodes that fell together do not call together
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
