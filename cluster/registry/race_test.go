package registry

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster/clustertest"
)

// current is a register that holds the session of a client identifier: who commits
// has seen, in the grant, the session that it puts its own in the place of.
var current = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, session, granted any) (bool, any) { return granted == state, session },
}

func TestOf1000SimultaneousClaimsOnTwoNodesEachWinnerFollowsOneOther(t *testing.T) {
	w := &clustertest.World{}
	ns := nodes(t, w, 2)
	w.ConnectAll()
	id := ownedBy(t, ns, 1)
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var all sync.WaitGroup
	for i := range 1000 {
		x := ns[i%2]
		by := newInbox(t, x.system, fmt.Sprintf("node/connections/%d", i))
		all.Go(func() {
			call := time.Since(start)
			x.tell(id, &Claim{ClientID: id, By: by.pid})
			g, ok := answer(t, by).(*Granted)
			if !ok {
				return // superseded
			}
			s := x.system.NewLocalPID(fmt.Sprintf("node/sessions/%d", i))
			x.tell(id, &Commit{ClientID: id, Generation: g.Generation, By: by.pid, Session: s})
			x.where(t, id) // behind the commit
			op := porcupine.Operation{
				ClientId: i, Input: name(s), Output: name(g.Session),
				Call: int64(call), Return: int64(time.Since(start)),
			}
			mu.Lock()
			defer mu.Unlock()
			history = append(history, op)
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	if !porcupine.CheckOperations(current, history) {
		t.Fatalf("no order explains what the %d winners have seen", len(history))
	}
	last := name(ns[0].where(t, id))
	replaced := map[any]bool{}
	for _, op := range history {
		replaced[op.Output] = true
	}
	for _, op := range history {
		if replaced[op.Input] == (op.Input == last) {
			t.Errorf("%v: replaced %v, and the session at the end is %s", op.Input, replaced[op.Input], last)
		}
	}
	if other := name(ns[1].where(t, id)); other != last {
		t.Errorf("one node says %s, the other %s", last, other)
	}
}

func answer(t *testing.T, by *inbox) any {
	select {
	case m := <-by.got:
		return m
	case <-time.After(patience):
		t.Errorf("%v got nothing", by.pid)
		return nil
	}
}

// name is an address and an id as one text; "" is no session.
func name(pid *actor.PID) string {
	if pid == nil {
		return ""
	}
	return key(pid)
}
