package kernel

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Spawn asks a shard to spawn a child. The message must not be changed or
// re-used after it was sent.
type Spawn struct {
	Props *actor.Props
	// Name under the shard; "" makes one which this process never uses again.
	Name string
	// First, if not nil, is told to the child before anybody else can know it.
	First any
	// Reply, if not nil, gets the child's PID, or nil if the name is taken, the
	// producer panicked, or the shard has stopped before it came to it. It is
	// called on the shard's goroutine and must not block: thousands of siblings
	// wait behind it. It is not called where there is no shard at all, that is
	// before the tree has started, after it has stopped, and for the moment in
	// which the parent of the shards is restarted.
	Reply func(*actor.PID)
}

// WakeAt asks a shard to tell *Wake to PID at the given time: up to about a
// second late, never early. Several may be pending for one PID; none can be
// taken back. Nothing happens if the actor has ended by then. The deadline is
// kept on the monotonic clock: setting the wall clock does not move it.
type WakeAt struct {
	PID *actor.PID
	At  time.Time
}

// Wake is told at the time a WakeAt asked for. All share one value.
type Wake struct{}

// IgnoreDeadLetterLogging: to be woken when dead is nobody's mistake.
func (*Wake) IgnoreDeadLetterLogging() {}

var wakeMessage any = &Wake{}

// forever is the farthest deadline; it keeps sums of durations from overflowing.
const forever = 100 * 365 * 24 * time.Hour

// spawned numbers the children without a name of their own.
var spawned atomic.Uint64

// Shards are n supervisors "<name>/0" … "<name>/<n-1>" which have the actors of
// one kind as children, some thousands each: one parent alone would be the
// bottleneck of spawning and ending, and its crash would take all of them. A
// crashed child is stopped, not restarted. Each shard has a timing wheel, so
// that a deadline costs an entry instead of a timer.
//
// The handle is made before the tree: its Spec goes into the tree, and the
// handle is good for use by whatever starts after it.
type Shards struct {
	name string
	n    int
	seed maphash.Seed
	pids atomic.Pointer[[]*actor.PID]
}

// NewShards returns the handle of n shards; n must be positive.
func NewShards(name string, n int) *Shards {
	if n < 1 {
		panic("kernel: shards need at least one")
	}
	return &Shards{name: name, n: n, seed: maphash.MakeSeed()}
}

// Spec describes the parent of the shards, for the list of a Supervisor.
func (s *Shards) Spec() ChildSpec {
	shardProps := NewProps(func() actor.Actor { return new(shard) },
		WithStrategy(StopStrategy()), WithMailbox(MailboxOptions{OnLost: refuse}), ordered)
	specs := make([]ChildSpec, s.n)
	for i := range specs {
		specs[i] = ChildSpec{Name: strconv.Itoa(i), Props: shardProps, Restart: Permanent}
	}
	return ChildSpec{Name: s.name, Props: supervisorProps(specs, s.locate, []Option{unordered}), Restart: Permanent}
}

// refuse answers a Spawn which the shard has not come to.
func refuse(_ Class, msg any) {
	if m, ok := msg.(*Spawn); ok && m.Reply != nil {
		m.Reply(nil)
	}
}

// locate learns the shards' ids from their parent; they outlive every restart.
func (s *Shards) locate(ctx actor.Context) {
	pids := make([]*actor.PID, s.n)
	for i := range pids {
		pids[i] = ctx.ActorSystem().NewLocalPID(ctx.Self().Id + "/" + strconv.Itoa(i))
	}
	s.pids.Store(&pids)
}

// Len returns the number of shards.
func (s *Shards) Len() int { return s.n }

// At returns the i-th shard, or nil before the tree has started it.
func (s *Shards) At(i int) *actor.PID {
	pids := s.pids.Load()
	if pids == nil {
		return nil
	}
	return (*pids)[i]
}

// For returns the shard of a key: always the same one in this process, and
// nobody outside can choose keys that meet. nil before the tree has started it.
func (s *Shards) For(key string) *actor.PID {
	return s.At(int(maphash.String(s.seed, key) % uint64(s.n)))
}

// shard supervises actors and wakes them. A restart stops its children first,
// so nothing of it outlives them. The framework does not know them: the shard
// keeps the list, and ends them before it lets the framework end or restart it.
type shard struct {
	system   *actor.ActorSystem
	self     *actor.PID
	children []*cell // each knows its place
	ending   bool
	then     any // ending: what lets the framework go on when all have ended

	born  time.Time
	wheel wheel[*actor.PID]
	timer *time.Timer // one, armed only while the wheel is not empty
	armed int64       // the tick it is armed for; 0 = not armed
}

// tick is sent by the shard's timer.
type tick struct{}

// IgnoreDeadLetterLogging: the timer may go off while the shard ends.
func (*tick) IgnoreDeadLetterLogging() {}

var tickMessage any = &tick{}

// Receive must not panic: it is a lifeline for all children.
func (s *shard) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Spawn:
		s.onSpawn(ctx, m)
	case *WakeAt:
		s.onWakeAt(ctx, m)
	case *tick:
		s.onTick(ctx)
	case *cell:
		s.ended(m)
	case *stopInOrder:
		s.end(stopNowMessage)
	case *restartInOrder:
		s.end(restartNowMessage)
	case *actor.Started:
		s.system, s.self, s.born = ctx.ActorSystem(), ctx.Self(), time.Now()
	case *actor.Stopping, *actor.Restarting:
		if s.timer != nil {
			s.timer.Stop()
		}
	case *actor.Stopped:
	default:
		ctx.Logger().Warn("unexpected message", slog.String("actor", ctx.Self().Id), slog.String("message", fmt.Sprintf("%T", m)))
	}
}

// adopt makes a child.
func (s *shard) adopt(k *kind, a actor.Actor, id string) (*actor.PID, error) {
	c, err := newCell(s, k, a, id)
	if err != nil {
		return nil, err
	}
	c.place = int32(len(s.children))
	s.children = append(s.children, c)
	return &c.self, errAdopted
}

// ended forgets a child; the last one takes its place.
func (s *shard) ended(c *cell) {
	n := len(s.children) - 1
	last := s.children[n]
	s.children[c.place], last.place = last, c.place
	s.children[n] = nil
	s.children = s.children[:n]
	if room := cap(s.children); room > keptEntries && n < room/4 {
		s.children = append(make([]*cell, 0, room/2), s.children...)
	}
	s.goOn()
}

// end stops the children. A Stop that comes while a restart is under way wins.
func (s *shard) end(then any) {
	if s.then != stopNowMessage {
		s.then = then
	}
	if !s.ending {
		s.ending = true
		for _, c := range s.children {
			c.PostSystemMessage(stopMessage)
		}
	}
	s.goOn()
}

// goOn lets the framework stop or restart the shard when its children have ended.
func (s *shard) goOn() {
	if !s.ending || len(s.children) > 0 {
		return
	}
	if self, ok := s.system.ProcessRegistry.GetLocal(s.self.Id); ok {
		self.SendSystemMessage(s.self, s.then)
	}
}

// pids are those of the children, in no order.
func (s *shard) pids() []*actor.PID {
	pids := make([]*actor.PID, len(s.children))
	for i, c := range s.children {
		pids[i] = &c.self
	}
	return pids
}

func (s *shard) onSpawn(ctx actor.Context, m *Spawn) {
	defer func() {
		if r := recover(); r != nil {
			ctx.Logger().Error("reply to spawn panicked", slog.String("actor", ctx.Self().Id),
				slog.Any("reason", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	if s.ending {
		refuse(Control, m)
		return
	}
	name := m.Name
	if name == "" {
		name = strconv.FormatUint(spawned.Add(1), 36)
	}
	pid, err := spawnNamed(ctx, m.Props, name)
	if err != nil {
		ctx.Logger().Error("spawn", slog.String("actor", ctx.Self().Id+"/"+name), slog.Any("reason", err))
		pid = nil
	} else if m.First != nil {
		ctx.Send(pid, m.First)
	}
	if m.Reply != nil {
		m.Reply(pid)
	}
}

func (s *shard) onWakeAt(ctx actor.Context, m *WakeAt) {
	if m.PID == nil {
		return
	}
	now := time.Now()
	s.wheel.now = max(s.wheel.now, s.floor(now)) // an empty wheel has not been turned
	due := now.Sub(s.born) + min(m.At.Sub(now), forever)
	s.wheel.add(m.PID, int64((due+time.Second-1)/time.Second))
	s.arm(ctx, now)
}

func (s *shard) onTick(ctx actor.Context) {
	now := time.Now()
	s.armed = 0
	registry := ctx.ActorSystem().ProcessRegistry
	s.wheel.advance(s.floor(now), func(pid *actor.PID) {
		if process, alive := registry.Get(pid); alive {
			process.SendUserMessage(pid, wakeMessage)
		}
	})
	s.arm(ctx, now)
}

// floor returns the last tick that has passed.
func (s *shard) floor(now time.Time) int64 { return int64(now.Sub(s.born) / time.Second) }

// arm sees to it that the timer goes off when the wheel has something to do.
func (s *shard) arm(ctx actor.Context, now time.Time) {
	next, any := s.wheel.next()
	if !any || (s.armed != 0 && s.armed <= next) {
		return
	}
	s.armed = next
	pause := s.born.Add(time.Duration(next) * time.Second).Sub(now)
	if s.timer != nil {
		s.timer.Reset(pause)
		return
	}
	system, self := ctx.ActorSystem(), ctx.Self()
	s.timer = time.AfterFunc(pause, func() { system.Root.Send(self, tickMessage) })
}
