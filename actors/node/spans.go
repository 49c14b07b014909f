package node

import (
	"context"
	"time"

	"emqttd/actors/system/otel"
	"emqttd/actors/system/prometheus"
	"emqttd/actors/system/trace"
	"emqttd/actors/topics"
	"emqttd/protocol/delivery"
)

// lastSpans is how long a node that stops tries to tell the collector what is
// left.
const lastSpans = 2 * time.Second

// openSpans has messages followed for the collector of trace.otlp.endpoint, if
// there is one.
func (n *Node) openSpans() error {
	c := &n.config.Trace
	if c.Endpoint == "" {
		return nil
	}
	e, err := otel.New(otel.Options{
		Endpoint: c.Endpoint, Sample: c.Sample, Node: n.config.Node.Name, Version: n.options.Version, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.spans = e
	n.sessions.Trace.Export(e)
	return nil
}

// closeSpans ends that, when nobody publishes any more.
func (n *Node) closeSpans() {
	if n.spans == nil {
		return
	}
	n.sessions.Trace.Export(nil)
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	if err := n.spans.Close(ctx); err != nil {
		n.log.Warn("the collector of trace.otlp.endpoint did not get all spans", "error", err)
	}
}

// tellDrop tells those who follow a message that a subscriber does not get it.
func (n *Node) tellDrop(to *topics.Subscriber, items []topics.Delivery, reason string) {
	for i := range items {
		if tag := items[i].Message.Tag; tag != 0 {
			n.sessions.Trace.Note(tag, trace.Step{
				At: time.Now().UnixMilli(), ClientID: to.ClientID(), What: delivery.StepDropped + reason, Last: true,
			})
		}
	}
}

// spanFigures are those of what the collector is told, if there is one.
func (n *Node) spanFigures() []prometheus.Figure {
	if n.spans == nil {
		return nil
	}
	s := n.spans.Stats()
	return []prometheus.Figure{
		{Name: "trace_spans_exported_total", Help: "Spans that the collector of trace.otlp.endpoint has.", Value: float64(s.Exported), Counter: true},
		{Name: "trace_spans_failed_total", Help: "Spans that it did not take.", Value: float64(s.Failed), Counter: true},
		{Name: "trace_spans_dropped_total", Help: "Spans for which the queue was full.", Value: float64(s.Dropped), Counter: true},
	}
}
