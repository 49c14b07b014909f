package otel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"emqttd/actors/system/trace"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	sampled = "00-" + traceID + "-" + spanID + "-01"
)

// message is one with these traceparents.
func message(parents ...string) *protocol.Message {
	p := mqtt.MessageProperties{ContentType: "text/plain", User: []mqtt.UserProperty{{Key: "other", Value: "x"}}}
	for _, v := range parents {
		p.User = append(p.User, mqtt.UserProperty{Key: "traceparent", Value: v})
	}
	return &protocol.Message{
		Topic: "room/1", From: "switch", QoS: 1, Payload: []byte("on"), Arrived: time.Now().UnixMilli(), Properties: p.Append(nil),
	}
}

// follow runs messages through a Tracer and returns the spans that come out.
func follow(t *testing.T, sample float64, what func(*trace.Tracer)) tracetest.SpanStubs {
	t.Helper()
	memory := &keep{InMemoryExporter: tracetest.NewInMemoryExporter()}
	e := newExporter(Options{Sample: sample, Node: "emq@host", Log: slog.New(slog.DiscardHandler)}, memory)
	var tr trace.Tracer
	tr.Export(e)
	what(&tr)
	tr.Export(nil)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return memory.GetSpans()
}

// keep has its spans also when it is shut down.
type keep struct{ *tracetest.InMemoryExporter }

func (*keep) Shutdown(context.Context) error { return nil }

// publish is what a publisher does, and returns the message's tag.
func publish(tr *trace.Tracer, m *protocol.Message, deliveries int) uint32 {
	tr.Published(m)
	if m.Tag != 0 {
		tr.Matched(m.Tag, deliveries)
	}
	return m.Tag
}

func attributesOf(s *tracetest.SpanStub) string {
	var list []string
	for _, a := range s.Attributes {
		list = append(list, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	return strings.Join(list, " ")
}

func TestAPublicationIsTheParentOfItsDeliveriesAndTheChildOfItsPublisher(t *testing.T) {
	m := message(sampled)
	before := string(m.Properties)
	spans := follow(t, 0, func(tr *trace.Tracer) {
		tag := publish(tr, m, 2)
		tr.Note(tag, trace.Step{At: m.Arrived + 1, ClientID: "lamp", What: delivery.StepSent})
		tr.Note(tag, trace.Step{At: m.Arrived + 2, ClientID: "bell", What: delivery.StepSent, Last: true})
		tr.Note(tag, trace.Step{At: m.Arrived + 9, ClientID: "lamp", What: delivery.StepArrived, Last: true})
	})
	if string(m.Properties) != before {
		t.Error("the message was changed")
	}
	if len(spans) != 3 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	p, bell, lamp := &spans[0], &spans[1], &spans[2]
	if p.Name != "publish" || p.SpanKind != oteltrace.SpanKindConsumer || p.Parent.SpanID().String() != spanID ||
		p.SpanContext.TraceID().String() != traceID || p.StartTime.UnixMilli() != m.Arrived || p.EndTime.Before(p.StartTime) {
		t.Errorf("publish: %+v", p)
	}
	want := "messaging.system=mqtt messaging.operation.name=publish messaging.destination.name=room/1 messaging.client.id=switch " +
		"messaging.mqtt.qos=1 messaging.message.body.size=2 emqttd.deliveries=2"
	if got := attributesOf(p); got != want {
		t.Errorf("publish has %s\nwant %s", got, want)
	}
	for d, took := range map[*tracetest.SpanStub]time.Duration{bell: 2 * time.Millisecond, lamp: 9 * time.Millisecond} {
		if d.Name != "deliver" || d.SpanKind != oteltrace.SpanKindProducer || d.Parent.SpanID() != p.SpanContext.SpanID() ||
			d.SpanContext.TraceID() != p.SpanContext.TraceID() || d.EndTime.Sub(d.StartTime) != took || d.Status.Code != codes.Unset {
			t.Errorf("deliver: %+v", d)
		}
	}
	if got := attributesOf(lamp); !strings.Contains(got, "messaging.client.id=lamp") || len(lamp.Events) != 2 || lamp.Events[0].Name != "sent" {
		t.Errorf("lamp: %s %+v", got, lamp.Events)
	}
}

func TestADropIsAnErrorWithItsReason(t *testing.T) {
	spans := follow(t, 0, func(tr *trace.Tracer) {
		tag := publish(tr, message(sampled), 1)
		tr.Note(tag, trace.Step{ClientID: "lamp", What: delivery.StepQueued})
		tr.Note(tag, trace.Step{ClientID: "lamp", What: delivery.StepDropped + "queue_full", Last: true})
		tr.Note(tag, trace.Step{ClientID: "bell", What: delivery.StepRefused, Last: true})
	})
	if len(spans) != 3 || spans[1].Status != (sdk.Status{Code: codes.Error, Description: "queue_full"}) ||
		spans[2].Status != (sdk.Status{Code: codes.Error, Description: delivery.StepRefused}) {
		t.Errorf("%+v", spans)
	}
}

func TestOnlyAGoodTraceparentThatIsSampledIsFollowed(t *testing.T) {
	for _, parents := range [][]string{
		nil,
		{""},
		{sampled, sampled},
		{sampled + "-x"},
		{strings.ToUpper(sampled)},
		{"01" + sampled[2:]},
		{strings.Replace(sampled, "-", "_", 1)},
		{"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"},
		{"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"},
		{"00-" + traceID + "_" + spanID + "-01"},
		{"00-" + traceID + "-" + spanID + "_01"},
		{"00-" + traceID + "-" + spanID + "-0g"},
		{"00-" + traceID + "-" + spanID + "-00"},
		{"00-" + traceID + "-" + spanID + "-02"},
	} {
		m := message(parents...)
		if spans := follow(t, 0, func(tr *trace.Tracer) { publish(tr, m, 1) }); len(spans) != 0 || m.Tag != 0 {
			t.Errorf("%q is followed: %+v", parents, spans)
		}
	}
}

func TestOfTheOthersAllAreFollowedWithASampleOfOne(t *testing.T) {
	spans := follow(t, 1, func(tr *trace.Tracer) {
		publish(tr, message("nonsense"), 0)
		publish(tr, message("00-"+traceID+"-"+spanID+"-00"), 0)
		publish(tr, &protocol.Message{Topic: "$SYS/x", Sys: true}, 0)
	})
	if len(spans) != 2 || spans[0].Parent.IsValid() || spans[1].SpanContext.TraceID().String() != traceID {
		t.Errorf("%+v", spans)
	}
}

func TestOfAMessageToManyTheFirstDeliveriesAreTold(t *testing.T) {
	spans := follow(t, 0, func(tr *trace.Tracer) {
		tag := publish(tr, message(sampled), 2*maxDeliveries)
		for i := range 2 * maxDeliveries {
			tr.Note(tag, trace.Step{ClientID: fmt.Sprint(i), What: delivery.StepSent, Last: true})
		}
	})
	if len(spans) != 1+maxDeliveries {
		t.Errorf("%d spans", len(spans))
	}
}

// stuck takes nothing until it is told to.
type stuck struct{ fail chan error }

func (s stuck) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	select {
	case err := <-s.fail:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (stuck) Shutdown(context.Context) error { return nil }

func TestACollectorThatHangsCostsSpansAndNobodysTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := stuck{make(chan error)}
		e := newExporter(Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
		var tr trace.Tracer
		tr.Export(e)
		for range queue + 100 {
			publish(&tr, message(sampled), 0)
		}
		synctest.Wait()
		if got := e.Stats(); got != (Stats{Dropped: 100}) {
			t.Errorf("while it hangs: %+v", got)
		}
		for _, err := range []error{errors.New("full"), errors.New("full"), nil, nil} {
			s.fail <- err
		}
		synctest.Wait()
		if got := e.Stats(); got != (Stats{Exported: 2 * batch, Failed: 2 * batch, Dropped: 100}) {
			t.Errorf("then: %+v", got)
		}
		if got := log.String(); strings.Count(got, "takes no spans") != 1 || strings.Count(got, "takes spans again") != 1 {
			t.Errorf("the log has:\n%s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 2*time.Second {
			t.Errorf("closed after %v: %v", time.Since(begun), err)
		}
		synctest.Wait() // all goroutines end: the test would hang
	})
}

func TestACollectorGetsSpansOverHTTP(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &req)); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		got <- &req
	}))
	defer server.Close()
	e, err := New(Options{Endpoint: server.URL, Node: "emq@host", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var tr trace.Tracer
	publish(&tr, message(sampled), 0) // off: nobody is told
	tr.Export(e)
	publish(&tr, message(sampled), 1)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	r := (<-got).ResourceSpans[0]
	if !strings.Contains(r.Resource.String(), "emq@host") || len(r.ScopeSpans[0].Spans) != 1 || r.ScopeSpans[0].Spans[0].Name != "publish" {
		t.Errorf("got %s", r)
	}
	if s := e.Stats(); s != (Stats{Exported: 1}) {
		t.Errorf("%+v", s)
	}
}

// BenchmarkNotFollowed is what a message pays while there is a collector that is
// not told of it.
func BenchmarkNotFollowed(b *testing.B) {
	e := newExporter(Options{Sample: 1e-12, Log: slog.New(slog.DiscardHandler)}, &keep{tracetest.NewInMemoryExporter()})
	defer func() { _ = e.Close(context.Background()) }() // nothing is waiting
	var tr trace.Tracer
	tr.Export(e)
	m := message("00-" + traceID + "-" + spanID + "-00")
	b.ReportAllocs()
	for b.Loop() {
		if tr.On() {
			tr.Published(m)
		}
	}
}
