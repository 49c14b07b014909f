package listeners

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// errInUse says that a process listens on a Unix socket.
var errInUse = errors.New("somebody listens on it already")

// unixSocket is a listening Unix socket, whose file goes with it.
type unixSocket struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the one we made
}

// listenUnix makes a Unix socket in place of one that a process has left behind
// which is no more. One that somebody listens on, and what is no socket, stays.
func listenUnix(path string, mode fs.FileMode) (*unixSocket, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // another's file may be there by then
	s := &unixSocket{UnixListener: l, path: path}
	if s.file, err = os.Lstat(path); err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errInUse, c.Close())
	}
	if !nobodyListens(err) {
		return fmt.Errorf("%w: %w", errInUse, err)
	}
	return os.Remove(path)
}

// Close implements net.Listener.
func (s *unixSocket) Close() error {
	err := s.UnixListener.Close()
	if now, e := os.Lstat(s.path); e == nil && s.file != nil && os.SameFile(now, s.file) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
