package connections

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketLink is a socket that a poller watches. It is all that is left of a
// connection in the layers below MQTT: a descriptor, without the structures of
// package net and of the runtime's own poller.
type socketLink struct {
	p       *poller
	watcher interface{ Ready() } // guarded by the poller's lock
	fd      int32
	number  uint32
	// uses counts the system calls under way; with shut set no new one begins, and
	// the last one closes the descriptor. Nothing ever happens to a descriptor that
	// has become somebody else's.
	uses     atomic.Uint32
	news     atomic.Uint32                 // what the poller has told and the reader has not used up
	writer   atomic.Pointer[chan struct{}] // wakes who waits in Write; nil while nobody ever has
	deadline atomic.Int64                  // of that, Unix nanoseconds; 0 for none
}

const shut = 1 << 31 // in uses

// What news there may be.
const (
	hasData uint32 = 1 << iota // reading may bring something
	atEnd                      // and goes on to the end: nothing new will be told
)

func (l *socketLink) acquire() bool {
	for {
		n := l.uses.Load()
		if n&shut != 0 {
			return false
		}
		if l.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *socketLink) release() {
	if l.uses.Add(^uint32(0)) == shut {
		_ = unix.Close(int(l.fd))
	}
}

// happened is called by the poller.
func (l *socketLink) happened(events uint32, watcher interface{ Ready() }) {
	const end = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.wakeWriter()
	}
	if events&(unix.EPOLLIN|end) == 0 {
		return
	}
	news := hasData
	if events&end != 0 {
		news |= atEnd
	}
	l.news.Or(news)
	if watcher == nil { // Watch may have come, and seen no news, since the poller looked
		l.p.mu.Lock()
		watcher = l.watcher
		l.p.mu.Unlock()
	}
	if watcher != nil && l.uses.Load()&shut == 0 {
		watcher.Ready()
	}
}

// Watch implements Polled.
func (l *socketLink) Watch(w interface{ Ready() }) {
	l.p.mu.Lock()
	l.watcher = w
	l.p.mu.Unlock()
	if l.news.Load() != 0 { // told to nobody
		w.Ready()
	}
}

// TryRead implements Polled.
func (l *socketLink) TryRead(p []byte) (int, error) {
	if !l.acquire() {
		return 0, net.ErrClosed
	}
	defer l.release()
	if l.news.And(^hasData)&hasData == 0 {
		return 0, nil
	}
	n, err := readNow(int(l.fd), p)
	switch {
	case n > 0:
		// A read that leaves room has taken everything, unless the end is behind it.
		if n == len(p) || l.news.Load()&atEnd != 0 {
			l.news.Or(hasData)
		}
		return n, nil
	case errors.Is(err, syscall.EAGAIN):
		return 0, nil
	case err == nil:
		err = io.EOF
	}
	l.news.Or(hasData) // it comes again
	return 0, err
}

// TryWrite implements Link.
func (l *socketLink) TryWrite(p []byte) (int, error) {
	if !l.acquire() {
		return 0, net.ErrClosed
	}
	defer l.release()
	n, err := writeNow(int(l.fd), p)
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return max(n, 0), err
}

// Write implements Link.
func (l *socketLink) Write(p []byte) (n int, err error) {
	room := l.writer.Load()
	if room == nil {
		c := make(chan struct{}, 1)
		room = &c
		l.writer.Store(room)
	}
	for {
		k, err := l.TryWrite(p[n:])
		if n += k; err != nil || n == len(p) {
			return n, err
		}
		if err := l.waitRoom(*room); err != nil {
			return n, err
		}
	}
}

// waitRoom waits until the socket takes something, the deadline has been moved, or
// the link is closed.
func (l *socketLink) waitRoom(room <-chan struct{}) error {
	d := l.deadline.Load()
	if d == 0 {
		<-room
		return nil
	}
	left := time.Until(time.Unix(0, d))
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-room:
	case <-timer.C:
	}
	return nil
}

func (l *socketLink) wakeWriter() {
	if room := l.writer.Load(); room != nil {
		select {
		case *room <- struct{}{}:
		default:
		}
	}
}

// SetWriteDeadline implements Link. It bounds a Write that waits, too.
func (l *socketLink) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		l.deadline.Store(0)
		return nil
	}
	l.deadline.Store(t.UnixNano())
	l.wakeWriter()
	return nil
}

// CloseWrite implements Link.
func (l *socketLink) CloseWrite() error {
	if !l.acquire() {
		return net.ErrClosed
	}
	defer l.release()
	return os.NewSyscallError("shutdown", unix.Shutdown(int(l.fd), unix.SHUT_WR))
}

// RemoteAddr implements Link. It asks the system, which is nil once the peer has
// gone: the client's record knows its address.
func (l *socketLink) RemoteAddr() net.Addr {
	if !l.acquire() {
		return nil
	}
	defer l.release()
	switch sa, _ := unix.Getpeername(int(l.fd)); sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	default:
		return nil
	}
}

// Close implements Link.
func (l *socketLink) Close() error {
	for {
		n := l.uses.Load()
		if n&shut != 0 {
			return net.ErrClosed
		}
		if l.uses.CompareAndSwap(n, n+1|shut) {
			break
		}
	}
	l.p.remove(l)
	l.wakeWriter()
	l.release()
	return nil
}
