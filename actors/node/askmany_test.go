package node

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/sessions"
)

func TestOneQuestionToManySessionsIsAnsweredInTheirOrderAndWithoutThoseThatHaveEnded(t *testing.T) {
	const clients = 500
	n := crowd(t, clients)
	seen := 0
	for shard := range sessions.Shards {
		live := n.shardAfter(place{shard: shard})
		var asked []*actor.PID
		for _, pid := range live {
			asked = append(asked, pid, n.system.NewLocalPID(pid.Id+"ended"))
		}
		got := n.infos(asked, true)
		if len(got) != len(live) {
			t.Fatalf("%d of %d sessions have answered", len(got), len(live))
		}
		for i, r := range got {
			if r.PID.Id != live[i].Id || len(r.Filters) != 1 {
				t.Errorf("answer %d is of %s with %v, wanted that of %s with one subscription", i, r.PID.Id, r.Filters, live[i].Id)
			}
		}
		if len(live) > 1 {
			if rest := n.shardAfter(place{shard, nameOf(live[0])}); len(rest) != len(live)-1 || rest[0].Id != live[1].Id {
				t.Errorf("behind %s of %v came %v", live[0].Id, live, rest)
			}
		}
		seen += len(live)
	}
	if seen != clients {
		t.Errorf("%d sessions of %d in the shards", seen, clients)
	}
}
