package kernel

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// SystemOption changes what NewSystem makes.
type SystemOption func(*systemSettings)

type systemSettings struct {
	deadLetters func(pid *actor.PID, msg any)
	more        []actor.ConfigOption
}

// WithDeadLetters calls f for every message which no actor will handle: pid
// (may be nil) is whom it was for. Messages that MailboxOptions.OnLost is told of
// are not among them. f runs on the sender's goroutine and must
// neither block nor send. Messages which may come too late in the ordinary
// course of things (they implement actor.IgnoreDeadLetterLogging) are left out.
func WithDeadLetters(f func(pid *actor.PID, msg any)) SystemOption {
	return func(s *systemSettings) { s.deadLetters = f }
}

// WithConfig passes options to the framework.
func WithConfig(opts ...actor.ConfigOption) SystemOption {
	return func(s *systemSettings) { s.more = append(s.more, opts...) }
}

// NewSystem returns an actor system which logs to logger. The framework's
// metrics stay off (they cost a callback per actor and leak), and of its log
// lines those are dropped which the kernel writes itself: crashes, and dead
// letters, which the framework would log with their payload. Dead letters are
// logged at most once a second, by type and number.
func NewSystem(logger *slog.Logger, opts ...SystemOption) *actor.ActorSystem {
	var s systemSettings
	for _, opt := range opts {
		opt(&s)
	}
	filtered := slog.New(&frameworkFilter{next: logger.Handler()})
	config := append([]actor.ConfigOption{
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return filtered }),
		// With a count of 1 the framework's own dead letter line is never
		// written; it still starts a goroutine per interval, so that is short.
		actor.WithDeadLetterThrottleCount(1),
		actor.WithDeadLetterThrottleInterval(10 * time.Millisecond),
	}, s.more...)
	system := actor.NewActorSystem(config...)
	letters := &deadLetters{logger: logger, tell: s.deadLetters}
	letters.next.Store(math.MinInt64)
	system.EventStream.Subscribe(letters.handle)
	return system
}

// frameworkFilter drops the framework's lines which say what we say better.
type frameworkFilter struct{ next slog.Handler }

func (f *frameworkFilter) Enabled(ctx context.Context, level slog.Level) bool {
	return f.next.Enabled(ctx, level)
}

func (f *frameworkFilter) Handle(ctx context.Context, r slog.Record) error {
	switch r.Message {
	case "[ACTOR] Recovering", "[SUPERVISION]", "[DeadLetter]", "actor system started":
		return nil
	}
	return f.next.Handle(ctx, r)
}

func (f *frameworkFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &frameworkFilter{next: f.next.WithAttrs(attrs)}
}

func (f *frameworkFilter) WithGroup(name string) slog.Handler {
	return &frameworkFilter{next: f.next.WithGroup(name)}
}

// deadLetters tells of messages for actors that do not exist. It runs on the
// senders' goroutines, so it only counts, unless it is time for a line.
type deadLetters struct {
	logger *slog.Logger
	tell   func(*actor.PID, any)
	count  atomic.Uint64 // since the last line
	next   atomic.Int64  // when the next line may be written, Unix nanoseconds
}

func (d *deadLetters) handle(event any) {
	letter, ok := event.(*actor.DeadLetterEvent)
	if !ok {
		return
	}
	message := letter.Message
	lost, told := message.(*accounted)
	if told {
		message = lost.kind
	}
	switch message.(type) {
	case actor.IgnoreDeadLetterLogging, actor.SystemMessage, actor.MailboxMessage:
		return // the framework sends Stop, Watch and Terminated without looking
	}
	if d.tell != nil && !told {
		d.tell(letter.PID, message)
	}
	d.count.Add(1)
	now := time.Now()
	next := d.next.Load()
	if now.UnixNano() < next || !d.next.CompareAndSwap(next, now.Add(time.Second).UnixNano()) {
		return
	}
	d.logger.Info("dead letters",
		slog.Uint64("count", d.count.Swap(0)),
		slog.String("actor", letter.PID.GetId()),
		slog.String("message", fmt.Sprintf("%T", message)))
}
