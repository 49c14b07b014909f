// Package pgsql authenticates clients, and knows their access rules, by EMQ's
// queries to PostgreSQL. Its Module holds at most Options.Pool connections, and one
// more for Watch, and makes them when they are needed: the server may come and go.
//
// A change is told at once by a notification on Options.Channel, from a trigger or
// by hand:
//
//	NOTIFY mqtt_access, '{"username": "alice"}';
//
// The payload names the clients that it concerns by "username", "clientid" or both.
// An empty payload, and one of another form, concerns everybody.
package pgsql

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"emqttd/actors/access"
	"emqttd/actors/access/pool"
	"emqttd/actors/access/sqlauth"
)

// Options say where the server is and what it is asked.
type Options struct {
	sqlauth.Options
	Addr               string // host:port
	Username, Password string
	Database           string
	Encoding           string      // client_encoding; "" leaves it to the server
	TLS                *tls.Config // nil: none
	Pool               int         // most connections; 0 is 8
	// Timeout bounds connecting; 0 is 5 s.
	Timeout time.Duration
	// Channel is what Watch listens to; "" leaves changes to be found by asking again.
	Channel string
	// Keepalive is how often Watch makes sure that the server is still there; 0 is 15 s.
	Keepalive time.Duration
}

// Module asks a server.
type Module struct {
	*sqlauth.Module
	conns     *pool.Pool[*pgx.Conn]
	config    *pgx.ConnConfig
	channel   string
	keepalive time.Duration
	watched   atomic.Bool // Watch has been called before
}

// New prepares the queries. It does not connect.
func New(o Options) (*Module, error) {
	c, err := configure(&o)
	if err != nil {
		return nil, err
	}
	size := o.Pool
	if size == 0 {
		size = 8
	}
	conns := pool.New(size, 5*time.Minute, func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, c) }, end)
	m, err := sqlauth.New("pgsql", o.Options, sqlauth.PostgreSQL, &database{conns})
	if err != nil {
		return nil, err
	}
	keepalive := o.Keepalive
	if keepalive == 0 {
		keepalive = 15 * time.Second
	}
	return &Module{Module: m, conns: conns, config: c, channel: o.Channel, keepalive: keepalive}, nil
}

// maxMessage bounds what one message of the server's makes us keep ready: it may lie.
const maxMessage = 16 << 20

// configure fills pgx's own form in, which must come from its parser. The parser
// reads environment variables; whatever they can say is set here.
func configure(o *Options) (*pgx.ConnConfig, error) {
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("auth.pgsql.server: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("auth.pgsql.server: port %q: %w", port, err)
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(host, port), RawQuery: "sslmode=disable&servicefile=&passfile="}
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, err
	}
	cc := &c.Config
	cc.Host, cc.Port, cc.User, cc.Password, cc.Database = host, uint16(number), o.Username, o.Password, o.Database
	cc.TLSConfig, cc.Fallbacks = o.TLS, nil
	if o.TLS != nil && o.TLS.ServerName == "" {
		cc.TLSConfig = o.TLS.Clone()
		cc.TLSConfig.ServerName = host
	}
	cc.ConnectTimeout = 5 * time.Second
	if o.Timeout > 0 {
		cc.ConnectTimeout = o.Timeout
	}
	cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(maxMessage)
		return f
	}
	cc.RuntimeParams = map[string]string{"application_name": "emqttd"}
	if o.Encoding != "" {
		cc.RuntimeParams["client_encoding"] = o.Encoding
	}
	return c, nil
}

// end closes a connection without waiting long for a server that may be gone.
func end(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

// Close ends the connections. Nothing may be asked any more.
func (m *Module) Close() error {
	m.conns.Close()
	return nil
}

type database struct{ conns *pool.Pool[*pgx.Conn] }

// Rows asks the query, which pgx prepares on each connection.
func (d *database) Rows(ctx context.Context, text string, args []any, limit int) (names []string, all [][]string, err error) {
	// In text the columns may be of any type.
	args = append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)
	err = d.conns.Do(ctx, func(c *pgx.Conn) (good bool, err error) {
		names, all, err = rows(ctx, c, text, args, limit)
		return !c.IsClosed(), err
	})
	if notAValue(err) {
		err = fmt.Errorf("%w: %w", sqlauth.ErrNotAValue, err)
	}
	return names, all, err
}

func rows(ctx context.Context, c *pgx.Conn, text string, args []any, limit int) (names []string, all [][]string, err error) {
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for len(all) < limit && rows.Next() {
		raw := rows.RawValues()
		row := make([]string, len(raw))
		for i, b := range raw {
			row[i] = string(b)
		}
		all = append(all, row)
	}
	for _, f := range rows.FieldDescriptions() {
		names = append(names, f.Name)
	}
	rows.Close()
	return names, all, rows.Err()
}

// notAValue tells of an error which is that a client's name cannot be a value of the
// column that it is compared with, as "bob" in a column of numbers.
func notAValue(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && strings.HasPrefix(e.Code, "22") // data exception
}

// Watch listens to the channel on a connection of its own. It tells that everything
// may have changed when it listens again after it could not.
func (m *Module) Watch(ctx context.Context, changed func(access.Selector)) error {
	if m.channel == "" {
		<-ctx.Done()
		return nil
	}
	c, err := pgx.ConnectConfig(ctx, m.config)
	if err != nil {
		return fmt.Errorf("pgsql: watch: %w", err)
	}
	defer end(c)
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{m.channel}.Sanitize()); err != nil {
		return fmt.Errorf("pgsql: listen to %s: %w", m.channel, err)
	}
	if m.watched.Swap(true) {
		changed(access.Selector{})
	}
	for {
		n, err := m.next(ctx, c)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("pgsql: watch: %w", err)
		case n != nil:
			changed(selector(n.Payload))
		}
	}
}

// next waits for a notification, but not longer than keepalive: then it asks whether
// the server is there, and returns nil if so.
func (m *Module) next(ctx context.Context, c *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, m.keepalive)
	defer cancel()
	n, err := c.WaitForNotification(waiting)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return n, err
	}
	asking, cancel := context.WithTimeout(ctx, m.keepalive)
	defer cancel()
	return nil, c.Ping(asking)
}

func selector(payload string) access.Selector {
	var s access.Selector
	if json.Unmarshal([]byte(payload), &s) != nil {
		return access.Selector{}
	}
	return s
}
