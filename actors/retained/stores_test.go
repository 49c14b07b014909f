package retained

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs stores of their own and returns who asks them.
func start(t testing.TB, o Options) (*Stores, *asker) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	system := kernel.NewSystem(slog.New(slog.DiscardHandler))
	s := New(system, o)
	root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{s.Spec()}, func(err error) {
		t.Errorf("the tree gave up: %v", err)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kernel.StopRoot(context.Background(), system, root); err != nil {
			t.Error(err)
		}
		system.Shutdown()
	})
	return s, newAsker(t, s)
}

// asker is a process that asks and collects the answers.
type asker struct {
	stores *Stores
	pid    *actor.PID
	got    chan any
}

func (a *asker) SendUserMessage(_ *actor.PID, message any) { a.got <- message }
func (a *asker) SendSystemMessage(*actor.PID, any)         {}
func (a *asker) Stop(*actor.PID)                           {}

func newAsker(t testing.TB, s *Stores) *asker {
	t.Helper()
	a := &asker{stores: s, got: make(chan any, 1<<14)}
	pid, ok := s.system.ProcessRegistry.Add(a, "asker/"+s.system.ProcessRegistry.NextId())
	if !ok {
		t.Fatal("name is taken")
	}
	a.pid = pid
	return a
}

func (a *asker) lookup(t testing.TB, f topic.Filter) (found []*protocol.Message) {
	t.Helper()
	token := rand.Uint64()
	a.stores.Lookup(&Lookup{Filter: f, Token: token, ReplyTo: a.pid})
	for {
		m := (<-a.got).(*Found)
		if m.Token != token || len(m.Messages) > ChunkLen {
			t.Fatalf("got token %d and %d messages", m.Token, len(m.Messages))
		}
		found = append(found, m.Messages...)
		if m.Last {
			return found
		}
	}
}

func (a *asker) topics(limit int) (names []string) {
	for c := Cursor(0); ; {
		a.stores.List(&List{Cursor: c, Limit: limit, ReplyTo: a.pid})
		m := (<-a.got).(*Listed)
		for _, n := range m.Topics {
			names = append(names, string(n))
		}
		if c = m.Next; c == 0 {
			return names
		}
	}
}

func message(name, payload string) *protocol.Message {
	return &protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), From: "c", QoS: 1, Arrived: time.Now().UnixMilli(),
	}
}

func TestTheLastMessageOfATopicIsKept(t *testing.T) {
	s, a := start(t, Options{})
	m := message("a/b", "one")
	s.Store(m, nil)
	s.Store(message("a/b", "two"), nil)
	s.Store(message("$x/b", "hidden"), nil)
	got := a.lookup(t, "a/b")
	if len(got) != 1 || string(got[0].Payload) != "two" || !got[0].Retain || got[0].QoS != 1 || got[0].From != "c" {
		t.Errorf("got %+v", got)
	}
	if m.Retain {
		t.Error("the published message was changed")
	}
	for f, want := range map[topic.Filter][]string{
		"#": {"a/b"}, "+/b": {"a/b"}, "a/+": {"a/b"}, "a/b/#": {"a/b"}, "$x/#": {"$x/b"}, "c": nil, "a": nil,
	} {
		if got := topicsOf(a.lookup(t, f)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", f, got, want)
		}
	}
	s.Store(message("a/b", ""), nil)
	s.Store(message("never", ""), nil)
	if got := a.lookup(t, "#"); len(got) != 0 || s.Count() != 1 || s.Empty() {
		t.Errorf("after the empty payload: got %q, count %d", topicsOf(got), s.Count())
	}
}

func TestAStoredMessageDoesNotAliasTheReadBuffer(t *testing.T) {
	s, a := start(t, Options{})
	m := message("a/b", "payload")
	s.Store(m, nil)
	a.lookup(t, "#") // it has been stored
	copy(m.Payload, "XXXXXXX")
	if got := a.lookup(t, "#"); string(got[0].Payload) != "payload" {
		t.Errorf("got %q", got[0].Payload)
	}
}

func TestManyMessagesComeInChunksOldestFirst(t *testing.T) {
	s, a := start(t, Options{Shards: 1})
	const n = 2*ChunkLen + 10
	for i := range n {
		s.Store(message(fmt.Sprint("t/", i), "x"), nil)
	}
	s.Store(message("t/0", "newest"), nil)
	got := a.lookup(t, "t/+")
	if len(got) != n || got[0].Topic != "t/1" || got[n-2].Topic != "t/2009" || got[n-1].Topic != "t/0" {
		t.Errorf("%d messages, from %s to %s", len(got), got[0].Topic, got[len(got)-1].Topic)
	}
}

func TestLimitsAreCountedAndLoggedOncePerMinute(t *testing.T) {
	var log bytes.Buffer
	s, a := start(t, Options{MaxMessages: 3, MaxPayload: 5, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Store(message("large", "123456"), nil)
	for i := range 10 {
		s.Store(message(fmt.Sprint("t/", i), "12345"), nil)
		a.lookup(t, "#")
	}
	if got := a.lookup(t, "#"); len(got) != 3 || s.Count() != 3 {
		t.Errorf("%d messages, count %d, want 3", len(got), s.Count())
	}
	s.Store(message("t/0", "new"), nil)
	if got := a.lookup(t, "t/0"); len(got) != 1 || string(got[0].Payload) != "new" {
		t.Errorf("a topic that is there cannot be updated: %q", topicsOf(got))
	}
	s.Store(message("t/0", ""), nil)
	a.lookup(t, "t/0") // another shard counts
	s.Store(message("t/9", "fits"), nil)
	if got := a.lookup(t, "t/9"); len(got) != 1 {
		t.Errorf("there is room again, but nothing is stored")
	}
	if r := s.Refused(); r != (Refusals{TooLarge: 1, Full: 7}) {
		t.Errorf("refused %+v", r)
	}
	if n := strings.Count(log.String(), "not retained"); n != 1 {
		t.Errorf("%d lines are logged, want 1:\n%s", n, log.String())
	}
}

func TestExpiredMessagesAreHiddenAtOnceAndSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := start(t, Options{Expiry: 10 * time.Second})
		s.Store(message("plain", "x"), nil)
		s.Store(message("$SYS/x", "x"), nil)
		short := message("short", "x")
		short.Expires = time.Now().Add(2500 * time.Millisecond).UnixMilli()
		s.Store(short, nil)
		late := message("late", "x")
		late.Expires = time.Now().UnixMilli()
		s.Store(late, nil)
		if got := a.lookup(t, "#"); len(got) != 2 || s.Count() != 3 {
			t.Errorf("at first: got %q, count %d", topicsOf(got), s.Count())
		}
		time.Sleep(3 * time.Second) // of the bubble's clock
		if got := topicsOf(a.lookup(t, "#")); !slices.Equal(got, []string{"plain"}) || s.Count() != 3 {
			t.Errorf("after the message's own time: got %q, count %d", got, s.Count())
		}
		time.Sleep(7 * time.Second)
		if got := a.lookup(t, "#"); len(got) != 0 {
			t.Errorf("after the interval: got %q", topicsOf(got))
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := a.topics(0); !slices.Equal(got, []string{"$SYS/x"}) || s.Count() != 1 {
			t.Errorf("after the sweep: %q, count %d", got, s.Count())
		}
	})
}

func TestListingAndCleaning(t *testing.T) {
	s, a := start(t, Options{Shards: 3})
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint("t/", i))
		s.Store(message(want[i], "x"), nil)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 7, 1000, 0} {
		got := a.topics(limit)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %d %q", limit, len(got), got)
		}
	}
	s.Clean(&Clean{Token: 5, ReplyTo: a.pid})
	if m := (<-a.got).(*Cleaned); *m != (Cleaned{Token: 5, Count: 100}) {
		t.Errorf("got %+v", m)
	}
	if got := a.lookup(t, "#"); len(got) != 0 || !s.Empty() {
		t.Errorf("left: %q, count %d", topicsOf(got), s.Count())
	}
}

// TestMessagesStayWhileShardsAreKilled stores and looks up while every shard is
// killed again and again.
func TestMessagesStayWhileShardsAreKilled(t *testing.T) {
	s, a := start(t, Options{Shards: 4})
	for i := range 100 {
		s.Store(message(fmt.Sprint("stable/", i), "x"), nil)
	}
	var done atomic.Bool
	var workers sync.WaitGroup
	for w := range 2 {
		mine := newAsker(t, s)
		workers.Go(func() {
			for i := 0; !done.Load(); i++ {
				name := fmt.Sprint("w/", w, "/", i%50)
				s.Store(message(name, fmt.Sprint(i)), nil)
				if got := mine.lookup(t, topic.Filter(name)); len(got) != 1 || string(got[0].Payload) != fmt.Sprint(i) {
					t.Errorf("%s: got %q", name, topicsOf(got))
				}
			}
		})
	}
	for i := range 200 {
		if err := kernel.KillByID(s.system, fmt.Sprint("node/retained/", rand.IntN(4))); err != nil {
			t.Fatal(err)
		}
		if got := a.lookup(t, "stable/+"); len(got) != 100 {
			t.Fatalf("round %d: %d messages", i, len(got))
		}
	}
	done.Store(true)
	workers.Wait()
	if n := len(a.lookup(t, "#")); n != s.Count() {
		t.Errorf("%d messages, count %d", n, s.Count())
	}
}
