package delivery

import "emqttd/protocol/topic"

// Aliases are the Topic Aliases that we have made known to a client on one
// connection (MQTT 5, 3.3.2.3.4). A topic gets one when it is sent the second
// time; when all are given, the one that is used least gives way, and its count
// goes down with every topic that asks in vain, so that yesterday's favourites
// do not stay.
//
// The zero value gives none. It belongs to one goroutine.
type Aliases struct {
	max   int
	ids   map[topic.Name]uint16
	slots []aliasSlot // by alias - 1
	once  topic.Name  // the last topic without an alias
}

type aliasSlot struct {
	name topic.Name
	uses uint32
}

// aliasGain is the shortest topic for which an alias saves bytes: its property
// takes three.
const aliasGain = 4

// maxAliases bounds the aliases of one connection, since finding the least used
// looks at all of them.
const maxAliases = 64

// NewAliases is for a client whose Topic Alias Maximum is max; nil for none.
func NewAliases(max int) *Aliases {
	if max <= 0 {
		return nil
	}
	return &Aliases{max: min(max, maxAliases)}
}

// use finds the alias under which to send a topic, 0 for none. known says that
// the client knows it already, so that the topic may be left out. The caller
// calls used if it has sent it.
func (a *Aliases) use(n topic.Name) (alias uint16, known bool) {
	if a == nil || len(n) < aliasGain {
		return 0, false
	}
	if id, ok := a.ids[n]; ok {
		a.slots[id-1].uses++
		return id, true
	}
	if n != a.once {
		a.once = n
		return 0, false
	}
	if len(a.slots) < a.max {
		return uint16(len(a.slots) + 1), false
	}
	least := 0
	for i := range a.slots {
		if a.slots[i].uses < a.slots[least].uses {
			least = i
		}
	}
	if a.slots[least].uses > 1 {
		a.slots[least].uses--
		return 0, false
	}
	return uint16(least + 1), false
}

// learned notes that the client has been sent topic and alias.
func (a *Aliases) learned(n topic.Name, alias uint16) {
	n = topic.Name([]byte(n)) // the message's memory is not ours to keep
	if a.ids == nil {
		a.ids = make(map[topic.Name]uint16)
	}
	if int(alias) > len(a.slots) {
		a.slots = append(a.slots, aliasSlot{})
	}
	s := &a.slots[alias-1]
	delete(a.ids, s.name)
	*s = aliasSlot{name: n, uses: 2}
	a.ids[n] = alias
}
