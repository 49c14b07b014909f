package memnet

import (
	"sync/atomic"
	"time"
)

// side is who waits in one direction, one at a time, and for how long.
type side struct {
	event    chan struct{} // has room for one: an event between look and wait is not lost
	deadline atomic.Int64  // Unix nanoseconds; 0 is none
	timer    *time.Timer   // nil without a deadline
}

func newSide() side { return side{event: make(chan struct{}, 1)} }

func (s *side) wake() {
	select {
	case s.event <- struct{}{}:
	default:
	}
}

func (s *side) expired() bool {
	d := s.deadline.Load()
	return d != 0 && time.Now().UnixNano() >= d
}

// set is called with the connection locked.
func (s *side) set(t time.Time) {
	s.stop()
	if t.IsZero() {
		s.deadline.Store(0)
	} else {
		s.deadline.Store(t.UnixNano())
		s.timer = time.AfterFunc(time.Until(t), s.wake)
	}
	s.wake()
}

func (s *side) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
