package sessions

import (
	"strconv"
	"strings"
	"sync/atomic"
)

// Census counts, for each supervisor shard, its sessions, those with a client and their subscriptions, so that a listing
// finds its place without asking every session. Sessions count; any goroutine may read.
type Census struct{ shards [Shards]counts }

type counts struct{ sessions, online, subscriptions atomic.Int32 }

// Count is the census of one shard.
type Count struct{ Sessions, Online, Subscriptions int }

// Of is the census of shard i.
func (c *Census) Of(i int) Count {
	n := &c.shards[i]
	return Count{int(n.sessions.Load()), int(n.online.Load()), int(n.subscriptions.Load())}
}

// uncount is that the session ends.
func (s *session) uncount() {
	n := s.census()
	n.sessions.Add(-1)
	n.subscriptions.Add(-int32(s.subs.len()))
}

// census is where the session is counted: in the shard that it is a child of.
func (s *session) census() *counts {
	id := s.shard.Id
	i, _ := strconv.Atoi(id[strings.LastIndexByte(id, '/')+1:]) // 0 in tests that have no shards
	return &s.rt.Census.shards[i%Shards]
}
