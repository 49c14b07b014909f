// Package prometheus shows the figures of a node in Prometheus' form: what
// listener.api serves under /metrics.
//
// The names are those of EMQ with emq_ before them. There is no label per client,
// topic or session, so that the answer is as long at a million clients as at one.
// Nothing is kept here: every answer reads the counters where they are. Only what
// the operating system tells of the process is up to a second old.
package prometheus

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"emqttd/actors/system/ledger"
	"emqttd/actors/system/metrics"
)

// Figure is a number of one of the other parts of a node.
type Figure struct {
	Name    string // without emq_; ends in _total if it only grows
	Help    string
	Value   float64
	Counter bool
	Labels  []string // names and values in turns; a name has few values
}

// Options say where the figures are. All functions are called for each answer,
// from any goroutine, and take microseconds.
type Options struct {
	Node, Version string
	Started       time.Time
	Metrics       *metrics.Registry
	// MailboxAge is how long the oldest message has waited in the mailbox of a
	// part that all clients share; nil: it is not shown.
	MailboxAge func() time.Duration
	// More figures; nil for none.
	More func() []Figure
}

// Handler answers with the figures of the node and of the Go runtime.
func Handler(o Options) http.Handler {
	return promhttp.HandlerFor(Gatherer(o), promhttp.HandlerOpts{
		MaxRequestsInFlight: maxRequests,
		// The answer is small however many clients there are; packing it took a sixth of its time away from them.
		DisableCompression: true,
	})
}

// maxRequests at a time: more are told to come again.
const maxRequests = 4

// Gatherer is what Handler shows.
func Gatherer(o Options) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{o: o},
		collectors.NewGoCollector(),
		&kept{of: collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})},
	)
	return r
}

// collector reads a node. It describes nothing beforehand, because reasons appear
// as they occur.
type collector struct {
	o     Options
	descs sync.Map // description to *prometheus.Desc: making one costs more than its number
}

// description is what a Desc is made of; the labels' names are joined, as a slice cannot be compared.
type description struct{ name, help, labels string }

// Describe implements prometheus.Collector.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	p := put{ch, &c.descs}
	m := c.o.Metrics
	p.gauge("info", "Name and version of the node.", 1, "node", c.o.Node, "version", c.o.Version)
	p.gauge("uptime_seconds", "Time since the node started.", time.Since(c.o.Started).Seconds())
	for i := range metrics.NumMetrics {
		p.counter(flat(i.String())+"_total", "EMQ's "+i.String()+".", float64(m.Get(i)))
	}
	for _, v := range m.Stats() {
		name, kind, _ := strings.Cut(v.Name, "/")
		if kind == "max" {
			p.gauge(name+"_max", "The highest "+name+" since the node started.", float64(v.Value))
		} else {
			p.gauge(name, "EMQ's "+v.Name+".", float64(v.Value))
		}
	}
	p.reasons("messages_not_delivered_total", "Messages that somebody did not get, by reason.", "reason", m.Drops())
	p.reasons("connections_closed_total", "Connections that have ended, by reason.", "reason", m.Closes())
	p.reasons("connections_refused_total", "Connections that were refused, by reason.", "reason", m.Refusals())
	p.reasons("overload_total", "What was done because too little memory was left.", "what", m.Overloads())
	c.ledger(p)
	if f := c.o.MailboxAge; f != nil {
		p.gauge("mailbox_age_seconds", "How long the oldest message has waited in a mailbox that all clients share.", f().Seconds())
	}
	if f := c.o.More; f != nil {
		for _, x := range f() {
			p.put(x.Name, x.Help, x.Counter, x.Value, x.Labels...)
		}
	}
}

// ledger shows the books of (message, subscription) pairs.
func (c *collector) ledger(p put) {
	s := c.o.Metrics.Ledger.Sheet()
	p.counter("accepted_messages_total", "Messages accepted, each once for everybody it is for.", float64(s.Accepted))
	for _, state := range ledger.States() {
		p.put("ended_messages_total", "Messages that have ended, each once for everybody it was for, by state.", true,
			float64(s.Ended[state]), "state", state.String())
	}
	p.gauge("pending_messages", "Messages on their way, each once for everybody it is for.", float64(s.Pending))
	p.gauge("unaccounted_messages", "Messages that are neither pending nor have ended. Exact when none has come for a second; then it is 0.",
		float64(s.Unaccounted()))
}

// flat makes one of EMQ's names fit for Prometheus.
func flat(name string) string { return strings.ReplaceAll(name, "/", "_") }

// put sends metrics to a channel.
type put struct {
	ch    chan<- prometheus.Metric
	descs *sync.Map
}

func (p put) gauge(name, help string, v float64, labels ...string) {
	p.put(name, help, false, v, labels...)
}

func (p put) counter(name, help string, v float64) { p.put(name, help, true, v) }

func (p put) reasons(name, help, label string, list []metrics.Value) {
	for _, v := range list {
		p.put(name, help, true, float64(v.Value), label, v.Name)
	}
}

// put sends one metric; labels are names and values in turns.
func (p put) put(name, help string, counter bool, v float64, labels ...string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	kind := prometheus.GaugeValue
	if counter {
		kind = prometheus.CounterValue
	}
	p.ch <- prometheus.MustNewConstMetric(p.desc(name, help, names), kind, v, values...)
}

// desc makes each description once. There are few: what a client chooses is in none of them.
func (p put) desc(name, help string, labels []string) *prometheus.Desc {
	is := description{name, help, strings.Join(labels, ",")}
	if d, ok := p.descs.Load(is); ok {
		return d.(*prometheus.Desc)
	}
	d, _ := p.descs.LoadOrStore(is, prometheus.NewDesc("emq_"+name, help, labels, nil))
	return d.(*prometheus.Desc)
}
