package access

import (
	"context"
	"sync"
	"time"
)

// Run does what goes on besides answering, until ctx ends: it watches
// etc/acl.conf and those modules that learn of changes, and polls the others.
func (c *Chain) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	if f := c.o.ACL; f != nil {
		all.Go(func() { f.watch(ctx, c.o.Log, func() { c.Announce(Selector{}) }) })
	}
	c.adding.Lock()
	for _, s := range c.line.Load().steps {
		if s.watcher != nil {
			all.Go(func() { c.listen(ctx, s) })
		}
	}
	c.context = ctx
	c.adding.Unlock()
	if c.o.PollInterval > 0 {
		all.Go(func() { c.poll(ctx) })
	}
}

// polled tells whether a module may change without a word.
func (c *Chain) polled() bool {
	for _, s := range c.line.Load().steps {
		if s.guard != nil && s.watcher == nil && (s.rules != nil || s.judge != nil || s.reviewer != nil) {
			return true
		}
	}
	return false
}

func (c *Chain) poll(ctx context.Context) {
	t := time.NewTicker(c.o.PollInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if c.polled() {
				c.Announce(Selector{})
			}
		}
	}
}

// The pause before a module that cannot hear of changes is asked to try again.
const (
	firstPause = time.Second
	longPause  = 30 * time.Second
)

// listen hears of a module's changes. What happened while nobody heard is made
// up for by judging everybody when it hears again.
func (c *Chain) listen(ctx context.Context, s *step) {
	pause := firstPause
	var said counters // not those of the step: neither may keep the other out of the log
	for {
		began := time.Now()
		err := s.watcher.Watch(ctx, c.Announce)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longPause {
			pause = firstPause
		}
		if said.mayLog(time.Now()) {
			c.o.Log.Warn("authentication module hears of no changes", "module", s.Name(), "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}
