package measure

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that
// Go runs on.
const tick = 10 * time.Millisecond

// Now takes a snapshot; pid is the broker's process, 0 for none.
func Now(pid int) Usage {
	u := Usage{At: time.Now(), Self: self(), Machine: machine()}
	if pid <= 0 {
		return u
	}
	for _, p := range family(pid) {
		u.Known = true
		u.CPU += p.cpu
		u.RSS += resident(p.pid)
	}
	return u
}

func self() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// machine sums the first line of /proc/stat up without idle and iowait; guest
// time is in user time already.
func machine() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var sum int64
	for i, f := range bytes.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 7 {
			continue
		}
		n, _ := strconv.ParseInt(string(f), 10, 64)
		sum += n
	}
	return time.Duration(sum) * tick
}

type process struct {
	pid, parent int
	cpu         time.Duration
}

func stat(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The name in parentheses may hold anything; fields count from behind it.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 15 {
		return process{}, false
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(string(f[i]), 10, 64)
		return n
	}
	return process{pid: pid, parent: int(number(1)), cpu: time.Duration(number(11)+number(12)) * tick}, true
}

// family is a process and its descendants: brokers of other makes have helpers.
func family(pid int) []process {
	first, ok := stat(pid)
	if !ok {
		return nil
	}
	children := map[int][]process{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := stat(id); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	all := []process{first}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}

// resident is the RSS from smaps_rollup, which is exact; statm is not, by some
// pages for each thread, but everybody may read it.
func resident(pid int) int64 {
	dir := "/proc/" + strconv.Itoa(pid)
	if b, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
		if _, rest, ok := bytes.Cut(b, []byte("\nRss:")); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				kb, _ := strconv.ParseInt(string(f[0]), 10, 64)
				return kb << 10
			}
		}
	}
	b, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
