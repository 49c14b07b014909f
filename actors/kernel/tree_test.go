package kernel

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func TestTheShapeFoldsNumbers(t *testing.T) {
	system, _ := newSystem()
	idle := propsOf(funcActor{})
	one := func(name string) ChildSpec { return ChildSpec{Name: name, Props: idle} }
	sessions := NewShards("sessions", 12)
	root, err := StartRoot(system, "node", []ChildSpec{
		one("system"),
		{Name: "topics", Props: Supervisor([]ChildSpec{one("0"), one("1"), one("10")})},
		{Name: "cluster", Props: Supervisor([]ChildSpec{one("consul"), one("0"), one("1")})},
		sessions.Spec(),
		{Name: "mixed", Props: Supervisor([]ChildSpec{
			{Name: "0", Props: Supervisor([]ChildSpec{one("a")})},
			{Name: "1", Props: Supervisor([]ChildSpec{one("b"), one("a")})},
		})},
		{Name: "listeners", Props: Supervisor(nil)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		system.Root.Send(sessions.At(11), &Spawn{Props: idle})
	}
	flush(t, system, sessions.At(11))
	node, err := Tree(system, root, patience)
	if err != nil {
		t.Fatal(err)
	}
	const want = `node
├─ system
├─ topics/<0..n>
├─ cluster
│  ├─ consul
│  └─ <0..n>
├─ sessions/<0..n>
├─ mixed/<0..n>
│  ├─ a
│  └─ b
└─ listeners
`
	if got := Shape(node); got != want {
		t.Errorf("got\n%s", got)
	}
	shard := node.Children[3].Children[11]
	if shard.ID != "node/sessions/11" || shard.ChildCount != 3 || len(shard.Children) != 0 || shard.Kind != "*kernel.shard" {
		t.Errorf("%+v", shard)
	}
	full, err := FullTree(system, sessions.At(11), patience)
	if err != nil || len(full.Children) != 3 || full.Children[0].Kind != "*kernel.funcActor" {
		t.Errorf("%+v, %v", full, err)
	}
	stopAndWait(t, system, root)
}

func TestABusyActorIsSilentButMeasured(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		system, _ := newSystem()
		enter, leave := make(chan struct{}), make(chan struct{})
		root, err := StartRoot(system, "node", []ChildSpec{{Name: "x", Props: propsOf(funcActor{receive: func(ctx actor.Context) {
			if p, ok := ctx.Message().(*plain); ok && p.id == 0 {
				close(enter)
				<-leave
			}
		}})}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			system.Root.Send(system.NewLocalPID("node/x"), &plain{id: i})
		}
		<-enter
		begin := time.Now()
		node, err := Tree(system, root, 3*time.Second)
		if err != nil || time.Since(begin) != 3*time.Second {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
		if x := node.Children[0]; !x.Silent || x.Depth != 4 || node.Silent {
			t.Errorf("%+v", node)
		}
		if d, err := Inspect(system, "node/x"); err != nil || !d.Silent || d.Mailbox.Depth[Control] != 4 || !d.Mailbox.Running {
			t.Errorf("%+v, %v", d, err)
		}
		close(leave)
		stopAndWait(t, system, root)
	})
}

func TestWhatIsNoActorOfOursIsNotFound(t *testing.T) {
	system, _ := newSystem()
	foreign := actor.PropsFromFunc(func(actor.Context) {})
	pid, err := system.Root.SpawnNamed(foreign, "foreign")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "node", "node/x", "deadletter", "eventstream", "foreign"} {
		if err := KillByID(system, id); !errors.Is(err, ErrNoActor) || !strings.Contains(err.Error(), id) {
			t.Errorf("kill %q: %v", id, err)
		}
		if _, err := Inspect(system, id); !errors.Is(err, ErrNoActor) {
			t.Errorf("inspect %q: %v", id, err)
		}
	}
	stopAndWait(t, system, pid)
}
