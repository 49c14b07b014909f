// Package servers starts the real servers which the back ends of access are tested
// against (Redis, MariaDB, PostgreSQL, OpenLDAP and one that speaks MongoDB's
// protocol), and Consul for the cluster. Each listens on loopback, on ports and with
// data folders of its own.
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		redis := servers.Redis(t)
//		connect(redis.Addr, redis.Password)
//		redis.Stop(t) // an outage
//		redis.Start(t)
//	}
//
// A test binary has one instance of each, started when the first test asks, shared
// by all, stopped by Main; it ends too when the test binary is killed. Tests that
// stop a server must not run beside others that use it. Data of one test is data of
// all: use names of your own for keys and rows.
//
// Where a server is not installed the test is skipped, but fails under CI=true.
package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is one that runs, or that a test has stopped.
type Server struct {
	Addr     string // host:port
	TLSAddr  string // host:port where TLS is spoken; the same where TLS is negotiated; "" without
	CertFile string // PEM: whom a client trusts that speaks TLS
	Username string // who may do everything; with LDAP a distinguished name
	Password string
	Database string // database of SQL and MongoDB, base of LDAP

	kind
	dir     string
	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}  // closed when cmd has ended
	watcher io.WriteCloser // to the process that ends cmd when we are gone
}

// kind is what is different from one server to the other.
type kind struct {
	name    string
	program string   // found in PATH or beside it
	also    []string // what else must be installed
	user    string   // who runs it when we are root, who it may not be
	stop    syscall.Signal
	prepare func(*Server) error // once, before the first start
	args    func(*Server) []string
	ready   func(context.Context, *Server) error
	after   func(context.Context, *Server) error // once, after the first start
}

// patience is for a machine that is busy with something else.
const patience = 90 * time.Second

var (
	all     = map[string]*start{}
	allLock sync.Mutex
)

// start is one attempt to have a server.
type start struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests of a package and stops the servers that they have started.
func Main(m *testing.M) int {
	code := m.Run()
	if err := StopAll(); err != nil {
		fmt.Fprintf(os.Stderr, "stop the servers: %v\n", err)
		return max(code, 1)
	}
	return code
}

// StopAll stops all servers and removes what they have written, for a TestMain that
// does not use Main. No test may run any more.
func StopAll() error {
	allLock.Lock()
	defer allLock.Unlock()
	var errs []error
	for name, s := range all {
		if s.server != nil {
			errs = append(errs, s.server.halt(), os.RemoveAll(s.server.dir))
		}
		delete(all, name)
	}
	return errors.Join(errs...)
}

// shared returns the server of a kind, started when nobody has asked before.
func shared(t testing.TB, k kind) *Server {
	t.Helper()
	for _, program := range append([]string{k.program}, k.also...) {
		if _, err := find(program); err != nil {
			missing(t, "%s is not installed (see .ci/deps)", program)
		}
	}
	allLock.Lock()
	s := all[k.name]
	if s == nil {
		s = &start{}
		all[k.name] = s
	}
	allLock.Unlock()
	s.once.Do(func() { s.server, s.err = create(k) })
	if s.err != nil {
		t.Fatalf("start %s: %v", k.name, s.err)
	}
	return s.server
}

// missing skips a test that lacks something here. CI lacks nothing.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// create makes a server's folder, prepares it and starts it.
func create(k kind) (*Server, error) {
	dir, err := os.MkdirTemp("", "emqttd-"+k.name+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its user must be able to enter
		return nil, err
	}
	if err := own(dir, k.user); err != nil {
		return nil, err
	}
	s := &Server{kind: k, dir: dir, Username: "emq", Password: "secret", Database: "mqtt"}
	if s.Addr, err = freeAddr(); err != nil {
		return nil, err
	}
	err = errors.Join(s.certify(), k.prepare(s))
	if err == nil {
		err = s.launch()
	}
	if err == nil && k.after != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = k.after(ctx, s)
		if err == nil {
			err = s.await() // what was done may take its time
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.halt(), os.RemoveAll(dir))
	}
	return s, nil
}

// Stop ends the server, as an outage. It is started again at the end of the test
// when the test does not.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.halt(); err != nil {
		t.Fatalf("stop %s: %v", s.name, err)
	}
	t.Cleanup(func() { s.Start(t) })
}

// Start starts a stopped server where it was, with what it had on disk, and waits
// until it answers. It does nothing while the server runs.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatalf("start %s: %v", s.name, err)
	}
}

func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return nil
	}
	cmd, err := s.command(s.program, s.args(s)...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // how a server says that it was stopped differs
	}()
	if s.watcher, err = watch(cmd.Process.Pid, s.stop, s.dir); err != nil {
		return err
	}
	return s.await()
}

// await asks until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %s", s.tail())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w: %s", err, s.tail())
		case <-tick.C:
		}
	}
}

// halt stops the server if it runs, gently, and at last by force.
func (s *Server) halt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(s.stop)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		err = errors.Join(errors.New("it does not stop"), s.cmd.Process.Kill())
		<-s.ended
	}
	if s.watcher != nil {
		err = errors.Join(err, dismiss(s.watcher))
	}
	s.cmd, s.watcher = nil, nil
	return err
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) logFile() string { return s.path("server.log") }

// tail is the end of the server's log, for the message of a failed test.
func (s *Server) tail() string {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// port of an address of ours.
func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err) // it was made by freeAddr
	}
	return p
}

// run executes one of the server's programs to its end.
func (s *Server) run(program string, args ...string) error {
	cmd, err := s.command(program, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// command prepares one of the server's programs as the server's user.
func (s *Server) command(program string, args ...string) (*exec.Cmd, error) {
	path, err := find(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+s.dir)
	return cmd, as(cmd, s.user)
}

// find looks for a program in PATH, and where Debian puts those which are not for
// everybody.
func find(program string) (string, error) {
	if filepath.IsAbs(program) {
		return program, nil
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/sbin", "/usr/lib/postgresql/*/bin"} {
		found, err := filepath.Glob(filepath.Join(pattern, program))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, exec.ErrNotFound)
}
