//go:build unix && !linux

package connections

import (
	"errors"
	"syscall"
)

// readNow and writeNow are read(2) and write(2) on a socket that does not block.

func readNow(fd int, p []byte) (int, error) {
	return uninterrupted(func() (int, error) { return syscall.Read(fd, p) })
}

func writeNow(fd int, p []byte) (int, error) {
	return uninterrupted(func() (int, error) { return syscall.Write(fd, p) })
}

func uninterrupted(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err == nil || !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
