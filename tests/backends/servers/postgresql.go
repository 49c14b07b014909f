package servers

import (
	"context"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL is a server with SCRAM passwords and an empty database; TLS is
// negotiated.
func PostgreSQL(t testing.TB) *Server {
	t.Helper()
	return shared(t, kind{
		name: "pgsql", program: "postgres", also: []string{"initdb"}, user: "postgres", stop: syscall.SIGQUIT,
		prepare: func(s *Server) error {
			s.TLSAddr, s.Username = s.Addr, "postgres"
			if err := os.WriteFile(s.path("password"), []byte(s.Password+"\n"), 0o644); err != nil {
				return err
			}
			return s.run("initdb", "-D", s.path("data"), "-U", s.Username, "-A", "scram-sha-256",
				"--pwfile="+s.path("password"), "-E", "UTF8", "--locale=C", "--no-sync")
		},
		args: func(s *Server) []string {
			return []string{
				"-D", s.path("data"), "-p", port(s.Addr), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
				"-c", "fsync=off", "-c", "ssl=on", "-c", "ssl_cert_file=" + s.CertFile, "-c", "ssl_key_file=" + s.keyFile(),
			}
		},
		ready: func(ctx context.Context, s *Server) error {
			c, err := pgx.Connect(ctx, s.PostgreSQLURL("postgres"))
			if err != nil {
				return err
			}
			return c.Close(ctx)
		},
		after: func(ctx context.Context, s *Server) error {
			c, err := pgx.Connect(ctx, s.PostgreSQLURL("postgres"))
			if err != nil {
				return err
			}
			defer c.Close(ctx)
			_, err = c.Exec(ctx, "CREATE DATABASE "+s.Database)
			return err
		},
	})
}

// PostgreSQLURL is how a database of a PostgreSQL is reached without TLS.
func (s *Server) PostgreSQLURL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.Username, s.Password), Host: s.Addr, Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}
