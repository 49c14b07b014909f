package main

// work is one line of the comparison: what every broker that takes part is asked
// to do, each run on a fresh broker.
type work struct {
	name string
	args string // of emqttd_bench
	// short is less of the same: it shows that it works, not how well.
	short string
	// settings are lines of our emq.conf where it does not run as it ships.
	settings []string
	// others are measured in each repetition, as our node is; beside are for
	// orientation, and measured once: each costs seconds.
	others, beside []string
	runs           int // at least, whatever was asked for
	shown          []figure
	goals          []goal
}

// goal is what issue and table call a must: a figure of ours, by itself or in terms of
// another broker's.
type goal struct {
	figure
	against string // a broker, bestOther, or empty for the figure by itself
}

// bestOther is the broker that is best at the figure: not always the same.
const bestOther = "the best other's"

// memoryClass is our node with the guarantees that the others give in this
// comparison: what it holds for absent sessions, and what is retained, is lost with
// the process. As it ships it is on disk before it is acknowledged.
var memoryClass = []string{"durability = memory", "retainer.storage_type = ram"}

var (
	messageRate = figure{what: "messages a second", of: plain("received_per_s")}
	messageCPU  = figure{what: "CPU of a message", unit: "µs", of: plain("broker_cpu_us_per_message")}
	latencyP50  = figure{what: "latency p50", unit: "ms", of: quantile("latency_us", "p50")}
	latencyP99  = figure{what: "latency p99", unit: "ms", of: quantile("latency_us", "p99")}
	lostOnes    = figure{what: "lost", of: plain("lost")}
	fanCPU      = figure{what: "CPU of a delivery", unit: "µs", of: plain("broker_cpu_us_per_delivery")}
	fanComplete = figure{what: "all have it, p50", unit: "ms", of: quantile("complete_us", "p50")}
	tripP50     = figure{what: "round trip p50", unit: "ms", of: quantile("rtt_us", "p50")}
	tripP99     = figure{what: "round trip p99", unit: "ms", of: quantile("rtt_us", "p99")}
	tripRate    = figure{what: "round trips a second", of: plain("round_trips_per_s")}
	connectRate = figure{what: "connects a second", of: plain("connects_per_s")}
	connectCPU  = figure{what: "CPU of a connect", unit: "µs", of: plain("broker_cpu_us_per_connect")}
	idleMemory  = figure{what: "RSS of one, subscribed", unit: "KB", of: plain("rss_per_subscribed")}
	routeMemory = figure{what: "RSS of a subscription", unit: "bytes", of: lastStep("rss_per_subscription")}
	routeCPU    = figure{what: "CPU of a message at 1 M", unit: "µs", of: lastStep("broker_cpu_us_per_message")}
	routeGrowth = figure{what: "CPU at 1 M in terms of 10 k", unit: "×", of: growth("broker_cpu_us_per_message")}
	storeRate   = figure{what: "stored a second", of: plain("stored_per_s")}
	replayRate  = figure{what: "replayed a second", of: lastStep("replayed_per_s")}
	replayLost  = figure{what: "not replayed", of: lastStep("missing")}
	queueRate   = figure{what: "queued a second", of: plain("queued_per_s")}
	drainRate   = figure{what: "drained a second", of: plain("drained_per_s")}
)

func atMost(f figure, limit float64, against string) goal {
	f.limit = limit
	return goal{f, against}
}

func atLeast(f figure, limit float64, against string) goal {
	f.limit, f.atLeast = limit, true
	return goal{f, against}
}

var pairFigures = []figure{messageRate, messageCPU, latencyP50, latencyP99, lostOnes}

// works are what the broker has goals for in terms of others.
var works = []work{
	{
		name: "pairs QoS 0", args: "pair -c 50 -q 0 --warm 500ms --for 2s", short: "pair -c 3 -q 0 --warm 20ms --for 100ms",
		others: []string{mosquitto, nats}, beside: []string{ourGoroutines, mochi, floorGoroutines, floorEpoll}, shown: pairFigures,
		goals: []goal{atMost(messageCPU, 1, nats), atLeast(messageRate, 10, mosquitto)},
	},
	{
		name: "pairs QoS 1", args: "pair -c 50 -q 1 --warm 500ms --for 2s", short: "pair -c 3 -q 1 --warm 20ms --for 100ms",
		others: []string{mosquitto}, beside: []string{mochi, nats}, shown: pairFigures,
		goals: []goal{atLeast(messageRate, 12, mosquitto)},
	},
	{
		name: "pairs QoS 2", args: "pair -c 50 -q 2 --warm 500ms --for 2s", short: "pair -c 3 -q 2 --warm 20ms --for 100ms",
		others: []string{mosquitto}, beside: []string{mochi, nats}, shown: pairFigures,
		goals: []goal{atLeast(messageRate, 15, mosquitto)},
	},
	{
		name: "fan-in 500 to 5, QoS 0", args: "pair -c 500 --subs 5 --window 20 -q 0 --warm 500ms --for 2s", short: "pair -c 6 --subs 2 -q 0 --warm 20ms --for 100ms",
		others: []string{nats}, beside: []string{ourGoroutines, mosquitto, mochi, floorGoroutines, floorEpoll}, shown: pairFigures,
		goals: []goal{atMost(messageCPU, 1, nats)},
	},
	{
		name: "fan-in 500 to 5, QoS 1", args: "pair -c 500 --subs 5 --window 20 -q 1 --warm 500ms --for 2s", short: "pair -c 6 --subs 2 -q 1 --warm 20ms --for 100ms",
		others: []string{nats}, beside: []string{mosquitto, mochi}, shown: pairFigures,
		goals: []goal{atMost(messageCPU, 0.25, nats)},
	},
	{
		name: "fan-out 1 to 1,000", args: "fan -c 1000 --rounds 200", short: "fan -c 30 --rounds 5",
		others: []string{mosquitto}, beside: []string{ourGoroutines, mochi, nats, floorGoroutines, floorEpoll}, shown: []figure{fanComplete, fanCPU, lostOnes},
		goals: []goal{atMost(fanCPU, 1, mosquitto)},
	},
	{
		name: "fan-out 1 to 10,000", args: "fan -c 10000 --rounds 20", short: "fan -c 60 --rounds 5",
		others: []string{nats}, beside: []string{mosquitto, mochi, floorGoroutines}, shown: []figure{fanComplete, fanCPU, lostOnes},
		goals: []goal{atMost(fanCPU, 0.8, nats)},
	},
	{
		name: "round trip, 100 pairs", args: "rtt -c 100 --warm 500ms --for 2s", short: "rtt -c 5 --warm 20ms --for 100ms",
		others: []string{mosquitto}, beside: []string{ourGoroutines, mochi, nats, floorGoroutines, floorEpoll},
		shown: []figure{tripRate, tripP50, tripP99, messageCPU}, goals: []goal{atMost(tripP50, 1, mosquitto)},
	},
	{
		name: "round trip, 1 pair", args: "rtt -c 1 --warm 500ms --for 2s", short: "rtt -c 1 --warm 20ms --for 100ms",
		others: []string{mosquitto}, beside: []string{ourGoroutines, mochi, nats, floorGoroutines, floorEpoll}, runs: 5,
		shown: []figure{tripRate, tripP50, tripP99, messageCPU}, goals: []goal{atMost(tripP50, 1.1, mosquitto)},
	},
	{
		name: "20,000 messages a second", args: "pair -c 50 -q 0 --mode rate --rate 20000 --warm 500ms --for 2s", short: "pair -c 5 -q 0 --mode rate --rate 2000 --warm 20ms --for 100ms",
		others: []string{mosquitto, mochi, nats}, beside: []string{ourGoroutines, floorGoroutines, floorEpoll}, runs: 5,
		shown: []figure{messageCPU, latencyP50, latencyP99, lostOnes}, goals: []goal{atMost(latencyP99, 1.5, bestOther)},
	},
	{
		name: "10,000 connections", args: "conn -c 10000 -t dev/%i -q 0 --settle 5s --hold 100ms", short: "conn -c 50 -t dev/%i --settle 50ms --hold 10ms",
		others: []string{mosquitto}, beside: []string{ourGoroutines, mochi, nats}, shown: []figure{connectRate, connectCPU, idleMemory},
		goals: []goal{atLeast(connectRate, 0.8, mosquitto), atMost(idleMemory, 2.5, "")},
	},
	{
		name: "1 M subscriptions", args: "routes --steps 10000,1000000 --for 2s --settle 5s", short: "routes -c 5 --steps 100,1000 --for 100ms --settle 50ms",
		beside: []string{mosquitto, mochi, nats}, shown: []figure{routeMemory, routeCPU, routeGrowth},
		goals: []goal{atMost(routeMemory, 200, ""), atMost(routeGrowth, 1.2, "")},
	},
	{
		name: "100,000 retained", args: "retained -c 3 --messages 100000 --settle 0s", short: "retained -c 1 --messages 200 --settle 0s",
		settings: memoryClass, others: []string{mosquitto}, beside: []string{mochi, nats}, shown: []figure{storeRate, replayRate, replayLost},
		goals: []goal{atLeast(storeRate, 3, mosquitto), atLeast(replayRate, 1, mosquitto)},
	},
	{
		name: "100,000 for absent sessions", args: "offline -c 10 --messages 100000 --settle 0s", short: "offline -c 3 --messages 300 --settle 0s",
		settings: memoryClass, others: []string{mosquitto}, beside: []string{mochi, nats}, shown: []figure{queueRate, drainRate, lostOnes},
		goals: []goal{atLeast(queueRate, 4, mosquitto), atLeast(drainRate, 6, mosquitto)},
	},
	{
		name: "flood QoS 0", args: "pair -c 50 -q 0 --mode flood --warm 500ms --for 2s", short: "pair -c 3 -q 0 --mode flood --warm 20ms --for 100ms --drain 500ms",
		others: []string{nats}, beside: []string{mosquitto, mochi}, shown: pairFigures,
		goals: []goal{atLeast(messageRate, 1, nats)},
	},
	{
		name: "WebSocket pairs QoS 0", args: "pair --ws -c 50 -q 0 --warm 500ms --for 2s", short: "pair --ws -c 3 -q 0 --warm 20ms --for 100ms",
		others: []string{nats}, beside: []string{mochi}, shown: pairFigures,
		goals: []goal{atMost(messageCPU, 1, nats)},
	},
}
