package main

import (
	"context"
	"net"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// loop is the relay on one thread that epoll wakes, past Go's own poller: what
// the kernel asks for, and next to nothing else.
type loop struct {
	relay *relay
	fd    int
	mu    sync.Mutex
	conns []*socket // by descriptor
}

// socket is a client of the loop.
type socket struct {
	client
	rest []byte // of a packet that is not complete
}

func floorOfEpoll(ctx context.Context, p place) error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	l := &loop{relay: newRelay(), fd: fd}
	go l.run()
	listener, err := net.Listen("tcp", p.tcp)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.add(conn.(*net.TCPConn)); err != nil {
			return err
		}
	}
}

// add takes the descriptor away from Go's poller.
func (l *loop) add(conn *net.TCPConn) error {
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if err := raw.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	c := &socket{}
	c.write = func(b []byte) { writeAll(fd, b) }
	l.mu.Lock()
	for fd >= len(l.conns) {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	l.mu.Unlock()
	return unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (l *loop) run() {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 64<<10)
	var touched []*client
	for {
		n, err := unix.EpollWait(l.fd, events, -1)
		if err != nil {
			continue // interrupted
		}
		for _, e := range events[:n] {
			touched = l.read(int(e.Fd), buf, touched)
		}
	}
}

func (l *loop) read(fd int, buf []byte, touched []*client) []*client {
	l.mu.Lock()
	c := l.conns[fd]
	l.mu.Unlock()
	have := copy(buf, c.rest)
	n, err := unix.Read(fd, buf[have:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return touched
	case err != nil || n <= 0:
		l.relay.leave(&c.client)
		_ = unix.Close(fd)
		return touched
	}
	rest, touched := l.relay.read(&c.client, buf[:have+n], touched)
	c.rest = append(c.rest[:0], rest...)
	return touched
}

// writeAll waits where the socket is full.
func writeAll(fd int, b []byte) {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		default:
			return // its reader notices
		}
	}
}
