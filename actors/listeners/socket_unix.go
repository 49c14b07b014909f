//go:build unix

package listeners

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen opens the socket. Go's own Listen takes the backlog from the system;
// EMQ has a key for it, so the socket is made here.
func (l *Listener) listen() (net.Listener, error) {
	if l.options.Socket != nil {
		return l.options.Socket, nil
	}
	addr, err := net.ResolveTCPAddr("tcp", l.options.Address)
	if err != nil {
		return nil, err
	}
	family, sa := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), l.options.Name)
	defer func() { _ = file.Close() }() // FileListener has a copy of its own
	unix.CloseOnExec(fd)
	if err := l.prepare(fd, family, addr, sa); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

func (l *Listener) prepare(fd, family int, addr *net.TCPAddr, sa unix.Sockaddr) error {
	if l.options.ReuseAddr {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if family == unix.AF_INET6 && addr.IP == nil { // both families, as Go does
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	backlog := l.options.Backlog
	if backlog <= 0 {
		backlog = syscall.SOMAXCONN
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
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
