//go:build !unix

package servers

import (
	"errors"
	"io"
	"os/exec"
	"syscall"
)

// errNotHere is what there is where the servers do not run.
var errNotHere = errors.New("these servers run on Unix only")

// There is nothing to be frozen.
const (
	stopSignal     = syscall.SIGTERM
	continueSignal = syscall.SIGTERM
)

func as(*exec.Cmd, string) error { return errNotHere }

func own(string, string) error { return errNotHere }

func watch(int, syscall.Signal, string) (io.WriteCloser, error) { return nil, errNotHere }

func dismiss(w io.WriteCloser) error { return w.Close() }
