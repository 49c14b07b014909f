package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/sessions"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// drain is the outbox of a client that reads everything at once.
type drain struct{}

func (drain) Send([]byte) int { return 1 << 20 }
func (drain) Room() int       { return 1 << 20 }

// replies counts what actors answer.
type replies struct{ pending sync.WaitGroup }

func (r *replies) SendUserMessage(_ *actor.PID, m any) {
	switch actor.UnwrapEnvelopeMessage(m).(type) {
	case *sessions.Attached, *sessions.Changed:
		r.pending.Done()
	}
}
func (*replies) SendSystemMessage(*actor.PID, any) {}
func (*replies) Stop(*actor.PID)                   {}

// crowd is a node with n clients, each with one subscription, without sockets.
func crowd(b testing.TB, n int) *Node {
	b.Helper()
	cfg, problems := config.Load(config.Sources{Flags: map[string]string{
		"node.dist_listen": "127.0.0.1:0", "node.data_dir": b.TempDir(), "mqtt.acl_file": "", "store.sync": "never",
	}})
	if cfg == nil {
		b.Fatal(problems.Err())
	}
	node, err := Start(cfg, Options{Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := node.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	answers := new(replies)
	pid, _ := node.system.ProcessRegistry.Add(answers, "bench-clients")
	answers.pending.Add(2 * n)
	for i := range n {
		id := fmt.Sprintf("client-%d", i)
		filter := fmt.Sprintf("dev/%d/cmd", i)
		node.system.Root.Send(node.connections.SessionShards.For(id), &kernel.Spawn{
			Props: node.sessions.Props(),
			First: &sessions.Attach{
				Client: &sessions.Client{ClientID: id, Version: mqtt.V311, Clean: true}, Conn: pid, Outbox: drain{},
				Generation: 1, Connack: new(mqtt.Connack), Expiry: 3600,
			},
			Reply: func(session *actor.PID) {
				s, err := topic.ParseSubscription(filter)
				if err != nil {
					panic(err) // it is ours
				}
				node.system.Root.Send(session, &sessions.Change{ReplyTo: pid, Request: sessions.Request{Text: filter, Subscription: s}})
			},
		})
	}
	answers.pending.Wait()
	return node
}

// BenchmarkPage asks for pages of 200,000 clients and subscriptions while 20,000 messages a second flow, and reports the
// 99th percentile of what one took: below 50 ms.
func BenchmarkPage(b *testing.B) {
	const n, rows = 200_000, 100
	node := crowd(b, n)
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	traffic.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i += 20 {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for j := range 20 {
				node.sessions.PublishOne(&protocol.Message{Topic: topic.Name(fmt.Sprintf("dev/%d/cmd", (i+j)%n)), Payload: []byte("x")})
			}
		}
	})
	b.Cleanup(func() { close(stop); traffic.Wait() })
	src := node.sources()
	for name, page := range map[string]func(row int) int{
		"of=clients": func(row int) int {
			cursor, _ := src.SeekClients(row)
			list, _ := src.Clients(cursor, rows)
			return len(list)
		},
		"of=subscriptions": func(row int) int {
			cursor, _ := src.SeekSubscriptions(row)
			list, _ := src.Subscriptions(cursor, rows)
			return len(list)
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if page(rand.IntN(n-10*rows)) == 0 {
					b.Fatal("an empty page")
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
