package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// apiRate is how many requests a second the API is asked.
const apiRate = 200

// apiLoad compares the round trip of a message with and without requests to the HTTP API, in turns, so that what else the
// machine does falls on both; it is the median of the turns.
func apiLoad(ctx context.Context, s *suite) (r result, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	port := ports[0]
	b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"), "listener.api.bench = 127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	turns, args := 5, strings.Fields("rtt -c 1 --warm 1s --for 10s")
	if s.short {
		turns, args = 1, strings.Fields("rtt -c 1 --warm 50ms --for 200ms")
	}
	p99 := func() (float64, error) {
		report, err := b.load(ctx, filepath.Join(s.bin, "emqttd_bench"), args)
		if err != nil {
			return 0, err
		}
		var r result
		if err := json.Unmarshal(report, &r); err != nil {
			return 0, err
		}
		v, ok := quantile("rtt_us", "p99")(r)
		if !ok {
			return 0, errors.New("the report has no p99")
		}
		return v, nil
	}
	var quiet, asked []float64
	for range turns {
		alone, err := p99()
		if err != nil {
			return nil, err
		}
		stop := askAPI(ctx, port)
		busy, err := p99()
		if failed := stop(); err != nil || failed != nil {
			return nil, errors.Join(err, failed)
		}
		quiet, asked = append(quiet, alone), append(asked, busy)
	}
	slices.Sort(quiet)
	slices.Sort(asked)
	q, a := quiet[turns/2], asked[turns/2]
	return result{"quiet_ms": q, "asked_ms": a, "more_percent": 100 * (a - q) / q}, nil
}

// askAPI asks the API apiRate times a second until the function that it returns is called, which says what went wrong.
func askAPI(ctx context.Context, port string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	paths := []string{"clients?limit=20", "stats", "sessions?limit=20", "subscriptions?limit=20"}
	var wait sync.WaitGroup
	var failed error
	wait.Go(func() {
		tick := time.NewTicker(time.Second / apiRate)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := askOnce(ctx, "http://127.0.0.1:"+port+"/api/v3/"+paths[i%len(paths)])
			if err != nil && ctx.Err() == nil {
				failed = err
				return
			}
		}
	})
	return func() error {
		cancel()
		wait.Wait()
		http.DefaultClient.CloseIdleConnections()
		return failed
	}
}

func askOnce(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("admin", "public")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
