package suite

import (
	"context"
	"testing"
	"time"

	"emqttd/actors/access"
)

// Watching is a Watch that runs until the end of the test.
type Watching struct {
	heard chan access.Selector
	ended chan error
}

// Watch calls the module's.
func Watch(t *testing.T, m access.Module) *Watching {
	t.Helper()
	w := &Watching{heard: make(chan access.Selector), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(w.ended)
		w.ended <- m.(access.Watcher).Watch(ctx, func(s access.Selector) {
			select {
			case w.heard <- s:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		for range w.ended {
		}
	})
	return w
}

// Hears does something again and again until it is told: when it is done first
// nobody may listen yet.
func (w *Watching) Hears(t *testing.T, want access.Selector, do func()) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		select {
		case got := <-w.heard:
			if got == want {
				return
			}
		case <-tick.C:
			do()
		case err := <-w.ended:
			t.Fatalf("the watch ended: %v", err)
		case <-end:
			t.Fatalf("%+v was not told", want)
		}
	}
}

// Fails waits until the Watch ends with an error.
func (w *Watching) Fails(t *testing.T) {
	t.Helper()
	end := time.After(patience)
	for {
		select {
		case <-w.heard:
		case err := <-w.ended:
			if err == nil {
				t.Fatal("it ended without an error")
			}
			return
		case <-end:
			t.Fatal("it does not end")
		}
	}
}
