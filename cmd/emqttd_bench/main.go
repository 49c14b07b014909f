// Command emqttd_bench loads an MQTT broker with clients and says what that cost:
// connections, messages between pairs, one to many, many subscriptions, requests
// and responses. It is the counterpart of emqtt_benchmark, whose options it
// takes, and what the figures in docs/benchmarks are made with.
//
// The exit code is 0 when everything that was asked for has happened, and 1
// when a client failed, or a message of QoS 1 or 2 was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is the release; the build sets it: -ldflags "-X main.version=…".
var version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const long = `emqttd_bench loads an MQTT broker with clients and says what that cost.

Each command is a scenario. All of them end by themselves, but sub, pub and conn
--hold 0, which Ctrl-C ends. In topics, %u stands for the user name, %c for the
client identifier and %i for the number of the client. With --pid, the broker's
process on this machine, the report says what each message cost it. Memory means
something only with a broker that has just been started: what earlier load has
left in its heap is used again.`

// errFailed is an end whose reasons the report has told.
var errFailed = errors.New("failed")

// run returns the exit code. Cancelling the context ends a scenario early, with a
// report of what there is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "emqttd_bench",
		Short:         "Load an MQTT broker with clients and say what that cost",
		Long:          long,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(connCommand(), subCommand(), pubCommand(), pairCommand(), fanCommand(), routesCommand(), rttCommand(),
		retainedCommand(), offlineCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// -h is the host, as in emqtt_benchmark.
	root.PersistentFlags().Bool("help", false, "explain the command")
	switch err := root.ExecuteContext(ctx); {
	case errors.Is(err, errFailed):
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "emqttd_bench: %v\n", err)
		return 1
	}
	return 0
}
