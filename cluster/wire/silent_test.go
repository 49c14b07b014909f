//go:build !race

// gRPC's goroutine that dials outlives a Dial that is given up, and reads gRPC's
// logger, which the framework sets anew at the start of each node: with the race
// detector the next test that starts one would fail.

package wire

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestDialOfAPortThatDoesNotAnswerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&Dialer{Cookie: testCookie}).Dial(ctx, l.Addr().String()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a port that does not answer: %v", err)
	}
}
