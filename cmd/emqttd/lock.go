package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"emqttd/config"
)

// A running node holds a lock on data/emqttd.lock; data/emqttd.pid tells its process id. The lock, and not the pid
// file, says whether it runs: the system drops it however the process ends, so that nothing stale can be left behind.

// errLocked means that a node runs on this data folder.
var errLocked = errors.New("node is already running")

type nodeLock struct {
	file    *os.File
	pidFile string
}

func lockPath(c *config.Config) string { return filepath.Join(c.Path(c.Node.DataDir), "emqttd.lock") }

func pidPath(c *config.Config) string { return filepath.Join(c.Path(c.Node.DataDir), "emqttd.pid") }

// lockNode takes the lock of the configured node and writes the pid file. The error is errLocked when the node runs.
func lockNode(c *config.Config) (*nodeLock, error) {
	dir := c.Path(c.Node.DataDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("node.data_dir: %w", err)
	}
	f, err := os.OpenFile(lockPath(c), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("node.data_dir: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &nodeLock{file: f, pidFile: pidPath(c)}
	if err := os.WriteFile(l.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("pid file: %w", err), f.Close())
	}
	return l, nil
}

// Close removes the pid file and drops the lock. The lock file stays: removing it would let two nodes lock two files
// of the same name.
func (l *nodeLock) Close() error { return errors.Join(os.Remove(l.pidFile), l.file.Close()) }

// isRunning reports whether a node holds the lock.
func isRunning(c *config.Config) (bool, error) {
	f, err := os.OpenFile(lockPath(c), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = lockFile(f)
	closed := f.Close() // drops the lock again
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, errors.Join(err, closed)
}

// pidOf reads the process id of the node. It means something only while isRunning.
func pidOf(c *config.Config) (int, error) {
	b, err := os.ReadFile(pidPath(c))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s holds no process id", pidPath(c))
	}
	return pid, nil
}

// waitGone waits until the node has ended, and reports whether it did in time.
func waitGone(c *config.Config, timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	for {
		running, err := isRunning(c)
		if err != nil || !running {
			return !running && err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		time.Sleep(pollInterval)
	}
}
