package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// Mongo speaks MongoDB's wire protocol and stores in SQLite. It takes every
// password; MongoWithPasswords does not.
func Mongo(t testing.TB) *Server {
	t.Helper()
	return mongo(t, "mongo", func(s *Server) []string { return []string{"-addr", s.Addr, "-dir", s.path("data")} })
}

// MongoWithPasswords is Mongo on PostgreSQL(t), whose users log in with the
// mechanism PLAIN.
func MongoWithPasswords(t testing.TB) *Server {
	t.Helper()
	pg := PostgreSQL(t)
	return mongo(t, "mongo-passwords", func(s *Server) []string {
		return []string{"-addr", s.Addr, "-postgres", "postgres://" + pg.Addr + "/" + pg.Database}
	})
}

func mongo(t testing.TB, name string, args func(*Server) []string) *Server {
	t.Helper()
	program, err := mongoProgram()
	if err != nil {
		t.Fatal(err)
	}
	return shared(t, kind{
		name: name, program: program, stop: syscall.SIGTERM, args: args,
		prepare: func(s *Server) error {
			if name != "mongo" {
				s.Username = "postgres"
			}
			return os.Mkdir(s.path("data"), 0o700)
		},
		ready: func(ctx context.Context, s *Server) error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
			if err != nil {
				return err
			}
			return c.Close()
		},
	})
}

// mongoProgram builds tests/backends/mongo, a module of its own, once. What it
// builds stays for the next run: it takes two minutes the first time.
var mongoProgram = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	backends := filepath.Dir(filepath.Dir(file))
	program := filepath.Join(backends, "../../.cache/bin/mongo-for-tests")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = filepath.Join(backends, "mongo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", cmd.Dir, err, out)
	}
	return program, nil
})
