package replicas_test

import (
	"fmt"
	"testing"
	"time"

	"emqttd/actors/retained"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/replicas"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func fill(n *node, count int) {
	m := protocol.Message{Payload: []byte("0123456789012345678901234567890123456789012345678901234567890123"), From: "client", QoS: 1}
	for i := range count {
		m.Topic, m.Arrived = topic.Name(fmt.Sprintf("device/%d/state", i)), time.Now().UnixMilli()
		one := m
		n.stores.Store(&one, nil)
	}
	n.settle()
}

// BenchmarkJoin has a node join one with a million retained messages of 64 B: until
// it is up, and has them.
func BenchmarkJoin(b *testing.B) {
	const messages = 1_000_000
	for b.Loop() {
		b.StopTimer()
		var w clustertest.World
		old, young := newNode(b, &w, "old", retained.Options{Shards: 8}, replicas.Options{Ready: time.Hour}), newNode(b, &w, "young", retained.Options{Shards: 8}, replicas.Options{Ready: time.Hour})
		fill(old, messages)
		b.StartTimer()
		started := time.Now()
		w.Connect(old.net, young.net)
		b.ReportMetric(time.Since(started).Seconds(), "s/join")
		b.StopTimer()
		if young.stores.Count() != messages {
			b.Fatalf("%d messages", young.stores.Count())
		}
		b.ReportMetric(float64(old.table.SentEntryBytes.Load())/messages, "B/message")
		stopAll(b, &w, old, young)
		b.StartTimer()
	}
}

// BenchmarkRejoin has two nodes meet again which have a million messages in common,
// and some that only one has.
func BenchmarkRejoin(b *testing.B) {
	for _, changed := range []int{0, 10, 10_000} {
		b.Run(fmt.Sprint("changed=", changed), func(b *testing.B) {
			var w clustertest.World
			x, y := newNode(b, &w, "x", retained.Options{Shards: 8}, replicas.Options{Ready: time.Hour}), newNode(b, &w, "y", retained.Options{Shards: 8}, replicas.Options{Ready: time.Hour})
			defer stopAll(b, &w, x, y)
			fill(x, 1_000_000)
			w.Connect(x.net, y.net)
			for b.Loop() {
				b.StopTimer()
				w.Cut(x.net, y.net)
				fill(x, changed)
				before := x.table.SentEntryBytes.Load()
				b.StartTimer()
				w.Connect(x.net, y.net)
				b.ReportMetric(float64(x.table.SentEntryBytes.Load()-before), "B/meeting")
			}
		})
	}
}

// BenchmarkChange is what a change costs the shard that makes it, with a peer.
func BenchmarkChange(b *testing.B) {
	for _, peers := range []int{0, 1} {
		b.Run(fmt.Sprint("peers=", peers), func(b *testing.B) {
			var w clustertest.World
			x := newNode(b, &w, "x", retained.Options{Shards: 1}, replicas.Options{})
			nodes := []*node{x}
			for i := range peers {
				nodes = append(nodes, newNode(b, &w, fmt.Sprint("y", i), retained.Options{Shards: 1}, replicas.Options{}))
				w.Connect(x.net, nodes[i+1].net)
			}
			defer stopAll(b, &w, nodes...)
			b.ReportAllocs()
			for b.Loop() {
				fill(x, 1000)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/message")
		})
	}
}
