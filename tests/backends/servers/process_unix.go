//go:build unix

package servers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// What freezes a process, and what lets it go on.
const (
	stopSignal     = syscall.SIGSTOP
	continueSignal = syscall.SIGCONT
)

// ids are the numbers of the user that a server runs as: none of its own unless we
// are root.
func ids(name string) (uid, gid int, other bool, err error) {
	if os.Getuid() != 0 || name == "" {
		return 0, 0, false, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, false, err
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, false, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, true, err
}

// as lets a program run as the user, in a process group of its own: an interrupt
// from the keyboard is for the test, which then stops its servers.
func as(cmd *exec.Cmd, name string) error {
	uid, gid, other, err := ids(name)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return nil
}

// own gives a folder and all in it to the user.
func own(dir, name string) error {
	uid, gid, other, err := ids(name)
	if err != nil || !other {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
}

// watch starts a process that ends pid and removes dir when ours is gone, however
// it went. It learns that from the end of its standard input.
func watch(pid int, sig syscall.Signal, dir string) (io.WriteCloser, error) {
	const script = `read -r _ && exit; kill -$2 $1 2>/dev/null; sleep 1; kill -KILL $1 2>/dev/null; rm -rf "$3"`
	cmd := exec.Command("sh", "-c", script, "sh", strconv.Itoa(pid), strconv.Itoa(int(sig)), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &watcher{in: in, cmd: cmd}, nil
}

type watcher struct {
	in  io.WriteCloser
	cmd *exec.Cmd
}

func (w *watcher) Write(b []byte) (int, error) { return w.in.Write(b) }

func (w *watcher) Close() error { return errors.Join(w.in.Close(), w.cmd.Wait()) }

// dismiss ends a watcher whose process has ended already.
func dismiss(w io.WriteCloser) error {
	_, err := w.Write([]byte("done\n"))
	return errors.Join(err, w.Close())
}
