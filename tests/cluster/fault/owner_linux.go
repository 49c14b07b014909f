package fault

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// owner finds which of some processes has the other end of a connection within this
// machine: the kernel tells the number of its socket, which is among the files of its
// owner.
func owner(c net.Conn, pids map[int]string) string {
	inode := socket(c.RemoteAddr().(*net.TCPAddr), c.LocalAddr().(*net.TCPAddr))
	if inode == 0 {
		return ""
	}
	want := "socket:[" + strconv.FormatUint(uint64(inode), 10) + "]"
	for pid, name := range pids {
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*") // the pattern is well formed
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && to == want {
				return name
			}
		}
	}
	return ""
}

// What linux/sock_diag.h and linux/inet_diag.h say.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	requestSize      = syscall.NLMSG_HDRLEN + 56 // an inet_diag_req_v2
	answerSize       = syscall.NLMSG_HDRLEN + 72 // an inet_diag_msg
	idOffset         = 8                         // of the addresses in a request
	inodeOffset      = 68                        // in an answer
)

// socket is the number of the socket of a TCP connection over IPv4 between local, its
// own end, and remote; 0 if there is none. The kernel is asked for that one: the list
// in /proc/net/tcp is slow when there are many, and leaves some out while others come
// and go.
func socket(local, remote *net.TCPAddr) uint32 {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return 0
	}
	defer func() { _ = syscall.Close(fd) }() // it holds nothing
	patience := syscall.NsecToTimeval(time.Second.Nanoseconds())
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience); err != nil {
		return 0
	}
	if err := syscall.Sendto(fd, request(local, remote), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0
	}
	answer := make([]byte, 1<<10)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil || n < answerSize || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0
	}
	return binary.NativeEndian.Uint32(answer[syscall.NLMSG_HDRLEN+inodeOffset:])
}

func request(local, remote *net.TCPAddr) []byte {
	r := make([]byte, requestSize)
	binary.NativeEndian.PutUint32(r, requestSize)
	binary.NativeEndian.PutUint16(r[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(r[6:], syscall.NLM_F_REQUEST)
	b := r[syscall.NLMSG_HDRLEN:]
	b[0], b[1] = syscall.AF_INET, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // in any state
	id := b[idOffset:]
	binary.BigEndian.PutUint16(id, uint16(local.Port))
	binary.BigEndian.PutUint16(id[2:], uint16(remote.Port))
	copy(id[4:], local.IP.To4())
	copy(id[20:], remote.IP.To4())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // whichever it is: no cookie
	return r
}
