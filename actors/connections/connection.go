package connections

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/kernel"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
	"emqttd/cluster/registry"
	"emqttd/cluster/wire"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// Kick closes the connection on behalf of an operator, who may be on another node.
type Kick struct{}

// kindKick is the last of those of sessions and connections.
const kindKick = wire.KindSessions + 19

// Serialize makes it a wire.Message.
func (m *Kick) Serialize() (wire.Serialized, error) { return wire.Encode(kindKick, m) }

func init() { wire.Register(kindKick, func() any { return new(Kick) }) }

// readerDone tells the connection that its reader has ended.
type readerDone struct {
	reason string
	code   protocol.ReasonCode // for a DISCONNECT of MQTT 5; 0 for none
	normal bool                // the client sent DISCONNECT
	// Session Expiry Interval of a DISCONNECT of MQTT 5, in seconds.
	expiry    int64
	hasExpiry bool
}

// writeFailed tells the connection that its outbox cannot write any more.
type writeFailed struct{ err error }

// boxDrained tells the connection that its outbox has room again.
type boxDrained struct{}

// These may come when the connection has ended for another reason.
func (*readerDone) IgnoreDeadLetterLogging()  {}
func (*writeFailed) IgnoreDeadLetterLogging() {}
func (*boxDrained) IgnoreDeadLetterLogging()  {}

// phase is how far a connection has come.
type phase uint8

const (
	claiming   phase = iota // waits for the registry
	discarding              // waits for the end of the session it must not resume
	attaching               // waits for the session
	online
	closing
)

// joinTime bounds each of claiming, discarding and attaching. Those are a few
// messages long; a session that does not answer in this time is gone.
const joinTime = 10 * time.Second

// moveTime is how long a session may be on its way from another node without any
// progress; it gives up itself before.
const moveTime = 45 * time.Second

// connection is the actor.
type connection struct {
	rt       *Runtime
	settings *Settings
	self     *actor.PID
	session  *actor.PID
	accepted *accepted // until online
	t        Link
	client   *sessions.Client
	identity *access.Identity
	listener *Listener
	reader   reader
	box      outbox
	held     atomic.Pointer[sessions.Line] // acknowledgements of the reader; nil until one had to wait
	lastSeen atomic.Int64                  // of any byte, Unix milliseconds, negative while it is handled; the reader writes it
	flow     sessions.Flow
	gen      uint64
	place    uint32 // in the roster
	phase    phase
	retried  bool
	patient  bool        // the session is on its way from another node, and has made progress
	relieved bool        // the outbox has had room again before the session was known
	came     bool        // presence was told that the client has come
	done     *readerDone // how it ended: why, and how the client took its leave; nil before
}

// Receive implements actor.Actor.
func (c *connection) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.self = ctx.Self()
	case *actor.Stopping:
		c.stop(ctx)
	case *accepted:
		c.begin(ctx, m)
	case *registry.Granted:
		c.granted(ctx, m)
	case *registry.Superseded:
		c.close(ctx, "conflict", protocol.SessionTakenOver)
	case *sessions.Ended, *actor.DeadLetterResponse: // the session was ending when it was asked
		if c.session != nil && (c.phase == discarding || c.phase == attaching) {
			c.create(ctx)
		}
	case *sessions.Stillborn:
		if m.Generation == c.gen && c.phase == attaching && c.session == nil {
			c.create(ctx)
		}
	case *sessions.Refused:
		if m.Generation == c.gen && (c.phase == attaching || c.phase == discarding) {
			c.refuse(m.Code)
			c.close(ctx, "session_refused", 0)
		}
	case *sessions.Moving:
		if m.Generation == c.gen && c.phase == attaching {
			c.session, c.patient = m.Session, true
		}
	case *sessions.Attached:
		c.attached(ctx, m)
	case *sessions.TakenOver:
		if m.Generation == c.gen {
			c.session = nil
			c.close(ctx, "conflict", protocol.SessionTakenOver)
		}
	case *sessions.Down:
		if m.Generation == c.gen {
			c.release(ctx)
			c.close(ctx, "session_down", protocol.UnspecifiedError)
		}
	case *boxDrained:
		c.onDrained(ctx)
	case *readerDone:
		c.done = m
		c.close(ctx, m.reason, m.code)
	case *writeFailed:
		c.close(ctx, reasonOf(m.err), 0)
	case *sessions.Violation:
		if m.Generation == c.gen {
			c.close(ctx, m.Reason, m.Code)
		}
	case *revoked:
		c.close(ctx, "access_revoked", protocol.NotAuthorized)
	case *Kick:
		c.close(ctx, "kick", protocol.AdministrativeAction)
	case *Redirect:
		if c.phase == online {
			c.farewell(m.Code, m.Server)
		}
		c.close(ctx, "redirected", 0)
	case *kernel.Wake:
		c.onWake(ctx)
	case *kernel.Empty, *actor.Stopped:
	default:
		c.rt.Log.Error("connection got a message it does not know", "message", m)
	}
}

// begin claims the client identifier.
func (c *connection) begin(ctx actor.Context, a *accepted) {
	c.accepted, c.t, c.client, c.listener, c.settings = a, a.transport, a.client, a.listener, a.settings
	c.identity = a.identity
	c.box = outbox{t: a.transport, owner: c, timeout: a.listener.SendTimeout}
	if t := c.rt.throttleOf(a.listener, a.client.ClientID, a.settings.PublishRate); t != nil {
		l := *a.listener
		l.brake = &brake{limits: t}
		c.listener = &l
	}
	c.rt.Metrics.Gauge(metrics.Clients, 1)
	c.claim(ctx)
}

func (c *connection) claim(ctx actor.Context) {
	c.phase, c.gen = claiming, 0
	ctx.Send(c.slot(), &registry.Claim{ClientID: c.client.ClientID, By: c.self})
	c.wake(ctx, time.Now().Add(joinTime))
}

func (c *connection) slot() *actor.PID { return c.rt.Sessions.Registry.Slot(c.client.ClientID) }

func (c *connection) granted(ctx actor.Context, m *registry.Granted) {
	if c.phase != claiming {
		ctx.Send(c.slot(), &registry.Abort{ClientID: m.ClientID, Generation: m.Generation, By: c.self})
		return
	}
	c.gen = m.Generation
	switch {
	case m.Session == nil:
		c.create(ctx)
	case c.client.Clean: // [MQTT-3.1.2-6]
		c.phase, c.session = discarding, m.Session
		ctx.Request(m.Session, &sessions.Discard{
			ReplyTo: c.self, Owned: true, Owner: c.owner(), Generation: c.gen,
		})
	case m.Session.Address != c.self.Address:
		c.spawn(ctx, m.Session)
	default:
		c.phase, c.session = attaching, m.Session
		ctx.Request(m.Session, c.attach())
	}
}

// create starts a session.
func (c *connection) create(ctx actor.Context) { c.spawn(ctx, nil) }

// spawn starts a session, which begins by fetching what it was on another node, if
// it was, and attaches to this connection.
func (c *connection) spawn(ctx actor.Context, from *actor.PID) {
	c.phase, c.session = attaching, nil
	a := c.attach()
	a.From = from
	shard := c.rt.SessionShards.For(c.client.ClientID)
	ctx.Send(shard, &kernel.Spawn{Props: c.rt.Sessions.Props(), First: a})
}

func (c *connection) attach() *sessions.Attach {
	a := c.accepted
	return &sessions.Attach{
		Client: a.client, Conn: c.self, Outbox: &c.box, Generation: c.gen, Connack: a.connack,
		Will: a.will, Quota: a.quota, Aliases: a.aliases, Expiry: a.expiry,
		Owner: c.owner(), Judge: c.judge(),
	}
}

// owner is the user whose the session becomes; nobody's without authentication,
// where a user name proves nothing.
func (c *connection) owner() string {
	if c.identity.Module() == "" {
		return ""
	}
	return c.identity.Username()
}

// judge is nil where there is nothing to judge.
func (c *connection) judge() sessions.Judge {
	if !c.rt.Access.Judges() && c.identity.Module() == "" {
		return nil
	}
	if at := c.client.Mount; at != "" {
		return mountedJudge{c.identity, at}
	}
	return c.identity
}

func (c *connection) attached(ctx actor.Context, m *sessions.Attached) {
	if c.phase != attaching || m.Generation != c.gen {
		ctx.Send(m.Session, &sessions.Detach{
			Generation: m.Generation, Normal: m.Generation != c.gen, End: !m.SessionPresent,
		})
		return
	}
	c.phase, c.session = online, m.Session
	ctx.Send(c.slot(), &registry.Commit{
		ClientID: c.client.ClientID, Generation: c.gen, By: c.self, Session: m.Session,
	})
	now := time.Now()
	c.lastSeen.Store(now.UnixMilli())
	if k := c.keepAlive(); k > 0 && k < joinTime { // else the wake-up of claim looks
		c.wake(ctx, now.Add(k))
	}
	if c.relieved {
		c.onDrained(ctx)
	}
	a := c.accepted
	c.accepted = nil
	c.rt.roster.add(c)
	if expires := c.identity.Expires(); !expires.IsZero() {
		c.wake(ctx, expires)
	}
	c.reader.c, c.reader.session, c.reader.ephemeral = c, m.Session, a.expiry == 0
	c.reader.enhanced = a.enhanced
	if tap := c.tap(); tap != nil {
		tap.Say("connected by " + c.listener.Name)
	}
	c.came = true
	c.rt.tellConnected(c.client, protocol.Success) // before anything that the client does
	c.reader.run(a.rest)
	if c.identity.Outdated() { // the rules changed while it came in
		go c.rejudge()
	}
	c.rt.Log.Debug("client connected", "client_id", c.client.ClientID, "peer", c.client.Peer,
		"listener", c.listener.Name, "session_present", m.SessionPresent)
}

// keepAlive is how long the client may be silent. [MQTT-3.1.2-24]
func (c *connection) keepAlive() time.Duration {
	return time.Duration(float64(c.client.KeepAlive) * c.settings.KeepAliveFactor * float64(time.Second))
}

func (c *connection) wake(ctx actor.Context, at time.Time) {
	ctx.Send(ctx.Parent(), &kernel.WakeAt{PID: c.self, At: at})
}

// onWake looks whether the client is still there, or why joining takes so long.
func (c *connection) onWake(ctx actor.Context) {
	switch c.phase {
	case online:
		if c.identity.Expired() {
			c.close(ctx, "access_expired", protocol.NotAuthorized)
			return
		}
		if c.reader.stalled(time.Now()) {
			c.close(ctx, "idle_timeout", 0)
			return
		}
		k := c.keepAlive()
		seen := c.lastSeen.Load()
		if seen < 0 { // a client that we make wait is not silent
			seen = time.Now().UnixMilli()
		}
		due := time.UnixMilli(seen).Add(k)
		if k > 0 && !time.Now().Before(due) {
			c.close(ctx, "keepalive_timeout", protocol.KeepAliveTimeout)
		} else if k > 0 {
			c.wake(ctx, due)
		}
	case closing:
	default:
		c.rejoin(ctx)
	}
}

// rejoin tries once more without the session that did not answer. A claim that
// waits only waits on: claimed twice, it could be granted twice.
func (c *connection) rejoin(ctx actor.Context) {
	if c.patient {
		c.patient = false
		c.wake(ctx, time.Now().Add(moveTime))
		return
	}
	if c.retried {
		c.close(ctx, "session_unavailable", protocol.ServerUnavailable)
		return
	}
	c.retried = true
	if c.phase == claiming {
		c.wake(ctx, time.Now().Add(joinTime))
		return
	}
	c.abort(ctx, c.session != nil)
	c.session = nil
	c.claim(ctx)
}

// release tells the registry that the session has ended. The session does that
// too, but it may have been faster than our Commit.
func (c *connection) release(ctx actor.Context) {
	if c.session != nil {
		ctx.Send(c.slot(), &registry.Release{ClientID: c.client.ClientID, Session: c.session})
		c.session = nil
	}
}

func (c *connection) abort(ctx actor.Context, gone bool) {
	ctx.Send(c.slot(), &registry.Abort{
		ClientID: c.client.ClientID, Generation: c.gen, By: c.self, SessionGone: gone,
	})
}

// close ends the connection for a reason; the first one counts.
func (c *connection) close(ctx actor.Context, reason string, code protocol.ReasonCode) {
	if c.phase == closing {
		return
	}
	if c.phase != online {
		c.abort(ctx, false)
		if reason != "closed" && c.box.fresh() { // else the session has answered
			c.refuse(protocol.ServerUnavailable)
		}
	} else if code != 0 {
		c.farewell(code, "")
	}
	c.phase = closing
	c.because(reason)
	ctx.Stop(c.self)
}

// because notes why the connection ends.
func (c *connection) because(reason string) {
	if c.done == nil {
		c.done = &readerDone{}
	}
	c.done.reason = reason
}

// farewell tells a client of MQTT 5 why its connection ends. [MQTT-4.13.1-1]
func (c *connection) farewell(code protocol.ReasonCode, server string) {
	if c.client.Version != mqtt.V5 {
		return
	}
	p := mqtt.Disconnect{Code: code, ServerReference: server}
	if !c.client.NoProblemInfo {
		p.Reason = code.String()
	}
	if limit := int(c.client.MaxPacket); limit > 0 && p.Size(mqtt.V5) > limit {
		p = mqtt.Disconnect{Code: code} // [MQTT-3.14.2-3]
		if p.Size(mqtt.V5) > limit {
			return // [MQTT-3.1.2-24]
		}
	}
	c.box.Send(p.Append(nil, mqtt.V5))
	c.rt.Metrics.Inc(metrics.PacketsSent)
}

// refuse answers a client that could not be given its session.
func (c *connection) refuse(code protocol.ReasonCode) {
	p := mqtt.Connack{Code: code}
	c.box.Send(p.Append(nil, c.client.Version))
	c.rt.Metrics.Inc(metrics.PacketsConnack)
	c.rt.Metrics.Inc(metrics.PacketsSent)
	c.rt.tellConnected(c.client, code)
}

// stop closes the socket and says good-bye to the session. It runs after a
// crash or a kill too.
func (c *connection) stop(ctx actor.Context) {
	if c.client == nil {
		return
	}
	if c.phase != closing {
		c.because("killed")
		if c.phase != online {
			c.abort(ctx, false)
		} else if c.rt.ShuttingDown.Load() {
			c.because("shutdown")
			c.farewell(protocol.ServerShuttingDown, "")
		}
	}
	// Whoever sees the socket closed finds it counted, and the session told before
	// anybody who comes back.
	c.rt.roster.remove(c)
	c.rt.Metrics.Gauge(metrics.Clients, -1)
	c.rt.Metrics.Close(c.done.reason)
	c.listener.Closed(c.done.reason)
	if c.session != nil {
		ctx.Send(c.session, &sessions.Detach{
			Generation: c.gen, Normal: c.done.normal, Expiry: c.done.expiry, HasExpiry: c.done.hasExpiry,
		})
	}
	if tap := c.tap(); tap != nil {
		tap.Say("disconnected: " + c.done.reason)
	}
	if c.came && c.done.reason != "conflict" { // else another connection of it has come
		c.rt.Presence.Disconnected(c.client.ClientID, c.client.Username, c.done.reason)
	}
	if c.came {
		c.rt.hookDisconnected(c.client, c.done.reason)
	}
	c.box.finish()
	c.flow.Close()
	if c.settings.PublishRate > 0 {
		c.rt.publishers.leave(c.client.ClientID)
	}
	if l := c.held.Load(); l != nil {
		l.Close()
	}
	c.rt.Log.Debug("client disconnected", "client_id", c.client.ClientID, "reason", c.done.reason)
}

// onDrained passes on that the outbox has room again.
func (c *connection) onDrained(ctx actor.Context) {
	if c.relieved = c.phase != online; !c.relieved {
		ctx.Send(c.session, &sessions.Drained{Generation: c.gen})
	}
}

// drained, failed and written implement outboxOwner. The session may fill the
// outbox before the connection knows of it, so drained goes the long way.
func (c *connection) drained() { c.rt.System.Root.Send(c.self, &boxDrained{}) }

func (c *connection) failed(err error) { c.rt.System.Root.Send(c.self, &writeFailed{err}) }

// unsafe closes the connection of a client to which the reader was to promise
// something that will never be safe.
func (c *connection) unsafe(err error) {
	c.rt.Log.Error("what a client was to be promised is not safe; its connection closes",
		"client_id", c.client.ClientID, "error", err)
	c.rt.System.Root.Send(c.self, &readerDone{reason: "store_failed", code: protocol.ImplementationSpecificError})
}

func (c *connection) written(n uint64) { c.rt.Metrics.Add(metrics.BytesSent, n) }
