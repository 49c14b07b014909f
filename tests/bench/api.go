package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// apiRate is how many requests a second the API is asked, by apiAskers that each have a connection: one that waits
	// for an answer does not keep the others from asking.
	apiRate   = 200
	apiAskers = 8
	// apiClients are connected besides those that publish, so that lists have rows.
	apiClients = 2000
)

// polled is what the tools of operators ask again and again: Prometheus, health checks, dashboards and EMQ's own scripts.
var polled = []string{
	"/status", "/metrics", "/api/v3/stats", "/api/v3/clients?limit=100", "/api/v3/sessions?limit=100", "/api/v3/subscriptions?limit=100",
	"/api/v2/monitoring/nodes", "/api/v2/monitoring/stats", "/api/v2/monitoring/metrics", "/api/v2/nodes/%s/clients?page_size=100&curr_page=7",
}

// apiLoad compares the latency of messages that come at a fixed rate with and without requests to the HTTP API, in turns, so
// that what else the machine does falls on both. It compares the medians of the turns' p99.
func apiLoad(ctx context.Context, s *suite) (r result, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"), "listener.api.bench = 127.0.0.1:"+ports[0])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	turns, clients, args := 5, apiClients, "pair -c 20 -q 1 -s 64 --mode rate --rate 5000 --warm 1s --for 10s --drain 300ms"
	if s.short {
		turns, clients, args = 1, 50, "pair -c 5 -q 1 -s 64 --mode rate --rate 500 --warm 50ms --for 300ms --drain 100ms"
	}
	crowd := exec.CommandContext(ctx, filepath.Join(s.bin, "emqttd_bench"), "conn", "-c", strconv.Itoa(clients), "-t", "crowd/%i", "--hold", "0", "--settle", "0s", "--quiet", "-p", b.port)
	if err := crowd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = crowd.Process.Kill()
		_ = crowd.Wait() // it was killed
	}()
	api := &poller{base: "http://127.0.0.1:" + ports[0], node: "bench" + b.dist + "@127.0.0.1"}
	defer api.client.CloseIdleConnections()
	if err := api.await(ctx, clients); err != nil {
		return nil, err
	}
	p99s := map[bool][]float64{}
	for i := range turns {
		for _, asking := range []bool{i%2 == 1, i%2 == 0} { // neither is always the first
			p99, err := api.turn(ctx, asking, func() (float64, error) { return s.latency(ctx, b, args) })
			if err != nil {
				return nil, err
			}
			p99s[asking] = append(p99s[asking], p99)
		}
	}
	quiet, asked := median(p99s[false]), median(p99s[true])
	return result{
		"quiet_ms": quiet, "asked_ms": asked, "more_percent": 100 * (asked - quiet) / quiet,
		"answered_per_s": float64(len(api.took)) / api.asking.Seconds(), "request_ms": api.p99(),
	}, nil
}

// latency is the p99 of messages in ms.
func (s *suite) latency(ctx context.Context, b *broker, args string) (float64, error) {
	report, err := b.load(ctx, filepath.Join(s.bin, "emqttd_bench"), strings.Fields(args))
	if err != nil {
		return 0, err
	}
	var r result
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, err
	}
	v, ok := quantile("latency_us", "p99")(r)
	if !ok || v == 0 {
		return 0, fmt.Errorf("the report has no p99: %s", report)
	}
	return v, nil
}

// poller asks the API.
type poller struct {
	base, node string
	client     http.Client

	mu     sync.Mutex
	took   []time.Duration // of each answer
	asking time.Duration
}

// turn measures, while the API is asked or not.
func (p *poller) turn(ctx context.Context, asking bool, measure func() (float64, error)) (float64, error) {
	if !asking {
		return measure()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	failed := make(chan error, apiAskers)
	for i := range apiAskers {
		go func() { failed <- p.ask(ctx, begun, i) }()
	}
	v, err := measure()
	p.asking += time.Since(begun)
	cancel()
	for range apiAskers {
		err = errors.Join(err, <-failed)
	}
	return v, err
}

// ask sends every apiAskers-th request when it is due, until ctx ends.
func (p *poller) ask(ctx context.Context, begun time.Time, first int) error {
	for i := first; ; i += apiAskers {
		due := begun.Add(time.Duration(i) * time.Second / apiRate)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(due)):
		}
		path := polled[i%len(polled)]
		if strings.Contains(path, "%s") {
			path = fmt.Sprintf(path, p.node)
		}
		if _, err := p.get(ctx, path); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		p.mu.Lock()
		p.took = append(p.took, time.Since(due))
		p.mu.Unlock()
	}
}

func (p *poller) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("admin", "public")
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// await waits until so many clients are connected.
func (p *poller) await(ctx context.Context, clients int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		body, err := p.get(ctx, "/api/v2/monitoring/stats/"+p.node)
		if err != nil {
			return err
		}
		var stats struct{ Result map[string]int }
		if err := json.Unmarshal(body, &stats); err != nil {
			return err
		}
		if stats.Result["subscriptions/count"] >= clients {
			return nil
		}
	}
}

// p99 of the requests in ms, from when each was due.
func (p *poller) p99() float64 {
	if len(p.took) == 0 {
		return 0
	}
	slices.Sort(p.took)
	return float64(p.took[len(p.took)*99/100].Microseconds()) / 1000
}
