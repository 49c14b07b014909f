package testkit

import (
	"testing"
	"time"
)

// Eventually looks until done is true. It is for what nobody announces, such as
// a counter; where there is a message or an output to wait for, wait for that.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%s: it does not happen", what)
		}
	}
}
