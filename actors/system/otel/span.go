package otel

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"

	"emqttd/actors/system/trace"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// maxDeliveries is how many deliveries of a message are told of: one to a million
// subscribers must not fill the queue, nor the memory.
const maxDeliveries = 100

// span is a message that is followed: its publication, which ends when it is
// known for whom it is, and the deliveries that have begun.
type span struct {
	e       *Exporter
	ctx     context.Context // of the publication, for its deliveries
	publish oteltrace.Span
	begun   time.Time
	topic   string
	open    map[protocol.ClientID]oteltrace.Span
	told    int // deliveries, those in open among them
}

// Matched implements trace.Span.
func (s *span) Matched(deliveries int) {
	s.publish.SetAttributes(attribute.Int("emqttd.deliveries", deliveries))
	s.publish.End()
}

// Delivered implements trace.Span. The span of a delivery begins when the message
// arrived, so that its length is what the subscriber had to wait. One that does
// not end before the tracer has forgotten the message is never told of.
func (s *span) Delivered(step *trace.Step) {
	d, ok := s.open[step.ClientID]
	if !ok {
		if s.told == maxDeliveries {
			return
		}
		s.told++
		_, d = s.e.tracer.Start(s.ctx, "deliver",
			oteltrace.WithSpanKind(oteltrace.SpanKindProducer), oteltrace.WithTimestamp(s.begun),
			oteltrace.WithAttributes(attributes("deliver", s.topic, step.ClientID)...))
	}
	at := oteltrace.WithTimestamp(time.UnixMilli(step.At))
	d.AddEvent(step.What, at)
	if !step.Last {
		if s.open == nil {
			s.open = make(map[protocol.ClientID]oteltrace.Span)
		}
		s.open[step.ClientID] = d
		return
	}
	if reason, dropped := strings.CutPrefix(step.What, delivery.StepDropped); dropped || step.What == delivery.StepRefused {
		d.SetStatus(codes.Error, reason)
	}
	d.End(at)
	delete(s.open, step.ClientID)
}
