package pool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// conns counts connections that are numbered as they are made.
type conns struct {
	mu         sync.Mutex
	made, open int
	refuse     error
}

func (c *conns) dial(context.Context) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return 0, c.refuse
	}
	c.made++
	c.open++
	return c.made, nil
}

func (c *conns) end(int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

func (c *conns) check(t *testing.T, made, open int) {
	t.Helper()
	if c.made != made || c.open != open {
		t.Fatalf("%d made and %d open, want %d and %d", c.made, c.open, made, open)
	}
}

func ok(int) (bool, error) { return true, nil }

func TestConnectionIsUsedAgainUntilItHasRestedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c conns
		p := New(2, time.Minute, c.dial, c.end)
		for range 3 {
			if err := p.Do(t.Context(), ok); err != nil {
				t.Fatal(err)
			}
		}
		c.check(t, 1, 1)
		time.Sleep(2 * time.Minute)
		if err := p.Do(t.Context(), ok); err != nil {
			t.Fatal(err)
		}
		c.check(t, 2, 1)
		p.Close()
		c.check(t, 2, 0)
		if err := p.Do(t.Context(), ok); err != ErrClosed {
			t.Fatalf("a closed pool answers %v", err)
		}
	})
}

func TestBrokenConnectionIsReplacedOnceIfItHadRested(t *testing.T) {
	var c conns
	p := New(1, time.Minute, c.dial, c.end)
	broken := errors.New("broken")
	if err := p.Do(t.Context(), func(int) (bool, error) { return false, broken }); err != broken {
		t.Fatalf("got %v", err)
	}
	c.check(t, 1, 0)
	if err := p.Do(t.Context(), ok); err != nil {
		t.Fatal(err)
	}
	var used []int
	err := p.Do(t.Context(), func(n int) (bool, error) {
		used = append(used, n)
		return n != 2, nil
	})
	if err != nil || len(used) != 2 || used[1] != 3 {
		t.Fatalf("used %v, %v", used, err)
	}
	c.check(t, 3, 1)
	p.Close()
	c.check(t, 3, 0)
}

func TestWhoWaitsForAConnectionGoesWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c conns
		p := New(1, time.Minute, c.dial, c.end)
		hold := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- p.Do(t.Context(), func(int) (bool, error) {
				<-hold
				return true, nil
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Do(ctx, ok); err != context.DeadlineExceeded {
			t.Fatalf("got %v", err)
		}
		p.Close()
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.check(t, 1, 0)
	})
}

func TestFailureToConnectIsAnErrorAndHoldsNoSlot(t *testing.T) {
	c := conns{refuse: errors.New("refused")}
	p := New(1, time.Minute, c.dial, c.end)
	for range 3 {
		if err := p.Do(t.Context(), ok); err != c.refuse {
			t.Fatalf("got %v", err)
		}
	}
	c.refuse = nil
	if err := p.Do(t.Context(), ok); err != nil {
		t.Fatal(err)
	}
	p.Close()
}
