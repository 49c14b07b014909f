package node

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/sessions"
)

// Lists of sessions go from one supervisor shard to the next, and within one in the order in which its sessions were
// made. So a page asks the sessions of its rows and few more, whatever there are.

// place is a position in the list of all sessions: a shard and the name of the session in it after which to go on.
type place struct {
	shard int
	after string
}

func (p place) String() string { return strconv.Itoa(p.shard) + ":" + p.after }

func parsePlace(cursor string) place {
	shard, after, ok := strings.Cut(cursor, ":")
	n, err := strconv.Atoi(shard)
	if !ok || err != nil || n < 0 || n >= sessions.Shards {
		return place{}
	}
	return place{n, after}
}

// names are made by counting up, in some base: the longer one is the later one.
func compareNames(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// has tells whether a shard can have rows of a list at all.
type has func(sessions.Count) int

func sessionRows(c sessions.Count) int      { return c.Sessions }
func clientRows(c sessions.Count) int       { return c.Online }
func subscriptionRows(c sessions.Count) int { return c.Subscriptions }

// maxVisits bounds the sessions that one page asks, besides those of its rows: a page of a list in which few of them have
// a row may be short, or empty, before the end.
const maxVisits = 2000

// walk calls visit for the sessions after cursor until it has taken limit rows of them; it returns the next cursor.
func (n *Node) walk(cursor string, limit int, filters bool, rows has, visit func(*sessions.InfoResult) (rows int)) string {
	at := parsePlace(cursor)
	taken, visited := 0, 0
	for ; at.shard < sessions.Shards; at = (place{shard: at.shard + 1}) {
		if rows(n.sessions.Census.Of(at.shard)) == 0 {
			continue
		}
		page := n.shardAfter(at)
		for len(page) > 0 && taken < limit && visited < limit+maxVisits {
			part := page[:min(len(page), limit-taken)]
			page = page[len(part):]
			at.after = nameOf(part[len(part)-1])
			visited += len(part)
			for _, r := range n.infos(part, filters) {
				taken += visit(r)
			}
		}
		if taken >= limit || visited >= limit+maxVisits {
			return at.String()
		}
	}
	return ""
}

// shardAfter lists the sessions of a shard behind a place.
func (n *Node) shardAfter(at place) []*actor.PID {
	shard := n.connections.SessionShards.At(at.shard)
	if shard == nil {
		return nil // the node starts
	}
	pids := kernel.ChildrenOf(n.system, shard.Id, answerTime)
	pids = slices.DeleteFunc(pids, func(pid *actor.PID) bool { return compareNames(nameOf(pid), at.after) <= 0 })
	slices.SortFunc(pids, inOrder)
	return pids
}

// inOrder compares sessions of one shard, whose identifiers begin alike.
func inOrder(a, b *actor.PID) int { return compareNames(a.Id, b.Id) }

func nameOf(pid *actor.PID) string { return pid.Id[strings.LastIndexByte(pid.Id, '/')+1:] }

// seek finds the shard in which a row of a list is, by what the shards have counted.
func (n *Node) seek(rows has) func(row int) (cursor string, behind int) {
	return func(row int) (string, int) {
		behind := 0
		for i := range sessions.Shards {
			here := rows(n.sessions.Census.Of(i))
			if behind+here > row {
				if i == 0 {
					return "", 0
				}
				return place{shard: i}.String(), behind
			}
			behind += here
		}
		return place{shard: sessions.Shards - 1}.String(), behind
	}
}
