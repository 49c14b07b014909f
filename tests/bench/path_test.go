package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// path is a node in this process with one publisher and one subscriber, neither of
// which allocates: what a round costs is the node's.
type path struct {
	pub, sub net.Conn
	out, in  []byte
}

// inRound is how many messages leave with one write.
const inRound = 64

func newPath(tb testing.TB, qos protocol.QoS) *path {
	tb.Helper()
	b := testkit.Start(tb)
	sub, pub := testkit.Dial(tb, b.Addr(testkit.TCP)), testkit.Dial(tb, b.Addr(testkit.TCP))
	sub.Connect(&mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "sub"})
	pub.Connect(&mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "pub"})
	sub.Subscribe(qos, "path/+/a")
	p := &path{pub: pub.Conn, sub: sub.Conn}
	for range inRound {
		p.out = mqtt.AppendPublish(p.out, mqtt.V311, &mqtt.Publish{Topic: "path/1/a", Payload: make([]byte, 64), QoS: qos})
	}
	p.in = make([]byte, len(p.out))
	return p
}

// round sends a batch and receives it.
func (p *path) round(tb testing.TB) {
	if _, err := p.pub.Write(p.out); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(p.sub, p.in); err != nil {
		tb.Fatal(err)
	}
}

// TestAMessageOfQoS0CostsNoAllocation goes the whole way, from socket to socket. A
// read costs a few, whatever it brought; a message must not cost one.
func TestAMessageOfQoS0CostsNoAllocation(t *testing.T) {
	p := newPath(t, protocol.AtMostOnce)
	for range 100 { // pools and buffers
		p.round(t)
	}
	const rounds = 500
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		p.round(t)
	}
	runtime.ReadMemStats(&after)
	// Half an allocation a message: far above what a read costs, far below one each. The
	// race detector empties pools at random.
	if n := float64(after.Mallocs-before.Mallocs) / (rounds * inRound); n > 0.5 {
		t.Errorf("%.2f allocations for a message", n)
	}
}

// BenchmarkPath is a message's way from socket to socket through connection,
// tables and session, in batches.
func BenchmarkPath(b *testing.B) {
	b.Run(fmt.Sprintf("qos=0/batch=%d", inRound), func(b *testing.B) {
		p := newPath(b, protocol.AtMostOnce)
		b.ReportAllocs()
		for b.Loop() {
			p.round(b)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/inRound, "ns/message")
	})
}
