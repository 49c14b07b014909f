// Command emqttd runs and controls a broker node.
//
//	emqttd [-c FILE] start|stop|restart|console|foreground|ping|pid|status|version|help
//
// It is the edge of the program: it reads the environment, the files and the signals, and hands values to the node.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"emqttd/cmd/internal/conf"
	"emqttd/config"
)

// version is the release; the build sets it: -ldflags "-X main.version=…".
var version = "0.1.0"

func main() {
	app := &app{stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(app.run(os.Args[1:]))
}

// app is one invocation.
type app struct {
	stdout, stderr io.Writer
	config         *config.Config
	loaded         *config.Loaded // config with where it comes from
	file           string         // the emq.conf it was read from, absolute
}

const usageLine = "Usage: emqttd [-c FILE] {start|stop|restart|console|foreground|ping|pid|status|version|help}\n"

const helpText = usageLine + `
  start       start the node in the background and wait until it answers
  stop        stop the node and wait until it is gone
  restart     stop, then start
  console     run the node here and show how it starts
  foreground  run the node here; the log goes to stderr
  ping        ask the node whether it runs: pong
  pid         print the process id of the node
  status      print the status of the node
  version     print the version

  -c FILE     the emq.conf to use. Default: $EMQ_HOME/etc/emq.conf, or etc/emq.conf beside the folder of the program.
              Relative paths in it start at $EMQ_HOME, or at the folder that holds the etc/ of that file.

  SIGHUP reads the configuration of a running node again, as emqttd_ctl conf reload does.

  WAIT_FOR_ERLANG   seconds that start waits for the node to answer; 15 when it is not set
`

// verbs that need a configuration.
var verbs = map[string]func(*app) int{
	"start":      (*app).start,
	"stop":       (*app).stop,
	"restart":    (*app).restart,
	"console":    func(a *app) int { return a.serve(onConsole) },
	"foreground": func(a *app) int { return a.serve(inForeground) },
	daemonVerb:   func(a *app) int { return a.serve(asDaemon) },
	"ping":       (*app).ping,
	"pid":        (*app).pid,
	"status":     (*app).status,
}

// run returns the exit code: 0 done, 1 anything else.
func (a *app) run(args []string) int {
	named, rest, err := conf.Args(args)
	if err != nil {
		return a.fail("%v", err)
	}
	if len(rest) != 1 {
		fmt.Fprint(a.stderr, usageLine)
		return 1
	}
	switch verb := strings.ToLower(rest[0]); verb {
	case "help", "--help", "-h":
		fmt.Fprint(a.stdout, helpText)
		return 0
	case "version", "--version":
		fmt.Fprintf(a.stdout, "emqttd %s\n", version)
		return 0
	default:
		do, ok := verbs[verb]
		if !ok {
			fmt.Fprint(a.stderr, usageLine)
			return 1
		}
		if !a.load(named, verb) {
			return 1
		}
		return do(a)
	}
}

// load reads the configuration and prints all that is wrong with it. Warnings are shown by those verbs only that start
// a node, and by the daemon's parent rather than the daemon.
func (a *app) load(named, verb string) bool {
	loaded, file, problems, err := conf.Load(named)
	if err != nil {
		a.fail("%v", err)
		return false
	}
	for _, p := range problems.Errors {
		fmt.Fprintf(a.stderr, "error: %s\n", p)
	}
	if problems.Err() != nil {
		return false
	}
	if verb == "start" || verb == "restart" || verb == "console" || verb == "foreground" {
		for _, p := range problems.Warnings {
			fmt.Fprintf(a.stderr, "warning: %s\n", p)
		}
	}
	a.config, a.loaded, a.file = loaded.Config, loaded, file
	return true
}

// fail prints one line and returns the exit code for it.
func (a *app) fail(format string, args ...any) int {
	fmt.Fprintf(a.stderr, "emqttd: "+format+"\n", args...)
	return 1
}
