package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"slices"

	"emqttd/actors/admin"
)

// isLive tells whether a command is shown again and again: actors top, unless it is asked for once.
func isLive(args []string) bool {
	return len(args) > 1 && args[0] == "actors" && args[1] == "top" && !slices.Contains(args, "--once")
}

// home clears a terminal.
const home = "\x1b[H\x1b[2J"

// watch runs a command until it is interrupted or fails. The node takes its time for each picture, a second, so that it
// need not wait in between.
func watch(client *admin.Client, cmd admin.Command, out, stdout io.Writer) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for ctx.Err() == nil {
		var picture bytes.Buffer
		if t, ok := out.(*table); ok {
			t.out, t.columns = &picture, nil
		}
		if isTerminal(stdout) {
			picture.WriteString(home)
		}
		into := out
		if _, ok := out.(*table); !ok {
			into = &picture
		}
		code, err := client.Do(into, cmd)
		if _, writing := stdout.Write(picture.Bytes()); writing != nil {
			return admin.ExitFailed, writing
		}
		if err != nil || code != admin.ExitOK {
			return code, err
		}
	}
	return admin.ExitOK, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
