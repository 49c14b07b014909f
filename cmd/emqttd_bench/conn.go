package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

const connText = `Opens -c connections, --conc at a time, or one each -i milliseconds (or --rate a
second), then subscribes each to the topic -t, if there is one, and holds them.
The latency is from connect to CONNACK; at a rate, from when the connect was due.
With --pid, memory is read --settle after each step: the broker's RSS, without
the kernel's socket buffers.`

// connRun is the scenario that opens connections.
type connRun struct {
	*bench
	topic  string
	qos    uint8
	rate   float64
	hold   time.Duration
	settle time.Duration
}

func connCommand() *cobra.Command {
	r := &connRun{}
	return scenario("conn", "Open many connections and hold them", connText, 1000, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.StringVarP(&r.topic, "topic", "t", "", "filter that each client subscribes to, such as dev/%i; none if empty")
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of the subscriptions")
		f.Float64Var(&r.rate, "rate", 0, "connects a second, instead of -i")
		f.DurationVar(&r.hold, "hold", time.Second, "hold the connections for this long; 0: until Ctrl-C")
		f.DurationVar(&r.settle, "settle", 2*time.Second, "with --pid: wait before memory is read")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

func (r *connRun) measure() error {
	if r.qos > 2 {
		return fmt.Errorf("-q %d: 0, 1 or 2", r.qos)
	}
	if r.rate > 0 {
		r.interval = 1000 / r.rate
	}
	before := r.used()
	f, err := r.join(r.count, func(int) client { return client{name: "conn", events: watcher{b: r.bench}} })
	if err != nil {
		return err
	}
	up := r.used().Since(before)
	r.add("clients", "clients", r.count, "")
	r.add("connected", "connected", f.joined, "")
	r.add("seconds", "time", figure(f.took.Seconds()), "s")
	r.add("connects_per_s", "connects", perSecond(int64(f.joined), f.took), "/s")
	r.usage(up, int64(f.joined), "connect")
	r.histogram("connect_us", "connect to CONNACK", &f.latency)
	r.memory("rss_per_connection", "RSS per connection", before, f.joined)
	if r.topic != "" {
		r.subscribe(f)
		r.memory("rss_per_subscribed", "with subscription", before, f.joined)
	}
	r.keep()
	return nil
}

// memory reports what one connection takes, after a rest.
func (r *connRun) memory(key, label string, before measure.Usage, n int) {
	if !before.Known || n == 0 {
		return
	}
	r.status = func() string { return "waiting for the broker to settle" }
	r.rest(r.settle)
	r.add(key, label, figure(r.used().Since(before).RSS)/1024/figure(n), "KB")
}

// subscriber counts SUBACKs.
type subscriber struct {
	watcher
	acked *int64
}

func (s subscriber) Subscribed(_ *swarm.Conn, ack *mqtt.Suback) {
	for _, code := range ack.Codes {
		if code >= 0x80 {
			s.b.fail(fmt.Sprintf("SUBACK: %v", code))
		}
	}
	*s.acked += int64(len(ack.Codes))
}

func (r *connRun) subscribe(f *fleet) {
	var acked, asked int64
	began := r.Clock()
	for i, c := range f.conns {
		if c == nil || !c.Live() {
			continue
		}
		c.Events = subscriber{watcher{b: r.bench}, &acked}
		c.Subscribe(protocol.QoS(r.qos), r.fill(r.topic, r.clientID("conn", r.first+i), r.first+i))
		asked++
	}
	r.status = func() string { return fmt.Sprintf("%d of %d subscribed", acked, asked) }
	if !r.wait(r.timeout, func() bool { return acked >= asked }) {
		r.fault("%d of %d subscriptions had no answer", asked-acked, asked)
	}
	r.add("subscribes_per_s", "subscribes", perSecond(acked, time.Duration(r.Now()-began)), "/s")
}

func (r *connRun) keep() {
	r.status = func() string { return fmt.Sprintf("holding %d connections", r.Open()) }
	before := r.used()
	if r.hold > 0 {
		r.rest(r.hold)
	} else {
		for r.ctx.Err() == nil && r.Open() > 0 {
			r.rest(time.Minute)
		}
	}
	if held := r.used().Since(before); held.Known {
		r.add("idle_cores", "broker CPU while idle", figure(held.Cores(held.CPU)), "cores")
	}
	r.add("held", "still connected", r.Open(), "")
}
