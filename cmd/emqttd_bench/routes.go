package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/spf13/cobra"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

const routesText = `Subscribes -c clients to as many different filters as the first of --steps says,
publishes to random ones of them, and goes on to the next step. Of a pattern, %i
is the number of the subscription and %m that number modulo 1000; + and # stand
for themselves. With --pid, each step says what memory one subscription takes and
what CPU one message.`

// routesRun is the scenario of many subscriptions.
type routesRun struct {
	*bench
	steps    []int
	patterns []string
	batch    int
	window   int
	length   time.Duration
	settle   time.Duration

	topics          []string // the patterns, as names to publish to
	conns           []*swarm.Conn
	pub             *swarm.Conn
	held, limit     int // filters asked for, and how many shall be
	acked           int
	on              bool
	sent, got, gone int64 // gone: given up
	lastGot         int64
	latency         measure.Histogram
	message         mqtt.Publish
	name            []byte
}

// routesSub holds its share of the subscriptions.
type routesSub struct {
	watcher
	r *routesRun
}

func routesCommand() *cobra.Command {
	r := &routesRun{}
	return scenario("routes", "Subscribe to very many filters", routesText, 100, func(cmd *cobra.Command) {
		f := cmd.Flags()
		f.IntSliceVar(&r.steps, "steps", []int{10_000, 100_000, 1_000_000}, "numbers of subscriptions at which to measure, ascending")
		f.StringSliceVarP(&r.patterns, "topic", "t", []string{"dev/%i/status", "dev/%i/+/cmd", "site/%m/%i/#"}, "patterns of filters, taken in turn")
		f.IntVar(&r.batch, "batch", 50, "filters in one SUBSCRIBE")
		f.IntVar(&r.window, "window", 100, "messages on their way")
		f.DurationVar(&r.length, "for", 2*time.Second, "time of publishing at each step")
		f.DurationVar(&r.settle, "settle", 3*time.Second, "with --pid: wait before memory is read")
	}, func(b *bench) error {
		r.bench = b
		return r.measure()
	})
}

// Subscribed counts, and asks for more.
func (s *routesSub) Subscribed(c *swarm.Conn, ack *mqtt.Suback) {
	for _, code := range ack.Codes {
		if code >= 0x80 {
			s.b.fail(fmt.Sprintf("SUBACK: %v", code))
		}
	}
	s.r.acked += len(ack.Codes)
	s.r.ask(c)
}

// Message takes a delivery down.
func (s *routesSub) Message(_ *swarm.Conn, m *mqtt.Publish) {
	if st, ok := readStamp(m.Payload); ok && st.run == s.r.run {
		s.r.got++
		s.r.latency.Add(time.Duration(s.r.Now() - st.at))
	}
}

func (r *routesRun) check() error {
	switch {
	case len(r.steps) == 0 || len(r.patterns) == 0 || r.batch < 1 || r.window < 1:
		return errors.New("--steps, -t, --batch and --window must say something")
	case r.pid == 0:
		r.settle = 0 // nothing to wait for
	}
	for i, n := range r.steps {
		if n < 1 || i > 0 && n <= r.steps[i-1] {
			return fmt.Errorf("--steps %v: they must ascend", r.steps)
		}
	}
	for i, p := range r.patterns {
		if !strings.Contains(p, "%i") {
			return fmt.Errorf("-t %s: without %%i all filters would be one", p)
		}
		r.patterns[i] = r.prefix + "/" + p
		r.topics = append(r.topics, strings.NewReplacer("+", "x", "#", "y/z").Replace(r.patterns[i]))
	}
	return nil
}

func (r *routesRun) measure() error {
	if err := r.check(); err != nil {
		return err
	}
	f, err := r.complete(r.count, func(int) client { return client{name: "sub", events: &routesSub{watcher{b: r.bench}, r}} })
	if err != nil {
		return err
	}
	r.conns = f.conns
	if f, err = r.complete(1, func(int) client { return client{name: "pub", events: watcher{b: r.bench}} }); err != nil {
		return err
	}
	r.pub = f.conns[0]
	r.message.Payload = payload(64)
	r.rest(r.settle)
	empty := r.used()
	r.everySecond = r.forgive
	r.add("clients", "clients", r.count, "")
	for _, n := range r.steps {
		if !r.step(n, empty) {
			break
		}
	}
	return nil
}

// step goes on to n subscriptions and publishes; false: it did not work.
func (r *routesRun) step(n int, empty measure.Usage) bool {
	s := &report{name: fmt.Sprintf("%d subscriptions", n)}
	r.report.steps = append(r.report.steps, s)
	s.add("subscriptions", "subscriptions", n, "")
	r.status = func() string { return fmt.Sprintf("%d of %d subscribed", r.acked, n) }
	before, have := r.used(), r.acked
	r.ascend(n)
	ok := r.settled(20*time.Second, func() int64 { return int64(r.acked) }, func() bool { return r.acked >= n })
	spent := r.used().Since(before)
	s.add("subscribes_per_s", "subscribes", perSecond(int64(r.acked-have), spent.Length), "/s")
	if !ok {
		r.fault("%d of %d subscriptions had no answer", n-r.acked, n)
		return false
	}
	if spent.Known {
		s.add("broker_cpu_us_per_subscribe", "broker CPU per subscribe", micros(spent.CPU)/figure(n-have), "µs")
		r.rest(r.settle)
		s.add("rss_per_subscription", "RSS per subscription", figure(r.used().Since(empty).RSS)/figure(n), "bytes")
	}
	r.publish(s, n)
	return true
}

// ascend begins to subscribe until there are n.
func (r *routesRun) ascend(n int) {
	r.limit = n
	for range 2 { // SUBSCRIBEs in flight for each client
		for _, c := range r.conns {
			r.ask(c)
		}
	}
}

// ask subscribes a client to the next filters.
func (r *routesRun) ask(c *swarm.Conn) {
	if !c.Live() {
		return
	}
	var filters []string
	for ; r.held < r.limit && len(filters) < r.batch; r.held++ {
		filters = append(filters, string(r.expand(nil, r.patterns, r.held)))
	}
	if len(filters) > 0 {
		c.Subscribe(0, filters...)
	}
}

// expand appends what a pattern is for a subscription.
func (r *routesRun) expand(dst []byte, patterns []string, i int) []byte {
	p := patterns[i%len(patterns)]
	for {
		k := strings.IndexByte(p, '%')
		if k < 0 || k+1 == len(p) {
			return append(dst, p...)
		}
		dst = append(dst, p[:k]...)
		switch p[k+1] {
		case 'i':
			dst = strconv.AppendInt(dst, int64(i), 10)
		case 'm':
			dst = strconv.AppendInt(dst, int64(i%1000), 10)
		default:
			dst = append(dst, p[k:k+2]...)
		}
		p = p[k+2:]
	}
}

func (r *routesRun) publish(s *report, n int) {
	random := rand.New(rand.NewPCG(uint64(r.run), uint64(n)))
	r.status = func() string { return fmt.Sprintf("%d subscriptions: %d messages", n, r.got) }
	r.on, r.sent, r.got, r.gone = true, 0, 0, 0
	r.Turn = func(now int64) int64 {
		if r.pub.Live() && !r.pub.Blocked() && r.on {
			for r.sent-r.got-r.gone < int64(r.window) {
				r.send(random.IntN(n), now)
			}
		}
		return swarm.Never
	}
	r.Wake()
	r.rest(r.length / 4)
	r.latency.Reset()
	before, got := r.used(), r.got
	r.rest(r.length)
	spent := r.used().Since(before)
	got = r.got - got
	latency := r.latency
	r.on = false
	r.settled(2*time.Second, func() int64 { return r.got }, func() bool { return r.got >= r.sent })
	r.Turn = nil
	s.add("messages_per_s", "messages", perSecond(got, spent.Length), "/s")
	s.add("lost", "lost", r.sent-r.got, "")
	s.usage(spent, got, "message")
	s.histogram("latency_us", "latency", &latency)
}

func (r *routesRun) send(i int, now int64) {
	r.name = r.expand(r.name[:0], r.topics, i)
	// Publish copies the name, so it may be a view of the buffer.
	r.message.Topic = topic.Name(unsafe.String(unsafe.SliceData(r.name), len(r.name)))
	stamp{r.run, 0, uint32(r.sent), now}.put(r.message.Payload)
	r.pub.Publish(&r.message)
	r.sent++
}

// forgive goes on when nothing has come for a second.
func (r *routesRun) forgive() {
	if r.on && r.got == r.lastGot && r.sent > r.got {
		r.gone = r.sent - r.got
		r.Wake()
	}
	r.lastGot = r.got
}
