package kernel

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestLoadsLookAtNoMoreActorsThanAllowedAndCountTheRest(t *testing.T) {
	system, _ := newSystem()
	shards := NewShards("s", 4)
	root, err := StartRoot(system, "node", []ChildSpec{shards.Spec()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stopAndWait(t, system, root)
	const children = 40
	made := make(chan *actor.PID, children)
	for i := range children {
		system.Root.Send(shards.For(fmt.Sprint(i)), &Spawn{
			Props: NewProps(func() actor.Actor { return new(small16) }), Reply: func(pid *actor.PID) { made <- pid },
		})
	}
	var last *actor.PID
	for range children {
		last = <-made
	}
	for range 3 {
		flush(t, system, last)
	}
	all, left, err := Loads(system, root, 1000, 0, patience)
	if err != nil || left != 0 || len(all) != 1+1+4+children {
		t.Errorf("%d actors, %d left, %v", len(all), left, err)
	}
	found := false
	for _, l := range all {
		found = found || l.ID == last.Id && l.Handled >= 3
	}
	if !found {
		t.Errorf("%s has handled nothing: %+v", last.Id, all)
	}
	for turn := range 5 {
		some, left, err := Loads(system, root, 10, turn, patience)
		if err != nil || len(some) != 10 || left != 1+1+4+children-10 {
			t.Errorf("turn %d: %d actors, %d left, %v", turn, len(some), left, err)
		}
	}
	if _, ok := LoadOf(system, "node/nobody"); ok {
		t.Error("nobody has a load")
	}
}

type small16 struct{ _, _ uint64 }

func (*small16) Receive(actor.Context) {}
