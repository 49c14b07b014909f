package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// binaries builds the programs once per test binary, as `make build` does.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "emqttd-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/emqttd", "./cmd/emqttd_ctl")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// built is set when binaries has run, so that Main does not build to clean up.
var built bool

// Binary is the path of a program, emqttd or emqttd_ctl, built from this tree.
func Binary(t testing.TB, name string) string {
	t.Helper()
	built = true
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Main runs the tests of a package: func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }.
// It removes what Binary has built and fails when a goroutine is left behind that
// none of the options is about.
func Main(m *testing.M, leave ...goleak.Option) int { return After(m.Run(), leave...) }

// After is what Main does after the tests, for packages that have more to do then.
func After(code int, leave ...goleak.Option) int {
	if built {
		dir, _ := binaries()
		_ = os.RemoveAll(dir)
	}
	if err := goleak.Find(leave...); err != nil && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines are left behind: %v\n", err)
		return 1
	}
	return code
}

// Home is a node's folder with its etc/emq.conf, on ports nobody uses.
type Home struct {
	Dir  string
	Conf string // path of the emq.conf
	MQTT string // address of listener.tcp.external
	HTTP string // address of listener.api.mgmt
	t    testing.TB
	name string
}

// NewHome makes a home. More lines of configuration come behind its own and
// win over them. A node that was started there by `emqttd start` is stopped
// when the test ends.
func NewHome(t testing.TB, lines ...string) *Home {
	t.Helper()
	h := &Home{Dir: t.TempDir(), t: t}
	ports := freePorts(t, 3)
	h.MQTT, h.HTTP = ports[0], ports[1]
	h.name = "emq" + strings.ReplaceAll(ports[2], "127.0.0.1:", "") + "@127.0.0.1"
	h.Conf = filepath.Join(h.Dir, "etc", "emq.conf")
	text := strings.Join(append([]string{
		"node.name = " + h.name,
		"node.dist_listen = " + ports[2],
		"log.console = console",
		"log.console.level = info",
		"listener.tcp.external = " + h.MQTT,
		"listener.api.mgmt = " + h.HTTP,
	}, lines...), "\n") + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(h.Conf), 0o755), os.WriteFile(h.Conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return h
}

// NodeName is the node.name of the home.
func (h *Home) NodeName() string { return h.name }

// freePorts finds ports on which nobody listens now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // held until all are found, so that they differ
		ports = append(ports, l.Addr().String())
	}
	return ports
}

// Emqttd runs the program with a verb, and Ctl the operator's command line.
// They return what was printed, stdout and stderr apart, and the exit code.
func (h *Home) Emqttd(verb string) Outcome {
	h.t.Helper()
	return Run(h.t, Binary(h.t, "emqttd"), "-c", h.Conf, verb)
}

// Ctl is described with Emqttd.
func (h *Home) Ctl(args ...string) Outcome {
	h.t.Helper()
	return Run(h.t, Binary(h.t, "emqttd_ctl"), append([]string{"-c", h.Conf}, args...)...)
}

// Outcome is how a command ended.
type Outcome struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a command until it ends.
func Run(t testing.TB, name string, args ...string) Outcome {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	cmd.WaitDelay = time.Second // a daemon that the command leaves behind may hold our pipes
	watchdog := time.AfterFunc(2*Patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	if e := cmd.Start(); e != nil {
		t.Fatal(e)
	}
	var exit *exec.ExitError
	if e := cmd.Wait(); e != nil && !errors.As(e, &exit) && !errors.Is(e, exec.ErrWaitDelay) {
		t.Fatalf("%s %v: %v", name, args, e)
	}
	return Outcome{out.String(), err.String(), cmd.ProcessState.ExitCode()}
}

// Process is a program that runs beside the test.
type Process struct {
	cmd    *exec.Cmd
	t      testing.TB
	stdout syncBuffer
	stderr syncBuffer
	exited chan struct{}
}

// Launch starts a program and ends it with the test.
func Launch(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return launch(t, exec.Command(name, args...))
}

func launch(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, t: t, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // ExitCode tells
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s\nstdout:\n%sstderr:\n%s", cmd, p.stdout.tail(), p.stderr.tail())
		}
	})
	return p
}

// Foreground starts the node in the home and waits until it listens.
func (h *Home) Foreground() *Process {
	h.t.Helper()
	p := Launch(h.t, Binary(h.t, "emqttd"), "-c", h.Conf, "foreground")
	p.awaitText(&p.stderr, "emqttd is running")
	return p
}

// Await waits until the program has printed text on stdout.
func (p *Process) Await(text string) {
	p.t.Helper()
	p.awaitText(&p.stdout, text)
}

func (p *Process) awaitText(b *syncBuffer, text string) {
	p.t.Helper()
	deadline := time.After(Patience)
	for {
		have, more := b.snapshot()
		if strings.Contains(have, text) {
			return
		}
		select {
		case <-more:
		case <-p.exited:
			if !strings.Contains(b.String(), text) {
				p.t.Fatalf("%s ended with %d before it printed %q", p.cmd, p.cmd.ProcessState.ExitCode(), text)
			}
		case <-deadline:
			p.t.Fatalf("%s does not print %q", p.cmd, text)
		}
	}
}

// Output is what the program has printed on stdout.
func (p *Process) Output() string { return p.stdout.String() }

// Log is what it has printed on stderr.
func (p *Process) Log() string { return p.stderr.String() }

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the program without letting it say good-bye.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Wait waits for the program to end by itself and returns its exit code.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(Patience):
		p.t.Fatalf("%s does not end", p.cmd)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Text is the configuration of the home.
func (h *Home) Text() string {
	h.t.Helper()
	b, err := os.ReadFile(h.Conf)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// Rewrite replaces what a pattern matches in the configuration.
func (h *Home) Rewrite(pattern *regexp.Regexp, with string) {
	h.t.Helper()
	if err := os.WriteFile(h.Conf, []byte(pattern.ReplaceAllLiteralString(h.Text(), with)), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// LaunchEnv is Launch with more variables in the environment.
func LaunchEnv(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	return launch(t, cmd)
}
