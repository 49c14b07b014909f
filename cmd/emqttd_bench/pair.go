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

const pairText = `Connects -c publishers and as many subscribers, each pair with a topic of its own,
or fewer subscribers (--subs), each with a wildcard for the topics of its share of
the publishers, and pushes messages in one of three ways:

  --mode window  a publisher has at most --window messages on their way, end to
                 end; the next goes when the subscriber has got one (default)
  --mode flood   as fast as the socket takes them at QoS 0, and as --inflight
                 unacknowledged messages allow at QoS 1 and 2
  --mode rate    --rate messages a second in all; latency counts from when a
                 message was due, so that a stall counts in full

Every message is accounted for, from the first one to --drain of silence behind
the last: lost, arrived twice, arrived out of order. Rates, latency and CPU are
those of --for, after --warm. CPU is divided by delivered messages.`

// pairRun is the scenario of publishers that have one subscriber each, or share some.
type pairRun struct {
	*bench
	mode             string
	subs             int
	qos              uint8
	size             int
	window, inflight int
	rate             float64
	warm, length     time.Duration
	drain            time.Duration

	pubs            []*pairPub
	ready, spare    []*pairPub // who may send; memory for the next turn
	on              bool
	began           int64
	paced           int64
	sent, got, acks int64
	foreign, stalls int64
	latency         measure.Histogram
}

// pairPub is a publisher, and what has become of its messages.
type pairPub struct {
	watcher
	r         *pairRun
	conn      *swarm.Conn
	message   mqtt.Publish
	sender    uint32
	sent      uint32
	unacked   int
	forgiven  int64 // messages of which nothing was heard for long
	lastGot   int64
	queued    bool
	delivered measure.Account
}

// pairSub is the other end of the publishers whose number has this remainder.
type pairSub struct {
	watcher
	r      *pairRun
	number uint32
}

func pairCommand() *cobra.Command {
	r := &pairRun{}
	return scenario("pair", "Send messages between pairs of clients", pairText, 50, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.IntVar(&r.subs, "subs", 0, "subscribers; 0: as many as publishers")
		f.StringVar(&r.mode, "mode", "window", "window, flood or rate")
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of messages and subscriptions")
		f.IntVarP(&r.size, "size", "s", 64, fmt.Sprintf("payload bytes, %d at least", stampSize))
		f.IntVar(&r.window, "window", 100, "messages on their way, per publisher")
		f.IntVar(&r.inflight, "inflight", 100, "unacknowledged messages, per publisher")
		f.Float64Var(&r.rate, "rate", 10000, "messages a second of all publishers")
		f.DurationVar(&r.warm, "warm", time.Second, "time before measuring")
		f.DurationVar(&r.length, "for", 5*time.Second, "time of measuring")
		f.DurationVar(&r.drain, "drain", 3*time.Second, "silence after which a message counts as lost")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

func (r *pairRun) check() error {
	switch {
	case r.qos > 2:
		return fmt.Errorf("-q %d: 0, 1 or 2", r.qos)
	case r.size < stampSize:
		return fmt.Errorf("-s %d: at least %d", r.size, stampSize)
	case r.window < 1 || r.inflight < 1 || r.inflight > 60000:
		return fmt.Errorf("--window at least 1, --inflight 1 to 60000")
	case r.mode != "window" && r.mode != "flood" && r.mode != "rate":
		return fmt.Errorf("--mode %s: window, flood or rate", r.mode)
	case r.mode == "rate" && r.rate <= 0:
		return fmt.Errorf("--rate %v: above 0", r.rate)
	case r.subs < 0 || r.subs > r.count:
		return fmt.Errorf("--subs %d: 0 to -c, which is %d", r.subs, r.count)
	}
	return nil
}

func (r *pairRun) measure() error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.connect(); err != nil {
		return err
	}
	r.status = r.statusLine()
	r.on, r.began = true, r.Clock()
	r.Turn = r.pump
	if r.mode == "window" {
		r.everySecond = r.forgive
	}
	for _, p := range r.pubs {
		p.wake()
	}
	r.Wake()
	r.rest(r.warm)
	r.latency.Reset()
	before, sent, got := r.used(), r.sent, r.got
	r.rest(r.length)
	spent := r.used().Since(before)
	sent, got = r.sent-sent, r.got-got
	latency := r.latency
	r.on = false
	r.settled(r.drain, func() int64 { return r.got + r.acks }, func() bool {
		return r.got >= r.sent && (r.qos == 0 || r.acks >= r.sent)
	})
	r.rest(20 * time.Millisecond) // a duplicate would come now
	r.conclude(spent, sent, got, &latency)
	return nil
}

func (r *pairRun) connect() error {
	body := payload(r.size)
	name := func(i int) string { return fmt.Sprintf("%s/pair/%d", r.prefix, i) }
	filter, subs := name, r.count
	if r.subs > 0 {
		subs = r.subs
		name = func(i int) string { return fmt.Sprintf("%s/share/%d/%d", r.prefix, i%subs, i) }
		filter = func(i int) string { return fmt.Sprintf("%s/share/%d/+", r.prefix, i) }
	}
	r.subs = subs
	for i := range r.count {
		r.pubs = append(r.pubs, &pairPub{
			watcher: watcher{b: r.bench}, r: r, sender: uint32(i),
			message: mqtt.Publish{Topic: topic.Name(name(i)), Payload: body, QoS: protocol.QoS(r.qos)},
		})
	}
	_, err := r.complete(subs, func(i int) client {
		return client{name: "sub", events: &pairSub{watcher{b: r.bench}, r, uint32(i)}, filters: []string{filter(i)}, qos: protocol.QoS(r.qos)}
	})
	if err != nil {
		return err
	}
	f, err := r.complete(r.count, func(i int) client { return client{name: "pub", events: r.pubs[i]} })
	if err != nil {
		return err
	}
	for i, p := range r.pubs {
		p.conn = f.conns[i]
	}
	return nil
}

func (r *pairRun) statusLine() func() string {
	var sent, got int64
	at := r.Now()
	return func() string {
		d := time.Duration(r.Now() - at)
		s := fmt.Sprintf("sent %v/s, received %v/s", perSecond(r.sent-sent, d), perSecond(r.got-got, d))
		sent, got, at = r.sent, r.got, r.Now()
		return s
	}
}

// Message takes a delivery down.
func (s *pairSub) Message(_ *swarm.Conn, m *mqtt.Publish) {
	r := s.r
	st, ok := readStamp(m.Payload)
	if !ok || st.run != r.run || st.sender >= uint32(len(r.pubs)) || st.sender%uint32(r.subs) != s.number {
		r.foreign++
		return
	}
	p := r.pubs[st.sender]
	if !p.delivered.Arrived(st.number) {
		return
	}
	r.got++
	r.latency.Add(time.Duration(r.Now() - st.at))
	p.wake()
}

// Acked counts a message that the broker has taken over.
func (p *pairPub) Acked(_ *swarm.Conn, _ protocol.PacketID, code protocol.ReasonCode) {
	if code >= 0x80 {
		p.b.fail(fmt.Sprintf("PUBACK or PUBREC: %v", code))
	}
	p.unacked--
	p.r.acks++
	p.wake()
}

// Room lets a publisher go on whose socket was full.
func (p *pairPub) Room(*swarm.Conn) { p.wake() }

func (p *pairPub) wake() {
	if !p.queued && p.r.mode != "rate" {
		p.queued = true
		p.r.ready = append(p.r.ready, p)
	}
}

// pump lets all publishers send which may.
func (r *pairRun) pump(now int64) int64 {
	if !r.on {
		r.ready = r.ready[:0]
		return swarm.Never
	}
	if r.mode == "rate" {
		return r.pace(now)
	}
	again := swarm.Never
	turn := r.ready
	r.ready = r.spare[:0]
	for _, p := range turn {
		p.queued = false
		if !p.conn.Live() || p.conn.Blocked() {
			continue
		}
		n := p.allowed()
		for range n {
			p.send(now)
		}
		if r.mode == "flood" && n > 0 {
			p.wake()
			again = now
		}
	}
	r.spare = turn
	return again
}

// allowed is how many messages a publisher may send now. A flood goes in small
// portions, so that all have their turn.
func (p *pairPub) allowed() int {
	n := 32
	if p.r.mode == "window" {
		n = p.r.window - int(int64(p.sent)-p.delivered.Received-p.forgiven)
	}
	if p.r.qos > 0 {
		n = min(n, min(p.r.inflight, p.conn.Window)-p.unacked)
	}
	return n
}

func (p *pairPub) send(at int64) {
	stamp{p.r.run, p.sender, p.sent, at}.put(p.message.Payload)
	p.conn.Publish(&p.message)
	p.sent++
	p.r.sent++
	if p.r.qos > 0 {
		p.unacked++
	}
}

// pace sends what is due. A publisher that may not send keeps the others
// waiting, which shows as latency of all.
func (r *pairRun) pace(now int64) int64 {
	gap := 1e9 / r.rate
	for {
		due := r.began + int64(float64(r.paced)*gap)
		if due > now {
			return due
		}
		p := r.pubs[r.paced%int64(len(r.pubs))]
		if p.conn.Live() {
			if r.qos > 0 && p.unacked >= min(60000, p.conn.Window) {
				return swarm.Never // an acknowledgement comes first
			}
			p.send(due)
		}
		r.paced++
	}
}

// forgive lets publishers go on when nothing has come for a second: the broker
// has dropped messages. The loss is counted by their numbers.
func (r *pairRun) forgive() {
	for _, p := range r.pubs {
		if missing := int64(p.sent) - p.delivered.Received; missing > p.forgiven && p.lastGot == p.delivered.Received {
			p.forgiven = missing
			r.stalls++
			p.wake()
		}
		p.lastGot = p.delivered.Received
	}
	r.Wake()
}

func (r *pairRun) conclude(spent measure.Between, sent, got int64, latency *measure.Histogram) {
	var lost, twice, reordered int64
	for _, p := range r.pubs {
		lost += p.delivered.Missing(p.sent)
		twice += p.delivered.Twice
		reordered += p.delivered.Reordered
	}
	r.add("pairs", "publishers", r.count, "")
	r.add("subscribers", "subscribers", r.subs, "")
	r.add("qos", "QoS", r.qos, "")
	r.add("size", "payload", r.size, "bytes")
	r.add("mode", "mode", r.mode, "")
	r.add("sent_per_s", "sent", perSecond(sent, spent.Length), "/s")
	r.add("received_per_s", "received", perSecond(got, spent.Length), "/s")
	r.add("sent", "sent in all", r.sent, "")
	r.add("received", "received in all", r.got, "")
	r.add("lost", "lost", lost, "")
	r.add("duplicates", "arrived twice", twice, "")
	r.add("reordered", "out of order", reordered, "")
	if r.stalls > 0 {
		r.add("stalls", "publishers that stalled", r.stalls, "")
	}
	if r.foreign > 0 {
		r.add("foreign", "messages of others", r.foreign, "")
	}
	r.usage(spent, got, "message")
	r.histogram("latency_us", "latency", latency)
	if r.qos == 0 {
		return
	}
	if unacked := r.sent - r.acks; unacked > 0 {
		r.fault("%d messages were never acknowledged", unacked)
	}
	if lost > 0 {
		r.fault("%d messages of QoS %d were lost", lost, r.qos)
	}
	if twice > 0 && r.qos == 2 {
		r.fault("%d messages of QoS 2 arrived twice", twice)
	}
}
