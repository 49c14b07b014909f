package kernel

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// stuck blocks in its first message until it is let go.
type stuck struct{ entered, gate chan struct{} }

func (s *stuck) Receive(c actor.Context) {
	if _, ok := c.Message().(*note); ok {
		close(s.entered)
		<-s.gate
	}
}

func TestTheAgeOfAMailboxIsThatOfItsOldestMessage(t *testing.T) {
	system, _ := newSystem()
	s := &stuck{make(chan struct{}), make(chan struct{})}
	slow, err := system.Root.SpawnNamed(NewProps(func() actor.Actor { return s }), "slow")
	if err != nil {
		t.Fatal(err)
	}
	fast, err := system.Root.SpawnNamed(NewProps(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) }), "fast")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWatch(system, []string{"slow", "fast", "nobody"})
	if age, id := w.Oldest(patience); id == "" || age > patience/2 {
		t.Errorf("at rest %v in %q", age, id)
	}
	system.Root.Send(slow, &note{})
	<-s.entered
	first, id := w.Oldest(time.Millisecond)
	if id != "slow" {
		t.Errorf("the oldest message is in %q", id)
	}
	if again, id := w.Oldest(time.Millisecond); id != "slow" || again <= first {
		t.Errorf("then %v in %q, after %v", again, id, first)
	}
	close(s.gate)
	w.Oldest(patience)
	if age, _ := w.Oldest(patience); age >= patience {
		t.Errorf("afterwards %v", age)
	}
	stopAndWait(t, system, slow)
	stopAndWait(t, system, fast)
	if age, id := w.Oldest(patience); age != 0 || id != "" {
		t.Errorf("of actors that have ended: %v in %q", age, id)
	}
}
