package prometheus

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// keptFor is how long figures of the process are good: those who ask more often
// than that would only have the node read /proc again and again.
const keptFor = time.Second

// kept answers with what another collector said, for keptFor.
type kept struct {
	of prometheus.Collector

	mu    sync.Mutex
	asked time.Time
	said  []prometheus.Metric
}

// Describe implements prometheus.Collector.
func (k *kept) Describe(ch chan<- *prometheus.Desc) { k.of.Describe(ch) }

// Collect implements prometheus.Collector.
func (k *kept) Collect(ch chan<- prometheus.Metric) {
	for _, m := range k.metrics() {
		ch <- m
	}
}

// metrics are not written to after they were made, so that all who ask may have
// the same.
func (k *kept) metrics() []prometheus.Metric {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.said != nil && time.Since(k.asked) < keptFor {
		return k.said
	}
	k.asked, k.said = time.Now(), nil
	now := make(chan prometheus.Metric)
	go func() {
		defer close(now)
		k.of.Collect(now)
	}()
	for m := range now {
		k.said = append(k.said, m)
	}
	return k.said
}
