package access

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watching is a module that hears of changes.
type watching struct {
	fake
	watch func(ctx context.Context, changed func(Selector)) error
}

func (w *watching) Watch(ctx context.Context, changed func(Selector)) error {
	return w.watch(ctx, changed)
}

func TestChangesThatModulesHearOfAreAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		w := &watching{*says("w", Allow), func(ctx context.Context, changed func(Selector)) error {
			if calls.Add(1) < 3 {
				return errDown
			}
			changed(Selector{Username: "u"})
			<-ctx.Done()
			return ctx.Err()
		}}
		c := NewChain(Options{Modules: []Module{Guard(w, GuardOptions{})}, PollInterval: time.Second})
		var told []Selector
		c.OnChange(func(s Selector) { told = append(told, s) })
		ctx, cancel := context.WithCancel(context.Background())
		go c.Run(ctx)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("%d calls before the pause is over", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if calls.Load() != 3 || len(told) != 1 || told[0] != (Selector{Username: "u"}) {
			t.Errorf("%d calls, told %v", calls.Load(), told)
		}
		cancel()
		synctest.Wait()
	})
}

func TestModulesThatHearOfNothingArePolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &ruled{fake: *says("rows", Allow)}
		c := NewChain(Options{Modules: []Module{Guard(rows, GuardOptions{})}, PollInterval: time.Minute})
		told := 0
		c.OnChange(func(s Selector) { told++ })
		ctx, cancel := context.WithCancel(context.Background())
		go c.Run(ctx)
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if told != 3 {
			t.Errorf("told %d times", told)
		}
		cancel()
		synctest.Wait()
		if NewChain(Options{Modules: []Module{says("x", Allow)}}).polled() {
			t.Error("a module that cannot change is polled")
		}
	})
}

// closing is a module with connections.
type closing struct {
	fake
	closed int
}

func (c *closing) Close() error {
	c.closed++
	return errDown
}

func TestModulesAreClosed(t *testing.T) {
	a, b := &closing{fake: *says("a", Allow)}, &closing{fake: *says("b", Allow)}
	NewChain(Options{Modules: []Module{a, Guard(b, GuardOptions{})}}).Close()
	if a.closed != 1 || b.closed != 1 {
		t.Error("one is not")
	}
}
