package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

const subText = `Connects -c clients, subscribes each to the topic -t, and counts what comes.
Latency is that of messages which emqttd_bench pub sends from this machine.`

// subRun is the scenario that only receives.
type subRun struct {
	*bench
	topic   string
	qos     uint8
	length  time.Duration
	limit   int64
	got     int64
	latency measure.Histogram
}

// subClient is one of its clients.
type subClient struct {
	watcher
	r *subRun
}

func subCommand() *cobra.Command {
	r := &subRun{}
	return scenario("sub", "Subscribe and count what comes", subText, 200, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.StringVarP(&r.topic, "topic", "t", "", "filter, such as bench/%i")
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of the subscriptions")
		f.DurationVar(&r.length, "for", 0, "end after this long; 0: at Ctrl-C")
		f.Int64Var(&r.limit, "limit", 0, "end after so many messages; 0: no limit")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Message counts.
func (s *subClient) Message(_ *swarm.Conn, m *mqtt.Publish) {
	s.r.got++
	if st, ok := readStamp(m.Payload); ok {
		// Others' payloads are no stamps: a time that cannot be is none. Ours is when
		// the turn began; a message sent since is as good as on time.
		if d := time.Duration(s.r.Now() - st.at); d > -time.Second && d < time.Hour {
			s.r.latency.Add(max(d, 0))
		}
	}
}

func (r *subRun) measure() error {
	if r.topic == "" || r.qos > 2 {
		return errors.New("-t is needed, and -q is 0, 1 or 2")
	}
	f, err := r.join(r.count, func(i int) client {
		return client{
			name: "sub", events: &subClient{watcher{b: r.bench}, r}, qos: protocol.QoS(r.qos),
			filters: []string{r.options.fill(r.topic, r.clientID("sub", r.first+i), r.first+i)},
		}
	})
	if err != nil {
		return err
	}
	r.status = rate(r.bench, "received", &r.got)
	before := r.used()
	hold(r.bench, r.length, func() bool { return r.limit > 0 && r.got >= r.limit })
	spent := r.used().Since(before)
	r.add("connected", "connected", f.joined, "")
	r.add("received", "received", r.got, "")
	r.add("received_per_s", "received", perSecond(r.got, spent.Length), "/s")
	r.usage(spent, r.got, "message")
	r.histogram("latency_us", "latency", &r.latency)
	return nil
}

// rate is a progress line that says how fast a count grows.
func rate(b *bench, what string, count *int64) func() string {
	last, at := *count, b.Clock()
	return func() string {
		s := fmt.Sprintf("%s %d, %v/s", what, *count, perSecond(*count-last, time.Duration(b.Now()-at)))
		last, at = *count, b.Now()
		return s
	}
}

// hold runs until done, for a time, or with none until interrupted or left by all.
func hold(b *bench, length time.Duration, done func() bool) {
	if length == 0 {
		length = 1 << 62
	}
	b.wait(length, func() bool { return done() || b.Open() == 0 })
}

const pubText = `Connects -c clients, each of which publishes to the topic -t every -I milliseconds,
spread evenly. A message of QoS 1 or 2 that waits for too many acknowledgements
is sent late, not left out.`

// pubRun is the scenario that only sends.
type pubRun struct {
	*bench
	topic    string
	qos      uint8
	size     int
	every    float64
	retain   bool
	length   time.Duration
	limit    int64
	inflight int

	pubs       []*pubClient
	began      int64
	sent, acks int64
	latency    measure.Histogram
}

// pubClient is one of its clients.
type pubClient struct {
	watcher
	r       *pubRun
	conn    *swarm.Conn
	message mqtt.Publish
	sent    uint32
	unacked map[protocol.PacketID]int64 // when it was sent
}

func pubCommand() *cobra.Command {
	r := &pubRun{}
	return scenario("pub", "Publish at a rate", pubText, 200, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.StringVarP(&r.topic, "topic", "t", "", "topic, such as bench/%i")
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of the messages")
		f.IntVarP(&r.size, "size", "s", 256, "payload bytes")
		f.Float64VarP(&r.every, "interval_of_msg", "I", 1000, "milliseconds between messages of a client")
		f.BoolVarP(&r.retain, "retain", "r", false, "set the RETAIN flag")
		f.DurationVar(&r.length, "for", 0, "end after this long; 0: at Ctrl-C")
		f.Int64Var(&r.limit, "limit", 0, "end after so many messages; 0: no limit")
		f.IntVar(&r.inflight, "inflight", 1000, "unacknowledged messages, per client")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Acked measures how long the broker took.
func (p *pubClient) Acked(_ *swarm.Conn, id protocol.PacketID, code protocol.ReasonCode) {
	if code >= 0x80 {
		p.b.fail(fmt.Sprintf("PUBACK or PUBREC: %v", code))
	}
	if at, ok := p.unacked[id]; ok {
		delete(p.unacked, id)
		p.r.acks++
		p.r.latency.Add(time.Duration(p.r.Now() - at))
	}
}

func (r *pubRun) measure() error {
	if r.topic == "" || r.qos > 2 || r.every <= 0 || r.inflight < 1 || r.inflight > 60000 {
		return errors.New("-t is needed, -q is 0, 1 or 2, -I above 0 and --inflight 1 to 60000")
	}
	body := payload(r.size)[:r.size]
	f, err := r.join(r.count, func(i int) client {
		name := r.fill(r.topic, r.clientID("pub", r.first+i), r.first+i)
		p := &pubClient{watcher: watcher{b: r.bench}, r: r, unacked: map[protocol.PacketID]int64{}}
		p.message = mqtt.Publish{Topic: topic.Name(name), Payload: body, QoS: protocol.QoS(r.qos), Retain: r.retain}
		r.pubs = append(r.pubs, p)
		return client{name: "pub", events: p}
	})
	if err != nil {
		return err
	}
	for i, p := range r.pubs {
		p.conn = f.conns[i]
	}
	r.status = rate(r.bench, "sent", &r.sent)
	before := r.used()
	r.began = r.Clock()
	turns := int64(0)
	r.Turn = func(now int64) int64 { return r.pace(&turns, now) }
	r.Wake()
	hold(r.bench, r.length, func() bool { return r.limit > 0 && r.sent >= r.limit })
	r.Turn = nil
	if r.qos > 0 {
		r.settled(3*time.Second, func() int64 { return r.acks }, func() bool { return r.acks >= r.sent })
	} else {
		r.settled(3*time.Second, func() int64 { return 0 }, r.flushed)
	}
	r.conclude(f, r.used().Since(before))
	return nil
}

// flushed tells whether the sockets have taken everything.
func (r *pubRun) flushed() bool {
	for _, p := range r.pubs {
		if p.conn != nil && p.conn.Live() && p.conn.Blocked() {
			return false
		}
	}
	return true
}

// pace sends what is due; the clients take turns.
func (r *pubRun) pace(turns *int64, now int64) int64 {
	gap := r.every * 1e6 / float64(len(r.pubs))
	for r.limit == 0 || r.sent < r.limit {
		due := r.began + int64(float64(*turns)*gap)
		if due > now {
			return due
		}
		p := r.pubs[*turns%int64(len(r.pubs))]
		if p.conn != nil && p.conn.Live() {
			if len(p.unacked) >= min(r.inflight, p.conn.Window) || p.conn.Blocked() {
				return now + int64(time.Millisecond)
			}
			p.send(due)
		}
		*turns++
	}
	return swarm.Never
}

func (p *pubClient) send(due int64) {
	if len(p.message.Payload) >= stampSize {
		stamp{p.r.run, 0, p.sent, due}.put(p.message.Payload)
	}
	if id := p.conn.Publish(&p.message); id != 0 {
		p.unacked[id] = due
	}
	p.sent++
	p.r.sent++
}

func (r *pubRun) conclude(f *fleet, spent measure.Between) {
	r.add("connected", "connected", f.joined, "")
	r.add("sent", "sent", r.sent, "")
	r.add("sent_per_s", "sent", perSecond(r.sent, spent.Length), "/s")
	r.usage(spent, r.sent, "message")
	if r.qos == 0 {
		return
	}
	r.histogram("ack_us", "send to acknowledgement", &r.latency)
	if unacked := r.sent - r.acks; unacked > 0 {
		r.fault("%d messages were never acknowledged", unacked)
	}
}
