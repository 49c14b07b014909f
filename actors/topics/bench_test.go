package topics

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// sink takes what it gets at once.
func sink(t testing.TB, r *Router, id string) *Subscriber {
	t.Helper()
	return sinkTo(t, r, id, (*Deliver).Done)
}

func sinkTo(t testing.TB, r *Router, id string, fn func(*Deliver)) *Subscriber {
	t.Helper()
	pid, ok := r.system.ProcessRegistry.Add(&probe{fn: fn}, "sink/"+id)
	if !ok {
		t.Fatalf("%s joined twice", id)
	}
	s := NewSubscriber(id, pid)
	s.SetOnline(true)
	return s
}

// BenchmarkPublish is the way of a message from the parsed packet to the
// mailbox of one subscriber, in batches of 64.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []string{"exact", "wild", "shared"} {
		for _, n := range []int{10_000, 1_000_000} {
			b.Run(fmt.Sprintf("kind=%s/n=%d", kind, n), func(b *testing.B) {
				r := newTestRouter(b, Options{Strategy: RoundRobin})
				s := sink(b, r, "c")
				shape := map[string]string{
					"exact": "device/%d/t/cmd", "wild": "device/%d/+/cmd", "shared": "$share/g/device/%d/t/cmd",
				}[kind]
				for i := range n {
					r.subscribe(want(s, fmt.Sprintf(shape, i), 1))
				}
				messages := make([]*protocol.Message, 1<<12)
				for i := range messages {
					messages[i] = &protocol.Message{
						Topic: topic.Name(fmt.Sprintf("device/%d/t/cmd", rand.IntN(n))), Payload: make([]byte, 64),
					}
				}
				batch := r.NewBatch()
				runtime.GC() // of the filling, not of what is measured
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					batch.Publish(messages[i&(1<<12-1)])
					if i&63 == 63 {
						batch.Flush(true)
					}
				}
				batch.Release()
			})
		}
	}
}

// BenchmarkPublishSame has one topic: what is left when the tables are in the
// cache.
func BenchmarkPublishSame(b *testing.B) {
	r := newTestRouter(b, Options{})
	r.subscribe(want(sink(b, r, "c"), "device/1/t/cmd", 1))
	m := &protocol.Message{Topic: "device/1/t/cmd", Payload: make([]byte, 64)}
	batch := r.NewBatch()
	b.ReportAllocs()
	for i := range b.N {
		batch.Publish(m)
		if i&63 == 63 {
			batch.Flush(true)
		}
	}
}

func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			r := newTestRouter(b, Options{})
			for i := range n {
				r.subscribe(want(sink(b, r, fmt.Sprint(i)), "a", 1))
			}
			m := &protocol.Message{Topic: "a"}
			batch := r.NewBatch()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				batch.Publish(m)
				batch.Flush(true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

// BenchmarkMemory has one subscriber for each filter, as devices do.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for _, shape := range []string{"device/%d/cmd", "device/%d/+/cmd", "device/%d/#"} {
		b.Run("shape="+shape, func(b *testing.B) {
			for range b.N {
				r := newTestRouter(b, Options{})
				pid := actor.NewPID("", "x")
				ids := make([]string, n)
				filters := make([]topic.Subscription, n)
				for i := range n {
					ids[i] = fmt.Sprint("client", i)
					filters[i] = parse(fmt.Sprintf(shape, i))
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				m := &Subscribe{}
				for i := range n {
					*m = Subscribe{Subscriber: NewSubscriber(ids[i], pid), Subscription: filters[i]}
					r.subscribe(m)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/subscription")
				runtime.KeepAlive(r)
				runtime.KeepAlive(ids)
				runtime.KeepAlive(filters)
			}
		})
	}
}

func BenchmarkSubscribeOneFilter(b *testing.B) {
	r := newTestRouter(b, Options{})
	pid := actor.NewPID("", "x")
	list := make([]*Subscriber, 100_000)
	for i := range list {
		list[i] = NewSubscriber("c", pid)
		r.subscribe(want(list[i], "a", 0))
	}
	b.ResetTimer()
	for i := range b.N {
		s := list[i%len(list)]
		r.unsubscribe(s, "a")
		r.subscribe(want(s, "a", 0))
	}
}
