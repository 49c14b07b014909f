package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrNoActor is returned for an id which no running actor of ours has.
var ErrNoActor = errors.New("no such actor")

// Node is one actor in a picture of the tree.
type Node struct {
	Name       string // last part of the id
	ID         string
	Kind       string // Go type; "" if the actor did not answer in time
	Children   []Node // in start order; of a shard empty
	ChildCount int
	Depth      int // user messages waiting
	Restarts   int
	Suspended  bool // crashed, waiting for its restart
	Silent     bool // did not answer in time: it is busy or blocked, children unknown
}

// Details is what Inspect tells of one actor.
type Details struct {
	Node
	Mailbox Stats
}

// Tree returns the actors under root, each asked for its children; those of
// shards are counted, not listed. Actors which have not answered when timeout
// is over are marked Silent. It blocks: never call it from an actor.
func Tree(system *actor.ActorSystem, root *actor.PID, timeout time.Duration) (Node, error) {
	return tree(system, root, timeout, false)
}

func tree(system *actor.ActorSystem, root *actor.PID, timeout time.Duration, full bool) (Node, error) {
	deadline := make(chan struct{})
	timer := time.AfterFunc(timeout, func() { close(deadline) })
	defer timer.Stop()
	asked, err := ask(system, root.Id, full)
	if err != nil {
		return Node{}, err
	}
	return asked.grow(system, deadline, full), nil
}

// FullTree is Tree with the children of shards listed too: there may be
// millions, so it is for a small node or one shard.
func FullTree(system *actor.ActorSystem, root *actor.PID, timeout time.Duration) (Node, error) {
	return tree(system, root, timeout, true)
}

// Inspect looks at one actor; its children are counted, not listed. It waits
// up to a second for an actor that is busy. Never call it from an actor.
func Inspect(system *actor.ActorSystem, id string) (Details, error) {
	asked, err := ask(system, id, false)
	if err != nil {
		return Details{}, err
	}
	deadline := make(chan struct{})
	timer := time.AfterFunc(time.Second, func() { close(deadline) })
	defer timer.Stop()
	node, _ := asked.collect(deadline)
	return Details{Node: node, Mailbox: asked.stats.Stats}, nil
}

// KillByID crashes the actor with this id once it comes to it; its parent
// restarts or stops it, as for any crash, but does not count it. ErrNoActor if
// there is none.
func KillByID(system *actor.ActorSystem, id string) error {
	process, _, err := lookUp(system, id)
	if err != nil {
		return err
	}
	process.SendUserMessage(system.NewLocalPID(id), &Kill{})
	return nil
}

// lookUp finds an actor with one of our mailboxes and what that says.
func lookUp(system *actor.ActorSystem, id string) (actor.Process, *statsRequest, error) {
	process, ok := system.ProcessRegistry.GetLocal(id)
	if !ok || !isActor(process) {
		return nil, nil, fmt.Errorf("%s: %w", id, ErrNoActor)
	}
	stats := new(statsRequest)
	process.SendUserMessage(nil, stats)
	if !stats.answered {
		return nil, nil, fmt.Errorf("%s: %w", id, ErrNoActor)
	}
	return process, stats, nil
}

// isActor tells actors of ours from the framework's other processes.
func isActor(p actor.Process) bool {
	switch p.(type) {
	case *actor.ActorProcess, *cell:
		return true
	}
	return false
}

// childrenQuery asks an actor for its children. The mailbox lets it overtake
// all user messages and reach a suspended actor, too.
type childrenQuery struct {
	answer chan childrenResult
	all    bool // those of a shard too
	raw    bool // only PIDs, those of a shard too, in no order
}

// IgnoreDeadLetterLogging: the actor may end between two looks.
func (*childrenQuery) IgnoreDeadLetterLogging() {}

type childrenResult struct {
	kind  string
	ids   []string
	pids  []*actor.PID // if asked for raw
	count int
}

// lister is implemented by actors which know an order for their children.
type lister interface{ listed() []*actor.PID }

func (g *guard) answer(ctx actor.Context, q *childrenQuery) {
	s, many := g.inner.(*shard) // whose children are too many to list unasked
	if q.raw {
		q.answer <- childrenResult{pids: slices.Clone(g.below(ctx))}
		return
	}
	r := childrenResult{kind: kindOf(g), count: len(ctx.Children())}
	if many {
		r.count = len(s.children)
	}
	if !many || q.all {
		pids := g.below(ctx)
		if _, ok := g.inner.(lister); !ok {
			pids = slices.SortedFunc(slices.Values(pids), func(a, b *actor.PID) int { return compareNames(a.Id, b.Id) })
		}
		r.ids = make([]string, len(pids))
		for i, pid := range pids {
			r.ids[i] = pid.Id
		}
	}
	q.answer <- r // has room for the one answer
}

// below are the actor's children, in the order that it knows, if any.
func (g *guard) below(ctx actor.Context) []*actor.PID {
	switch a := g.inner.(type) {
	case *shard:
		return a.pids()
	case lister:
		return a.listed()
	}
	return ctx.Children()
}

// compareNames orders siblings: numbers by value, then the rest by spelling.
func compareNames(a, b string) int {
	x, errX := strconv.Atoi(nameOf(a))
	y, errY := strconv.Atoi(nameOf(b))
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

func nameOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// asking is an actor which has been asked for its children.
type asking struct {
	id     string
	stats  *statsRequest
	answer chan childrenResult
}

func ask(system *actor.ActorSystem, id string, all bool) (*asking, error) {
	process, stats, err := lookUp(system, id)
	if err != nil {
		return nil, err
	}
	a := &asking{id: id, stats: stats, answer: make(chan childrenResult, 1)}
	process.SendSystemMessage(system.NewLocalPID(id), &childrenQuery{answer: a.answer, all: all})
	return a, nil
}

// collect waits for the answer and returns the node and its children's ids.
func (a *asking) collect(deadline <-chan struct{}) (Node, []string) {
	n := Node{
		Name: nameOf(a.id), ID: a.id, Depth: a.stats.Total(),
		Restarts: a.stats.Restarts, Suspended: a.stats.Suspended,
	}
	var r childrenResult
	select {
	case r = <-a.answer:
	case <-deadline:
		select {
		case r = <-a.answer: // it had answered; only we came late
		default:
			n.Silent = true
		}
	}
	n.Kind, n.ChildCount = r.kind, r.count
	return n, r.ids
}

// grow collects a node with all below it. All children are asked before the
// first answer is waited for.
func (a *asking) grow(system *actor.ActorSystem, deadline <-chan struct{}, full bool) Node {
	n, ids := a.collect(deadline)
	asked := make([]*asking, 0, len(ids))
	for _, id := range ids {
		if child, err := ask(system, id, full); err == nil { // else it has ended meanwhile
			asked = append(asked, child)
		}
	}
	for _, child := range asked {
		n.Children = append(n.Children, child.grow(system, deadline, full))
	}
	return n
}
