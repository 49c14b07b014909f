package registry

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; only failures take it.
const patience = 20 * time.Second

// inbox is a process that stands for a connection.
type inbox struct {
	pid *actor.PID
	got chan any
}

func (i *inbox) SendUserMessage(_ *actor.PID, m any)   { i.got <- actor.UnwrapEnvelopeMessage(m) }
func (i *inbox) SendSystemMessage(_ *actor.PID, _ any) {}
func (i *inbox) Stop(*actor.PID)                       {}

func newInbox(t testing.TB, system *actor.ActorSystem, name string) *inbox {
	i := &inbox{got: make(chan any, 16)}
	var ok bool
	if i.pid, ok = system.ProcessRegistry.Add(i, name); !ok {
		t.Fatalf("%s is there already", name)
	}
	return i
}

func next[T any](t testing.TB, i *inbox) T {
	t.Helper()
	select {
	case m := <-i.got:
		v, ok := m.(T)
		if !ok {
			t.Fatalf("%v got a %T", i.pid, m)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("%v got nothing", i.pid)
		panic("unreachable")
	}
}

func start(t *testing.T) (*Registry, *actor.ActorSystem) {
	t.Helper()
	system := kernel.NewSystem(slog.New(slog.DiscardHandler))
	r := New(system, "node", nil)
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{r.Spec()}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kernel.StopRoot(ctx, system, root); err != nil {
			t.Error(err)
		}
	})
	return r, system
}

func TestASlotAnswersClaimsQuestionsAndListings(t *testing.T) {
	r, system := start(t)
	conn := newInbox(t, system, "connection")
	slot := r.Slot("c")
	system.Root.Send(slot, &Claim{ClientID: "c", By: conn.pid})
	g := next[*Granted](t, conn)
	system.Root.Send(slot, &Commit{ClientID: "c", Generation: g.Generation, By: conn.pid, Session: session(1)})
	system.Root.Send(slot, &WhereQuery{ClientID: "c", ReplyTo: conn.pid})
	if w := next[*WhereResult](t, conn); w.ClientID != "c" || !session(1).Equal(w.Session) {
		t.Errorf("it is at %v", w)
	}
	system.Root.Send(slot, &ListQuery{ReplyTo: conn.pid})
	if l := next[*ListResult](t, conn); len(l.Sessions) != 1 || l.Sessions[0].ClientID != "c" {
		t.Errorf("the list is %v", l.Sessions)
	}
	system.Root.Send(slot, &Release{ClientID: "c", Session: session(1)})
	system.Root.Send(slot, &WhereQuery{ClientID: "c", ReplyTo: conn.pid})
	if w := next[*WhereResult](t, conn); w.Session != nil {
		t.Errorf("a released session is at %v", w.Session)
	}
	if n := r.Len(); n != 0 {
		t.Errorf("there are %d sessions", n)
	}
}

func TestAKilledSlotRemembersWhoIsWhere(t *testing.T) {
	r, system := start(t)
	conn := newInbox(t, system, "connection")
	slot := r.Slot("c")
	system.Root.Send(slot, &Claim{ClientID: "c", By: conn.pid})
	g := next[*Granted](t, conn)
	system.Root.Send(slot, &kernel.Kill{})
	system.Root.Send(slot, &Commit{ClientID: "c", Generation: g.Generation, By: conn.pid, Session: session(1)})
	system.Root.Send(slot, &kernel.Kill{})
	system.Root.Send(slot, &Claim{ClientID: "c", By: conn.pid})
	if g := next[*Granted](t, conn); !session(1).Equal(g.Session) {
		t.Errorf("granted %v", g.Session)
	}
}

func TestClientIdentifiersSpreadOverTheSlots(t *testing.T) {
	r, _ := start(t)
	used := map[string]bool{}
	for i := range 10_000 {
		id := fmt.Sprintf("client-%d", i)
		used[r.Slot(id).Id] = true
		if again := r.Slot(id); again.Id != r.Slot(id).Id {
			t.Fatal("one identifier has two slots")
		}
	}
	if len(used) != Slots {
		t.Errorf("10,000 identifiers use %d of %d slots", len(used), Slots)
	}
	if r.At(3).Id != "node/registry/3" {
		t.Errorf("slot 3 is %s", r.At(3).Id)
	}
}
