package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emqttd/actors/node"
	"emqttd/config"
)

// nodeEnv makes the test binary a node on that emq.conf: a process of its own, as it is for operators.
const nodeEnv = "EMQTTD_CTL_TEST_NODE"

func TestMain(m *testing.M) {
	if file := os.Getenv(nodeEnv); file != "" {
		os.Exit(beNode(file))
	}
	os.Exit(m.Run())
}

func beNode(file string) int {
	c, problems := config.Load(config.Sources{File: file})
	if c == nil {
		fmt.Println(problems)
		return 1
	}
	n, err := node.Start(c, node.Options{Version: version})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := n.Stop(context.Background()); err != nil {
		return 1
	}
	return 0
}

func newConf(t *testing.T, lines ...string) (file string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "emq.conf")
	lines = append([]string{"node.name = emq@127.0.0.1", "node.cookie = secret", "node.dist_listen = " + free}, lines...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startNode(t *testing.T, file string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"="+file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	ready := make([]byte, 256)
	if n, err := out.Read(ready); err != nil || !strings.HasPrefix(string(ready[:n]), "ready") {
		t.Fatalf("%v %s", err, ready[:n])
	}
}

func ctlRun(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, strings.NewReader("from stdin\nmore"), &out, &err)
	return code, out.String(), err.String()
}

func TestCommandsReachTheNodeWhereverTheFlagStands(t *testing.T) {
	file := newConf(t, "access.modules = username", "mqtt.allow_anonymous = false")
	startNode(t, file)
	running := "Node 'emq@127.0.0.1' is started\nemqttd 0.1.0 is running\n"
	for _, args := range [][]string{
		{"-c", file, "status"},
		{"status", "-c", file},
		{"--node", "emq@127.0.0.1", "status", "--conf=" + file},
	} {
		if code, out, errs := ctlRun(args...); code != 0 || out != running || errs != "" {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
	for _, tc := range []struct {
		args []string
		want string // the beginning
		code int
	}{
		{nil, "Usage: emqttd_ctl\n", 0},
		{[]string{"no-such"}, "Usage: emqttd_ctl\n", 2},
		{[]string{"clients", "show"}, "clients list ", 2},
		{[]string{"clients", "show", "nobody"}, "Not Found.\n", 1},
		{[]string{"clients", "list"}, "", 0},
		{[]string{"users", "add", "joe", "--password-stdin"}, "ok\n", 0},
		{[]string{"clientids", "add", "c", "--password-stdin", "--superuser"}, "ok\n", 0},
		{[]string{"clientids", "list", "superusers"}, "c\n", 0},
		{[]string{"access", "test", "--user", "joe", "--password-stdin"}, "connect   : accept (username: password)\n", 0},
		{[]string{"actors", "tree", "--shape"}, "node\n├─ system\n", 0},
		{[]string{"--", "clients", "show", "-c"}, "Not Found.\n", 1},
	} {
		code, out, errs := ctlRun(append([]string{"-c", file}, tc.args...)...)
		if code != tc.code || !strings.HasPrefix(out, tc.want) || errs != "" {
			t.Errorf("%v: %d %q %q", tc.args, code, out, errs)
		}
	}
	other := newConf(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, bytes.Replace(text, []byte("= secret"), []byte("= guess"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := ctlRun("-c", other, "status"); code != 1 || !strings.Contains(errs, "refuses the cookie") {
		t.Errorf("wrong cookie: %d %q", code, errs)
	}
}

func TestNodeThatIsDownIsReportedWithinASecond(t *testing.T) {
	file := newConf(t)
	before := time.Now()
	if code, out, errs := ctlRun("-c", file, "status"); code != 1 || out != "" || errs != "Node is not running!\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestAWrongConfigurationIsSaidWhereNoNodeAnswers: what could be read of the file may
// lead to the wrong place.
func TestAWrongConfigurationIsSaidWhereNoNodeAnswers(t *testing.T) {
	file := newConf(t, "mqtt.max_paket_size = 1KB")
	for f, want := range map[string]string{
		file:           "emq.conf:4: mqtt.max_paket_size: unknown key (did you mean \"mqtt.max_packet_size\"?)",
		file + ".gone": "cannot be read",
	} {
		if code, out, errs := ctlRun("-c", f, "conf", "reload"); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %q %q", f, code, out, errs)
		}
	}
}

func TestOutputIsJSONOrATableIfThatIsWanted(t *testing.T) {
	file := newConf(t)
	startNode(t, file)
	for _, tc := range []struct {
		args string
		want string
		code int
	}{
		{"--json status", `{"node":"emq@127.0.0.1","running":true,"version":"0.1.0","allow_anonymous":true}` + "\n", 0},
		{"--table status", "NODE           RUNNING  VERSION  ALLOW_ANONYMOUS\nemq@127.0.0.1  true     0.1.0    true\n", 0},
		{"--table --all admins list", "NAME   TAGS           ROLE\nadmin  administrator  admin\n", 0},
		{"--table clients show nobody", "Not Found.\n", 1},
		{"--json clients show nobody", "{\"error\":\"Not Found.\"}\n", 1},
		{"--node other@h status", "unknown node other@h\n", 1},
	} {
		code, out, errs := ctlRun(append([]string{"-c", file}, strings.Fields(tc.args)...)...)
		if out != tc.want || code != tc.code || errs != "" {
			t.Errorf("%s: %d\n%s\n%s", tc.args, code, out, errs)
		}
	}
}

// cutShort is an output whose reader goes away.
type cutShort struct {
	left int
	text strings.Builder
}

func (c *cutShort) Write(p []byte) (int, error) {
	if c.left--; c.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return c.text.Write(p)
}

func TestTheBusiestActorsAreShownAgainAndAgain(t *testing.T) {
	file := newConf(t)
	startNode(t, file)
	out := cutShort{left: 2}
	var errs strings.Builder
	if code := run([]string{"-c", file, "actors", "top", "3"}, strings.NewReader(""), &out, &errs); code != 1 || !strings.Contains(errs.String(), "closed pipe") {
		t.Errorf("%d %s", code, errs.String())
	}
	if n := strings.Count(out.text.String(), "actors looked at"); n != 2 {
		t.Errorf("%d pictures:\n%s", n, out.text.String())
	}
	code, once, _ := ctlRun("-c", file, "actors", "top", "--once", "--by", "rate", "3")
	if code != 0 || strings.Count(once, "\n") != 5 {
		t.Errorf("%d %s", code, once)
	}
}

func TestShellsCompleteCommandsAndOptions(t *testing.T) {
	for want, args := range map[string][]string{
		"clients\ncluster\nclientids\n:4\n":              {"__completeNoDesc", "cl"},
		"list\nshow\nkick\n:4\n":                         {"__completeNoDesc", "clients", ""},
		"persistent\tList all persistent sessions\n:4\n": {"__complete", "sessions", "list", "p"},
		":4\n":                         {"__complete", "clients", "kick", ""},
		"--table\tprint a table\n:4\n": {"__complete", "--t"},
	} {
		if code, out, _ := ctlRun(args...); code != 0 || out != want {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := ctlRun("completion", shell); code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %d %s", shell, code, out)
		}
	}
}

func TestWrongUsageIsToldWithExitCodeTwo(t *testing.T) {
	file := newConf(t)
	for want, args := range map[string][]string{
		"wrong usage: unknown flag: --frobnicate": {"--frobnicate"},
		"-c needs the path of an emq.conf":        {"status", "-c="},
		"wrong usage: --json and --table":         {"--json", "--table", "status"},
		"wrong usage: --json and --table, and":    {"--all", "--node", "x@y", "status"},
		"wrong usage: completion bash":            {"completion", "tcsh"},
	} {
		if code, out, errs := ctlRun(append([]string{"-c", file}, args...)...); code != 2 || out != "" || !strings.HasPrefix(errs, "emqttd_ctl: "+want) {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
	bad := newConf(t, "no.such.key = 1")
	if code, _, errs := ctlRun("-c", bad, "status"); code != 1 || !strings.Contains(errs, "no.such.key") {
		t.Errorf("bad configuration: %d %q", code, errs)
	}
	if code, out, _ := ctlRun("--help"); code != 0 || !strings.Contains(out, "--node") {
		t.Errorf("help: %d %s", code, out)
	}
}
