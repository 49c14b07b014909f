package suite

import (
	"context"
	"testing"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
)

// Sample checks what follows from the sample rows of EMQ's tables, and one more which
// denies everything to the user joint as the client other. It closes the module.
func Sample(t *testing.T, m access.Module) {
	t.Helper()
	t.Cleanup(func() {
		if err := m.(access.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	for _, s := range []struct {
		user, id, peer string
		action         acl.Action
		topic          string
		want           access.Verdict
	}{
		{"u", "c", "10.0.0.1", acl.Publish, "a/b", access.Allow},
		{"u", "c", "10.0.0.1", acl.Subscribe, "$SYS/#", access.Deny},
		{"u", "c", "10.0.0.1", acl.Subscribe, "$SYS/brokers", access.Deny},
		{"u", "c", "10.0.0.1", acl.Subscribe, "#", access.Deny},
		{"u", "c", "10.0.0.1", acl.Subscribe, "a/b", access.Ignore},
		{"u", "c", "127.0.0.1", acl.Publish, "$SYS/x", access.Allow},
		{"dashboard", "c", "10.0.0.1", acl.Subscribe, "$SYS/#", access.Allow},
		{"joint", "other", "10.0.0.1", acl.Publish, "a", access.Deny},
		{"joint", "c", "10.0.0.1", acl.Publish, "a", access.Allow},
		{"u", "other", "10.0.0.1", acl.Publish, "a", access.Allow},
	} {
		c := &access.Credentials{Username: s.user, ClientID: s.id, Peer: s.peer}
		if got := Allowed(t, Rules(t, m, c), c, s.action, s.topic); got != s.want {
			t.Errorf("%s as %s from %s, %v %s: %v, want %v", s.user, s.id, s.peer, s.action, s.topic, got, s.want)
		}
	}
}

// Benchmark measures how many clients a module authenticates, eight at a time.
func Benchmark(b *testing.B, m access.Module, c *access.Credentials) {
	b.Helper()
	b.SetParallelism(4)
	b.ReportAllocs()
	b.ResetTimer() // the server had to be started
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if r, err := m.Authenticate(context.Background(), c); err != nil || r.Verdict != access.Allow {
				b.Errorf("%v, %v", r, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
