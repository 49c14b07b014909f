package fault

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner finds which of some processes has the other end of a connection within this
// machine: its socket's number is in /proc/net/tcp, and among the files of its owner.
func owner(c net.Conn, pids map[int]string) string {
	inode := socket(c.RemoteAddr().(*net.TCPAddr))
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
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

// socket is the number of the socket that is bound to an IPv4 address.
func socket(a *net.TCPAddr) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was only read
	ip := a.IP.To4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[1] == local {
			return fields[9]
		}
	}
	return ""
}
