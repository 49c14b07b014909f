// Package otel tells a collector of OpenTelemetry about single messages: a span
// for the publication of each, and one for each delivery of it.
//
// A message is followed if its publisher says so, by a User Property traceparent
// whose sampled flag is set, or by chance. It is forwarded as it came. Nothing
// here makes a publisher or a session wait: a span that finds the queue to the
// collector full is dropped and counted.
package otel

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"emqttd/actors/system/trace"
	"emqttd/protocol"
)

// Options say where spans go and which there are.
type Options struct {
	// Endpoint is the URL of an OTLP/HTTP collector. Without a path it is that of
	// traces: /v1/traces.
	Endpoint string
	// Sample is how many of the messages are followed whose publisher does not ask
	// for it: 0 none, 1 all.
	Sample float64
	// Node and Version name this node to the collector.
	Node, Version string
	// Log is told when the collector can no longer be reached, and when it can be
	// again.
	Log *slog.Logger
}

const (
	// queue is how many spans wait for the collector at most, some 4 MB, and batch
	// how many are sent at once.
	queue = 4096
	batch = 512
	// delay is how long a span waits for others, until it is sent.
	delay = time.Second
	// patience is how long is tried to send a batch; then its spans have failed.
	patience = 10 * time.Second
	// maxValue is how much is kept of a value that clients chose, in bytes.
	maxValue = 1024
)

// Exporter follows messages; it is the Spans of a trace.Tracer. Its methods may be
// called by any goroutine.
type Exporter struct {
	sample   float64
	provider *sdk.TracerProvider
	tracer   oteltrace.Tracer
	outlet   *outlet
}

// New makes an Exporter. It does not wait for the collector, which need not be
// there yet. The caller closes it.
func New(o Options) (*Exporter, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("trace.otlp.endpoint: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	to, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(patience),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: patience / 2, MaxElapsedTime: patience,
		}))
	if err != nil {
		return nil, fmt.Errorf("trace.otlp.endpoint: %w", err)
	}
	return newExporter(o, to), nil
}

func newExporter(o Options, to sdk.SpanExporter) *Exporter {
	out := newOutlet(to, o.Log)
	p := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // Published has chosen
		sdk.WithSpanProcessor(out),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: maxValue, AttributeCountLimit: 16, EventCountLimit: 16,
			AttributePerEventCountLimit: 4, LinkCountLimit: 1, AttributePerLinkCountLimit: 1,
		}),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "emqttd"), attribute.String("service.instance.id", o.Node),
			attribute.String("service.version", o.Version))))
	return &Exporter{sample: o.Sample, provider: p, tracer: p.Tracer("emqttd"), outlet: out}
}

// Published implements trace.Spans.
func (e *Exporter) Published(m *protocol.Message) trace.Span {
	if m.Sys {
		return nil
	}
	from, ok := parent(m)
	if !(ok && from.IsSampled()) && !(e.sample > 0 && rand.Float64() < e.sample) {
		return nil
	}
	ctx := context.Background()
	if ok {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, from)
	}
	s := &span{e: e, begun: time.UnixMilli(m.Arrived), topic: strings.Clone(string(m.Topic))}
	s.ctx, s.publish = e.tracer.Start(ctx, "publish",
		oteltrace.WithSpanKind(oteltrace.SpanKindConsumer), oteltrace.WithTimestamp(s.begun),
		oteltrace.WithAttributes(append(attributes("publish", s.topic, strings.Clone(m.From)),
			attribute.Int("messaging.mqtt.qos", int(m.QoS)), attribute.Int("messaging.message.body.size", len(m.Payload)))...))
	return s
}

// Close sends what is waiting, as long as ctx allows; the rest is dropped. Spans
// that end later are dropped too.
func (e *Exporter) Close(ctx context.Context) error {
	err := e.provider.Shutdown(ctx)
	e.outlet.cut()
	if err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// Stats are numbers of spans since the start.
type Stats struct {
	Exported uint64 // the collector has them
	Failed   uint64 // it did not take them
	Dropped  uint64 // too many were waiting
}

// Stats returns what has become of the spans that have ended.
func (e *Exporter) Stats() Stats {
	return Stats{e.outlet.exported.Load(), e.outlet.failed.Load(), e.outlet.dropped.Load()}
}

// attributes are those that all spans have, with the names that OpenTelemetry's
// conventions give them.
func attributes(operation, topic string, client protocol.ClientID) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "mqtt"), attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.destination.name", topic), attribute.String("messaging.client.id", client),
	}
}
