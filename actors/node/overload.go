package node

import (
	"fmt"

	"emqttd/actors/system/alarm"
	"emqttd/actors/system/memory"
)

// overloads are the alarms of the levels of the memory governor.
var overloads = map[memory.Level]alarm.Alarm{
	memory.Shedding: {ID: "memory_shedding", Severity: "warning", Title: "Memory runs short: messages of QoS 0 are dropped"},
	memory.Slowing:  {ID: "memory_slowing", Severity: "error", Title: "Memory runs short: publishers are read slowly"},
	memory.Refusing: {ID: "memory_refusing", Severity: "critical", Title: "Memory runs short: new clients are refused"},
}

// governor keeps the node within its memory; nil where there is no limit.
func (n *Node) governor() *memory.Governor {
	limit := n.options.MemoryLimit
	if limit == 0 {
		return nil
	}
	return memory.NewGovernor(limit, func(l memory.Level, on bool) {
		if on {
			n.metrics.Overload(l.String())
		}
		a := overloads[l]
		a.Summary, a.Cleared = fmt.Sprintf("The limit is %d MB.", limit>>20), !on
		n.alarms.Take(a)
	})
}
