package main

import (
	"fmt"
	"io"
	"log/slog"

	"emqttd/config"
)

const (
	// reservedFiles are for the log, the storage, the remoting and what the runtime opens.
	reservedFiles = 128
	// lowFileLimit is where EMQ's scripts warned.
	lowFileLimit = 1024
)

// checkFileLimit raises the limit of open files as far as it may be raised, and says what a low one means: each
// connection is an open file.
func checkFileLimit(log *slog.Logger, c *config.Config, stderr io.Writer) {
	limit := fileLimit()
	if limit == 0 {
		return
	}
	connections, wanted := connectionRoom(limit), uint64(0)
	for _, l := range c.Listeners {
		wanted += uint64(max(l.MaxClients, 0))
	}
	if limit < lowFileLimit {
		fmt.Fprintf(stderr, "emqttd: WARNING: only %d open files are allowed, so that about %d clients can connect; "+
			"raise it with `ulimit -n`\n", limit, connections)
	}
	if connections < wanted {
		log.Warn("the limit of open files is below what the listeners allow; further clients will wait",
			"open_files", limit, "clients", connections, "max_clients", wanted)
	}
}

// connectionRoom is how many connections fit into a limit of open files.
func connectionRoom(limit uint64) uint64 {
	if limit <= reservedFiles {
		return 0
	}
	return limit - reservedFiles
}
