package main

import (
	"context"
	"fmt"
	"math"
)

// measurement is one run of emqttd_bench and the figures that are taken from it.
type measurement struct {
	name, args string
	short      string // args with less load
	figures    []figure
	// own, if not nil, measures instead of emqttd_bench.
	own func(ctx context.Context, s *suite) (result, error)
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
		nil,
	},
	{
		"connect rate", "conn -c 15000 --rate 2000 --hold 100ms --settle 0s", "conn -c 200 --rate 2000 --hold 100ms --settle 0s",
		[]figure{{"connects a minute", "", 100_000, true, scaled("connects_per_s", 60)}},
		nil,
	},
	{
		"50 pairs QoS 0", "pair -c 50 -q 0 -s 64 --for 4s", "pair -c 5 -q 0 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 2, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
			{"lost", "", 0.5, false, plain("lost")},
		},
		nil,
	},
	{
		"50 pairs QoS 1", "pair -c 50 -q 1 -s 64 --for 4s", "pair -c 5 -q 1 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 4, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
		},
		nil,
	},
	{
		"50 pairs QoS 2", "pair -c 50 -q 2 -s 64 --for 4s", "pair -c 5 -q 2 -s 64 --warm 100ms --for 300ms",
		[]figure{
			{"CPU of one message", "µs", 0, false, plain("broker_cpu_us_per_message")},
			{"messages a second", "", 0, false, plain("received_per_s")},
		},
		nil,
	},
	{
		"one to 1,000", "fan -c 1000 --rounds 200", "fan -c 100 --rounds 20",
		[]figure{
			{"CPU of one delivery", "µs", 9, false, plain("broker_cpu_us_per_delivery")},
			{"time to complete p50", "ms", 0, false, quantile("complete_us", "p50")},
		},
		nil,
	},
	{
		"subscriptions", "routes --steps 10000,100000,1000000", "routes --steps 1000,10000 --for 300ms --settle 100ms",
		[]figure{
			{"RSS of one at the last step", "bytes", 400, false, lastStep("rss_per_subscription")},
			{"CPU of one message at the last step", "µs", 0, false, lastStep("broker_cpu_us_per_message")},
			{"CPU of a message, last step in terms of the first", "×", 1.5, false, growth("broker_cpu_us_per_message")},
		},
		nil,
	},
	{
		"round trip", "rtt -c 1 --for 3s", "rtt -c 1 --warm 50ms --for 200ms",
		[]figure{{"p50", "ms", 0, false, quantile("rtt_us", "p50")}, {"p99", "ms", 0, false, quantile("rtt_us", "p99")}},
		nil,
	},
	{
		"200 API requests a second", "", "",
		[]figure{
			{"p99 at 5,000 messages a second, without", "ms", 0, false, plain("quiet_ms")},
			{"p99, with", "ms", 0, false, plain("asked_ms")},
			{"more", "%", 10, false, plain("more_percent")},
			{"p99, with, of a server that only sends as many bytes", "ms", 0, false, plain("bare_ms")},
			{"more, with that server", "%", 0, false, plain("bare_percent")},
			{"requests answered a second", "", 190, true, plain("answered_per_s")},
			{"p99 of a request", "ms", 0, false, plain("request_ms")},
		},
		apiLoad,
	},
	{
		"the ledger and traces", "", "",
		[]figure{
			{"CPU of one message QoS 0, more than without a ledger", "%", 3, false, plain("qos0_percent")},
			{"CPU of one message QoS 1, more than without a ledger", "%", 3, false, plain("qos1_percent")},
			{"CPU of one message QoS 0, more while another client is traced", "%", 3, false, plain("traced_percent")},
		},
		ledgerCost,
	},
	{
		"50 pairs QoS 0, publishers and subscribers on different nodes", "", "",
		[]figure{
			{"messages a second", "", 300_000, true, plain("first_rate")},
			{"CPU of one message on the publishers' node", "µs", 3, false, plain("first_us")},
			{"CPU of one message on the subscribers' node", "µs", 3, false, plain("second_us")},
			{"p50 at 5,000 a second, on one node", "ms", 0, false, plain("near_ms")},
			{"p50 at 5,000 a second, more on two", "ms", 1, false, plain("added_ms")},
			{"lost", "", 0.5, false, plain("first_lost")},
		},
		clusterPairs,
	},
	{
		"another node stands still for 60 s, 20,000 messages a second for it", "", "",
		[]figure{
			{"RSS before", "MB", 0, false, plain("before_mb")},
			{"grows by at most", "MB", 64, false, plain("more_mb")},
		},
		stoppedPeer,
	},
	{
		"idle TLS connections", "", "",
		[]figure{{"RSS of one with session and subscription", "KB", 17, false, plain("rss_per_subscribed")}},
		idleTLS,
	},
	{
		"idle WebSockets", "", "",
		[]figure{{"RSS of one with session and subscription", "KB", 7, false, plain("rss_each")}},
		idleWebSockets,
	},
	{
		"20 pairs QoS 0 over WebSocket", "", "",
		[]figure{
			{"CPU of one message over TCP", "µs", 0, false, plain("tcp_us")},
			{"CPU of one message over WebSocket", "µs", 0, false, plain("ws_us")},
			{"in terms of TCP", "×", 1.4, false, plain("ratio")},
		},
		webSocketPairs,
	},
	{
		"TLS handshakes, ECDSA P-256", "", "",
		[]figure{
			{"a second of one core", "", 0, false, plain("ours")},
			{"openssl s_server's", "", 0, false, plain("openssl")},
			{"in terms of openssl s_server's", "×", 0.8, true, plain("ratio")},
		},
		handshakes,
	},
	{
		"queue for absent sessions, synced, 1,000 in flight", "", "",
		[]figure{
			{"messages queued a second", "", 100_000, true, plain("queue_per_s")},
			{"messages drained a second, after kill -9", "", 300_000, true, plain("drain_per_s")},
			{"lost", "", 0.5, false, plain("lost")},
			{"disk of one message of 64 bytes", "bytes", 250, false, plain("disk_per_message")},
			{"RSS of one message", "bytes", 150, false, plain("rss_per_message")},
			{"restart with 1 M messages", "s", 0, false, plain("restart_s")},
		},
		queueAndKill(1000),
	},
	{
		"queue for absent sessions, synced, 100 in flight", "", "",
		[]figure{{"messages queued a second", "", 0, false, plain("queue_per_s")}},
		queueAndKill(100),
	},
	{
		"queue for absent sessions, synced, 1 in flight", "", "",
		[]figure{{"messages queued a second: one sync each", "", 0, false, plain("queue_per_s")}},
		queueAndKill(1),
	},
	{
		"the disk by itself", "", "",
		[]figure{{"syncs a second", "", 0, false, plain("syncs_per_s")}},
		bareSync,
	},
	{
		"recovery", "", "",
		[]figure{
			{"start with nothing", "s", 0, false, plain("empty_s")},
			{"start with 100,000 sessions", "s", 5, false, plain("sessions_s")},
			{"start with 1 M retained messages", "s", 10, false, plain("retained_s")},
		},
		recovery,
	},
}
