package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"

	"emqttd/actors/system/logging"
	"emqttd/config"
)

// mode is how the node runs in this process.
type mode uint8

const (
	inForeground mode = iota // the log goes to stderr
	onConsole                // the same, and the boot lines go to stdout
	asDaemon                 // the child of start: the log goes to log/emqttd.log
)

// daemonVerb is what start runs in the background. It is not for people.
const daemonVerb = "__daemon"

const (
	// stopTimeout is how long an orderly stop may take before the process ends anyway.
	stopTimeout = 30 * time.Second
	// daemonLogSize and daemonLogCount rotate log/emqttd.log where log.console.size and .count do not say otherwise.
	daemonLogSize  = 10 << 20
	daemonLogCount = 5
)

// broker is a node that runs.
type broker interface {
	// Stop stops it in order: listeners first. It returns when all is stopped or ctx ends.
	Stop(ctx context.Context) error
	// Done is closed when the node is stopped.
	Done() <-chan struct{}
	// StopRequested receives a value when an operator asks the node to stop.
	StopRequested() <-chan struct{}
	// Reload reads the configuration again, as emqttd_ctl conf reload does, and logs
	// what became of it.
	Reload(by string)
}

// bootOptions are what the node gets from this process.
type bootOptions struct {
	logger *slog.Logger
	conf   *config.Loaded    // what the configuration was read from
	giveUp func(error)       // an essential actor gave up: the process must end
	boot   func(line string) // progress, one line per part
}

// serve runs the node in this process until it is told to stop.
func (a *app) serve(m mode) int {
	signal.Ignore(ignoredSignals...)
	lock, err := lockNode(a.config)
	if errors.Is(err, errLocked) {
		fmt.Fprintln(a.stderr, "Node is already running!")
		return 1
	}
	if err != nil {
		return a.fail("%v", err)
	}
	defer func() {
		if err := lock.Close(); err != nil {
			fmt.Fprintf(a.stderr, "emqttd: %v\n", err)
		}
	}()

	log, closeLog, err := a.openLog(m)
	if err != nil {
		return a.fail("%v", err)
	}
	defer closeLog()
	checkFileLimit(log, a.config, a.stderr)

	stop := make(chan os.Signal, 2)
	signal.Notify(stop, stopSignals...)
	defer signal.Stop(stop)
	reload := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 { // none would mean all
		signal.Notify(reload, reloadSignals...)
		defer signal.Stop(reload)
	}
	gaveUp := make(chan error, 1)
	options := bootOptions{logger: log, conf: a.loaded, boot: func(string) {}, giveUp: func(err error) {
		select {
		case gaveUp <- err:
		default:
		}
	}}
	if m == onConsole {
		options.boot = func(line string) { fmt.Fprintln(a.stdout, line) }
		fmt.Fprintf(a.stdout, "starting emqttd on node '%s'\n", a.config.Node.Name)
	}
	node, err := startNode(a.config, options)
	if err != nil {
		return a.fail("%v", err)
	}
	options.boot(fmt.Sprintf("emqttd %s is running now", version))
	log.Info("emqttd is running", "version", version, "node", a.config.Node.Name, "pid", os.Getpid(), "conf", a.file)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case sig := <-reload:
				node.Reload(sig.String())
			case <-ended:
				return
			}
		}
	}()
	return a.wait(log, node, stop, gaveUp)
}

// wait returns the exit code when the node has ended, for one reason or another.
func (a *app) wait(log *slog.Logger, node broker, stop <-chan os.Signal, gaveUp <-chan error) int {
	select {
	case <-node.Done():
		log.Info("emqttd is stopped")
		return 0
	case err := <-gaveUp:
		log.Log(context.Background(), logging.LevelCritical, "emqttd ends: an essential actor gave up", "error", err)
		return a.fail("%v", err)
	case <-node.StopRequested():
		log.Info("emqttd stops", "by", "operator")
	case sig := <-stop:
		log.Info("emqttd stops", "by", sig.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- node.Stop(ctx) }()
	select {
	case err := <-stopped:
		if err != nil {
			log.Error("emqttd did not stop in order", "error", err)
			return 1
		}
	case sig := <-stop:
		log.Warn("emqttd ends at once: it was told a second time", "signal", sig.String())
		return 1
	}
	log.Info("emqttd is stopped")
	return 0
}

// openLog opens the log of this mode.
func (a *app) openLog(m mode) (*slog.Logger, func(), error) {
	console, closeConsole := a.stderr, func() error { return nil }
	if m == asDaemon {
		f, err := openDaemonLog(a.config)
		if err != nil {
			return nil, nil, err
		}
		console, closeConsole = f, f.Close
	}
	log, err := logging.Open(a.config, console)
	if err != nil {
		return nil, nil, errors.Join(err, closeConsole())
	}
	debug.SetTraceback("all") // a crash of ours is worth every goroutine
	return log.Logger, func() {
		if err := errors.Join(log.Close(), closeConsole()); err != nil {
			fmt.Fprintf(a.stderr, "emqttd: close the log: %v\n", err)
		}
	}, nil
}

// daemonLog is where the output of a node in the background goes.
func daemonLog(c *config.Config) string {
	return filepath.Join(c.Path(c.Log.Dir), "emqttd.log")
}

// openDaemonLog opens it for the log of the node. The daemon's own stderr is the same file, as far as the first
// rotation: what the runtime prints at a crash.
func openDaemonLog(c *config.Config) (io.WriteCloser, error) {
	size, count := int64(daemonLogSize), daemonLogCount
	if f := c.Log.ConsoleFile; f.Size > 0 {
		size, count = int64(f.Size), f.Count
	}
	return logging.OpenFile(daemonLog(c), size, count)
}
