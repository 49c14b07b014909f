package memory

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// share of the memory of a machine or container that a node may use unless
// somebody says more precisely.
const share = 0.75

// Limit is how much memory the node may use: configured, or what GOMEMLIMIT
// says, or three quarters of what the control group or the system has. 0 is
// unknown.
func Limit(configured uint64) uint64 {
	if configured > 0 {
		return configured
	}
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return uint64(n)
	}
	least := uint64(math.MaxUint64)
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := os.ReadFile(name); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil {
				least = min(least, n)
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		least = min(least, memTotal(string(b)))
	}
	if least == math.MaxUint64 {
		return 0
	}
	return uint64(float64(least) * share)
}

// memTotal is the memory of the machine by /proc/meminfo.
func memTotal(text string) uint64 {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "MemTotal:" && words[2] == "kB" {
			if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
				return n << 10
			}
		}
	}
	return math.MaxUint64
}
