package kernel

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Load is what one actor has to do.
type Load struct {
	ID      string
	Waiting int    // user messages
	Handled uint32 // user messages since it was spawned; it goes round
}

// Loads looks at the mailboxes of the actors below root, and at no more than limit of them, so that it costs some
// milliseconds whatever there is: first at all that Tree shows, then at the children of shards, beginning with those of
// the shard that turn names. left is how many it has not looked at. It blocks: never call it from an actor.
func Loads(system *actor.ActorSystem, root *actor.PID, limit, turn int, timeout time.Duration) (loads []Load, left int, err error) {
	tree, err := Tree(system, root, timeout)
	if err != nil {
		return nil, 0, err
	}
	var crowds []Node
	look := func(id string) {
		if len(loads) >= limit {
			left++
		} else if l, ok := LoadOf(system, id); ok {
			loads = append(loads, l)
		}
	}
	var visit func(n *Node)
	visit = func(n *Node) {
		look(n.ID)
		if n.ChildCount > len(n.Children) {
			crowds = append(crowds, *n)
		}
		for i := range n.Children {
			visit(&n.Children[i])
		}
	}
	visit(&tree)
	for i := range crowds {
		crowd := &crowds[(i+turn)%len(crowds)]
		if len(loads) >= limit {
			left += crowd.ChildCount
			continue
		}
		for _, pid := range ChildrenOf(system, crowd.ID, timeout) {
			look(pid.Id)
		}
	}
	return loads, left, nil
}

// LoadOf looks at one actor; false if there is none of that id.
func LoadOf(system *actor.ActorSystem, id string) (Load, bool) {
	process, ok := system.ProcessRegistry.GetLocal(id)
	if !ok || !isActor(process) {
		return Load{}, false
	}
	s := &statsRequest{brief: true}
	process.SendUserMessage(nil, s)
	return Load{ID: id, Waiting: s.Total(), Handled: s.handled}, s.answered
}

// ChildrenOf returns an actor's children, those of a shard too, in no order; nil if it does not answer in time. The PIDs are
// the actors' own, which find them without the registry: they are not written to.
// A shard has some thousands, which takes it some 100 µs. It blocks: never call it from an actor.
func ChildrenOf(system *actor.ActorSystem, id string, timeout time.Duration) []*actor.PID {
	process, _, err := lookUp(system, id)
	if err != nil {
		return nil
	}
	q := &childrenQuery{answer: make(chan childrenResult, 1), raw: true}
	process.SendSystemMessage(system.NewLocalPID(id), q)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-q.answer:
		return r.pids
	case <-timer.C:
		return nil
	}
}
