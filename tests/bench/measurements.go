package main

import (
	"fmt"
	"math"
)

// measurement is one run of emqttd_bench and the figures that are taken from it.
type measurement struct {
	name, args string
	short      string // args with less load
	figures    []figure
}

// figure is a number of a report. A limit of 0 is none; it is an upper one unless
// atLeast says otherwise.
type figure struct {
	what, unit string
	limit      float64
	atLeast    bool
	of         func(result) (float64, bool)
}

// result is a report of emqttd_bench --json.
type result map[string]any

func (r result) number(key string) (float64, bool) {
	v, ok := r[key].(float64)
	return v, ok
}

func (r result) text(key string) string {
	if v, ok := r[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// steps are the parts of a report that measured the same several times.
func (r result) steps() []result {
	list, _ := r["steps"].([]any)
	var all []result
	for _, s := range list {
		if m, ok := s.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// plain is a figure as it stands in the report.
func plain(key string) func(result) (float64, bool) {
	return func(r result) (float64, bool) { return r.number(key) }
}

// scaled is a figure in another unit.
func scaled(key string, by float64) func(result) (float64, bool) {
	return func(r result) (float64, bool) {
		v, ok := r.number(key)
		return v * by, ok
	}
}

// lastStep is a figure of the last step.
func lastStep(key string) func(result) (float64, bool) {
	return func(r result) (float64, bool) {
		s := r.steps()
		if len(s) == 0 {
			return 0, false
		}
		return s[len(s)-1].number(key)
	}
}

// growth is the last step's figure in terms of the first's.
func growth(key string) func(result) (float64, bool) {
	return func(r result) (float64, bool) {
		s := r.steps()
		if len(s) < 2 {
			return 0, false
		}
		first, ok1 := s[0].number(key)
		last, ok2 := s[len(s)-1].number(key)
		return last / first, ok1 && ok2 && first > 0 && !math.IsNaN(last)
	}
}

// quantile is one of a histogram, in milliseconds.
func quantile(histogram, q string) func(result) (float64, bool) {
	return func(r result) (float64, bool) {
		m, _ := r[histogram].(map[string]any)
		v, ok := m[q].(float64)
		return v / 1000, ok
	}
}

// measurements are what the broker has limits for, and a few that say more.
var measurements = []measurement{
	{
		"idle connections", "conn -c 10000 -t dev/%i -q 1 --settle 5s", "conn -c 500 -t dev/%i -q 1 --settle 200ms --hold 100ms",
		[]figure{
			{"RSS of one with session and subscription", "KB", 6.5, false, plain("rss_per_subscribed")},
			{"CPU of one connect", "µs", 0, false, plain("broker_cpu_us_per_connect")},
			{"connect to CONNACK p99", "ms", 0, false, quantile("connect_us", "p99")},
		},
	},
	{
		"connect rate", "conn -c 15000 --rate 2000 --hold 100ms --settle 0s", "conn -c 200 --rate 2000 --hold 100ms --settle 0s",
		[]figure{{"connects a minute", "", 100_000, true, scaled("connects_per_s", 60)}},
	},
	{
		"50 pairs QoS 0", "pair -c 50 -q 0 -s 64 --for 4s", "pair -c 5 -q 0 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 2, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
			{"lost", "", 0.5, false, plain("lost")},
		},
	},
	{
		"50 pairs QoS 1", "pair -c 50 -q 1 -s 64 --for 4s", "pair -c 5 -q 1 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 4, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
		},
	},
	{
		"50 pairs QoS 2", "pair -c 50 -q 2 -s 64 --for 4s", "pair -c 5 -q 2 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 0, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
		},
	},
	{
		"one to 1,000", "fan -c 1000 --rounds 200", "fan -c 100 --rounds 20",
		[]figure{
			{"CPU of one delivery", "µs", 9, false, plain("broker_cpu_us_per_delivery")},
			{"time to complete p50", "ms", 0, false, quantile("complete_us", "p50")},
		},
	},
	{
		"subscriptions", "routes --steps 10000,100000,1000000", "routes --steps 1000,10000 --for 300ms --settle 100ms",
		[]figure{
			{"RSS of one at the last step", "bytes", 400, false, lastStep("rss_per_subscription")},
			{"CPU of one message at the last step", "µs", 0, false, lastStep("broker_cpu_us_per_message")},
			{"CPU of a message, last step in terms of the first", "×", 1.5, false, growth("broker_cpu_us_per_message")},
		},
	},
	{
		"round trip", "rtt -c 1 --for 3s", "rtt -c 1 --warm 50ms --for 200ms",
		[]figure{{"p50", "ms", 0, false, quantile("rtt_us", "p50")}, {"p99", "ms", 0, false, quantile("rtt_us", "p99")}},
	},
}
