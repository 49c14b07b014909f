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

const retainedText = `Stores --messages retained messages at QoS 1, each under a topic of its own, then
lets -c new clients, one after the other, subscribe to all of them by a wildcard.
In the end it removes them, but with --keep.`

// retainedRun is the scenario of the retained store.
type retainedRun struct {
	*bench
	messages, size, inflight int
	keep                     bool
	settle                   time.Duration
}

// retainedPub stores or removes, --inflight messages at a time.
type retainedPub struct {
	watcher
	r           *retainedRun
	body        []byte // empty: remove
	sent, acked int
}

// retainedSub receives them all.
type retainedSub struct {
	watcher
	r     *retainedRun
	seen  measure.Account
	plain int64 // messages without the RETAIN flag
	at    int64
}

func retainedCommand() *cobra.Command {
	r := &retainedRun{}
	return scenario("retained", "Store retained messages and replay them", retainedText, 3, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.IntVar(&r.messages, "messages", 100_000, "messages to store")
		f.IntVarP(&r.size, "size", "s", 64, fmt.Sprintf("payload bytes, %d at least", stampSize))
		f.IntVar(&r.inflight, "inflight", 100, "unacknowledged messages")
		f.BoolVar(&r.keep, "keep", false, "leave the messages on the broker")
		f.DurationVar(&r.settle, "settle", 3*time.Second, "with --pid: wait before memory is read")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

func (r *retainedRun) name(i int) topic.Name {
	return topic.Name(fmt.Sprintf("%s/retained/%d/%d", r.prefix, i%100, i))
}

// Acked lets the next message go.
func (p *retainedPub) Acked(c *swarm.Conn, _ protocol.PacketID, code protocol.ReasonCode) {
	if code >= 0x80 {
		p.b.fail(fmt.Sprintf("PUBACK: %v", code))
	}
	p.acked++
	p.next(c)
}

func (p *retainedPub) next(c *swarm.Conn) {
	if p.sent == p.r.messages {
		return
	}
	if len(p.body) > 0 {
		stamp{p.r.run, 0, uint32(p.sent), p.r.Now()}.put(p.body)
	}
	c.Publish(&mqtt.Publish{Topic: p.r.name(p.sent), Payload: p.body, QoS: 1, Retain: true})
	p.sent++
}

// Message takes a delivery down.
func (s *retainedSub) Message(_ *swarm.Conn, m *mqtt.Publish) {
	st, ok := readStamp(m.Payload)
	if !ok || st.run != s.r.run || !s.seen.Arrived(st.number) {
		return
	}
	if !m.Retain {
		s.plain++
	}
	s.at = s.r.Now()
}

func (r *retainedRun) measure() error {
	if r.messages < 1 || r.inflight < 1 || r.size < stampSize {
		return fmt.Errorf("--messages and --inflight at least 1, -s at least %d", stampSize)
	}
	before := r.used()
	took, err := r.store(payload(r.size))
	if err != nil {
		return err
	}
	stored := r.used().Since(before)
	r.add("messages", "messages", r.messages, "")
	r.add("size", "payload", r.size, "bytes")
	r.add("stored_per_s", "stored", perSecond(int64(r.messages), took), "/s")
	r.usage(stored, int64(r.messages), "stored")
	if before.Known {
		r.rest(r.settle)
		r.add("rss_per_retained", "RSS per message", figure(r.used().Since(before).RSS)/figure(r.messages), "bytes")
	}
	for i := range r.count {
		if err := r.replay(i); err != nil {
			return err
		}
	}
	if r.keep {
		return nil
	}
	_, err = r.store(nil)
	return err
}

// store publishes all, or removes them if the body is empty.
func (r *retainedRun) store(body []byte) (time.Duration, error) {
	p := &retainedPub{watcher: watcher{b: r.bench}, r: r, body: body}
	f, err := r.complete(1, func(int) client { return client{name: "pub", events: p} })
	if err != nil {
		return 0, err
	}
	r.status = func() string { return fmt.Sprintf("%d of %d acknowledged", p.acked, r.messages) }
	began := r.Clock()
	for range min(r.inflight, f.conns[0].Window) {
		p.next(f.conns[0])
	}
	if !r.settled(10*time.Second, func() int64 { return int64(p.acked) }, func() bool { return p.acked == r.messages }) {
		r.fault("%d messages were not acknowledged", r.messages-p.acked)
	}
	took := time.Duration(r.Now() - began)
	f.conns[0].Bye()
	return took, nil
}

func (r *retainedRun) replay(i int) error {
	s := &retainedSub{watcher: watcher{b: r.bench}, r: r}
	before := r.used()
	f, err := r.complete(1, func(int) client { return client{name: fmt.Sprintf("sub%d", i), events: s} })
	if err != nil {
		return err
	}
	r.status = func() string { return fmt.Sprintf("replay %d: %d of %d", i+1, s.seen.Received, r.messages) }
	began := r.Clock()
	f.conns[0].Subscribe(0, r.prefix+"/retained/#")
	r.settled(4*time.Second, func() int64 { return s.seen.Received }, func() bool { return s.seen.Received == int64(r.messages) })
	spent := r.used().Since(before)
	step := &report{name: fmt.Sprintf("replay %d", i+1)}
	r.report.steps = append(r.report.steps, step)
	missing := s.seen.Missing(uint32(r.messages))
	step.add("replayed_per_s", "replayed", perSecond(s.seen.Received, time.Duration(s.at-began)), "/s")
	step.add("missing", "missing", missing, "")
	step.add("duplicates", "arrived twice", s.seen.Twice, "")
	step.usage(spent, s.seen.Received, "message")
	if missing > 0 {
		r.fault("replay %d: %d messages did not come", i+1, missing)
	}
	if s.plain > 0 {
		r.fault("replay %d: %d messages without the RETAIN flag", i+1, s.plain)
	}
	f.conns[0].Bye()
	return nil
}
