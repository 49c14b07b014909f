//go:build unix

package listeners

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a bound socket that does not listen yet.
type socket = *os.File

// nobodyListens tells whether connecting to a Unix socket failed because its
// process has gone.
func nobodyListens(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// bind takes the address. Go's own Listen takes the backlog from the system; EMQ
// has a key for it, so the socket is made here.
func (l *Listener) bind() (socket, error) {
	addr, err := net.ResolveTCPAddr("tcp", l.terms.Load().Address)
	if err != nil {
		return nil, err
	}
	family, sa := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), l.terms.Load().Name)
	if err := l.prepare(fd, family, addr, sa); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func (l *Listener) prepare(fd, family int, addr *net.TCPAddr, sa unix.Sockaddr) error {
	if l.terms.Load().ReuseAddr {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if family == unix.AF_INET6 && addr.IP == nil { // both families, as Go does
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// listen lets clients come to the socket, which it takes over.
func (l *Listener) listen(s socket) (net.Listener, error) {
	defer func() { _ = s.Close() }() // FileListener has a copy of its own
	backlog := l.terms.Load().Backlog
	if backlog <= 0 {
		backlog = syscall.SOMAXCONN
	}
	if err := unix.Listen(int(s.Fd()), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	return net.FileListener(s)
}

func sockaddr(a *net.TCPAddr) (int, unix.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		sa := &unix.SockaddrInet4{Port: a.Port}
		copy(sa.Addr[:], ip)
		return unix.AF_INET, sa
	}
	sa := &unix.SockaddrInet6{Port: a.Port}
	copy(sa.Addr[:], a.IP.To16())
	return unix.AF_INET6, sa
}
