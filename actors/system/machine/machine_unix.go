//go:build unix

package machine

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxFiles is how many files and sockets the process may have open; 0 where there is no such limit.
func MaxFiles() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return uint64(r.Cur) //nolint:unconvert // it is signed on FreeBSD
}

// OpenFiles counts the files and sockets that are open, 0 where the system does not tell. With a million of them it takes
// some 100 ms.
func OpenFiles() int {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer func() { _ = d.Close() }() // it was only read
	n := -1                          // for d itself
	for {
		names, err := d.Readdirnames(4096)
		n += len(names)
		if err != nil {
			return n
		}
	}
}

// Load is the load average over 1, 5 and 15 minutes; ok is false where the system does not tell.
func Load() (load [3]float64, ok bool) {
	text, err := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	if err != nil || len(words) < len(load) {
		return load, false
	}
	for i := range load {
		if load[i], err = strconv.ParseFloat(words[i], 64); err != nil {
			return load, false
		}
	}
	return load, true
}
