package otel

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// outlet is the way of spans that have ended to the collector. It stands around
// the SDK's queue on both sides, which tells nobody what it drops, and has errors
// printed by a logger that all of the process shares.
type outlet struct {
	sdk.SpanProcessor // the queue
	to                sdk.SpanExporter
	log               *slog.Logger

	waiting                   atomic.Int64 // in the queue, or being sent
	exported, failed, dropped atomic.Uint64
	failing                   atomic.Bool

	ctx context.Context // over when nothing more is to be sent
	cut context.CancelFunc
}

func newOutlet(to sdk.SpanExporter, log *slog.Logger) *outlet {
	o := &outlet{to: to, log: log}
	o.ctx, o.cut = context.WithCancel(context.Background())
	o.SpanProcessor = sdk.NewBatchSpanProcessor(exit{o}, sdk.WithMaxQueueSize(queue), sdk.WithMaxExportBatchSize(batch),
		sdk.WithBatchTimeout(delay), sdk.WithExportTimeout(patience))
	return o
}

// OnEnd queues a span, unless too many are there. The SDK's own queue is never
// full: it is as long.
func (o *outlet) OnEnd(s sdk.ReadOnlySpan) {
	if o.waiting.Add(1) > queue {
		o.waiting.Add(-1)
		o.dropped.Add(1)
		return
	}
	o.SpanProcessor.OnEnd(s)
}

// exit is the outlet as the queue sees it.
type exit struct{ *outlet }

// ExportSpans implements sdk.SpanExporter.
func (o exit) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	err := o.to.ExportSpans(ctx, spans)
	o.waiting.Add(-int64(len(spans)))
	if err != nil {
		o.failed.Add(uint64(len(spans)))
		if !o.failing.Swap(true) {
			o.log.Warn("the collector of trace.otlp.endpoint takes no spans", "error", err)
		}
		return nil // it is counted and told
	}
	o.exported.Add(uint64(len(spans)))
	if o.failing.Swap(false) {
		o.log.Info("the collector of trace.otlp.endpoint takes spans again", "failed", o.failed.Load(), "dropped", o.dropped.Load())
	}
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (o exit) Shutdown(ctx context.Context) error { return o.to.Shutdown(ctx) }
