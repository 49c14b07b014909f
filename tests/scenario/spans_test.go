package scenario

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func TestACollectorIsToldOfAMessageWhosePublisherAsksForIt(t *testing.T) {
	got := make(chan *spans.Span, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &req)); err != nil {
			t.Error(err)
		}
		for _, resource := range req.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					got <- s
				}
			}
		}
	}))
	t.Cleanup(server.Close) // after the node has stopped
	b := testkit.Start(t, func(c *config.Config) { c.Trace.Endpoint = server.URL })
	var subscribers []*testkit.Client
	for _, id := range []string{"lamp", "bell"} {
		c := b.Dial(t)
		hello := testkit.Hello(id)
		hello.Version = mqtt.V5
		c.Connect(hello)
		c.Subscribe(1, "room/1")
		subscribers = append(subscribers, c)
	}
	p := b.Dial(t)
	hello := testkit.Hello("switch")
	hello.Version = mqtt.V5
	p.Connect(hello)

	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	asks := mqtt.MessageProperties{User: []mqtt.UserProperty{{Key: "traceparent", Value: parent}}}
	p.Send(
		&mqtt.Publish{Topic: "room/1", QoS: 1, PacketID: 1, Payload: []byte("not followed")},
		&mqtt.Publish{Topic: "room/1", QoS: 1, PacketID: 2, Payload: []byte("followed"), Properties: asks.Append(nil)})
	p.ExpectAck(mqtt.PUBACK, 1)
	p.ExpectAck(mqtt.PUBACK, 2)
	for _, c := range subscribers {
		for _, payload := range []string{"not followed", "followed"} {
			m := c.ExpectPublish("room/1", payload)
			if value, n := mqtt.FindUser(m.Properties, "traceparent"); payload == "followed" && (n != 1 || value != parent) {
				t.Errorf("%d traceparents arrive, %q", n, value)
			}
			c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: m.PacketID})
		}
	}
	counts := map[string]int{}
	for range 1 + len(subscribers) {
		select {
		case s := <-got:
			counts[s.Name]++
			if len(s.TraceId) != 16 || s.TraceId[0] != 0x0a {
				t.Errorf("another trace: %s", s)
			}
		case <-time.After(testkit.Patience):
			t.Fatalf("the collector has only %v", counts)
		}
	}
	if counts["publish"] != 1 || counts["deliver"] != 2 || len(got) != 0 {
		t.Errorf("%v, and %d more", counts, len(got))
	}
}
