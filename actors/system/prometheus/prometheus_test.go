package prometheus

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"emqttd/actors/system/metrics"
)

func read(t *testing.T, o Options) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s %v", w.Code, body, err)
	}
	return string(body)
}

func TestCountersGaugesAndReasonsAreShownUnderTheirNames(t *testing.T) {
	m := new(metrics.Registry)
	m.Add(metrics.PacketsPublishReceived, 7)
	m.Gauge(metrics.Clients, 3)
	m.Gauge(metrics.Clients, -1)
	m.Ledger.Accept(1, 5)
	m.Drop("queue_full", 2)
	m.DropUnmatched("acl_denied", 1)
	m.Close("normal")
	m.Refuse("banned")
	m.Overload("shedding")
	text := read(t, Options{
		Node: "emq@host", Version: "2.0", Started: time.Now(), Metrics: m,
		MailboxAge: func() time.Duration { return 250 * time.Millisecond },
		More:       func() []Figure { return []Figure{{Name: "store_syncs_total", Help: "h", Value: 9, Counter: true}} },
	})
	for _, want := range []string{
		`emq_info{node="emq@host",version="2.0"} 1`,
		"# TYPE emq_packets_publish_received_total counter\nemq_packets_publish_received_total 7",
		"# TYPE emq_clients gauge\nemq_clients 2", "emq_clients_max 3", "emq_retained 0",
		`emq_messages_not_delivered_total{reason="acl_denied"} 1`, `emq_messages_not_delivered_total{reason="queue_full"} 2`,
		`emq_connections_closed_total{reason="normal"} 1`, `emq_connections_refused_total{reason="banned"} 1`,
		`emq_overload_total{what="shedding"} 1`,
		"emq_accepted_messages_total 6", `emq_ended_messages_total{state="dropped"} 2`, `emq_ended_messages_total{state="rejected"} 1`,
		"emq_pending_messages 3", "emq_unaccounted_messages 0", "emq_mailbox_age_seconds 0.25", "emq_store_syncs_total 9",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if !strings.Contains(text, "\ngo_goroutines ") {
		t.Error("the Go runtime is missing")
	}
}

// counted is a collector whose only figure is how often it was asked.
type counted struct{ times float64 }

func (*counted) Describe(chan<- *prometheus.Desc) {}

func (c *counted) Collect(ch chan<- prometheus.Metric) {
	c.times++
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("asked", "h", nil, nil), prometheus.GaugeValue, c.times)
}

func TestWhatTheSystemSaysOfTheProcessIsReadOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(counted)
		r := prometheus.NewRegistry()
		r.MustRegister(&kept{of: c})
		for _, step := range []struct {
			wait time.Duration
			want float64
		}{{0, 1}, {keptFor - 1, 1}, {1, 2}, {0, 2}} {
			time.Sleep(step.wait)
			families, err := r.Gather()
			if err != nil || len(families) != 1 {
				t.Fatal(families, err)
			}
			if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != step.want {
				t.Errorf("%v later it was asked %v times, wanted %v", step.wait, got, step.want)
			}
		}
	})
}

// Labels grow with what a peer sends only by mistake.
func TestNoLabelIsForAClientOrTopic(t *testing.T) {
	m := new(metrics.Registry)
	m.Drop("queue_full", 1)
	label := regexp.MustCompile(`(\w+)="`)
	for line := range strings.Lines(read(t, Options{Metrics: m})) {
		if !strings.HasPrefix(line, "emq_") {
			continue
		}
		for _, l := range label.FindAllStringSubmatch(line, -1) {
			switch l[1] {
			case "node", "version", "reason", "what", "state":
			default:
				t.Errorf("label %s in %s", l[1], line)
			}
		}
	}
}
