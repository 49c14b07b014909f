package routes

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emqttd/actors/topics"
	"emqttd/cluster/clustertest"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// forwarded makes what a forwarder gets: n messages with 64 bytes each.
func forwarded(b testing.TB, n int, fn func(*topics.Deliver)) {
	w := &clustertest.World{}
	a := start(b, w, "solo", setup{})
	c := a.join(fn)
	c.subscribe("#")
	batch := a.router.NewBatch()
	for i := range n {
		m := message(fmt.Sprintf("device/%d/state", i), 0)
		m.Payload, m.Arrived = make([]byte, 64), 1
		batch.Publish(m)
	}
	batch.Flush(true)
	batch.Release()
}

// BenchmarkEncode is what a message costs the sender.
func BenchmarkEncode(b *testing.B) {
	const n = 1000
	forwarded(b, n, func(d *topics.Deliver) {
		var w frameWriter
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			w.add(d, &d.Items[i%n], 0, 1000, 1)
			if w.buf.Len() >= fullFrame {
				w.take()
			}
		}
		b.StopTimer()
		d.Done()
	})
}

// BenchmarkDecode is what a message costs the receiver before it is matched.
func BenchmarkDecode(b *testing.B) {
	const n = 1000
	var body []byte
	forwarded(b, n, func(d *topics.Deliver) {
		var w frameWriter
		for i := range d.Items {
			w.add(d, &d.Items[i], 0, 1000, 1)
		}
		bodies, _ := w.take()
		body = bodies[0]
		d.Done()
	})
	var r frameReader
	var m incoming
	content, _, err := join(nil, body)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if !r.more() {
			r.reset(content, 1000, 1)
		}
		if err := r.next(&m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForward is the way of a message from a publisher at one node to the
// session of a subscriber at another, with everything but the bytes on a wire: the
// time is that of both nodes together.
func BenchmarkForward(b *testing.B) {
	for _, qos := range []protocol.QoS{0, 1} {
		b.Run(fmt.Sprintf("qos=%d", qos), func(b *testing.B) {
			_, n := trio(b, 2, setup{})
			var got atomic.Int64
			all := make(chan struct{})
			n[1].join(func(d *topics.Deliver) {
				k := int64(len(d.Items))
				d.Done()
				if got.Add(k) == int64(b.N) {
					close(all)
				}
			}).subscribe("device/+/state")
			ms := make([]*protocol.Message, 1000)
			for i := range ms {
				ms[i] = message(fmt.Sprintf("device/%d/state", i), qos)
				ms[i].Payload = make([]byte, 64)
			}
			b.ReportAllocs()
			b.ResetTimer()
			batch := n[0].router.NewBatch()
			for i := range b.N {
				batch.Publish(ms[i%len(ms)])
				if i&63 == 63 {
					batch.Flush(true)
				}
			}
			batch.Flush(true)
			<-all
			b.StopTimer()
			batch.Release()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkJoin is what it takes until a node that joins knows a million routes,
// and what they cost it.
func BenchmarkJoin(b *testing.B) {
	const routes = 1_000_000
	for range b.N {
		b.StopTimer()
		w := &clustertest.World{}
		full := start(b, w, "full", setup{topics: topics.Options{Shards: 8}})
		c := full.join(nil)
		fill(c, routes)
		empty := start(b, w, "empty", setup{topics: topics.Options{Shards: 8}})
		before := heap()
		b.StartTimer()
		w.Connect(full.net, empty.net)
		b.StopTimer()
		if k := empty.router.Counts().PeerRoutes; k != routes {
			b.Fatalf("%d routes", k)
		}
		b.ReportMetric(float64(heap()-before)/routes, "B/route")
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/join")
		w.Cut(full.net, empty.net)
		begun := time.Now()
		eventually(b, "all is swept", func() bool { return empty.router.Counts().PeerRoutes == 0 })
		b.ReportMetric(time.Since(begun).Seconds(), "s/sweep")
	}
}

func fill(c *client, n int) {
	var wait sync.WaitGroup
	wait.Go(func() {
		for range n {
			<-c.answers
		}
	})
	for i := range n {
		c.node.router.Subscribe(&topics.Subscribe{
			Subscriber: c.sub, QoS: 1, ReplyTo: c.pid,
			Subscription: topic.Subscription{Filter: topic.Filter(fmt.Sprintf("device/%d/+/cmd", i))},
		})
	}
	wait.Wait()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
