//go:build unix

package link

import (
	"log/slog"
	"runtime"
	"syscall"
	"testing"
	"time"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// BenchmarkData sends frames of 64 messages of 100 bytes, and of 64 KB, over gRPC on
// the loopback interface. The processor time is that of both nodes together, as they
// share the process.
func BenchmarkData(b *testing.B) {
	for name, size := range map[string]int{"frame=64KB": 64 << 10, "frame=64x100B": 6400} {
		b.Run(name, func(b *testing.B) { benchmarkData(b, size) })
	}
}

func benchmarkData(b *testing.B, size int) {
	got := make(chan struct{}, 1<<16)
	there := benchNode(b, "b", nil)
	there.HandleData(kindNote, func(cluster.Peer, []byte) { got <- struct{}{} })
	door, err := wire.Start(there.system, wire.Options{Listen: "127.0.0.1:0", Cookie: testCookie, Accept: there.Accept})
	if err != nil {
		b.Fatal(err)
	}
	here := benchNode(b, "a", &wire.Dialer{Cookie: testCookie})
	defer door.Stop()
	defer benchStart(b, there)()
	defer benchStart(b, here)()
	here.Join(there.Self().Address)
	for len(here.Peers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	p := here.Peers()[0]
	body := make([]byte, size)
	room := make(chan struct{}, 256)
	release := func(error) { <-room }
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := processorTime()
	b.ResetTimer()
	go func() {
		for range b.N {
			room <- struct{}{}
			p.SendData(kindNote, body, release)
		}
	}()
	for range b.N {
		<-got
	}
	b.StopTimer()
	b.ReportMetric(float64(processorTime()-before)/float64(b.N)/float64(size/100), "cpu-ns/100B")
}

func benchNode(b *testing.B, name string, transport Transport) *Net {
	b.Helper()
	return New(kernel.NewSystem(slog.New(slog.DiscardHandler), kernel.WithConfig(wire.QuietFramework(nil))), Options{
		Self: cluster.Member{Name: name, Address: map[string]string{"a": "127.0.0.1:1"}[name]}, Cluster: "c", Cookie: testCookie, Transport: transport,
	})
}

func benchStart(b *testing.B, n *Net) (stop func()) {
	b.Helper()
	root, err := kernel.StartRoot(n.system, "node", []kernel.ChildSpec{{Name: "cluster", Props: kernel.Supervisor(n.Specs())}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := kernel.StopRoot(b.Context(), n.system, root); err != nil {
			b.Log(err)
		}
	}
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	runtime.Gosched()
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLatency is the time from SendData to the callback, one message at a time.
func BenchmarkLatency(b *testing.B) {
	there := benchNode(b, "b", nil)
	there.HandleData(kindNote, func(cluster.Peer, []byte) {})
	door, err := wire.Start(there.system, wire.Options{Listen: "127.0.0.1:0", Cookie: testCookie, Accept: there.Accept})
	if err != nil {
		b.Fatal(err)
	}
	here := benchNode(b, "a", &wire.Dialer{Cookie: testCookie})
	defer door.Stop()
	defer benchStart(b, there)()
	defer benchStart(b, here)()
	here.Join(there.Self().Address)
	for len(here.Peers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	p := here.Peers()[0]
	body := make([]byte, 100)
	done := make(chan struct{})
	for b.Loop() {
		p.SendData(kindNote, body, func(error) { done <- struct{}{} })
		<-done
	}
}
