package connections

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are read(2) and write(2) on a socket that does not
// block. The raw form does not tell the scheduler, which would only be worth
// its cost for a call that may take long; these end after a copy.

func readNow(fd int, p []byte) (int, error) { return raw(syscall.SYS_READ, fd, p) }

func writeNow(fd int, p []byte) (int, error) { return raw(syscall.SYS_WRITE, fd, p) }

func raw(call uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch e {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN
		case syscall.EINTR:
		default:
			return 0, e
		}
	}
}
