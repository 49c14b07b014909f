//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// stopSignals end the node in order.
var stopSignals = []os.Signal{unix.SIGTERM, unix.SIGINT}

// reloadSignals have it read its configuration again.
var reloadSignals = []os.Signal{unix.SIGHUP}

// ignoredSignals are not for us: with SIGPIPE a reader of our log that goes away would end the broker.
var ignoredSignals = []os.Signal{unix.SIGPIPE}

const canDaemonise = true

// detach makes the command survive our terminal.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// terminate asks a process to stop in order.
func terminate(pid int) error { return unix.Kill(pid, unix.SIGTERM) }

// fileLimit raises the soft limit of open files to the hard one and returns it; 0 when it is not known.
func fileLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = l.Max
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	return uint64(l.Cur) //nolint:unconvert // signed on FreeBSD
}
