package swarm

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the network of one epoll instance, edge-triggered: a socket is
// registered once, and no call changes what is waited for.
type epoll struct {
	s         *Swarm
	fd, timer int
	conns     []*Conn // by descriptor
	events    []unix.EpollEvent
	buf       []byte
}

func newNetwork(s *Swarm) (network, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	n := &epoll{s: s, fd: fd, timer: timer, events: make([]unix.EpollEvent, 1024), buf: make([]byte, 256<<10)}
	err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, timer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(timer)})
	if err != nil {
		n.close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return n, nil
}

func (n *epoll) dial(c *Conn, to netip.AddrPort, from netip.Addr) error {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd = fd // from here on hangUp closes it
	for fd >= len(n.conns) {
		n.conns = append(n.conns, nil)
	}
	n.conns[fd] = c
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if from.IsValid() {
		// The port is chosen at connect, when the peer is known: else all
		// addresses together would have the ports of one.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	err = unix.EpollCtl(n.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// wait uses the timer for what epoll_wait, which counts milliseconds, cannot say.
func (n *epoll) wait(d int64) {
	ms := int(d / int64(time.Millisecond))
	if d > 0 && ms < 2 {
		it := unix.ItimerSpec{Value: unix.NsecToTimespec(d)}
		if unix.TimerfdSettime(n.timer, 0, &it, nil) == nil {
			ms = 10
		}
	}
	k, err := unix.EpollWait(n.fd, n.events, ms)
	if err != nil {
		return // interrupted: the next turn waits again
	}
	n.s.Clock()
	for _, e := range n.events[:k] {
		if int(e.Fd) == n.timer {
			continue
		}
		c := n.conns[e.Fd]
		if c == nil {
			continue
		}
		if e.Events&unix.EPOLLOUT != 0 {
			n.writable(c)
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			n.read(c)
		}
	}
}

func (n *epoll) writable(c *Conn) {
	if c.hello == nil {
		c.writable()
		return
	}
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		c.fail(os.NewSyscallError("connect", err))
		return
	}
	c.connected()
}

// read empties the socket; less than the buffer holds is all that there was.
func (n *epoll) read(c *Conn) {
	for c.live {
		k, err := unix.Read(c.fd, n.buf)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			c.fail(os.NewSyscallError("read", err))
			return
		case k == 0:
			c.fail(ErrClosed)
			return
		}
		c.received(n.buf[:k])
		if k < len(n.buf) {
			return
		}
	}
}

func (n *epoll) write(c *Conn, b []byte) (int, error) {
	done := 0
	for done < len(b) {
		k, err := unix.Write(c.fd, b[done:])
		switch err {
		case nil:
			done += k
		case unix.EINTR:
		case unix.EAGAIN:
			return done, nil
		default:
			return done, os.NewSyscallError("write", err)
		}
	}
	return done, nil
}

func (n *epoll) hangUp(c *Conn) {
	if c.fd >= 0 {
		n.conns[c.fd] = nil
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

func (n *epoll) close() {
	_ = unix.Close(n.timer)
	_ = unix.Close(n.fd)
}
