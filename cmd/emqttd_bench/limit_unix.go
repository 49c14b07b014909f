//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// spare are descriptors for all that is not a client.
const spare = 64

// enoughDescriptors raises the soft limit, and explains when the hard one is too
// low for so many clients.
func enoughDescriptors(clients int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	need := uint64(clients + spare)
	if uint64(l.Cur) >= need { //nolint:unconvert // signed on FreeBSD
		return nil
	}
	if uint64(l.Max) < need { //nolint:unconvert // signed on FreeBSD
		return fmt.Errorf("%d clients need %d open files, but this process may have %d (ulimit -n)", clients, need, l.Max)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
