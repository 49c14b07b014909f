package kernel

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Watch finds out how long messages wait in the mailboxes of some actors. It
// sends each a probe of the last class, which the mailbox itself takes out in its
// turn: the age of the probe is that of the oldest message beside it. Nothing is
// measured, or costs anything, while nobody asks.
type Watch struct {
	system *actor.ActorSystem
	ids    []string

	mu  sync.Mutex
	out map[string]*probe
}

// NewWatch watches the actors with these ids.
func NewWatch(system *actor.ActorSystem, ids []string) *Watch {
	return &Watch{system: system, ids: ids, out: make(map[string]*probe)}
}

// probe goes through a mailbox and never reaches the actor.
type probe struct {
	to       actor.Process
	sent     time.Time
	answered chan<- struct{} // has room for it
	age      atomic.Int64    // nanoseconds; 0 while it is on its way
}

// MailboxClass puts a probe behind everything else.
func (*probe) MailboxClass() Class { return Deliver }

// IgnoreDeadLetterLogging: the actor may end.
func (*probe) IgnoreDeadLetterLogging() {}

func (p *probe) take() {
	p.age.Store(max(1, int64(time.Since(p.sent))))
	p.answered <- struct{}{}
}

// Oldest returns how long the oldest message in one of the mailboxes has waited,
// and in which. It gives the actors up to wait to take their probes; one that has
// not until then is as old as its probe, which it keeps for the next call. Never
// call it from an actor.
func (w *Watch) Oldest(wait time.Duration) (age time.Duration, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answered := make(chan struct{}, len(w.ids))
	sent := 0
	for _, id := range w.ids {
		sent += w.send(id, answered)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for late := false; sent > 0 && !late; sent-- {
		select {
		case <-answered:
		case <-timer.C:
			late = true
		}
	}
	for at, p := range w.out {
		a := time.Duration(p.age.Load())
		if a == 0 {
			a = time.Since(p.sent)
		}
		if a > age {
			age, id = a, at
		}
	}
	return age, id
}

// send sends a probe unless one is on its way. It returns how many.
func (w *Watch) send(id string, answered chan<- struct{}) int {
	process, ok := w.system.ProcessRegistry.GetLocal(id)
	if !ok {
		delete(w.out, id)
		return 0
	}
	if p := w.out[id]; p != nil && p.to == process && p.age.Load() == 0 {
		return 0
	}
	p := &probe{to: process, sent: time.Now(), answered: answered}
	w.out[id] = p
	process.SendUserMessage(nil, p)
	return 1
}
