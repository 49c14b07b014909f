// Command mongo is a server for the tests that speaks MongoDB's wire protocol:
// FerretDB, which keeps its data in SQLite or in PostgreSQL. There is no mongod in
// Debian.
//
//	mongo -addr 127.0.0.1:27117 -dir /tmp/data
//	mongo -addr 127.0.0.1:27117 -postgres postgres://127.0.0.1:5432/postgres
//
// On SQLite every password is right; on PostgreSQL clients log in as its users,
// with the mechanism PLAIN. It ends with SIGTERM. It is a module of its own, so
// that FerretDB is not in the broker's go.mod.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:27017", "where to listen")
	dir := flag.String("dir", "", "where SQLite's files go")
	postgres := flag.String("postgres", "", "URL of PostgreSQL, in place of -dir")
	flag.Parse()
	if err := run(*addr, *dir, *postgres); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(addr, dir, postgres string) error {
	c := &ferretdb.Config{Listener: ferretdb.ListenerConfig{TCP: addr}}
	if postgres != "" {
		c.Handler, c.PostgreSQLURL = "postgresql", postgres
	} else {
		c.Handler, c.SQLiteURL = "sqlite", "file:"+strings.TrimSuffix(dir, "/")+"/"
	}
	f, err := ferretdb.New(c)
	if err != nil {
		return fmt.Errorf("start FerretDB: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return f.Run(ctx)
}
