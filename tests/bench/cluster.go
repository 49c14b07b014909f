package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// twoNodes starts two nodes that are one cluster.
func twoNodes(ctx context.Context, s *suite) (a, b *broker, stop func() error, err error) {
	program := filepath.Join(s.bin, "emqttd")
	if a, err = startBroker(ctx, program); err != nil {
		return nil, nil, nil, err
	}
	if b, err = startBroker(ctx, program, "cluster.discovery = static", "cluster.static.seeds = 127.0.0.1:"+a.dist); err != nil {
		return nil, nil, nil, errors.Join(err, a.stop())
	}
	return a, b, func() error { return errors.Join(b.stop(), a.stop()) }, nil
}

// across runs pairs whose publishers are at a and whose subscribers are at b; the
// CPU is that of watched.
func across(ctx context.Context, s *suite, a, b, watched *broker, args string) (result, error) {
	words := append(strings.Fields(args), "--json", "--quiet", "-p", a.port, "--pid", strconv.Itoa(watched.cmd.Process.Pid))
	if b != a {
		words = append(words, "--sub-port", b.port)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(s.bin, "emqttd_bench"), words...).Output()
	if err != nil {
		return nil, fmt.Errorf("emqttd_bench %s: %w", strings.Join(words, " "), err)
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// clusterPairs measures what a message costs on the way from one node to another.
func clusterPairs(ctx context.Context, s *suite) (r result, err error) {
	a, b, stop, err := twoNodes(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	window, paced := "pair -c 50 -q 0 -s 64 --window 1000 --for 4s", "pair -c 10 -q 0 -s 64 --mode rate --rate 5000 --for 4s"
	if s.short {
		window, paced = "pair -c 5 -q 0 -s 64 --warm 100ms --for 300ms", "pair -c 5 -q 0 -s 64 --mode rate --rate 500 --warm 100ms --for 300ms"
	}
	out := result{}
	for _, run := range []struct {
		name, args  string
		at, watched *broker
	}{
		{"first", window, b, a}, {"second", window, b, b}, {"far", paced, b, a}, {"near", paced, a, a},
	} {
		report, err := across(ctx, s, a, run.at, run.watched, run.args)
		if err != nil {
			return nil, err
		}
		out[run.name+"_us"], _ = report.number("broker_cpu_us_per_message")
		out[run.name+"_rate"], _ = report.number("received_per_s")
		out[run.name+"_lost"], _ = report.number("lost")
		out[run.name+"_ms"], _ = quantile("latency_us", "p50")(report)
	}
	out["added_ms"] = out["far_ms"].(float64) - out["near_ms"].(float64)
	return out, nil
}

// stoppedPeer measures by how much a node grows while another one, to which it has
// 20,000 messages a second to forward, stands still.
func stoppedPeer(ctx context.Context, s *suite) (r result, err error) {
	a, b, stop, err := twoNodes(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	stand := time.Minute
	if s.short {
		stand = 2 * time.Second
	}
	load := exec.CommandContext(ctx, filepath.Join(s.bin, "emqttd_bench"), "pair", "-c", "20", "-s", "64", "--mode", "rate",
		"--rate", "20000", "--warm", "0s", "--for", (stand + 4*time.Second).String(), "--drain", "100ms", "--quiet", "-p", a.port, "--sub-port", b.port)
	if err := load.Start(); err != nil {
		return nil, err
	}
	rest(ctx, 2*time.Second)
	before, err := rssOf(a.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := halt(b.cmd.Process); err != nil {
		return nil, err
	}
	most := before
	for end := time.Now().Add(stand); time.Now().Before(end) && ctx.Err() == nil; rest(ctx, 100*time.Millisecond) {
		now, err := rssOf(a.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		most = max(most, now)
	}
	if err := goOn(b.cmd.Process); err != nil {
		return nil, err
	}
	_ = load.Wait() // it says that messages were lost, as they must be
	return result{"before_mb": before, "most_mb": most, "more_mb": most - before}, nil
}

// rest waits for a time, or for the end.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// rssOf is the memory of a process, in MB.
func rssOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, err
	}
	return resident * float64(os.Getpagesize()) / (1 << 20), nil
}
