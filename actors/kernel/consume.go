package kernel

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// handling says how a message is given to the actor.
type handling uint8

const (
	nothing handling = iota // go idle
	asSystem
	asUser
)

// process is the consumer: it runs until the mailbox is idle. Only one runs for
// a mailbox at a time, and q may be another mailbox's once it returns.
func (q *queues) process() {
	m := q.owner
	for !m.drain() {
		// a panic has been escalated; the parent's decision may already wait
	}
}

// drain handles messages until none may be handled, which it reports as true.
// A panic of the actor ends it with false, after the parent has been told.
func (m *mailbox) drain() (idle bool) {
	var msg any
	defer func() {
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(m.crash(r), msg)
		}
	}()
	throughput := m.kind.dispatcher.Throughput()
	var how handling
	for n := 0; ; n++ {
		if n > throughput {
			n = 0
			runtime.Gosched()
		}
		switch msg, how = m.next(); how {
		case nothing:
			return true
		case asUser:
			if p, ok := msg.(*probe); ok {
				p.take()
				continue
			}
			m.invoker.InvokeUserMessage(msg)
		case asSystem:
			m.invoker.InvokeSystemMessage(msg)
		}
	}
}

// next takes the next message; if there is none it marks the mailbox idle and
// gives its queues back, under the same lock, so that no wake-up is lost.
func (m *mailbox) next() (any, handling) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.q
	for q.sys.n > 0 {
		if msg, how := m.lifecycle(q.sys.pop()); how != nothing {
			return msg, how
		}
	}
	if !m.suspended && !m.stopping {
		if q.users > 0 {
			m.dirty = true
			for c := range q.class {
				if q.class[c].n > 0 {
					m.handled++
					return q.take(Class(c), &m.kind.Bounds[c]), asUser
				}
			}
		}
		if m.dirty {
			m.dirty = false
			if m.kind.NotifyEmpty {
				return emptyMessage, asUser
			}
		}
	}
	m.running = false
	if q.users == 0 {
		m.q = nil
		q.giveBack()
	}
	return nil, nothing
}

// lifecycle applies what concerns the mailbox itself. It returns nothing if the
// message ends here.
//
// The framework lets an actor which waits for its children to end handle user
// messages; a child spawned by one of them is never stopped, and the actor
// waits for ever. So user messages wait from Stop on, and from Restart until
// the framework resumes the new instance.
func (m *mailbox) lifecycle(msg any) (any, handling) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
		return nil, nothing
	case *actor.ResumeMailbox:
		m.suspended = false
		return nil, nothing
	case *childrenQuery, *cell:
		return msg, asUser // also from a suspended actor
	case *actor.Stop:
		if m.kind.ordered {
			return m.once(&m.stopDeferred, stopInOrderMessage)
		}
		m.stop()
	case *stopNow:
		m.stop()
		return &actor.Stop{}, asSystem
	case *actor.Restart:
		if m.stopping || m.stopDeferred {
			return nil, nothing // the framework would revive what was told to stop
		}
		if m.kind.ordered {
			return m.once(&m.restartDeferred, restartInOrderMessage)
		}
		m.suspended = true
		m.book().restarts++
	case *restartNow:
		m.restartDeferred = false
		m.suspended = true
		m.book().restarts++
		return &actor.Restart{}, asSystem
	}
	return msg, asSystem
}

// once hands msg to the actor unless that was done before.
func (m *mailbox) once(done *bool, msg any) (any, handling) {
	if *done {
		return nil, nothing
	}
	*done = true
	return msg, asUser
}

// contextParts is what the framework's actor context offers beyond being an
// invoker and a supervisor.
type contextParts interface{ Actor() actor.Actor }

// stop has the actor call bury when it sees Stopped: the instance there is now
// is the last one.
func (m *mailbox) stop() {
	m.stopping = true
	if parts, ok := m.invoker.(contextParts); ok {
		if g, ok := parts.Actor().(*guard); ok {
			g.mailbox = m
		}
	}
}

// bury ends the mailbox of a stopped actor, before anybody else learns of the
// end: what waits is lost, and the actor's state is let go even if somebody
// keeps its PID.
func (m *mailbox) bury(self *actor.PID, system *actor.ActorSystem) {
	m.mu.Lock()
	m.stopped = true
	m.invoker = &tombstone{self: self, system: system}
	var left [classes][]any
	for c := range m.q.class {
		for m.q.class[c].n > 0 {
			left[c] = append(left[c], m.q.take(Class(c), &m.kind.Bounds[c]))
		}
	}
	m.mu.Unlock()
	for c := range left {
		for _, msg := range left[c] {
			m.lose(Class(c), msg)
		}
	}
}

// passOn gives a message that came too late to an actor which has the name now: a
// PID means whoever has it.
func (m *mailbox) passOn(message any) bool {
	t, ok := m.invoker.(*tombstone)
	if !ok {
		return false
	}
	heir, alive := t.system.ProcessRegistry.GetLocal(t.self.Id)
	if alive {
		heir.SendUserMessage(t.self, message)
	}
	return alive
}

// lose accounts for a message which no actor will handle.
func (m *mailbox) lose(c Class, message any) {
	if m.kind.OnLost != nil {
		m.kind.OnLost(c, unwrap(message))
		message = accountFor(message)
	}
	if t, ok := m.invoker.(*tombstone); ok {
		t.system.DeadLetter.SendUserMessage(t.self, message)
	}
}

// accounted is a message that OnLost was told of, which may have been taken for
// something else since: of it the dead letter only has the type.
type accounted struct{ kind any }

// accountFor replaces the message in an envelope; the sender stays, who may wait
// for an answer.
func accountFor(message any) any {
	_, msg, sender := actor.UnwrapEnvelope(message)
	a := &accounted{kind: msg}
	if sender == nil {
		return a
	}
	return &actor.MessageEnvelope{Message: a, Sender: sender}
}

// tombstone replaces the context of a stopped actor.
type tombstone struct {
	self   *actor.PID
	system *actor.ActorSystem
}

func (t *tombstone) InvokeUserMessage(any) {}

// InvokeSystemMessage answers who begins to watch too late, as a context does.
func (t *tombstone) InvokeSystemMessage(msg any) {
	if w, ok := msg.(*actor.Watch); ok {
		process, _ := t.system.ProcessRegistry.Get(w.Watcher)
		process.SendSystemMessage(w.Watcher, &actor.Terminated{Who: t.self})
	}
}

func (t *tombstone) EscalateFailure(any, any) {}

// crash turns what was recovered into the reason given to the parent.
func (m *mailbox) crash(recovered any) any {
	if _, ok := recovered.(Killed); ok {
		return recovered
	}
	p := &Panic{Value: recovered, Stack: debug.Stack()}
	if parts, ok := m.invoker.(contextParts); ok {
		p.Kind = kindOf(parts.Actor())
	}
	return p
}

// kindOf names the Go type behind an actor.
func kindOf(a actor.Actor) string {
	if g, ok := a.(*guard); ok {
		a = g.inner
	}
	return fmt.Sprintf("%T", a)
}

// Stats describe a mailbox at one moment.
type Stats struct {
	Depth     [classes]int    // messages waiting, by Class
	Bytes     [classes]int    // bytes waiting, by Class
	Drops     [classes]uint64 // messages lost to a bound since the actor was spawned
	Restarts  int             // since the actor was spawned
	Running   bool            // a turn is going on or about to
	Suspended bool            // crashed, waiting for its parent's decision
}

// Total returns the number of messages waiting in all classes.
func (s *Stats) Total() int {
	n := 0
	for _, d := range s.Depth {
		n += d
	}
	return n
}

// statsRequest is answered by the mailbox on the sender's goroutine, so that an
// actor which is busy, blocked or suspended can be looked at, too.
type statsRequest struct {
	Stats
	brief    bool // without the bytes, which are counted message by message
	handled  uint32
	answered bool // false: not one of our mailboxes
}

func (m *mailbox) fill(r *statsRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.answered = true
	r.handled = m.handled
	r.Running, r.Suspended = m.running, m.suspended
	if m.ledger != nil {
		r.Drops, r.Restarts = m.ledger.drops, m.ledger.restarts
	}
	if m.q == nil {
		return
	}
	for c := range m.q.class {
		waiting := &m.q.class[c]
		r.Depth[c] = waiting.n
		if r.brief {
			continue
		}
		for i := range waiting.n {
			r.Bytes[c] += sizeOf(unwrap(waiting.at(i)))
		}
	}
}
