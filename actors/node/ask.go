package node

import (
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/sessions"
	"emqttd/cluster/registry"
)

// answerTime bounds one question to an actor. They answer in microseconds; one
// that does not is stopping.
const answerTime = 5 * time.Second

// ask sends the message that build makes for a reply address and waits for the
// answer; nil if there is none in time. It is for the goroutines of the command
// line and HTTP, never for actors.
func ask[T any](n *Node, to *actor.PID, build func(replyTo *actor.PID) any) *T {
	return begin[T](n, to, build)()
}

// begin sends a question and returns what waits for its answer, so that many can
// be under way.
func begin[T any](n *Node, to *actor.PID, build func(replyTo *actor.PID) any) func() *T {
	f := actor.NewFuture(n.system, answerTime)
	n.system.Root.Send(to, build(f.PID()))
	return func() *T {
		r, err := f.Result()
		if err != nil {
			return nil
		}
		answer, _ := r.(*T)
		return answer
	}
}

// where finds the session of a client identifier, nil if there is none.
func (n *Node) where(id string) *actor.PID {
	r := ask[registry.WhereResult](n, n.registry.Slot(id), func(to *actor.PID) any {
		return &registry.WhereQuery{ClientID: id, ReplyTo: to}
	})
	if r == nil {
		return nil
	}
	return r.Session
}

// session describes the session of a client identifier, nil if there is none.
func (n *Node) session(id string, filters bool) *sessions.InfoResult {
	pid := n.where(id)
	if pid == nil {
		return nil
	}
	return n.info(pid, filters)()
}

func (n *Node) info(pid *actor.PID, filters bool) func() *sessions.InfoResult {
	return begin[sessions.InfoResult](n, pid, func(to *actor.PID) any {
		return &sessions.InfoQuery{Subscriptions: filters, ReplyTo: to}
	})
}

// place is a position in the list of all sessions: a registry slot and the
// client identifier in it after which to go on.
type place struct {
	slot  int
	after string
}

func (p place) String() string { return strconv.Itoa(p.slot) + ":" + p.after }

func parsePlace(cursor string) place {
	slot, after, ok := strings.Cut(cursor, ":")
	n, err := strconv.Atoi(slot)
	if !ok || err != nil || n < 0 || n >= registry.Slots {
		return place{}
	}
	return place{n, after}
}

// walk calls visit for the sessions after cursor, in slot and client identifier
// order, until it has taken limit of them; it returns the next cursor.
func (n *Node) walk(cursor string, limit int, filters bool, visit func(*sessions.InfoResult) (rows int)) string {
	at := parsePlace(cursor)
	taken := 0
	for ; at.slot < registry.Slots; at = (place{slot: at.slot + 1}) {
		page := n.slotAfter(at)
		for len(page) > 0 && taken < limit {
			part := page[:min(len(page), limit-taken)]
			page = page[len(part):]
			at.after = part[len(part)-1].ClientID
			taken += n.visit(part, filters, visit)
		}
		if taken >= limit {
			return at.String()
		}
	}
	return ""
}

func (n *Node) visit(part []registry.Place, filters bool, visit func(*sessions.InfoResult) int) (taken int) {
	pending := make([]func() *sessions.InfoResult, len(part))
	for i, p := range part {
		pending[i] = n.info(p.Session, filters)
	}
	for _, wait := range pending {
		if r := wait(); r != nil {
			taken += visit(r)
		}
	}
	return taken
}

// slotAfter lists the sessions of a slot behind a place.
func (n *Node) slotAfter(at place) []registry.Place {
	r := ask[registry.ListResult](n, n.registry.At(at.slot), func(to *actor.PID) any {
		return &registry.ListQuery{ReplyTo: to}
	})
	if r == nil {
		return nil
	}
	list := r.Sessions
	sort.Slice(list, func(i, j int) bool { return list[i].ClientID < list[j].ClientID })
	return list[sort.Search(len(list), func(i int) bool { return list[i].ClientID > at.after }):]
}
