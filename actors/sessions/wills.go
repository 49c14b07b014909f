package sessions

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/store"
)

// publishWill publishes a will; nil is none. [MQTT-3.1.2-8]
//
// What the store has of a kept session says so until those who keep the will
// have it safe: a node that dies in between publishes it again when it is back.
func (s *session) publishWill(w *Will) {
	if w == nil {
		return
	}
	now := unixMilli()
	w.Message.Arrived = now
	if w.Expiry > 0 {
		w.Message.Expires = now + w.Expiry*1000
	}
	b := s.rt.Router.NewBatch()
	s.rt.Publish(b, w.Message, nil)
	b.Flush(false)
	if s.keep != nil {
		if r := b.Promise(); r != nil {
			s.keep.wills = append(s.keep.unsafeWills(), r)
			r.Part()
		}
	}
	b.Release()
}

// unsafeWills are the wills that were published and may not be safe yet.
func (k *keeping) unsafeWills() []*store.Receipt {
	n := 0
	for _, r := range k.wills {
		if !r.Settled() {
			k.wills[n] = r
			n++
		}
	}
	clear(k.wills[n:])
	if k.wills = k.wills[:n]; n == 0 {
		k.wills = nil
	}
	return k.wills
}

// afterWills calls f when the wills are safe that were published up to now; at
// once if they are. Several are called in their order.
func (s *session) afterWills(f func()) {
	wills := s.keep.unsafeWills()
	if len(wills) == 0 {
		f()
		return
	}
	all := s.rt.Disk.Begin()
	for _, r := range wills {
		all.Expect()
		r.After(func(error) { all.Part() })
	}
	all.After(func(error) { f() })
	all.Part()
}

// commitSession commits the session's own record: with the changes of this turn,
// or, when the record is not to be overwritten yet, apart from them.
func (s *session) commitSession(r *store.Session) {
	if len(s.keep.unsafeWills()) == 0 {
		s.ops().PutSession(r)
		return
	}
	later := s.rt.Disk.Begin()
	later.Ops(func(o *store.Ops) { o.PutSession(r) })
	s.join(later)
	s.afterWills(later.Part)
}

// recovery is who waits until all sessions have been restored: before, a will
// would not reach its subscribers.
type recovery struct {
	mu   sync.Mutex
	wait []*actor.PID
}

func (r *recovery) add(pid *actor.PID) {
	r.mu.Lock()
	r.wait = append(r.wait, pid)
	r.mu.Unlock()
}

// recovered says that all sessions have been restored.
type recovered struct{}

var recoveredMessage any = &recovered{}

func (*recovered) IgnoreDeadLetterLogging() {}

// Recovered lets the restored sessions go on: it is called once, when all of them
// have their subscriptions. Their wills are published, and those that expired
// while the node was away end.
func (rt *Runtime) Recovered() {
	rt.recovery.mu.Lock()
	wait := rt.recovery.wait
	rt.recovery.wait = nil
	rt.recovery.mu.Unlock()
	for _, pid := range wait {
		rt.System.Root.Send(pid, recoveredMessage)
	}
}
