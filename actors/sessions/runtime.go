// Package sessions holds the session actors. A Session outlives the Network
// Connection of its Client: what the client subscribed to, what is on its way
// to it and what waits for it stay here while it is away (MQTT 3.1.1 and 5.0,
// section 4.1).
//
// A session's parent is one of the supervisor shards sessions/<0..n>. It
// accepts Attach, Detach, Input, Subscribe, Unsubscribe, Drained and Discard
// from connections, deliveries and confirmations from topic shards and retained
// stores, and questions from the admin actor; it emits Control Packets into the
// outbox of its connection, messages to subscribers, and Release to the
// registry when it ends. A crash ends it: its subscriptions go, what is pending
// is counted as dropped(session_crash), and its connection closes. Its mailbox
// is bounded by what publishers may have on the way to it
// (topics.Subscriber) and by the Receive Maximum of its client.
package sessions

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/metrics"
	"emqttd/actors/system/trace"
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/cluster/registry"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// Shards is the number of supervisor shards: with a million sessions each has
// some 4,000 children, whose bookkeeping is serial in their parent.
const Shards = 256

// Runtime is what all sessions of a node share. It is complete before the first
// session starts and not written to afterwards.
type Runtime struct {
	System   *actor.ActorSystem
	Router   *topics.Router
	Retained *retained.Stores
	Registry *registry.Registry
	Metrics  *metrics.Registry
	Disk     *store.Disk // nil: nothing is kept
	Log      *slog.Logger
	Limits   *delivery.Limits
	// MaxSubscriptions of one session; 0 is no bound.
	MaxSubscriptions int
	// Durable tells whether the session that an Attach makes is kept on disk
	// (durability class disk). nil: none is.
	Durable func(*Attach) bool
	// Trace follows what is traced.
	Trace trace.Tracer
	// Closing is set when the node begins to stop: what ends from then on has
	// not ended, but rests in the store.
	Closing atomic.Bool
	// Alarm takes alarms; it does not block.
	Alarm func(alarm.Alarm)

	Census Census
	// Hooks are where plugins take part; nil: nowhere.
	Hooks *hooks.Hooks
	// OnFilter, if not nil, is told of subscriptions that have come into effect, or,
	// removed, have ended at the wish of a client or an operator. It must not block.
	OnFilter func(id protocol.ClientID, r *Request, removed bool)

	once  sync.Once
	props *actor.Props
	pool  *kernel.Pool

	changed atomic.Pointer[limits] // nil: Limits and MaxSubscriptions hold

	orphans  orphans
	recovery recovery

	// Net is the cluster, nil on a node alone: see Join.
	Net cluster.Net
	// Behind hands something over to a peer behind all messages that were forwarded
	// to it (routes.Routes.Behind); nil: as Peer.SendData does.
	Behind     func(p cluster.Peer, kind uint32, body []byte)
	shards     *kernel.Shards
	travellers travellers
	barriers   barriers
	nonsense   atomic.Uint64
}

// poolSize is the number of goroutines on which sessions run, for each core. A
// session does not block, so more than one is for those that the system keeps
// waiting: a page fault, a log line.
const poolSize = 4

// Close ends those goroutines. The sessions have ended.
func (rt *Runtime) Close() {
	if rt.pool != nil {
		rt.pool.Close()
	}
}

// Props is the one Props of all sessions. The first message must be Attach.
func (rt *Runtime) Props() *actor.Props {
	rt.once.Do(func() {
		rt.pool = kernel.NewPool(poolSize * runtime.GOMAXPROCS(0))
		rt.props = kernel.NewProps(
			func() actor.Actor { return &session{rt: rt} }, kernel.WithDispatcher(rt.pool),
			kernel.WithMailbox(kernel.MailboxOptions{NotifyEmpty: true, OnLost: rt.lost}))
	})
	return rt.props
}

// errSessionGone fails a receipt: a session that keeps messages crashed before it
// had entered these.
var errSessionGone = errors.New("the session that was to keep the message crashed")

// lost counts the deliveries that a session did not live to see, lets a reader
// go on that waits for what it had handed over, and tells a connection that need
// not wait.
func (rt *Runtime) lost(_ kernel.Class, msg any) {
	switch m := msg.(type) {
	case *topics.Deliver:
		reason := delivery.SessionEnded
		if m.Subscriber().Crashed() {
			reason = delivery.SessionCrash
		}
		rt.Metrics.Drop(reason.String(), uint64(len(m.Items)))
		if m.Subscriber().Crashed() || rt.Closing.Load() {
			m.Fail(errSessionGone)
		} else {
			m.Done()
		}
	case *Attach:
		rt.System.Root.Send(m.Conn, &Stillborn{Generation: m.Generation})
	case *Input:
		m.recycle()
	case *Subscribe:
		m.Flow.took()
	case *Unsubscribe:
		m.Flow.took()
	}
}

// Publish hands a message to its subscribers' batch and to the retained store,
// and returns what to acknowledge it with: Success, or NoMatchingSubscribers. It
// may be called from any goroutine; the batch belongs to the caller. by is who
// publishes it, as plugins see him, and may be nil: then they know m.From.
func (rt *Runtime) Publish(b *topics.Batch, m *protocol.Message, by *hooks.Client) protocol.ReasonCode {
	if rt.Hooks.Used(hooks.MessagePublish) && !m.Sys {
		if m = rt.hook(m, by); m == nil {
			return protocol.Success
		}
	}
	b.Stamp(m)
	if rt.Trace.On() {
		rt.Trace.Published(m)
	}
	if m.Retain {
		rt.retain(b, m) // [MQTT-3.3.1-5]
	}
	n := b.Publish(m)
	if m.Tag != 0 {
		rt.Trace.Matched(m.Tag, n)
	}
	if n > 0 {
		return protocol.Success
	}
	if !m.Sys {
		rt.Metrics.Inc(metrics.MessagesDropped)
		rt.Metrics.DropUnmatched("no_subscriber", 1)
		if rt.Metrics.Recent.Wants(m.Arrived) {
			rt.Metrics.Recent.Note(ledger.Drop{At: m.Arrived, Reason: "no_subscriber", Topic: string(m.Topic), From: m.From})
		}
	}
	return protocol.NoMatchingSubscribers
}

// hook lets plugins look at a message; nil: it is not to be published.
func (rt *Runtime) hook(m *protocol.Message, by *hooks.Client) *protocol.Message {
	if by == nil {
		by = &hooks.Client{ID: m.From}
	}
	next := rt.Hooks.Publish(by, m)
	if next == nil {
		rt.Metrics.DropUnmatched("hook", 1)
	}
	return next
}

// retain hands a message to the retained store; a publisher of QoS 1 or 2 waits
// until it is safe.
func (rt *Runtime) retain(b *topics.Batch, m *protocol.Message) {
	var r *store.Receipt
	if m.QoS > protocol.AtMostOnce && rt.Retained.Keeps(m) {
		if r = b.Receipt(); r != nil {
			r.Expect()
		}
	}
	rt.Retained.Store(m, r)
}

// PublishOne publishes a single message without ever waiting for a receiver.
func (rt *Runtime) PublishOne(m *protocol.Message) {
	b := rt.Router.NewBatch()
	rt.Publish(b, m, nil)
	b.Flush(false)
	b.Release()
}

// PublishSafe publishes a single message of QoS 1 or 2 and calls done when it is
// as safe as its receivers' classes promise, from any goroutine.
func (rt *Runtime) PublishSafe(m *protocol.Message, done func(error)) {
	b := rt.Router.NewBatch()
	rt.Publish(b, m, nil)
	b.Flush(false)
	r := b.Promise()
	b.Release()
	if r == nil {
		done(nil)
		return
	}
	r.After(done)
	r.Part()
}

// outs are the scratch spaces of sessions that are at work; an idle session has
// none.
var outs = sync.Pool{New: func() any { return new(delivery.Out) }}

// flushAt is the number of encoded bytes at which a session does not wait for
// its mailbox to be empty but lets the packets go: about what a socket buffer
// takes at once.
const flushAt = 64 << 10

func unixMilli() int64 { return time.Now().UnixMilli() }
