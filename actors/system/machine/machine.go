// Package machine says how much of the machine the process has and uses: what the commands vm and monitoring/nodes of
// EMQ show of the Erlang machine, with what Go has in its place.
package machine

import "runtime/metrics"

// Memory is what the Go runtime has from the system, in bytes.
type Memory struct {
	Total    uint64 // all of what follows
	Objects  uint64 // live objects, and dead ones that have not been collected
	Stacks   uint64 // of goroutines
	Free     uint64 // of the heap, for what comes next
	Released uint64 // of the heap, given back to the system
	Other    uint64 // of the runtime itself
}

// ReadMemory reads the runtime's figures. It does not stop the world.
func ReadMemory() Memory {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	at := func(i int) uint64 {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0 // a later runtime has another name for it
		}
		return s[i].Value.Uint64()
	}
	m := Memory{Total: at(0), Objects: at(1), Stacks: at(2), Free: at(3), Released: at(4)}
	if known := m.Objects + m.Stacks + m.Free + m.Released; m.Total > known {
		m.Other = m.Total - known
	}
	return m
}
