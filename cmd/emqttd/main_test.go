package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// beProgram makes the test binary be emqttd: what start puts in the background is then this binary too.
const beProgram = "EMQTTD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// home is a node's home with a configuration.
type home struct {
	t    *testing.T
	dir  string
	conf string
	mqtt string // where its TCP listener listens
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newHome(t *testing.T, more ...string) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), mqtt: freePort(t)}
	h.conf = filepath.Join(h.dir, "etc", "emq.conf")
	lines := append([]string{
		"node.name = emq@127.0.0.1", "node.cookie = secret", "node.dist_listen = " + freePort(t),
		"listener.tcp.external = " + h.mqtt, "log.console.level = info",
	}, more...)
	if err := os.Mkdir(filepath.Dir(h.conf), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if running, _ := h.emqttd("pid"); running == 0 {
			h.emqttd("stop")
		}
	})
	return h
}

func (h *home) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "-c", h.conf)...)
	cmd.Env = append(os.Environ(), beProgram+"=1", "EMQ_HOME=")
	return cmd
}

// emqttd runs a verb and returns its exit code and all it printed.
func (h *home) emqttd(args ...string) (int, string) {
	h.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return 0, string(out)
}

func (h *home) expect(verb string, code int, want string) {
	h.t.Helper()
	gotCode, got := h.emqttd(verb)
	if gotCode != code || !regexp.MustCompile("^(?:"+want+")$").MatchString(got) {
		h.t.Errorf("%s: got %d %q, want %d %s", verb, gotCode, got, code, want)
	}
}

func TestVerbsSayWhatEMQSaid(t *testing.T) {
	h := newHome(t)
	for _, verb := range []string{"stop", "restart", "pid", "status"} {
		h.expect(verb, 1, "Node is not running!\n")
	}
	h.expect("ping", 1, "Node 'emq@127.0.0.1' not responding to pings.\n")
	h.expect("start", 0, `emqttd 0\.1\.0 is started successfully!\n`)
	h.expect("start", 1, "Node is already running!\n")
	h.expect("foreground", 1, "Node is already running!\n")
	h.expect("ping", 0, "pong\n")
	h.expect("pid", 0, `\d+\n`)
	h.expect("status", 0, `Node 'emq@127\.0\.0\.1' is started\nemqttd 0\.1\.0 is running\nanybody may connect: mqtt.allow_anonymous is true\n`)
	_, before := h.emqttd("pid")
	h.expect("restart", 0, `ok\nemqttd 0\.1\.0 is started successfully!\n`)
	if _, after := h.emqttd("pid"); after == before {
		t.Error("restart left the old process")
	}
	h.expect("stop", 0, "ok\n")
	h.expect("stop", 1, "Node is not running!\n")
	log, err := os.ReadFile(filepath.Join(h.dir, "log", "emqttd.log"))
	if err != nil || !strings.Contains(string(log), "[info] emqttd is running") || !strings.Contains(string(log), "[info] emqttd is stopped") {
		t.Errorf("log %v:\n%s", err, log)
	}
}

// TestVerbsThatEMQHasAreHereOrInCompat holds the verbs against docs/compat.md, which names those that are not here.
func TestVerbsThatEMQHasAreHereOrInCompat(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "compat.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## `emqttd`\n")
	table, _, _ = strings.Cut(table, "\n## ")
	missing := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.+?) \\|").FindAllStringSubmatch(table, -1) {
		for _, verb := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			missing[verb[1]] = true
		}
	}
	delete(missing, "restart") // it is here, and differs
	for _, verb := range strings.Fields("start start_boot stop restart reboot pid ping attach remote_console console console_clean " +
		"console_boot foreground upgrade downgrade install unpack escript rpc rpcterms eval") {
		if here := verbs[verb] != nil; here == missing[verb] {
			t.Errorf("%s is here: %t; docs/compat.md says that it is not: %t", verb, here, missing[verb])
		}
	}
}

func TestKilledNodeLeavesNothingThatBlocksTheNextStart(t *testing.T) {
	h := newHome(t)
	h.expect("start", 0, ".*\n")
	_, text := h.emqttd("pid")
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { code, _ := h.emqttd("pid"); return code == 1 })
	h.expect("stop", 1, "Node is not running!\n")
	h.expect("start", 0, `emqttd 0\.1\.0 is started successfully!\n`)
}

func waitUntil(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func TestStartSaysWhyTheNodeDidNotComeUp(t *testing.T) {
	h := newHome(t)
	l, err := net.Listen("tcp", h.mqtt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h.expect("start", 1, `(?s)emqttd failed to start \(exit status 1\)\. The log says:\n.*emqttd: .*`+
		regexp.QuoteMeta(h.mqtt)+`.*address already in use.*`)
	h.expect("foreground", 1, `(?s).*emqttd: [^\n]*address already in use\n`)
}

func TestStartGivesUpWaitingAndPointsToTheConsole(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: new(bytes.Buffer)}
	h := newHome(t)
	if !a.load(h.conf, "start") {
		t.Fatal("the configuration is wrong")
	}
	t.Setenv("WAIT_FOR_ERLANG", "1")
	log, err := os.Create(filepath.Join(h.dir, "emqttd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if code := a.awaitAnswer(nil, log, 0); code != 1 {
		t.Errorf("code %d", code)
	}
	if got := fmt.Sprint(a.stderr); !strings.HasPrefix(got, "emqttd failed to start within 1 seconds,\nsee the output of 'emqttd console'") {
		t.Error(got)
	}
}

func TestEveryProblemOfTheConfigurationIsPrintedBeforeAnythingHappens(t *testing.T) {
	h := newHome(t, "mqtt.max_packet_siz = 1MB", "mqtt.session.max_inflight = many")
	code, out := h.emqttd("start")
	if code != 1 || !regexp.MustCompile(`error: .*emq\.conf:6: mqtt\.max_packet_siz: .*\n(?s:.*)error: .*emq\.conf:7: mqtt\.session\.max_inflight`).MatchString(out) {
		t.Errorf("%d\n%s", code, out)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "data")); !os.IsNotExist(err) {
		t.Errorf("the data folder was touched: %v", err)
	}
	h.conf = filepath.Join(h.dir, "none.conf")
	if code, out := h.emqttd("start"); code != 1 || !strings.Contains(out, "none.conf") {
		t.Errorf("%d %s", code, out)
	}
}

func TestConsolePrintsTheBootLinesAndEndsOnTerm(t *testing.T) {
	h := newHome(t)
	cmd := h.command("console")
	var out, log bytes.Buffer
	ready := &watcher{want: "is running now", seen: make(chan struct{}), out: &out}
	cmd.Stdout, cmd.Stderr = ready, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready.seen:
	case <-time.After(15 * time.Second):
		t.Error("it does not come up")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if lines[0] != "starting emqttd on node 'emq@127.0.0.1'" || lines[len(lines)-1] != "emqttd 0.1.0 is running now" {
		t.Errorf("first %q, last %q", lines[0], lines[len(lines)-1])
	}
	for _, want := range []string{"is starting...[ok]", "mqtt:tcp listen on " + h.mqtt + " with 16 acceptors."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if !strings.Contains(log.String(), "[info] emqttd is stopped") {
		t.Errorf("log:\n%s", log.String())
	}
}

// watcher closes seen when the wanted text was written.
type watcher struct {
	want string
	seen chan struct{}
	out  *bytes.Buffer
}

func (w *watcher) Write(b []byte) (int, error) {
	before := strings.Contains(w.out.String(), w.want)
	n, err := w.out.Write(b)
	if !before && strings.Contains(w.out.String(), w.want) {
		close(w.seen)
	}
	return n, err
}

func TestForegroundOutlivesTheReaderOfItsLog(t *testing.T) {
	h := newHome(t, "log.console.level = debug")
	cmd := h.command("foreground")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { code, _ := h.emqttd("ping"); return code == 0 })
	h.expect("status", 0, "(?s).*is running\n.*") // each of these logs lines into the closed pipe
	h.expect("stop", 0, "ok\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestHangupReadsTheConfigurationAgain: SIGHUP does not end the node, and what has been
// edited is in force; a mistake changes nothing.
func TestHangupReadsTheConfigurationAgain(t *testing.T) {
	if len(reloadSignals) == 0 {
		t.Skip("this system has no such signal")
	}
	h := newHome(t)
	cmd := h.command("foreground")
	var out bytes.Buffer
	steps := []string{"emqttd is running", "configuration refused", "configuration accepted"}
	log, pipe := io.Pipe()
	cmd.Stderr = pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test fails; after Wait it does nothing
	seen := make(chan string, 3)
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			fmt.Fprintln(&out, lines.Text())
			if len(steps) > 0 && strings.Contains(lines.Text(), steps[0]) {
				seen <- steps[0]
				steps = steps[1:]
			}
		}
		close(seen)
	}()
	good, err := os.ReadFile(h.conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"mqtt.max_packet_sice = 1KB\n", "mqtt.max_packet_size = 1KB\n"} {
		select {
		case <-seen:
		case <-time.After(30 * time.Second):
			t.Fatal("the log does not say it")
		}
		if err := os.WriteFile(h.conf, append(bytes.Clone(good), more...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(reloadSignals[0]); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-seen:
	case <-time.After(30 * time.Second):
		t.Error("what was edited is not accepted")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	_ = pipe.Close()
	for range seen { // until all of the log is read
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestHelpAndMistakesNeedNoConfiguration(t *testing.T) {
	for _, tc := range []struct {
		args, out, err string
		code           int
	}{
		{"", "", usageLine, 1},
		{"attach", "", usageLine, 1},
		{"start now", "", usageLine, 1},
		{"help", helpText, "", 0},
		{"--help", helpText, "", 0},
		{"version", "emqttd " + version + "\n", "", 0},
		{"start -c", "", "emqttd: -c needs the path of an emq.conf\n", 1},
	} {
		var out, err bytes.Buffer
		a := &app{stdout: &out, stderr: &err}
		if code := a.run(strings.Fields(tc.args)); code != tc.code || out.String() != tc.out || err.String() != tc.err {
			t.Errorf("%q: %d %q %q", tc.args, code, out.String(), err.String())
		}
	}
}

func TestTailBeginsWithAWholeLineAndShowsThisStartOnly(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := "from the start before\n"
	if _, err := f.WriteString(old + strings.Repeat("line\n", tailBytes)); err != nil {
		t.Fatal(err)
	}
	got := string(tail(f, int64(len(old))))
	if !strings.HasPrefix(got, "line\n") || len(got) > tailBytes || len(got) < tailBytes-5 {
		t.Errorf("%d bytes: %.20q", len(got), got)
	}
	if got := string(tail(f, int64(len(old)+5*tailBytes-10))); got != "line\nline\n" {
		t.Errorf("%q", got)
	}
}

func TestWaitTimeComesFromTheEnvironment(t *testing.T) {
	for text, want := range map[string]time.Duration{"": defaultWait, "x": defaultWait, "-1": defaultWait, "60": time.Minute} {
		if got := waitTime(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestConnectionRoomLeavesFilesForTheNode(t *testing.T) {
	for limit, want := range map[uint64]uint64{0: 0, 100: 0, 1024: 896, 1 << 20: 1<<20 - reservedFiles} {
		if got := connectionRoom(limit); got != want {
			t.Errorf("%d: %d", limit, got)
		}
	}
}
