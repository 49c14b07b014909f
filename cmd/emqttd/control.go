package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"emqttd/actors/admin"
)

const (
	pollInterval = 50 * time.Millisecond
	// defaultWait is how long start waits for the node to answer (WAIT_FOR_ERLANG).
	defaultWait = 15 * time.Second
	// goneTimeout is how long stop waits for the process to end: its own limit and some.
	goneTimeout = stopTimeout + 15*time.Second
	// tailBytes is how much of the log start shows when the node did not come up.
	tailBytes = 4 << 10
)

// start runs the node in the background.
func (a *app) start() int {
	if !canDaemonise {
		return a.fail("start and restart need a service, which this version does not have on Windows; use `emqttd console`")
	}
	running, err := isRunning(a.config)
	if err != nil {
		return a.fail("%v", err)
	}
	if running {
		fmt.Fprintln(a.stderr, "Node is already running!")
		return 1
	}
	out, err := openDaemonLog(a.config) // makes the folder
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return a.fail("%v", err)
	}
	return a.spawn()
}

// spawn starts the daemon and waits until it answers or ends.
func (a *app) spawn() int {
	log, err := os.OpenFile(daemonLog(a.config), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return a.fail("%v", err)
	}
	defer func() { _ = log.Close() }() // the daemon writes it
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return a.fail("%v", err)
	}
	program, err := os.Executable()
	if err != nil {
		return a.fail("%v", err)
	}
	cmd := exec.Command(program, "-c", a.file, daemonVerb)
	cmd.Dir = a.config.Node.Home
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return a.fail("%v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return a.awaitAnswer(ended, log, from)
}

func (a *app) awaitAnswer(ended <-chan error, log *os.File, from int64) int {
	wait := waitTime(os.Getenv("WAIT_FOR_ERLANG"))
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case err := <-ended:
			fmt.Fprintf(a.stderr, "emqttd failed to start (%v). The log says:\n%s", err, tail(log, from))
			return 1
		case <-deadline.C:
			fmt.Fprintf(a.stderr, "emqttd failed to start within %d seconds,\nsee the output of 'emqttd console' for more "+
				"information.\nIf you want to wait longer, set the environment variable\n'WAIT_FOR_ERLANG' to the number of "+
				"seconds to wait.\n%s", int(wait/time.Second), tail(log, from))
			return 1
		case <-poll.C:
			if code, err := a.ask(io.Discard, "node", "ping"); err == nil && code == 0 {
				fmt.Fprintf(a.stdout, "emqttd %s is started successfully!\n", version)
				return 0
			}
		}
	}
}

func waitTime(text string) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return defaultWait
}

// tail returns the last lines that were written to the log since from.
func tail(log *os.File, from int64) []byte {
	info, err := log.Stat()
	if err != nil {
		return nil
	}
	at := max(from, info.Size()-tailBytes)
	b := make([]byte, max(info.Size()-at, 0))
	n, err := log.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	b = b[:n]
	if at > from { // begin with a whole line
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return b
}

// ask runs one command on the node.
func (a *app) ask(out io.Writer, args ...string) (int, error) {
	client, err := admin.DialNode(a.config)
	if err != nil {
		return 1, err
	}
	defer client.Close()
	return client.Run(out, args...)
}

// notRunning prints EMQ's line when no node runs, and reports whether that is so.
func (a *app) notRunning() (bool, int) {
	running, err := isRunning(a.config)
	if err != nil {
		return true, a.fail("%v", err)
	}
	if !running {
		fmt.Fprintln(a.stderr, "Node is not running!")
		return true, 1
	}
	return false, 0
}

// stop asks the node to stop, by remoting or, when it does not answer, by a signal.
func (a *app) stop() int {
	if done, code := a.notRunning(); done {
		return code
	}
	if code, err := a.ask(io.Discard, "node", "stop"); code != 0 && !admin.IsLost(err) {
		pid, perr := pidOf(a.config)
		if perr == nil {
			perr = terminate(pid)
		}
		if perr != nil {
			return a.fail("the node does not answer (%v) and cannot be told otherwise: %v", err, perr)
		}
	}
	gone, err := waitGone(a.config, goneTimeout)
	if err != nil {
		return a.fail("%v", err)
	}
	if !gone {
		return a.fail("the node did not stop within %d seconds; its pid is in %s", int(goneTimeout/time.Second), pidPath(a.config))
	}
	fmt.Fprintln(a.stdout, "ok")
	return 0
}

func (a *app) restart() int {
	if code := a.stop(); code != 0 {
		return code
	}
	return a.start()
}

func (a *app) ping() int {
	code, err := a.ask(a.stdout, "node", "ping")
	if err != nil {
		fmt.Fprintf(a.stderr, "Node '%s' not responding to pings.\n", a.config.Node.Name)
	}
	return code
}

func (a *app) pid() int {
	if done, code := a.notRunning(); done {
		return code
	}
	pid, err := pidOf(a.config)
	if err != nil {
		return a.fail("%v", err)
	}
	fmt.Fprintln(a.stdout, pid)
	return 0
}

func (a *app) status() int {
	code, err := a.ask(a.stdout, "status")
	switch {
	case errors.Is(err, admin.ErrNotRunning):
		fmt.Fprintln(a.stderr, "Node is not running!")
	case err != nil:
		return a.fail("%v", err)
	}
	return code
}
