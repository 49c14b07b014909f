package sessions

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol/delivery"
)

// slowMove has a client's session begin to move from a to c, on links on which all takes
// a second, and send back a dead letter in between. It returns the client.
func slowMove(w *world, target string) *fakeConn {
	a, c := w.nodes[0], w.nodes[2]
	_, s := a.open("test/c", come("c", 1))
	d := c.move("d", come("c", 2), s)
	time.Sleep(1500 * time.Millisecond)
	a.send(s, &actor.DeadLetterResponse{Target: actor.NewPID(target, "")})
	return d
}

func slowWorld() worldOptions {
	return worldOptions{
		nodes: []string{"a", "b", "c"}, limits: delivery.Limits{MaxInflight: 4},
		hold: func(string, string) { time.Sleep(time.Second) },
	}
}

func TestADeadLetterOfAMoveBeforeDoesNotEndThisOne(t *testing.T) {
	inWorld(t, slowWorld(), func(w *world) {
		d := slowMove(w, "b:1")
		time.Sleep(25 * time.Second)
		if at := mustHear[*Attached](w.t, d); !at.SessionPresent {
			w.t.Error("it did not bring its session")
		}
	})
}

// TestWhoWaitsForAMoveThatIsOverIsTold: it is long before its patience ends.
func TestWhoWaitsForAMoveThatIsOverIsTold(t *testing.T) {
	inWorld(t, slowWorld(), func(w *world) {
		d := slowMove(w, "c:1")
		time.Sleep(moveTimeout / 2)
		mustHear[*Refused](w.t, d)
	})
}
