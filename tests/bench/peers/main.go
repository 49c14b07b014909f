// Command peers is the other brokers that ours is measured beside, and the floor
// beneath all of them, each in a process of its own:
//
//	peers mochi -tcp 127.0.0.1:1883 -ws 127.0.0.1:8083
//	peers nats -tcp 127.0.0.1:1883 -ws 127.0.0.1:8083 -dir FOLDER
//	peers floor-goroutines|floor-epoll -tcp 127.0.0.1:1883
//	peers versions
//
// It is a module of its own, so that what only a comparison needs is not in the
// broker's. Clients need no name and no password. It ends with a signal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// place is where a broker listens and what it may write to.
type place struct {
	tcp, ws string // host:port; no WebSocket if ws is empty
	dir     string
}

// kinds run until the context ends.
var kinds = map[string]func(context.Context, place) error{
	"mochi":            mochi,
	"nats":             nats,
	"floor-goroutines": floorOfGoroutines,
	"floor-epoll":      floorOfEpoll,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	if len(args) == 0 {
		return errors.New("which? mochi, nats, floor-goroutines, floor-epoll, or versions")
	}
	if args[0] == "versions" {
		return versions(w)
	}
	serve, ok := kinds[args[0]]
	if !ok {
		return fmt.Errorf("%s is no broker known here", args[0])
	}
	var p place
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&p.tcp, "tcp", "127.0.0.1:1883", "`host:port` for MQTT")
	f.StringVar(&p.ws, "ws", "", "`host:port` for MQTT over WebSocket; none if empty")
	f.StringVar(&p.dir, "dir", "", "`folder` for what it stores")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	return serve(ctx, p)
}

// versions prints "name version" of each broker that is built in.
func versions(w io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("built without modules")
	}
	for _, m := range info.Deps {
		switch {
		case strings.HasPrefix(m.Path, "github.com/mochi-mqtt/"):
			fmt.Fprintln(w, "mochi", m.Version)
		case strings.HasPrefix(m.Path, "github.com/nats-io/nats-server/"):
			fmt.Fprintln(w, "nats", m.Version)
		}
	}
	return nil
}
