package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"emqttd/actors/system/trace"
	"emqttd/protocol/topic"
)

func traceHandler() *Handler {
	return &Handler{Name: "trace", Run: traceCommand, Usage: []Usage{
		{"trace list", "List all traces"},
		{"trace client <ClientId> <LogFile>", "Write what a client sends and gets to a file"},
		{"trace client <ClientId> off", "Stop tracing a client"},
		{"trace topic <Topic> <LogFile>", "Write what is published to a topic to a file"},
		{"trace topic <Topic> off", "Stop tracing a topic"},
		{"trace ip <IP> <LogFile>", "Write what clients at an address send and get to a file"},
		{"trace ip <IP> off", "Stop tracing an address"},
		{"trace stop", "Stop all traces"},
	}}
}

func traceCommand(r *Request) Result {
	t := r.Sources.Trace
	switch {
	case slices.Equal(r.Args, []string{"list"}):
		return slicePage(r, t.List(), func(b *strings.Builder, e trace.Entry) {
			fmt.Fprintf(b, "trace %s %s -> %s\n", e.Kind, safe(e.What), safe(e.File))
		})
	case slices.Equal(r.Args, []string{"stop"}):
		if err := t.Close(); err != nil {
			return refused(err)
		}
		return Result{Text: "ok\n"}
	case len(r.Args) == 3:
		switch k := trace.Kind(r.Args[0]); k {
		case trace.Client, trace.Topic, trace.IP:
			return traceOne(r, k, r.Args[1], r.Args[2])
		}
	}
	return r.WrongArguments()
}

func traceOne(r *Request, k trace.Kind, what, file string) Result {
	if file == "off" {
		if err := r.Sources.Trace.Stop(k, what); err != nil {
			return Result{Text: fmt.Sprintf("stop tracing %s %s error: %v.\n", k, safe(what), err), ExitCode: ExitFailed}
		}
		return Result{Text: fmt.Sprintf("stop tracing %s %s successfully.\n", k, safe(what))}
	}
	err := traceable(k, what)
	if err == nil {
		err = r.Sources.Trace.Start(k, what, r.Sources.Path(file))
	}
	if err != nil {
		return Result{Text: fmt.Sprintf("trace %s %s error: %v\n", k, safe(what), err), ExitCode: ExitFailed}
	}
	return Result{Text: fmt.Sprintf("trace %s %s successfully.\n", k, safe(what))}
}

// traceable refuses what no packet can ever have: its trace would stay empty.
func traceable(k trace.Kind, what string) error {
	switch k {
	case trace.Topic:
		if err := topic.CheckName(topic.Name(what)); err != nil {
			return fmt.Errorf("expected one topic, without wildcards: %w", err)
		}
	case trace.IP:
		if _, err := netip.ParseAddr(what); err != nil {
			return errors.New("expected an IP address")
		}
	case trace.Client: // it may be anything
	}
	return nil
}

func logHandler() *Handler {
	return &Handler{Name: "log", Run: logCommand, Usage: []Usage{
		{"log level", "Show the level of the log"},
		{"log level <Level>", "Log from debug, info, notice, warning, error, critical, alert, emergency on, or none; until the next start"},
	}}
}

func logCommand(r *Request) Result {
	switch {
	case slices.Equal(r.Args, []string{"level"}):
		return Result{Text: r.Sources.LogLevel() + "\n"}
	case len(r.Args) == 2 && r.Args[0] == "level":
		if err := r.Sources.SetLogLevel(r.Args[1]); err != nil {
			return refused(err)
		}
		return Result{Text: "ok\n"}
	}
	return r.WrongArguments()
}
