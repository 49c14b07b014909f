// Package connections holds the connection actors: our end of each Network
// Connection of an MQTT client.
//
// The life of a connection, top to bottom:
//
//	accept            a listener hands the socket to Handshake
//	Handshake         a short-lived goroutine reads CONNECT under a deadline,
//	                  validates it and asks the access chain
//	claiming          the actor claims the client identifier at its registry slot
//	attaching         it attaches to the session that exists, or to a new one;
//	                  the session answers with CONNACK
//	online            a reader goroutine parses whatever a read brings, publishes
//	                  QoS 0 and 1 by itself and hands the rest to the session
//	closed            by DISCONNECT, error, keep alive, take-over or an operator:
//	                  the session is detached, the actor stops
//
// A connection's parent is one of the supervisor shards connections/<0..n>. A
// crash closes the socket and detaches the session, which stays. Its mailbox
// receives life-cycle messages only, a few for each connection, so it has no
// bound.
package connections

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/time/rate"

	"emqttd/actors/access"
	"emqttd/actors/kernel"
	"emqttd/actors/sessions"
	"emqttd/actors/system/memory"
	"emqttd/actors/system/metrics"
	"emqttd/actors/system/presence"
	"emqttd/protocol"
)

// Shards is the number of supervisor shards (see sessions.Shards).
const Shards = 256

// Runtime is what all connections of a node share. It is complete before the
// first connection and not written to afterwards.
type Runtime struct {
	System        *actor.ActorSystem
	Sessions      *sessions.Runtime
	SessionShards *kernel.Shards
	Shards        *kernel.Shards
	Access        *access.Chain
	Metrics       *metrics.Registry
	Log           *slog.Logger

	Memory *memory.Governor // nil: there is enough

	// Presence is told of every client that comes and goes.
	Presence presence.Switch

	// ShuttingDown is set when the node begins to stop, so that clients of
	// MQTT 5 are told.
	ShuttingDown atomic.Bool

	settings atomic.Pointer[Settings]

	once  sync.Once
	props *actor.Props
	turn  atomic.Uint64 // of the next shard

	// Epoll has the clients of plain TCP read without a goroutine for each, where
	// the system has epoll.
	Epoll bool

	workers    workers
	polling    polling
	handshakes handshakes
	roster     roster
	refusals   refusals
	publishers publishers
	drain      atomic.Pointer[Drain]
}

// Close ends the goroutines that wait for work or for a CONNECT. The connections
// have ended.
func (rt *Runtime) Close() {
	rt.handshakes.close()
	rt.polling.close()
	rt.workers.close()
}

// Features are what clients of MQTT 5 are told in CONNACK, and all are held to.
type Features struct {
	KeepAlive          uint16 // longest, in seconds; 0 for any
	TopicAliasMaximum  uint16 // each way
	ReceiveMaximum     uint16 // of inbound QoS 2 that wait for PUBREL; 0 for none
	MaximumQoS         protocol.QoS
	NoRetain           bool
	NoWildcard         bool
	NoShared           bool
	NoSubscriptionID   bool
	CheckPayloadFormat bool
}

// Listener is what a connection knows of the listener it came through.
type Listener struct {
	Name        string
	Protocol    string // of its clients, as access modules see it; empty is mqtt
	SendTimeout time.Duration
	// MessageRate is how many messages a client may publish at once, and per
	// second; 0 is no limit. TotalMessageRate is for all of them; nil is none.
	MessageRate      [2]int
	TotalMessageRate *rate.Limiter
	// Mountpoint is put before the topics of its clients: %c is the client
	// identifier, %u the user name.
	Mountpoint string
	// Open makes the transport of a new connection and may take its time for
	// it; nil is NewTransport. What it returns instead is an *OpenError.
	Open  func(net.Conn) (Opened, error)
	brake *brake // of one connection; nil where nothing is limited
	// Closed is called once for each connection that Handshake was given, when
	// it is over, with the reason.
	Closed func(reason string)
}

// Props is the one Props of all connections. The first message must be
// *accepted.
func (rt *Runtime) Props() *actor.Props {
	rt.once.Do(func() {
		rt.props = kernel.NewProps(func() actor.Actor { return &connection{rt: rt} },
			kernel.WithMailbox(kernel.MailboxOptions{OnLost: lost}))
	})
	return rt.props
}

// spawn starts the actor of an accepted connection.
func (rt *Runtime) spawn(a *accepted) {
	if rt.ShuttingDown.Load() {
		a.drop()
		return
	}
	shard := rt.Shards.At(int(rt.turn.Add(1) % uint64(rt.Shards.Len())))
	rt.System.Root.Send(shard, &kernel.Spawn{Props: rt.Props(), First: a, Reply: func(pid *actor.PID) {
		if pid == nil {
			a.drop()
		}
	}})
}

// wakeAt has the actor of a connection told *kernel.Wake at a time.
func (rt *Runtime) wakeAt(pid *actor.PID, at time.Time) {
	rt.System.Root.Send(rt.Shards.At(int(at.Unix()%int64(rt.Shards.Len()))), &kernel.WakeAt{PID: pid, At: at})
}

// lost closes the socket of a connection whose actor was stopped before it knew
// of it.
func lost(_ kernel.Class, msg any) {
	if a, ok := msg.(*accepted); ok {
		a.drop()
	}
}

// drop closes a connection that gets no actor.
func (a *accepted) drop() {
	_ = a.transport.Close()
	a.listener.Closed("shutdown")
}
