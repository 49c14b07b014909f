package fault

import (
	"math/rand/v2"
	"net"
	"time"
)

// segment is what one read brought.
type segment struct {
	data []byte
	due  time.Time
	end  bool // the sender has closed
}

// inFlight is how many segments may be on a way: then the sender has to wait, as it
// does for a window.
const inFlight = 256

// pump carries one direction, until its end has been carried or the connection is
// gone.
func (n *Network) pump(w way, src, dst net.Conn) {
	segments := make(chan segment, inFlight)
	n.work.Go(func() {
		defer close(segments)
		n.read(w, src, segments)
	})
	gone := false
	for s := range segments {
		if gone || !n.pass(w, s.due) {
			gone = true
			continue // the reader must not wait for room
		}
		if s.end {
			_ = dst.(*net.TCPConn).CloseWrite()
			continue
		}
		if _, err := dst.Write(s.data); err != nil {
			gone = true
			reset(src)
		}
	}
	if gone {
		reset(dst)
	}
}

// read reads, and says of each segment when it may arrive.
func (n *Network) read(w way, src net.Conn, to chan<- segment) {
	var last time.Time
	for {
		buf := make([]byte, 32<<10)
		k, err := src.Read(buf)
		f, _, _ := n.fault(w)
		due := time.Now().Add(f.Delay)
		if f.Jitter > 0 {
			due = due.Add(rand.N(f.Jitter))
		}
		if f.Loss > 0 && rand.Float64() < f.Loss {
			due = due.Add(retransmission)
		}
		if due.Before(last) {
			due = last // TCP keeps the order
		}
		last = due
		if k > 0 {
			to <- segment{data: buf[:k], due: due}
		}
		if err != nil {
			to <- segment{due: due, end: true}
			return
		}
	}
}

// pass waits until it is due and the way is open; false if the network has ended.
func (n *Network) pass(w way, due time.Time) bool {
	if d := time.Until(due); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		for waiting := true; waiting; {
			_, change, closed := n.fault(w)
			if closed {
				return false
			}
			select {
			case <-timer.C:
				waiting = false
			case <-change:
			}
		}
	}
	for {
		f, change, closed := n.fault(w)
		if closed || !f.Cut {
			return !closed
		}
		<-change
	}
}
