// Package mysql authenticates clients, and knows their access rules, by EMQ's
// queries to MySQL or MariaDB. Its Module holds at most Options.Pool connections
// and makes them when they are needed: the server may come and go.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"emqttd/actors/access/sqlauth"
)

// Options say where the server is and what it is asked.
type Options struct {
	sqlauth.Options
	Addr               string // host:port, or the path of a socket
	Username, Password string
	Database           string
	TLS                *tls.Config // nil: none
	Pool               int         // most connections; 0 is 8
	// Timeout bounds connecting, and each read and write, also where a context
	// has no deadline; 0 is 5 s.
	Timeout time.Duration
}

// Module asks a server.
type Module struct {
	*sqlauth.Module
	db *database
}

// New prepares the queries. It does not connect.
func New(o Options) (*Module, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName, c.TLS = o.Username, o.Password, o.Database, o.TLS
	c.Net, c.Addr = "tcp", o.Addr
	if o.Addr != "" && o.Addr[0] == '/' {
		c.Net = "unix"
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	c.Timeout, c.ReadTimeout, c.WriteTimeout = timeout, timeout, timeout
	c.Logger = &mysql.NopLogger{} // what it would say is in the errors
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	pool := o.Pool
	if pool == 0 {
		pool = 8
	}
	db := &database{sql: sql.OpenDB(connector), prepared: map[string]*sql.Stmt{}}
	db.sql.SetMaxOpenConns(pool)
	db.sql.SetMaxIdleConns(pool)
	db.sql.SetConnMaxIdleTime(5 * time.Minute)
	m, err := sqlauth.New("mysql", o.Options, sqlauth.MySQL, db)
	if err != nil {
		return nil, errors.Join(err, db.sql.Close())
	}
	return &Module{Module: m, db: db}, nil
}

// Close ends the connections. Nothing may be asked any more.
func (m *Module) Close() error { return m.db.sql.Close() }

// database prepares each query when it is first asked; sql.Stmt prepares it again
// on other connections.
type database struct {
	sql      *sql.DB
	mu       sync.Mutex
	prepared map[string]*sql.Stmt // by text
}

func (d *database) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	d.mu.Lock()
	s := d.prepared[text]
	d.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := d.sql.PrepareContext(ctx, text) // not under the lock: the server may be slow
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.prepared[text]; other != nil {
		return other, s.Close()
	}
	d.prepared[text] = s
	return s, nil
}

// Rows asks the prepared query.
func (d *database) Rows(ctx context.Context, text string, args []any, limit int) ([]string, [][]string, error) {
	names, all, err := d.rows(ctx, text, args, limit)
	if notAValue(err) {
		err = fmt.Errorf("%w: %w", sqlauth.ErrNotAValue, err)
	}
	return names, all, err
}

// notAValue tells of an error which is that a client's name cannot be compared with
// a column, as one of other characters than its character set has.
func notAValue(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case 1267, 1300, 1366, 3854, 3988:
		return true
	}
	return false
}

func (d *database) rows(ctx context.Context, text string, args []any, limit int) (names []string, all [][]string, err error) {
	s, err := d.statement(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if names, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	raw := make([]sql.RawBytes, len(names))
	to := make([]any, len(names))
	for i := range raw {
		to[i] = &raw[i]
	}
	for len(all) < limit && rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return nil, nil, err
		}
		row := make([]string, len(raw))
		for i, b := range raw {
			row[i] = string(b)
		}
		all = append(all, row)
	}
	return names, all, rows.Err()
}
