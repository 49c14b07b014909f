package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"emqttd/actors/admin"
	"emqttd/config"
)

// ledgerCost compares the CPU of a message with a node that was built without the ledger (build tag noledger), and that while
// another client is traced with that while nobody is. Both take turns, so that what else the machine does falls on both; a
// figure is the median of what each turn says.
func ledgerCost(ctx context.Context, s *suite) (r result, err error) {
	dir, err := os.MkdirTemp("", "emqttd-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bare := filepath.Join(dir, "emqttd")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-tags", "noledger", "-o", bare, "emqttd/cmd/emqttd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build without the ledger: %w\n%s", err, out)
	}
	r = result{}
	program := filepath.Join(s.bin, "emqttd")
	for _, c := range []struct {
		key, qos, without string
		trace             bool
	}{{"qos0_percent", "0", bare, false}, {"qos1_percent", "1", bare, false}, {"traced_percent", "0", program, true}} {
		if r[c.key], err = s.inTurns(ctx, program, c.without, c.qos, c.trace); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// inTurns says by how many percent more CPU a message takes with one program than with another; trace has the first one
// trace a client that has no part in it.
func (s *suite) inTurns(ctx context.Context, with, without, qos string, trace bool) (more float64, err error) {
	var brokers [2]*broker
	for i, program := range []string{with, without} {
		b, err := startBroker(ctx, program)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, b.stop()) }()
		brokers[i] = b
	}
	if trace {
		if err := traceSomebody(brokers[0]); err != nil {
			return 0, err
		}
	}
	turns, args := 9, "pair -c 50 -s 64 --warm 300ms --for 1500ms --drain 300ms -q "+qos
	if s.short {
		turns, args = 1, "pair -c 5 -s 64 --warm 50ms --for 300ms --drain 100ms -q "+qos
	}
	percents := make([]float64, turns)
	for i := range turns {
		var us [2]float64
		for k := range brokers {
			which := (i + k) % 2 // neither is always the first
			if us[which], err = s.perMessage(ctx, brokers[which], args); err != nil {
				return 0, err
			}
		}
		percents[i] = 100 * (us[0] - us[1]) / us[1]
	}
	slices.Sort(percents)
	return percents[turns/2], nil
}

// perMessage is the CPU of a message in µs.
func (s *suite) perMessage(ctx context.Context, b *broker, args string) (float64, error) {
	report, err := b.load(ctx, filepath.Join(s.bin, "emqttd_bench"), strings.Fields(args))
	if err != nil {
		return 0, err
	}
	var r result
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, err
	}
	us, ok := r.number("broker_cpu_us_per_message")
	if !ok || us == 0 {
		return 0, fmt.Errorf("the report has no CPU of a message: %s", report)
	}
	return us, nil
}

// traceSomebody has a node trace a client that is not there.
func traceSomebody(b *broker) error {
	c, err := admin.Dial("127.0.0.1:"+b.dist, config.Default().Node.Cookie, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	code, err := c.Run(io.Discard, "trace", "client", "somebody else", filepath.Join(b.home, "trace.log"))
	if err == nil && code != 0 {
		err = fmt.Errorf("trace: exit code %d", code)
	}
	return err
}
