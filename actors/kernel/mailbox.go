package kernel

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Class is the priority of a message in a mailbox. Messages of a lower class
// are handled first; within one class the order is first in, first out.
// The framework's system messages come before all classes.
type Class uint8

// The classes, most urgent first.
const (
	Control   Class = iota // life cycle, take-over, questions; what is not Classed
	Ack                    // acknowledgements: they free windows and buffers
	Subscribe              // changes of subscriptions and routes
	Deliver                // application messages
	classes
)

// String returns the name used in logs and by the command line.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

var classNames = [classes]string{"control", "ack", "subscribe", "deliver"}

// Classed is implemented by messages which are not of class Control. The
// answer must not change while the message waits.
type Classed interface{ MailboxClass() Class }

// Sized is implemented by messages which count towards Bound.Bytes. The answer
// (in bytes) must not change while the message waits: it is asked on arrival
// and again on departure. Other messages count as 0 bytes.
type Sized interface{ MailboxSize() int }

// FullPolicy says which message is lost when a bound is reached.
type FullPolicy uint8

// The policies.
const (
	DropNewest FullPolicy = iota // the arriving message is lost
	DropOldest                   // the longest waiting ones of its class are lost
)

// Bound limits the messages of one class which may wait. 0 means no limit. A
// message is always accepted when none of its class waits, so that one which
// is larger than Bytes can pass at all.
type Bound struct {
	Count, Bytes int
	Full         FullPolicy
}

// MailboxOptions describe the mailboxes of one kind of actor. The value is
// shared by all of them and must not be changed after its first use.
type MailboxOptions struct {
	// Bounds by class; the zero value bounds nothing. Bounding Control loses
	// questions and an operator's Kill, too: bound what peers can flood instead.
	Bounds [classes]Bound

	// OnDrop is told of every message which a bound has cost. It is called on
	// the sender's goroutine, outside the mailbox's lock, possibly by several
	// senders at once; blocking in it holds up that sender.
	OnDrop func(c Class, msg any)

	// OnLost is told of every message which still waited when the actor
	// stopped, or came too late. Called on the actor's goroutine before anybody
	// is told of its end, or on the sender's; it must not block. The messages are dead-lettered as well, so that whoever asked
	// something gets a *actor.DeadLetterResponse.
	OnLost func(c Class, msg any)

	// NotifyEmpty makes the actor receive *Empty each time its mailbox has been
	// drained, if it has handled a user message since the last *Empty.
	NotifyEmpty bool

	// ordered hands the first Stop and the first Restart to the actor as a
	// message, so that a Supervisor can stop its children one by one.
	ordered bool
}

// Empty is received after the mailbox has been drained of user messages, in the
// same turn and on the same goroutine as the last of them: the place to flush
// what a batch has produced. All actors share one value.
type Empty struct{}

var (
	emptyMessage   any = &Empty{}
	defaultOptions     = &MailboxOptions{}
)

// NewMailbox returns a producer of mailboxes which share o and run on one
// dispatcher. An idle mailbox costs 64 bytes: its queues are borrowed from a pool
// while messages wait.
func NewMailbox(o *MailboxOptions) actor.MailboxProducer {
	if o == nil {
		o = defaultOptions
	}
	return newKind(o).mailbox
}

// kind is what all mailboxes of one kind of actor share.
type kind struct {
	*MailboxOptions
	once       sync.Once
	dispatcher actor.Dispatcher // set with the first mailbox, for all of them
}

func newKind(o *MailboxOptions) *kind { return &kind{MailboxOptions: o} }

func (k *kind) mailbox() actor.Mailbox { return &mailbox{kind: k} }

// runOn sets the dispatcher. It is the same each time.
func (k *kind) runOn(d actor.Dispatcher) { k.once.Do(func() { k.dispatcher = d }) }

// mailbox implements actor.Mailbox. Everything but the fields marked as the
// consumer's is guarded by mu. The consumer is the one goroutine which runs
// queues.process; mu hands its fields from one run to the next.
type mailbox struct {
	mu        sync.Mutex
	running   bool // a consumer runs or is scheduled
	suspended bool // after a failure or during a restart: only system messages
	stopped   bool // the actor has seen Stopped

	dirty           bool // consumer: a user message was handled since the last Empty
	stopping        bool // consumer: Stop has been passed on to the framework
	stopDeferred    bool // consumer: Stop has been handed to the actor (ordered)
	restartDeferred bool // consumer: Restart has been handed to the actor (ordered)

	handled uint32  // user messages; it goes round
	q       *queues // nil while nothing waits and nothing runs
	kind    *kind
	invoker actor.MessageInvoker // nil until registered
	ledger  *ledger              // nil until something went wrong, or somebody watches
}

// ledger counts what has gone wrong in the life of an actor. It also has what only
// few actors of shards need.
type ledger struct {
	drops    [classes]uint64
	restarts int
	watchers []*actor.PID // of a cell
}

var _ actor.Mailbox = (*mailbox)(nil)

// queues hold what waits. They are pooled: an idle actor has none.
type queues struct {
	owner *mailbox
	run   func() // process, bound once: scheduling allocates nothing
	sys   ring
	class [classes]ring
	bytes [classes]int // kept for classes bounded by bytes
	users int          // messages in all classes

	current any // consumer: what a cell is handling
}

// keptSlots is the largest ring that goes back to the pool (512 B); larger ones
// are left to the collector.
const keptSlots = 32

var queuePool sync.Pool

func borrowQueues(m *mailbox) *queues {
	q, _ := queuePool.Get().(*queues)
	if q == nil {
		q = new(queues)
		q.run = q.process
	}
	q.owner = m
	return q
}

func (q *queues) giveBack() {
	q.owner, q.current = nil, nil
	q.sys.trim(keptSlots)
	for c := range q.class {
		q.class[c].trim(keptSlots)
	}
	queuePool.Put(q)
}

// RegisterHandlers is called by the framework before Start. The actor is
// already in the registry by then, so messages may have come in: they wait.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.kind.runOn(dispatcher)
	m.mu.Lock()
	m.invoker = invoker
	m.mu.Unlock()
}

// Start has nothing to do: the Started message wakes the mailbox.
func (m *mailbox) Start() {}

// UserMessageCount returns how many user messages wait.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.q == nil {
		return 0
	}
	return m.q.users
}

// PostUserMessage queues message by its class. The members of a MessageBatch
// are queued one by one, each once; the batch itself is not.
func (m *mailbox) PostUserMessage(message any) {
	switch v := message.(type) {
	case *actor.MessageEnvelope:
		m.postEnvelope(v)
	case *statsRequest:
		m.fill(v)
	case *probe:
		m.probe(v)
	case actor.MessageBatch:
		for _, member := range v.GetMessages() {
			m.PostUserMessage(member)
		}
	case Classed:
		m.post(v.MailboxClass(), message, message)
	default:
		m.post(Control, message, message)
	}
}

// probe queues p behind what waits. Where nothing does and nothing runs it has its
// answer, without waking anybody.
func (m *mailbox) probe(p *probe) {
	m.mu.Lock()
	idle := m.q == nil && !m.running && !m.stopped
	m.mu.Unlock()
	if idle {
		p.take()
		return
	}
	m.post(p.MailboxClass(), p, p)
}

func (m *mailbox) postEnvelope(env *actor.MessageEnvelope) {
	switch v := env.Message.(type) {
	case actor.MessageBatch:
		for _, member := range v.GetMessages() {
			m.PostUserMessage(&actor.MessageEnvelope{Header: env.Header, Message: member, Sender: env.Sender})
		}
	case Classed:
		m.post(v.MailboxClass(), env, env.Message)
	default:
		m.post(Control, env, env.Message)
	}
}

// post queues message, which is content or an envelope around it.
func (m *mailbox) post(c Class, message, content any) {
	if c >= classes {
		c = Deliver
	}
	var room [4]any
	dropped := room[:0]
	admitted := true

	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		if !m.passOn(message) {
			m.lose(c, message)
		}
		return
	}
	q := m.q
	if q == nil {
		q = borrowQueues(m)
		m.q = q
	}
	if b := &m.kind.Bounds[c]; b.Count > 0 || b.Bytes > 0 {
		dropped, admitted = m.admit(c, content, dropped)
	}
	if admitted {
		q.class[c].push(message)
		q.users++
	}
	wake := m.wake()
	m.mu.Unlock()

	if wake {
		m.kind.dispatcher.Schedule(q.run)
	}
	if len(dropped) > 0 && m.kind.OnDrop != nil {
		for _, d := range dropped {
			m.kind.OnDrop(c, d)
		}
	}
}

// PostSystemMessage queues a message of the framework, which overtakes all user
// messages and is handled while the mailbox is suspended, too.
func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	q := m.q
	if q == nil {
		q = borrowQueues(m)
		m.q = q
	}
	q.sys.push(message)
	wake := m.wake()
	m.mu.Unlock()
	if wake {
		m.kind.dispatcher.Schedule(q.run)
	}
}

// wake reports whether the caller must schedule the consumer.
func (m *mailbox) wake() bool {
	if m.running || m.invoker == nil || (m.q.sys.n == 0 && (m.suspended || m.q.users == 0)) {
		return false
	}
	m.running = true
	return true
}

// admit applies the bound of class c to content: it makes room, or refuses.
// What is lost is appended to dropped.
func (m *mailbox) admit(c Class, content any, dropped []any) ([]any, bool) {
	q, b := m.q, &m.kind.Bounds[c]
	r := &q.class[c]
	size := 0
	if b.Bytes > 0 {
		size = sizeOf(content)
	}
	full := func() bool {
		return r.n > 0 && ((b.Count > 0 && r.n >= b.Count) || (b.Bytes > 0 && q.bytes[c]+size > b.Bytes))
	}
	if b.Full == DropNewest && full() {
		m.book().drops[c]++
		return append(dropped, content), false
	}
	for full() {
		m.book().drops[c]++
		dropped = append(dropped, unwrap(q.take(c, b)))
	}
	q.bytes[c] += size
	return dropped, true
}

// take removes the oldest message of class c and its bytes.
func (q *queues) take(c Class, b *Bound) any {
	msg := q.class[c].pop()
	q.users--
	if b.Bytes > 0 {
		q.bytes[c] -= sizeOf(unwrap(msg))
	}
	return msg
}

func (m *mailbox) book() *ledger {
	if m.ledger == nil {
		m.ledger = new(ledger)
	}
	return m.ledger
}

func sizeOf(content any) int {
	if s, ok := content.(Sized); ok {
		return s.MailboxSize()
	}
	return 0
}

func unwrap(message any) any {
	if env, ok := message.(*actor.MessageEnvelope); ok {
		return env.Message
	}
	return message
}
