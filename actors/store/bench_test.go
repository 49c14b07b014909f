package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// onDisk is a store in a folder of the file system on which the tests run.
func onDisk(b *testing.B) Options {
	o := options(vfs.Default)
	o.Dir = filepath.Join(b.TempDir(), "data")
	return o
}

// BenchmarkFdatasync is what the disk gives to everybody: one 4 KB block at the
// end of a file of fixed size, synced.
func BenchmarkFdatasync(b *testing.B) {
	f, err := vfs.Default.Create(filepath.Join(b.TempDir(), "f"), vfs.WriteCategoryUnspecified)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	if err := f.Preallocate(0, int64(len(block)*(b.N+1))); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// BenchmarkEnter is what publishers do to absent sessions: each has one read of
// so many messages on its way, and the next one follows when that is safe.
func BenchmarkEnter(b *testing.B) {
	for _, read := range []int{1, 64, 1000} {
		for _, publishers := range []int{1, 8} {
			b.Run(fmt.Sprintf("read=%d/publishers=%d", read, publishers), func(b *testing.B) {
				benchmarkEnter(b, read, publishers)
			})
		}
	}
}

func benchmarkEnter(b *testing.B, read, publishers int) {
	d := start(b, onDisk(b))
	defer d.stop(b)
	m := message(1)
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			sid := SessionID(p + 1)
			safe := make(chan error, 1)
			for seq := 0; seq < b.N/publishers; {
				r := d.Begin()
				for range read {
					seq++
					r.Enter(sid, &Item{Seq: uint64(seq), Message: m, QoS: 1})
				}
				r.After(func(err error) { safe <- err })
				r.Part()
				if err := <-safe; err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	s := d.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
	b.ReportMetric(float64(s.Syncs)/b.Elapsed().Seconds(), "syncs/s")
}

// BenchmarkLoad drains one queue of a million as a session would.
func BenchmarkLoad(b *testing.B) {
	const queue = 1_000_000
	d := start(b, onDisk(b))
	defer d.stop(b)
	fill(b, d, 1, queue)
	b.ReportAllocs()
	b.ResetTimer()
	var next uint64
	for i := 0; i < b.N; {
		items, err := d.Load(1, 0, next, 1000)
		if err != nil {
			b.Fatal(err)
		}
		i += len(items)
		next = (next + 1000) % queue
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkDrain loads, and deletes behind itself.
func BenchmarkDrain(b *testing.B) {
	for _, size := range []int{256, 1000} {
		b.Run(fmt.Sprintf("load=%d", size), func(b *testing.B) { benchmarkDrain(b, size) })
	}
}

func benchmarkDrain(b *testing.B, size int) {
	d := start(b, onDisk(b))
	defer d.stop(b)
	fill(b, d, 1, b.N+size)
	b.ResetTimer()
	var o Ops
	for next := uint64(0); next < uint64(b.N); {
		items, err := d.Load(1, 0, next, size)
		if err != nil || len(items) == 0 {
			b.Fatal(len(items), err)
		}
		last := items[len(items)-1].Seq + 1
		o.Reset()
		o.DropItems(1, 0, next, last)
		o.PutWindow(1, &Window{NextSeq: last, Heads: []Head{{Seq: last}}})
		d.Commit(&o, nil)
		next = last
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// fill queues n messages for a session, reads of 1000 with eight on their way.
func fill(b *testing.B, d *running, sid SessionID, n int) {
	b.Helper()
	m := message(1)
	slots := make(chan struct{}, 8)
	for seq := 0; seq < n; {
		slots <- struct{}{}
		r := d.Begin()
		for range min(1000, n-seq) {
			r.Enter(sid, &Item{Seq: uint64(seq), Message: m, QoS: 1})
			seq++
		}
		r.After(func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
		})
		r.Part()
	}
	if err := d.commit(b, nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkQueuedBytes reports what a queued 64-byte message takes on the disk,
// with everything that pebble keeps beside it.
func BenchmarkQueuedBytes(b *testing.B) {
	const queue = 1_000_000
	for b.Loop() {
		d := start(b, onDisk(b))
		fill(b, d, 1, queue)
		b.ReportMetric(float64(folder(b, d.opts.Dir))/queue, "B/item")
		d.stop(b)
	}
}

func folder(b *testing.B, dir string) (size int64) {
	b.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		if info, err := name.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// BenchmarkRecoverSessions recovers 100,000 sessions, each with two
// subscriptions, a window and five queued messages.
func BenchmarkRecoverSessions(b *testing.B) {
	const sessions = 100_000
	o := onDisk(b)
	d := start(b, o)
	var ops Ops
	for i := range sessions {
		sid := d.NewSessionID()
		ops.Reset()
		ops.PutSession(&Session{ID: sid, ClientID: fmt.Sprintf("client-%d", i), Expiry: 7200})
		ops.PutSubscription(sid, &Subscription{Text: fmt.Sprintf("devices/%d/#", i), QoS: 1})
		ops.PutSubscription(sid, &Subscription{Text: "alerts/+", QoS: 1})
		ops.PutWindow(sid, &Window{NextSeq: 5, Heads: []Head{{Seq: 0}}})
		for seq := range 5 {
			ops.PutItem(sid, &Item{Seq: uint64(seq), Message: message(seq), QoS: 1})
		}
		d.Commit(&ops, nil)
	}
	if err := d.commit(b, nil); err != nil {
		b.Fatal(err)
	}
	d.stop(b)
	for b.Loop() {
		started := time.Now()
		d, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		opened := time.Since(started)
		report, err := d.Recover(32, func(*Recovered) {})
		if err != nil || report.Sessions != sessions || report.Messages != 5*sessions {
			b.Fatalf("%+v, %v", report, err)
		}
		b.ReportMetric(opened.Seconds(), "s/open")
		b.ReportMetric(report.Took.Seconds(), "s/recover")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecoverRetained reads a million retained messages.
func BenchmarkRecoverRetained(b *testing.B) {
	const topics = 1_000_000
	o := onDisk(b)
	d := start(b, o)
	var ops Ops
	for i := range topics {
		m := *message(i)
		m.Topic = topic.Name(fmt.Sprintf("devices/%d/state", i))
		ops.PutRetained(&Retained{Topic: m.Topic, Message: &m, Version: lww.Version{Stamp: uint64(i), Origin: 1}})
		if i%1000 == 999 {
			safe := make(chan error, 1)
			d.Commit(&ops, func(err error) { safe <- err })
			if err := <-safe; err != nil {
				b.Fatal(err)
			}
			ops.Reset()
		}
	}
	d.stop(b)
	for b.Loop() {
		started := time.Now()
		d, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		var last *protocol.Message
		report, err := d.Retained(func(r Retained) { last = r.Message })
		if err != nil || report.Retained != topics || last == nil {
			b.Fatalf("%+v, %v", report, err)
		}
		b.ReportMetric(time.Since(started).Seconds(), "s")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
