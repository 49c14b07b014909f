package listeners

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// option reads an option of a socket.
func option(t *testing.T, c syscall.Conn, level, name int) (value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return value
}

func TestSocketsHaveTheOptionsOfTheirListener(t *testing.T) {
	server, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	accepted := func(o Options) *net.TCPConn {
		client, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := server.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = client.Close(), c.Close() })
		(&terms{Options: o}).tune(c)
		return c
	}
	small := accepted(Options{NoDelay: true, RecBuf: 8 << 10, SndBuf: 16 << 10})
	plain := accepted(Options{})
	if option(t, small, unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0 || option(t, plain, unix.IPPROTO_TCP, unix.TCP_NODELAY) != 0 {
		t.Error("nodelay has no effect")
	}
	// Linux keeps twice what it is told.
	if n := option(t, small, unix.SOL_SOCKET, unix.SO_RCVBUF); n != 16<<10 {
		t.Errorf("recbuf: %d", n)
	}
	if n := option(t, small, unix.SOL_SOCKET, unix.SO_SNDBUF); n != 32<<10 {
		t.Errorf("sndbuf: %d", n)
	}
}

func TestBacklogBoundsWhoWaitsToBeAccepted(t *testing.T) {
	l := new(Listener)
	l.terms.Store(l.newTerms(Options{Name: "tcp.test", Address: "127.0.0.1:0", Backlog: 3, ReuseAddr: true}))
	if err := l.Reserve(); err != nil {
		t.Fatal(err)
	}
	s, err := l.open() // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if option(t, s.(syscall.Conn), unix.SOL_SOCKET, unix.SO_REUSEADDR) == 0 {
		t.Error("reuseaddr has no effect")
	}
	waiting := 0
	for range 10 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		addr := s.Addr().(*net.TCPAddr)
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}) // in progress
		if _, err := unix.Getpeername(fd); err == nil {                                         // over loopback that is at once
			waiting++
		}
	}
	if waiting > 4 {
		t.Errorf("%d wait, behind a backlog of 3", waiting)
	}
}
