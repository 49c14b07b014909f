package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
	"emqttd/tests/testkit"
)

// load is a crowd of clients that go on whatever happens to them: each publishes
// to another one and comes back when its connection is closed.
type load struct {
	t         testing.TB
	network   *testkit.Network
	size      int
	wait      sync.WaitGroup
	stop      context.CancelFunc
	received  atomic.Int64
	published atomic.Int64
	comebacks atomic.Int64 // connections after the first
	resumed   atomic.Int64 // those of them that found their session
}

// startLoad starts size clients with persistent sessions and returns when all
// are subscribed.
func startLoad(t testing.TB, network *testkit.Network, size int) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: t, network: network, size: size, stop: stop}
	var ready sync.WaitGroup
	ready.Add(size)
	for i := range size {
		l.wait.Add(1)
		go func() {
			defer l.wait.Done()
			once := sync.OnceFunc(ready.Done)
			for n := 0; ctx.Err() == nil; n++ {
				if n > 0 {
					l.comebacks.Add(1)
				}
				l.live(ctx, i, once)
			}
			once()
		}()
	}
	ready.Wait()
	return l
}

// end stops the clients; their sessions end too.
func (l *load) end() {
	l.stop()
	l.wait.Wait()
}

// live is one connection of one client, from CONNECT until it is closed.
func (l *load) live(ctx context.Context, i int, ready func()) {
	conn, err := l.network.Dial()
	if err != nil {
		l.t.Errorf("dial: %v", err)
		l.stop()
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	c := testkit.NewClient(l.t, conn)
	c.Send(testkit.Persistent(clientID(i)))
	rnd := rand.New(rand.NewPCG(uint64(i), 1))
	for {
		h, body, err := c.TryRead()
		if err != nil {
			var e *mqtt.Error
			if errors.As(err, &e) {
				l.t.Errorf("client %d was sent nonsense: %v", i, err)
			}
			return
		}
		switch h.Type {
		case mqtt.CONNACK:
			var p mqtt.Connack
			if err := p.Decode(h, body, mqtt.V311); err != nil || p.Code != 0 {
				return // it was killed while it joined
			}
			if p.SessionPresent {
				l.resumed.Add(1)
			}
			c.Send(&mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: fmt.Sprintf("load/%d/+", i), QoS: 1}}})
		case mqtt.SUBACK:
			ready()
			l.publish(c, rnd)
		case mqtt.PUBACK:
			l.published.Add(1)
			l.publish(c, rnd)
		case mqtt.PUBLISH:
			var p mqtt.Publish
			if err := p.Decode(h, body, mqtt.V311); err != nil {
				l.t.Errorf("client %d was sent a bad PUBLISH: %v", i, err)
			}
			l.received.Add(1)
			if p.QoS == protocol.AtLeastOnce {
				c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
			}
		}
	}
}

func (l *load) publish(c *testkit.Client, rnd *rand.Rand) {
	name := topic.Name(fmt.Sprintf("load/%d/%d", rnd.IntN(l.size), rnd.IntN(1000)))
	c.Send(&mqtt.Publish{Topic: name, Payload: []byte("payload"), QoS: protocol.AtLeastOnce, PacketID: 1})
}

func clientID(i int) string { return fmt.Sprintf("load-%d", i) }

// duration reads a time from a TEST_ variable.
func duration(t testing.TB, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
