package wire

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// QuietFramework is the option for the actor system that sends the framework's log to ours, further down: it calls
// every command line that hangs up an error, every connection news, and prints to stderr by itself. What an operator
// must know is logged by the parts that use the remoting. A nil logger discards all of it.
func QuietFramework(logger *slog.Logger) actor.ConfigOption {
	var handler slog.Handler = slog.DiscardHandler
	if logger != nil {
		handler = quiet{logger.Handler()}
	}
	framework := slog.New(handler)
	return func(c *actor.Config) {
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return framework })(c)
		// Nothing of its dead letters is written, but each interval has a goroutine that outlives the system.
		actor.WithDeadLetterThrottleInterval(throttle)(c)
	}
}

// throttle is as short as makes sense.
const throttle = 10 * time.Millisecond

type quiet struct{ next slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.next.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "[DeadLetter]" {
		return nil // it would print the message, payload and all
	}
	r.Level = slog.LevelDebug
	return q.next.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.next.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.next.WithGroup(name)} }
