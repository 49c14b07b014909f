package kernel

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log destination which tests can read while actors write.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func newSystem(opts ...SystemOption) (*actor.ActorSystem, *journal) {
	j := new(journal)
	return NewSystem(slog.New(slog.NewTextHandler(j, nil)), opts...), j
}

// inBubble runs a test in virtual time and lets timers of the framework run out.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(time.Minute)
	})
}

// patience is how long a test waits for what must happen; only failures take it.
const patience = 20 * time.Second

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// funcActor makes an actor of a function and a Started hook.
type funcActor struct {
	start   func(actor.Context) error
	receive func(actor.Context)
}

func (f *funcActor) Start(ctx actor.Context) error {
	if f.start == nil {
		return nil
	}
	return f.start(ctx)
}

func (f *funcActor) Receive(ctx actor.Context) {
	if f.receive != nil {
		f.receive(ctx)
	}
}

func propsOf(f funcActor, opts ...Option) *actor.Props {
	return NewProps(func() actor.Actor { copied := f; return &copied }, opts...)
}

// flush returns after pid has handled all messages of class Control sent to it before.
func flush(t *testing.T, system *actor.ActorSystem, pid *actor.PID) {
	t.Helper()
	done := make(chan struct{})
	system.Root.Send(pid, &awaitStart{done: func(error) { close(done) }})
	receive(t, done)
}

func stopAndWait(t *testing.T, system *actor.ActorSystem, pid *actor.PID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := StopRoot(ctx, system, pid); err != nil {
		t.Fatal(err)
	}
}
