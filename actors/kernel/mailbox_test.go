package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

// note is a message with a class and a size.
type note struct {
	id    int
	class Class
	size  int
	boom  bool
}

func (n *note) MailboxClass() Class { return n.class }
func (n *note) MailboxSize() int    { return n.size }

// plain is a message which says nothing about itself.
type plain struct {
	id   int
	boom bool
}

type batch []any

func (b batch) GetMessages() []any { return b }

// manual is a dispatcher whose work is done when the test says so.
type manual struct{ work []func() }

func (d *manual) Schedule(fn func()) { d.work = append(d.work, fn) }
func (d *manual) Throughput() int    { return 300 }

func (d *manual) run() {
	for len(d.work) > 0 {
		fn := d.work[0]
		d.work = d.work[1:]
		fn()
	}
}

// recorder stands for the actor: it writes down what the mailbox hands it.
type recorder struct {
	mailbox actor.Mailbox
	seen    []string
	onUser  func(msg any)
}

func (r *recorder) write(format string, args ...any) {
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

func (r *recorder) InvokeSystemMessage(msg any) { r.write("system %T", msg) }

func (r *recorder) InvokeUserMessage(msg any) {
	switch m := unwrap(msg).(type) {
	case *note:
		r.write("%d", m.id)
		if m.boom {
			panic("boom")
		}
	case *plain:
		r.write("%d", m.id)
		if m.boom {
			panic("boom")
		}
	case *Empty:
		r.write("empty")
	default:
		r.write("%T", m)
	}
	if r.onUser != nil {
		r.onUser(unwrap(msg))
	}
}

// EscalateFailure suspends, as the framework's context does.
func (r *recorder) EscalateFailure(reason, msg any) {
	if p, ok := reason.(*Panic); ok {
		reason = p.Value
	}
	r.write("failure %v", reason)
	r.mailbox.PostSystemMessage(&actor.SuspendMailbox{})
}

func newRecorder(producer actor.MailboxProducer) (*recorder, *manual) {
	r, d := &recorder{mailbox: producer()}, new(manual)
	r.mailbox.RegisterHandlers(r, d)
	r.mailbox.Start()
	return r, d
}

func expect(t interface {
	Helper()
	Errorf(string, ...any)
}, got []string, want ...string,
) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func TestMessagesOfAMoreUrgentClassOvertake(t *testing.T) {
	r, d := newRecorder(NewMailbox(nil))
	for i, c := range []Class{Deliver, Subscribe, Ack, Control, Deliver, Ack} {
		r.mailbox.PostUserMessage(&note{id: i, class: c})
	}
	r.mailbox.PostUserMessage(&plain{id: 6})
	r.mailbox.PostSystemMessage(&actor.Started{})
	d.run()
	expect(t, r.seen, "system *actor.Started", "3", "6", "2", "5", "1", "0", "4")
}

func TestAnEnvelopeHasTheClassOfItsMessage(t *testing.T) {
	r, d := newRecorder(NewMailbox(nil))
	r.mailbox.PostUserMessage(&actor.MessageEnvelope{Message: &note{id: 1, class: Deliver}})
	r.mailbox.PostUserMessage(&actor.MessageEnvelope{Message: &note{id: 2, class: Ack}})
	d.run()
	expect(t, r.seen, "2", "1")
}

func TestAClassThatDoesNotExistIsTheLast(t *testing.T) {
	r, d := newRecorder(NewMailbox(nil))
	r.mailbox.PostUserMessage(&note{id: 1, class: 200})
	r.mailbox.PostUserMessage(&note{id: 2, class: Subscribe})
	d.run()
	expect(t, r.seen, "2", "1")
}

func TestMembersOfABatchAreDeliveredOnce(t *testing.T) {
	r, d := newRecorder(NewMailbox(nil))
	sender := actor.NewPID("here", "x")
	r.mailbox.PostUserMessage(batch{&plain{id: 1}, &plain{id: 2}})
	r.mailbox.PostUserMessage(&actor.MessageEnvelope{Message: batch{&plain{id: 3}}, Sender: sender})
	if got := r.mailbox.UserMessageCount(); got != 3 {
		t.Errorf("%d messages wait, want 3", got)
	}
	d.run()
	expect(t, r.seen, "1", "2", "3")
}

func TestEmptyComesOncePerDrainAndOnlyAfterAMessage(t *testing.T) {
	r, d := newRecorder(NewMailbox(&MailboxOptions{NotifyEmpty: true}))
	r.mailbox.PostSystemMessage(&actor.Started{})
	d.run()
	r.mailbox.PostUserMessage(&plain{id: 1})
	r.mailbox.PostUserMessage(&plain{id: 2})
	d.run()
	r.mailbox.PostSystemMessage(&actor.Watch{})
	d.run()
	r.mailbox.PostUserMessage(&plain{id: 3})
	d.run()
	expect(t, r.seen, "system *actor.Started", "1", "2", "empty", "system *actor.Watch", "3", "empty")
}

func TestWhatIsSentOnEmptyIsFollowedByAnotherEmpty(t *testing.T) {
	r, d := newRecorder(NewMailbox(&MailboxOptions{NotifyEmpty: true}))
	again := true
	r.onUser = func(msg any) {
		if _, ok := msg.(*Empty); ok && again {
			again = false
			r.mailbox.PostUserMessage(&plain{id: 2})
		}
	}
	r.mailbox.PostUserMessage(&plain{id: 1})
	d.run()
	expect(t, r.seen, "1", "empty", "2", "empty")
}

func TestEmptyWaitsForTheEndOfASuspension(t *testing.T) {
	r, d := newRecorder(NewMailbox(&MailboxOptions{NotifyEmpty: true}))
	r.mailbox.PostUserMessage(&plain{id: 1, boom: true})
	d.run()
	expect(t, r.seen, "1", "failure boom")
	r.mailbox.PostSystemMessage(&actor.ResumeMailbox{})
	d.run()
	expect(t, r.seen, "1", "failure boom", "empty")
}

func TestMessagesSentBeforeTheHandlersAreRegisteredWait(t *testing.T) {
	r, d := &recorder{mailbox: NewMailbox(nil)()}, new(manual)
	r.mailbox.PostUserMessage(&plain{id: 1}) // the id is in the registry before the framework registers
	r.mailbox.RegisterHandlers(r, d)
	r.mailbox.PostSystemMessage(&actor.Started{})
	d.run()
	expect(t, r.seen, "system *actor.Started", "1")
}

func TestAMessageLargerThanTheBoundPassesWhenItIsAlone(t *testing.T) {
	for _, full := range []FullPolicy{DropNewest, DropOldest} {
		o := &MailboxOptions{}
		o.Bounds[Deliver] = Bound{Bytes: 10, Full: full}
		r, d := newRecorder(NewMailbox(o))
		r.mailbox.PostUserMessage(&note{id: 1, class: Deliver, size: 100})
		d.run()
		expect(t, r.seen, "1")
	}
}

func TestStatsAreAnsweredWhileTheActorIsBusy(t *testing.T) {
	o := &MailboxOptions{}
	o.Bounds[Deliver] = Bound{Count: 2}
	r, d := newRecorder(NewMailbox(o))
	for i := range 5 {
		r.mailbox.PostUserMessage(&note{id: i, class: Deliver, size: 7})
	}
	r.mailbox.PostUserMessage(&actor.MessageEnvelope{Message: &note{class: Ack, size: 3}})
	var stats statsRequest
	r.onUser = func(any) { r.onUser = nil; r.mailbox.PostUserMessage(&stats) }
	d.run()
	if !stats.answered || !stats.Running || stats.Depth != [4]int{0, 0, 0, 2} ||
		stats.Bytes != [4]int{0, 0, 0, 14} || stats.Drops != [4]uint64{0, 0, 0, 3} || stats.Total() != 2 {
		t.Errorf("got %+v", stats)
	}
}

func TestAnIdleMailboxHoldsNoQueues(t *testing.T) {
	r, d := newRecorder(NewMailbox(nil))
	for i := range 1000 {
		r.mailbox.PostUserMessage(&plain{id: i})
	}
	d.run()
	if m := r.mailbox.(*mailbox); m.q != nil || len(r.seen) != 1000 {
		t.Errorf("%d handled, queues %v", len(r.seen), m.q)
	}
	q := borrowQueues(nil)
	defer q.giveBack()
	if n := len(q.class[Control].buf); n > keptSlots {
		t.Errorf("a ring of %d slots came back from the pool", n)
	}
}

// TestItBehavesAsTheDefaultMailbox drives both with the same random script of
// one class: posts, panics, suspensions, runs, and messages sent by the handler.
func TestItBehavesAsTheDefaultMailbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours, ourWork := newRecorder(NewMailbox(nil))
		theirs, theirWork := newRecorder(actor.Unbounded())
		for _, r := range []*recorder{ours, theirs} {
			r.onUser = func(msg any) {
				if p, ok := msg.(*plain); ok && p.id%5 == 0 && p.id < 1000 {
					r.mailbox.PostUserMessage(&plain{id: p.id + 1000})
					r.mailbox.PostSystemMessage(&actor.Watch{})
				}
			}
		}
		both := func(f func(actor.Mailbox)) { f(ours.mailbox); f(theirs.mailbox) }
		for i := range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); op {
			case 0:
				both(func(m actor.Mailbox) { m.PostSystemMessage(&actor.SuspendMailbox{}) })
			case 1, 2:
				both(func(m actor.Mailbox) { m.PostSystemMessage(&actor.ResumeMailbox{}) })
			case 3:
				both(func(m actor.Mailbox) { m.PostSystemMessage(&actor.Terminated{}) })
			case 4:
				ourWork.run()
				theirWork.run()
			case 5:
				both(func(m actor.Mailbox) { m.PostUserMessage(&plain{id: i + 1, boom: true}) })
			default:
				both(func(m actor.Mailbox) { m.PostUserMessage(&plain{id: i + 1}) })
			}
			if a, b := ours.mailbox.UserMessageCount(), theirs.mailbox.UserMessageCount(); a != b {
				t.Fatalf("%d wait, %d in the default mailbox", a, b)
			}
		}
		ourWork.run()
		theirWork.run()
		expect(t, ours.seen, theirs.seen...)
	})
}

// waiting is the model of one class: plain slices.
type waiting struct {
	bound Bound
	notes []*note
}

func (w *waiting) bytes() (sum int) {
	for _, n := range w.notes {
		sum += n.size
	}
	return sum
}

func (w *waiting) post(n *note) (dropped []*note) {
	over := func() bool {
		return len(w.notes) > 0 && (w.bound.Count > 0 && len(w.notes)+1 > w.bound.Count ||
			w.bound.Bytes > 0 && w.bytes()+n.size > w.bound.Bytes)
	}
	if over() && w.bound.Full == DropNewest {
		return []*note{n}
	}
	for over() {
		dropped, w.notes = append(dropped, w.notes[0]), w.notes[1:]
	}
	w.notes = append(w.notes, n)
	return dropped
}

// TestClassesAndBoundsFollowTheModel compares order, drops, depths and bytes
// with the model above for random bounds and scripts.
func TestClassesAndBoundsFollowTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model [classes]waiting
		var dropped, wantDropped []*note
		o := &MailboxOptions{OnDrop: func(c Class, msg any) {
			if n := msg.(*note); n.class != c {
				t.Errorf("dropped %d as %v, is %v", n.id, c, n.class)
			}
			dropped = append(dropped, msg.(*note))
		}}
		for c := range model {
			model[c].bound = Bound{
				Count: rapid.IntRange(0, 4).Draw(t, "count"),
				Bytes: rapid.IntRange(0, 3).Draw(t, "bytes") * 10,
				Full:  FullPolicy(rapid.IntRange(0, 1).Draw(t, "full")),
			}
			o.Bounds[c] = model[c].bound
		}
		r, d := newRecorder(NewMailbox(o))
		var want []string
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "op") == 0 {
				for c := range model {
					for _, n := range model[c].notes {
						want = append(want, fmt.Sprint(n.id))
					}
					model[c].notes = nil
				}
				d.run()
				continue
			}
			n := &note{id: i, class: Class(rapid.IntRange(0, 3).Draw(t, "class")), size: rapid.IntRange(0, 25).Draw(t, "size")}
			wantDropped = append(wantDropped, model[n.class].post(n)...)
			var msg any = n
			if rapid.Bool().Draw(t, "envelope") {
				msg = &actor.MessageEnvelope{Message: n}
			}
			r.mailbox.PostUserMessage(msg)
			var stats statsRequest
			r.mailbox.PostUserMessage(&stats)
			for c := range model {
				if stats.Depth[c] != len(model[c].notes) || stats.Bytes[c] != model[c].bytes() {
					t.Fatalf("%v: %d messages of %d bytes, want %d of %d", Class(c),
						stats.Depth[c], stats.Bytes[c], len(model[c].notes), model[c].bytes())
				}
			}
		}
		if !slices.Equal(dropped, wantDropped) {
			t.Errorf("dropped %v, want %v", dropped, wantDropped)
		}
		for c := range model {
			for _, n := range model[c].notes {
				want = append(want, fmt.Sprint(n.id))
			}
		}
		d.run()
		expect(t, r.seen, want...)
	})
}

func TestOnDropMayUseTheMailbox(t *testing.T) {
	var r *recorder
	o := &MailboxOptions{OnDrop: func(Class, any) { r.mailbox.PostUserMessage(&plain{id: 99}) }}
	o.Bounds[Deliver] = Bound{Count: 1}
	var d *manual
	r, d = newRecorder(NewMailbox(o))
	r.mailbox.PostUserMessage(&note{id: 1, class: Deliver})
	r.mailbox.PostUserMessage(&note{id: 2, class: Deliver})
	d.run()
	expect(t, r.seen, "99", "1")
}

// TestManySendersLoseNothingAndKeepTheirOrder is for the race detector.
func TestManySendersLoseNothingAndKeepTheirOrder(t *testing.T) {
	const senders, each = 8, 5000
	system, _ := newSystem()
	last := make([]int, senders*int(classes))
	got, bad := 0, 0
	done := make(chan struct{})
	pid := system.Root.Spawn(propsOf(funcActor{receive: func(ctx actor.Context) {
		n, ok := ctx.Message().(*note)
		if !ok {
			return
		}
		seq := &last[n.size]
		if n.id != *seq+1 {
			bad++
		}
		*seq = n.id
		if got++; got == senders*each*int(classes) {
			close(done)
		}
	}}))
	for s := range senders {
		go func() {
			for i := 1; i <= each; i++ {
				for c := range classes {
					system.Root.Send(pid, &note{id: i, class: c, size: s*int(classes) + int(c)})
				}
			}
		}()
	}
	receive(t, done)
	if bad > 0 {
		t.Errorf("%d messages out of order", bad)
	}
	stopAndWait(t, system, pid)
}

func TestWhatWaitsWhenTheActorStopsIsLostLoudly(t *testing.T) {
	var letters []int
	system, _ := newSystem(WithDeadLetters(func(_ *actor.PID, msg any) { letters = append(letters, msg.(*note).id) }))
	var lost []int
	enter, leave := make(chan struct{}), make(chan struct{})
	pid := system.Root.Spawn(propsOf(funcActor{receive: func(ctx actor.Context) {
		if n, ok := ctx.Message().(*note); ok && n.id == 0 {
			close(enter)
			<-leave
		}
	}}, WithMailbox(MailboxOptions{OnLost: func(c Class, msg any) {
		if c != Deliver {
			t.Errorf("lost as %v", c)
		}
		lost = append(lost, msg.(*note).id)
	}})))
	system.Root.Send(pid, &note{id: 0})
	receive(t, enter)
	process, _ := system.ProcessRegistry.GetLocal(pid.Id)
	for i := 1; i <= 3; i++ {
		system.Root.Send(pid, &note{id: i, class: Deliver})
	}
	system.Root.Stop(pid)
	close(leave)
	stopAndWait(t, system, pid)
	process.SendUserMessage(pid, &note{id: 4, class: Deliver}) // as one who looked it up just before
	if !slices.Equal(lost, []int{1, 2, 3, 4}) || len(letters) > 0 {
		t.Errorf("lost %v; told a second time, of what may be in use again: %v", lost, letters)
	}
}

func TestWhoWatchesTooLateIsTold(t *testing.T) {
	system, _ := newSystem()
	pid := system.Root.Spawn(propsOf(funcActor{}))
	process, _ := system.ProcessRegistry.GetLocal(pid.Id)
	stopAndWait(t, system, pid)
	w := &endWatch{ended: make(chan struct{})}
	watcher, _ := system.ProcessRegistry.Add(w, "late")
	process.SendSystemMessage(pid, &actor.Watch{Watcher: watcher})
	receive(t, w.ended)
	system.ProcessRegistry.Remove(watcher)
}

var errTest = errors.New("test")
