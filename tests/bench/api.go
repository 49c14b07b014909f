package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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
//
// A third turn asks a server that does nothing but answer as many bytes. What that adds, the requests cost whoever answers
// them: the generator, the node and who asks are on the same cores.
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
	bare, err := api.imitated(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.close()
	asked := []*poller{nil, api, bare.poller}
	p99s := map[*poller][]float64{}
	for i := range turns {
		for j := range asked { // none is always the first
			p := asked[(i+j)%len(asked)]
			p99, err := p.turn(ctx, func() (float64, error) { return s.latency(ctx, b, args) })
			if err != nil {
				return nil, err
			}
			p99s[p] = append(p99s[p], p99)
		}
	}
	without, with, beside := median(p99s[nil]), median(p99s[api]), median(p99s[bare.poller])
	return result{
		"quiet_ms": without, "asked_ms": with, "more_percent": 100 * (with - without) / without,
		"bare_ms": beside, "bare_percent": 100 * (beside - without) / without,
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

// turn measures, while the API is asked; nil asks nobody.
func (p *poller) turn(ctx context.Context, measure func() (float64, error)) (float64, error) {
	if p == nil {
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

// imitation is a server whose answers are as long as another's, and who asks it.
type imitation struct {
	poller *poller
	server *http.Server
}

// imitated starts an imitation of what p asks.
func (p *poller) imitated(ctx context.Context) (*imitation, error) {
	answers := map[string][]byte{}
	for i := range polled {
		path := p.path(i)
		answer, err := p.get(ctx, path)
		if err != nil {
			return nil, err
		}
		answers[path] = answer
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(answers[r.URL.RequestURI()]) // who asked sees what is missing
	})}
	go func() { _ = server.Serve(l) }() // until close
	return &imitation{&poller{base: "http://" + l.Addr().String(), node: p.node}, server}, nil
}

func (i *imitation) close() {
	i.poller.client.CloseIdleConnections()
	_ = i.server.Close() // nobody asks any more
}

// path of the i-th request.
func (p *poller) path(i int) string { return strings.ReplaceAll(polled[i%len(polled)], "%s", p.node) }

// ask sends every apiAskers-th request when it is due, until ctx ends.
func (p *poller) ask(ctx context.Context, begun time.Time, first int) error {
	for i := first; ; i += apiAskers {
		due := begun.Add(time.Duration(i) * time.Second / apiRate)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(due)):
		}
		if _, err := p.get(ctx, p.path(i)); err != nil {
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
