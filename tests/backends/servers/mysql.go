package servers

import (
	"context"
	"database/sql"
	"os"
	"os/user"
	"syscall"
	"testing"

	_ "github.com/go-sql-driver/mysql" // registers itself
)

// MySQL is MariaDB with an empty database; TLS is negotiated.
func MySQL(t testing.TB) *Server {
	t.Helper()
	return shared(t, kind{
		name: "mysql", program: "mariadbd", also: []string{"mariadb-install-db"}, user: "mysql", stop: syscall.SIGTERM,
		prepare: func(s *Server) error {
			s.TLSAddr = s.Addr
			const init = "CREATE DATABASE IF NOT EXISTS mqtt;\n" +
				"CREATE USER IF NOT EXISTS 'emq'@'%' IDENTIFIED BY 'secret';\n" +
				"GRANT ALL ON *.* TO 'emq'@'%';\n"
			if err := os.WriteFile(s.path("init.sql"), []byte(init), 0o644); err != nil {
				return err
			}
			return s.run("mariadb-install-db", "--no-defaults", "--user="+currentUser(s.user), "--datadir="+s.path("data"),
				"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=10M")
		},
		args: func(s *Server) []string {
			return []string{
				"--no-defaults", "--datadir=" + s.path("data"), "--bind-address=127.0.0.1", "--port=" + port(s.Addr),
				"--socket=s.sock", "--pid-file=" + s.path("pid"), "--skip-log-bin", "--init-file=" + s.path("init.sql"),
				"--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=10M", "--skip-name-resolve",
				"--ssl-cert=" + s.CertFile, "--ssl-key=" + s.keyFile(),
			}
		},
		ready: func(ctx context.Context, s *Server) error {
			db, err := sql.Open("mysql", s.Username+":"+s.Password+"@tcp("+s.Addr+")/"+s.Database+"?timeout=3s&readTimeout=10s")
			if err != nil {
				return err
			}
			defer db.Close()
			return db.PingContext(ctx)
		},
	})
}

// currentUser is who runs a server: name when we are root, else ourselves.
func currentUser(name string) string {
	u, err := user.Current()
	if err != nil || u.Uid == "0" {
		return name
	}
	return u.Username
}
