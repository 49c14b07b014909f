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

const offlineText = `Makes -c persistent sessions with a subscription each, lets their clients go,
queues --messages messages for them in turn, and lets the clients come back. In
the end it removes the sessions. The broker must be set to queue as many messages
for a session as come to it.`

// offlineRun is the scenario of queues of absent clients.
type offlineRun struct {
	*bench
	messages, size, inflight int
	qos                      uint8
	settle                   time.Duration
	subs                     []*offlineSub
	got, at                  int64
}

// offlineSub is one session.
type offlineSub struct {
	watcher
	r    *offlineRun
	seen measure.Account
}

// offlinePub fills the queues, --inflight messages at a time.
type offlinePub struct {
	watcher
	r           *offlineRun
	body        []byte
	sent, acked int
}

func offlineCommand() *cobra.Command {
	r := &offlineRun{}
	return scenario("offline", "Queue messages for absent clients and drain them", offlineText, 100, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.IntVar(&r.messages, "messages", 100_000, "messages to queue, for all sessions together")
		f.Uint8VarP(&r.qos, "qos", "q", 1, "QoS of messages and subscriptions: 1 or 2")
		f.IntVarP(&r.size, "size", "s", 64, fmt.Sprintf("payload bytes, %d at least", stampSize))
		f.IntVar(&r.inflight, "inflight", 100, "unacknowledged messages")
		f.DurationVar(&r.settle, "settle", 3*time.Second, "with --pid: wait before memory is read")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Message takes a delivery down.
func (s *offlineSub) Message(_ *swarm.Conn, m *mqtt.Publish) {
	if st, ok := readStamp(m.Payload); ok && st.run == s.r.run && s.seen.Arrived(st.number) {
		s.r.got++
		s.r.at = s.r.Now()
	}
}

// Acked lets the next message go.
func (p *offlinePub) Acked(c *swarm.Conn, _ protocol.PacketID, code protocol.ReasonCode) {
	if code >= 0x80 {
		p.b.fail(fmt.Sprintf("PUBACK or PUBREC: %v", code))
	}
	p.acked++
	p.next(c)
}

func (p *offlinePub) next(c *swarm.Conn) {
	if p.sent == p.r.messages {
		return
	}
	session, number := p.sent%p.r.count, p.sent/p.r.count
	stamp{p.r.run, uint32(session), uint32(number), p.r.Now()}.put(p.body)
	c.Publish(&mqtt.Publish{Topic: topic.Name(p.r.name(session)), Payload: p.body, QoS: protocol.QoS(p.r.qos)})
	p.sent++
}

func (r *offlineRun) name(i int) string { return fmt.Sprintf("%s/offline/%d", r.prefix, i) }

func (r *offlineRun) measure() error {
	if r.qos < 1 || r.qos > 2 || r.messages < 1 || r.inflight < 1 || r.size < stampSize {
		return fmt.Errorf("-q 1 or 2, --messages and --inflight at least 1, -s at least %d", stampSize)
	}
	for range r.count {
		r.subs = append(r.subs, &offlineSub{watcher: watcher{b: r.bench}, r: r})
	}
	if err := r.visit(client{fresh: true}); err != nil { // what an earlier run may have left
		return err
	}
	err := r.visit(client{keep: true, filters: []string{""}})
	if err != nil {
		return err
	}
	if err := r.fill(); err != nil {
		return err
	}
	if err := r.drain(); err != nil {
		return err
	}
	return r.visit(client{fresh: true})
}

// sessions connects all clients; a filter is replaced by the client's own.
func (r *offlineRun) sessions(p client) (*fleet, error) {
	return r.complete(r.count, func(i int) client {
		p := p
		p.name, p.events, p.qos = "offline", r.subs[i], protocol.QoS(r.qos)
		if len(p.filters) > 0 {
			p.filters = []string{r.name(i)}
		}
		return p
	})
}

// visit connects all clients and lets them go.
func (r *offlineRun) visit(p client) error {
	f, err := r.sessions(p)
	if err != nil {
		return err
	}
	r.part(f)
	return nil
}

func (r *offlineRun) part(f *fleet) {
	for _, c := range f.conns {
		c.Bye()
	}
	r.wait(r.timeout, func() bool { return r.Open() == 0 })
	r.dialed = 0
}

func (r *offlineRun) fill() error {
	p := &offlinePub{watcher: watcher{b: r.bench}, r: r, body: payload(r.size)}
	f, err := r.complete(1, func(int) client { return client{name: "pub", events: p} })
	if err != nil {
		return err
	}
	r.status = func() string { return fmt.Sprintf("%d of %d queued", p.acked, r.messages) }
	before := r.used()
	for range min(r.inflight, f.conns[0].Window) {
		p.next(f.conns[0])
	}
	if !r.settled(10*time.Second, func() int64 { return int64(p.acked) }, func() bool { return p.acked == r.messages }) {
		r.fault("%d messages were not acknowledged", r.messages-p.acked)
	}
	spent := r.used().Since(before)
	r.add("sessions", "sessions", r.count, "")
	r.add("messages", "messages", r.messages, "")
	r.add("qos", "QoS", r.qos, "")
	r.add("queued_per_s", "queued", perSecond(int64(p.acked), spent.Length), "/s")
	r.usage(spent, int64(p.acked), "queued")
	if before.Known {
		r.rest(r.settle)
		r.add("rss_per_queued", "RSS per message", figure(r.used().Since(before).RSS)/figure(r.messages), "bytes")
	}
	r.part(f)
	return nil
}

func (r *offlineRun) drain() error {
	r.status = func() string { return fmt.Sprintf("%d of %d drained", r.got, r.messages) }
	before := r.used()
	f, err := r.sessions(client{keep: true})
	if err != nil {
		return err
	}
	r.settled(4*time.Second, func() int64 { return r.got }, func() bool { return r.got == int64(r.messages) })
	spent := r.used().Since(before)
	r.rest(20 * time.Millisecond) // a duplicate would come now
	var lost, twice int64
	for i, s := range r.subs {
		lost += s.seen.Missing(uint32((r.messages - i + r.count - 1) / r.count))
		twice += s.seen.Twice
	}
	r.add("sessions_present", "sessions present", f.present, "")
	r.add("drained", "drained", r.got, "")
	if r.got > 0 {
		r.add("drained_per_s", "drained", perSecond(r.got, time.Duration(r.at-before.At.UnixNano())), "/s")
		r.add("drain_cpu_us", "broker CPU per drained", micros(spent.CPU)/figure(r.got), "µs")
	}
	r.add("lost", "lost", lost, "")
	r.add("duplicates", "arrived twice", twice, "")
	if lost > 0 {
		r.fault("%d messages of QoS %d were lost", lost, r.qos)
	}
	if twice > 0 && r.qos == 2 {
		r.fault("%d messages of QoS 2 arrived twice", twice)
	}
	r.part(f)
	return nil
}
