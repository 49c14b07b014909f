// Package courier is an example of a bridge: it carries what is published here and
// fits a filter to another broker, and what fits a filter there to this one, below a
// prefix. Messages wait in a bounded queue while the other broker is away, and what it
// has not acknowledged is sent again.
package courier

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Plugin is the plugin; etc/plugins/courier.conf has its settings.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{Name: "courier", Version: "1.0", Description: "A bridge to another broker", Start: start}
}

// bridge is one connection to another broker, again and again.
type bridge struct {
	env     *plugins.Env
	address string
	out, in topic.Filter // what goes there, what comes from there
	prefix  string       // before what comes from there; nothing below it goes back
	queue   chan *protocol.Message
	sent    []carried // not acknowledged yet, in their order
	last    uint16    // packet identifier
	dropped atomic.Uint64
}

// carried is a message on its way to the other broker.
type carried struct {
	id      uint16
	message *protocol.Message
}

func start(e *plugins.Env) error {
	r := e.Settings.Read()
	b := &bridge{
		env: e, address: r.String("courier.address", "127.0.0.1:1883"), prefix: r.String("courier.prefix", "there/"),
		queue: make(chan *protocol.Message, r.Int("courier.queue", 1000, 1, 1_000_000)),
	}
	b.out, b.in = filter(r, "courier.out"), filter(r, "courier.in")
	if err := r.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx) })
	e.OnStop(func() {
		cancel()
		running.Wait()
	})
	return e.Hook(hooks.MessagePublish, 1000, b.take) // behind those that change something
}

func filter(r *plugins.Reader, key string) topic.Filter {
	f, err := topic.ParseFilter(r.String(key, "courier/#"))
	if err != nil {
		r.Wrong(key, err.Error())
	}
	return f
}

// take queues a message that goes to the other broker. The publisher does not wait: if
// there is no room, the message stays here only.
func (b *bridge) take(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	if topic.Match(b.out, m.Topic) && !strings.HasPrefix(string(m.Topic), b.prefix) {
		select {
		case b.queue <- m.Clone():
		default:
			b.dropped.Add(1)
		}
	}
	return m, hooks.Continue
}

// The pause before the next attempt to connect.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

func (b *bridge) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := b.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		b.env.Log.Warn("the other broker is away", "address", b.address, "reason", err, "dropped", b.dropped.Load())
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// serve connects once and carries until the connection ends.
func (b *bridge) serve(ctx context.Context) error {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", b.address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // it ends the reading
	l := &line{bridge: b, conn: conn, acked: make(chan uint16, window)}
	if err := l.greet(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { failed <- l.receive() })
	err = l.send(ctx, failed)
	_ = conn.Close()
	reading.Wait()
	return err
}
