package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

const rttText = `Connects -c pairs: one side asks, the other answers, and the first asks again when
it has the answer. CPU is divided by messages, of which a round trip has two.`

// rttRun is the scenario of requests and responses.
type rttRun struct {
	*bench
	qos          uint8
	size         int
	warm, length time.Duration

	stop    bool
	trips   int64
	latency measure.Histogram
}

// rttPeer is either side of a pair.
type rttPeer struct {
	watcher
	r       *rttRun
	asks    bool
	number  uint32 // of the request under way
	conn    *swarm.Conn
	message mqtt.Publish
}

func rttCommand() *cobra.Command {
	r := &rttRun{}
	return scenario("rtt", "Exchange requests and responses", rttText, 1, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of messages and subscriptions")
		f.IntVarP(&r.size, "size", "s", 64, fmt.Sprintf("payload bytes, %d at least", stampSize))
		f.DurationVar(&r.warm, "warm", time.Second, "time before measuring")
		f.DurationVar(&r.length, "for", 5*time.Second, "time of measuring")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Message answers a request, or takes an answer down and asks again.
func (p *rttPeer) Message(c *swarm.Conn, m *mqtt.Publish) {
	st, ok := readStamp(m.Payload)
	if !ok || st.run != p.r.run || p.asks && st.number != p.number {
		return
	}
	if p.asks {
		p.r.trips++
		p.r.latency.Add(time.Duration(p.r.Now() - st.at))
		if p.r.stop {
			return
		}
		p.number++
		st.number, st.at = p.number, p.r.Clock()
	}
	st.put(p.message.Payload)
	c.Publish(&p.message)
}

func (r *rttRun) measure() error {
	switch {
	case r.qos > 2:
		return fmt.Errorf("-q %d: 0, 1 or 2", r.qos)
	case r.size < stampSize:
		return fmt.Errorf("-s %d: at least %d", r.size, stampSize)
	}
	ask := func(i int) string { return fmt.Sprintf("%s/rtt/%d/ask", r.prefix, i) }
	answer := func(i int) string { return fmt.Sprintf("%s/rtt/%d/answer", r.prefix, i) }
	side := func(name string, asks bool, from, to func(int) string) ([]*rttPeer, error) {
		peers := make([]*rttPeer, r.count)
		f, err := r.complete(r.count, func(i int) client {
			peers[i] = &rttPeer{watcher: watcher{b: r.bench}, r: r, asks: asks}
			peers[i].message = mqtt.Publish{Topic: topic.Name(to(i)), Payload: payload(r.size), QoS: protocol.QoS(r.qos)}
			return client{name: name, events: peers[i], filters: []string{from(i)}, qos: protocol.QoS(r.qos)}
		})
		if err != nil {
			return nil, err
		}
		for i, p := range peers {
			p.conn = f.conns[i]
		}
		return peers, nil
	}
	if _, err := side("answer", false, ask, answer); err != nil {
		return err
	}
	asking, err := side("ask", true, answer, ask)
	if err != nil {
		return err
	}
	r.status = func() string { return fmt.Sprintf("%d round trips", r.trips) }
	for i, p := range asking {
		stamp{r.run, uint32(i), 0, r.Clock()}.put(p.message.Payload)
		p.conn.Publish(&p.message)
	}
	r.rest(r.warm)
	r.latency.Reset()
	before, trips := r.used(), r.trips
	r.rest(r.length)
	spent := r.used().Since(before)
	trips = r.trips - trips
	latency := r.latency
	r.stop = true
	answered := func() bool { return r.finished(asking) }
	r.settled(3*time.Second, func() int64 { return r.trips }, answered)
	r.add("pairs", "pairs", r.count, "")
	r.add("qos", "QoS", r.qos, "")
	r.add("size", "payload", r.size, "bytes")
	r.add("round_trips_per_s", "round trips", perSecond(trips, spent.Length), "/s")
	r.usage(spent, 2*trips, "message")
	r.histogram("rtt_us", "round trip", &latency)
	if !answered() {
		r.fault("requests remained without an answer")
	}
	return nil
}

// finished tells whether every request has its answer.
func (r *rttRun) finished(asking []*rttPeer) bool {
	asked := int64(0)
	for _, p := range asking {
		asked += int64(p.number) + 1
	}
	return r.trips >= asked
}
