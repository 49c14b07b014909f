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

const fanText = `One publisher sends to -c subscribers of one topic, and sends the next message
when all have got it. The time to complete is from the send to the last delivery.
CPU is divided by deliveries.`

// fanRun is the scenario of one message for many.
type fanRun struct {
	*bench
	rounds int
	qos    uint8
	size   int

	round, got      int
	delivered, late int64
	at              int64 // of the last delivery
}

// fanSub is a subscriber.
type fanSub struct {
	watcher
	r    *fanRun
	next int // first round of which it has got nothing
}

func fanCommand() *cobra.Command {
	r := &fanRun{}
	return scenario("fan", "Send messages from one client to many", fanText, 1000, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.IntVar(&r.rounds, "rounds", 200, "messages, one after the other")
		f.Uint8VarP(&r.qos, "qos", "q", 0, "QoS of messages and subscriptions")
		f.IntVarP(&r.size, "size", "s", 64, fmt.Sprintf("payload bytes, %d at least", stampSize))
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Message takes a delivery down, if it is of this round and the first.
func (s *fanSub) Message(_ *swarm.Conn, m *mqtt.Publish) {
	st, ok := readStamp(m.Payload)
	if !ok || st.run != s.r.run {
		return
	}
	if int(st.number) != s.r.round || s.next > s.r.round {
		s.r.late++
		return
	}
	s.next = s.r.round + 1
	s.r.got++
	s.r.at = s.r.Now()
}

func (r *fanRun) measure() error {
	switch {
	case r.qos > 2:
		return fmt.Errorf("-q %d: 0, 1 or 2", r.qos)
	case r.size < stampSize:
		return fmt.Errorf("-s %d: at least %d", r.size, stampSize)
	case r.rounds < 1:
		return fmt.Errorf("--rounds %d: at least 1", r.rounds)
	}
	name := r.prefix + "/fan"
	if _, err := r.complete(r.count, func(int) client {
		return client{name: "sub", events: &fanSub{watcher: watcher{b: r.bench}, r: r}, filters: []string{name}, qos: protocol.QoS(r.qos)}
	}); err != nil {
		return err
	}
	f, err := r.complete(1, func(int) client { return client{name: "pub", events: watcher{b: r.bench}} })
	if err != nil {
		return err
	}
	m := mqtt.Publish{Topic: topic.Name(name), Payload: payload(r.size), QoS: protocol.QoS(r.qos)}
	r.status = func() string { return fmt.Sprintf("round %d of %d", r.round, r.rounds) }
	var complete measure.Histogram
	var before measure.Usage
	var missing int64
	warm := min(10, r.rounds/10)
	for r.round = 0; r.round < r.rounds+warm && r.ctx.Err() == nil; r.round++ {
		if r.round == warm {
			before, r.delivered = r.used(), 0
			complete.Reset()
		}
		r.got = 0
		sent := r.Clock()
		stamp{r.run, 0, uint32(r.round), sent}.put(m.Payload)
		f.conns[0].Publish(&m)
		if r.wait(5*time.Second, func() bool { return r.got == r.count }) {
			complete.Add(time.Duration(r.at - sent))
		}
		missing += int64(r.count - r.got)
		r.delivered += int64(r.got)
	}
	spent := r.used().Since(before)
	r.add("subscribers", "subscribers", r.count, "")
	r.add("qos", "QoS", r.qos, "")
	r.add("size", "payload", r.size, "bytes")
	r.add("rounds", "rounds", r.rounds, "")
	r.add("deliveries_per_s", "deliveries", perSecond(r.delivered, spent.Length), "/s")
	r.add("lost", "lost", missing, "")
	r.add("duplicates", "late or twice", r.late, "")
	r.usage(spent, r.delivered, "delivery")
	r.histogram("complete_us", "time to complete", &complete)
	if missing > 0 && r.qos > 0 {
		r.fault("%d deliveries of QoS %d did not come within 5 s", missing, r.qos)
	}
	return nil
}
