package node

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/sessions"
	"emqttd/actors/store"
	"emqttd/actors/system/alarm"
	"emqttd/actors/topics"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// openStore opens the folder of what survives a restart.
func (n *Node) openStore() error {
	c := n.config
	o := store.Options{
		Dir: n.storeDir(), Node: c.Node.Name, FS: n.options.FS,
		MinFree: uint64(c.Store.MinFree), Log: n.log, OnState: n.storeState, Progress: n.recovery.tell,
	}
	switch every := c.Store.Every(); {
	case every > 0:
		o.Sync, o.Interval = store.Interval, every
	case every < 0:
		o.Sync = store.Never
	}
	n.recovery.log = n.log
	err := n.takeNext()
	if err != nil {
		return err
	}
	if n.disk, err = store.Open(o); err != nil {
		return err
	}
	return nil
}

// storeState raises or clears the alarm that the store refuses what is new.
func (n *Node) storeState(s store.State) {
	if !n.running.Load() {
		return // Start looks again when there is somebody to tell
	}
	a := alarm.Alarm{ID: "store_refusing", Cleared: !s.Refusing}
	if s.Refusing {
		a.Severity, a.Title, a.Summary = "critical", "durable work is refused: "+s.Reason, s.Text
	}
	n.alarms.Take(a)
}

// classes are the durability rules of the configuration.
type classes struct {
	disk  bool
	rules []config.DurabilityRule
	topic bool // some rule is about topics
}

func newClasses(c *config.Config) *classes {
	k := &classes{disk: c.DurabilityDisk, rules: c.Durability}
	for _, r := range k.rules {
		k.topic = k.topic || r.Topic != ""
	}
	return k
}

// session tells whether a session is kept that outlives its connection.
func (k *classes) session(a *sessions.Attach) bool {
	if a.Expiry == 0 {
		return false
	}
	for _, r := range k.rules {
		if r.Listener != "" && r.Listener == a.Client.Listener {
			return r.Disk
		}
	}
	return k.disk
}

// message tells whether publishers wait for a message, and whether it is kept
// when it is retained.
func (k *classes) message(m *protocol.Message) bool {
	if !k.topic {
		return true
	}
	for _, r := range k.rules {
		if r.Topic != "" && topic.Match(topic.Filter(r.Topic), m.Topic) {
			return r.Disk
		}
	}
	return true
}

// unread counts messages that were told to an actor which had ended already. If it
// is to come back they must not be acknowledged. One that has ended for good has
// nobody any more who waits for them, or they are with it on another node.
func (n *Node) unread(_ *actor.PID, message any) {
	d, ok := message.(*topics.Deliver)
	if !ok {
		return
	}
	n.metrics.Drop(delivery.SessionEnded.String(), uint64(len(d.Items)))
	if d.Subscriber().Crashed() || n.sessions.Closing.Load() {
		d.Fail(errUnread)
	} else {
		d.Done()
	}
}

var errUnread = fmt.Errorf("the session had ended")

// progress is how far the recovery has come.
type progress struct {
	text atomic.Pointer[string]
	log  interface{ Info(string, ...any) }
	said time.Time
}

func (p *progress) tell(at store.Progress) {
	text := fmt.Sprintf("%s: %d", at.What, at.Done)
	if at.Total > 0 {
		text = fmt.Sprintf("%s of %d", text, at.Total)
	}
	p.text.Store(&text)
	if now := time.Now(); now.Sub(p.said) >= time.Second {
		p.said = now
		p.log.Info("recovering", "what", at.What, "done", at.Done, "total", at.Total)
	}
}

// String is empty when nothing is being recovered.
func (p *progress) String() string {
	if t := p.text.Load(); t != nil {
		return *t
	}
	return ""
}

// recoverySpec is the child that stands before the listeners and brings back what
// the store has. It ends when it is done.
func (n *Node) recoverySpec() kernel.ChildSpec {
	return kernel.ChildSpec{
		Name: "recovery", Restart: kernel.Temporary,
		Props: kernel.NewProps(func() actor.Actor { return &recovery{node: n} }),
	}
}

type recovery struct {
	node *Node
	self *actor.PID
}

// Receive implements actor.Actor.
func (r *recovery) Receive(c actor.Context) {
	if _, ok := c.Message().(*actor.Started); ok {
		r.self = c.Self()
	}
}

// WhenStarted implements kernel.LateStarter.
func (r *recovery) WhenStarted(done func(error)) {
	go func() {
		err := r.node.restore()
		if err == nil {
			r.node.openDoor()
			r.node.meet()
			r.node.loadPlugins()
		}
		done(err)
		if err == nil {
			r.node.system.Root.Stop(r.self)
		}
	}()
}

// restore brings retained messages and sessions back, and returns when all of
// them are as they were.
func (n *Node) restore() error {
	var pending sync.WaitGroup
	kept, err := n.disk.Retained(func(r store.Retained) {
		pending.Add(1)
		n.retained.Restore(r, pending.Done)
	})
	if err != nil {
		return fmt.Errorf("recover retained messages: %w", err)
	}
	report, err := n.disk.Recover(sessions.RecoverWindow, func(r *store.Recovered) {
		pending.Add(1)
		var once sync.Once
		done := func() { once.Do(pending.Done) }
		n.system.Root.Send(n.connections.SessionShards.For(r.Session.ClientID), &kernel.Spawn{
			Props: n.sessions.Props(), First: &sessions.Restore{Record: r, Done: done},
			Reply: func(pid *actor.PID) {
				if pid == nil {
					done()
				}
			},
		})
	})
	if err != nil {
		return fmt.Errorf("recover sessions: %w", err)
	}
	pending.Wait()
	n.sessions.Recovered()
	n.recovery.text.Store(nil)
	if report.Sessions+kept.Retained > 0 {
		n.log.Info("recovered", "sessions", report.Sessions, "subscriptions", report.Subscriptions,
			"messages", report.Messages, "retained", kept.Retained, "quarantined", report.Quarantined+kept.Quarantined,
			"took", time.Since(n.started).Round(time.Millisecond))
	}
	return nil
}
