//go:build !race

package main

import (
	"context"
	"io"
	"testing"
	"time"
)

// idleCeiling is what the heap may keep of an idle client with its session and
// one subscription, without what stands in for its socket: measured 1,800 bytes,
// plus 15 %. The race detector's own memory would count, hence the build tag.
const idleCeiling = 2070

func TestAnIdleClientIsSmallAndNeedsNoGoroutine(t *testing.T) {
	r := &millionRun{n: 20_000, length: 100 * time.Millisecond, progress: io.Discard}
	if err := r.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := r.perClient(); got > idleCeiling {
		t.Errorf("%.0f bytes an idle client, want at most %d", got, idleCeiling)
	}
	if got := r.connected.goroutines; got > r.n/10 {
		t.Errorf("%d goroutines for %d clients", got, r.n)
	}
	if r.delivered == 0 || len(r.latency) == 0 {
		t.Error("nothing was published")
	}
}
