package scenario

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"emqttd/tests/testkit"
)

// want checks how a command ended.
func want(t *testing.T, o testkit.Outcome, code int, stdout string) {
	t.Helper()
	if o.Code != code || o.Stdout != stdout {
		t.Errorf("exit %d\nstdout %q\nstderr %q\nwant %d %q", o.Code, o.Stdout, o.Stderr, code, stdout)
	}
}

func TestVerbsStartAndStopANodeInTheBackground(t *testing.T) {
	home := testkit.NewHome(t)
	t.Cleanup(func() { home.Emqttd("stop") })

	if o := home.Emqttd("ping"); o.Code != 1 || !strings.Contains(o.Stderr, "not responding to pings") {
		t.Errorf("ping before start: %+v", o)
	}
	if o := home.Emqttd("start"); o.Code != 0 || !strings.Contains(o.Stdout, "is started successfully!") {
		t.Fatalf("start: %+v", o)
	}
	if o := home.Emqttd("start"); o.Code != 1 || !strings.Contains(o.Stderr, "already running") {
		t.Errorf("second start: %+v", o)
	}
	want(t, home.Emqttd("ping"), 0, "pong\n")
	first := pid(t, home)
	if o := home.Emqttd("status"); o.Code != 0 || !strings.HasPrefix(o.Stdout, "Node '"+home.NodeName()+"' is started\nemqttd ") {
		t.Errorf("status: %+v", o)
	}
	testkit.Dial(t, home.MQTT).Connect(testkit.Hello("c"))

	if o := home.Emqttd("restart"); o.Code != 0 {
		t.Fatalf("restart: %+v", o)
	}
	if second := pid(t, home); second == first {
		t.Error("restart left the same process")
	}
	testkit.Dial(t, home.MQTT).Connect(testkit.Hello("c"))

	want(t, home.Emqttd("stop"), 0, "ok\n")
	if o := home.Emqttd("stop"); o.Code != 1 || !strings.Contains(o.Stderr, "not running") {
		t.Errorf("second stop: %+v", o)
	}
	if o := home.Emqttd("pid"); o.Code != 1 {
		t.Errorf("pid after stop: %+v", o)
	}
	if log, err := os.ReadFile(filepath.Join(home.Dir, "log", "emqttd.log")); err != nil || len(log) == 0 {
		t.Errorf("log/emqttd.log: %d bytes, %v", len(log), err)
	}
}

func pid(t *testing.T, home *testkit.Home) int {
	t.Helper()
	o := home.Emqttd("pid")
	n, err := strconv.Atoi(strings.TrimSpace(o.Stdout))
	if o.Code != 0 || err != nil {
		t.Fatalf("pid: %+v", o)
	}
	return n
}

func TestForegroundNodeEndsInOrderOnASignal(t *testing.T) {
	home := testkit.NewHome(t)
	p := home.Foreground()
	c := testkit.Dial(t, home.MQTT)
	c.Connect(testkit.Hello("c"))
	p.Signal(syscall.SIGTERM)
	c.ExpectClosed()
	if code := p.Wait(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(p.Log(), "emqttd is stopped") {
		t.Error("the log does not say that it stopped")
	}
}

func TestTwoNodesRunSideBySideFromTwoHomes(t *testing.T) {
	a, b := testkit.NewHome(t), testkit.NewHome(t)
	a.Foreground()
	b.Foreground()
	want(t, a.Emqttd("ping"), 0, "pong\n")
	want(t, b.Emqttd("ping"), 0, "pong\n")
}

// TestNodeThatCannotStartSaysWhyInOneLine: exit 1, and no listener is open for
// a moment: clients must not be accepted by a node that will not run.
func TestNodeThatCannotStartSaysWhyInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()

	for name, tc := range map[string]struct {
		lines []string
		spoil func(t *testing.T, home *testkit.Home)
		says  []string
	}{
		"port in use": {
			lines: []string{"listener.tcp.second = " + port},
			says:  []string{"listener tcp.second", port, "address already in use"},
		},
		"port of the command line in use": {
			lines: []string{"node.dist_listen = " + port},
			says:  []string{"node.dist_listen", port, "address already in use"},
		},
		"unknown key": {
			lines: []string{"mqtt.max_packet_siez = 1KB"},
			says:  []string{"emq.conf:7", "mqtt.max_packet_siez", "mqtt.max_packet_size"},
		},
		"bad value": {
			lines: []string{"mqtt.max_packet_size = many"},
			says:  []string{"emq.conf:7", "mqtt.max_packet_size"},
		},
		"feature that is not there yet": {
			lines: []string{"cluster.discovery = etcd"},
			says:  []string{"emq.conf:7", "cluster.discovery"},
		},
		"no configuration": {
			spoil: func(t *testing.T, home *testkit.Home) {
				if err := os.Remove(home.Conf); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"emq.conf", "no such file"},
		},
		"configuration that cannot be read": {
			spoil: func(t *testing.T, home *testkit.Home) {
				// A folder of that name cannot be read by anybody, root included.
				if err := errors.Join(os.Remove(home.Conf), os.Mkdir(home.Conf, 0o755)); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"emq.conf", "is a directory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := testkit.NewHome(t, tc.lines...)
			if tc.spoil != nil {
				tc.spoil(t, home)
			}
			p := testkit.Launch(t, testkit.Binary(t, "emqttd"), "-c", home.Conf, "foreground")
			if code := p.Wait(); code != 1 {
				t.Errorf("exit %d", code)
			}
			lines := complaints(p.Log())
			if len(lines) != 1 {
				t.Errorf("%d lines say what is wrong:\n%s", len(lines), strings.Join(lines, "\n"))
			}
			for _, part := range tc.says {
				if !strings.Contains(strings.Join(lines, "\n"), part) {
					t.Errorf("no word of %q:\n%s", part, p.Log())
				}
			}
			if o := home.Emqttd("pid"); o.Code != 1 {
				t.Errorf("pid: %+v", o)
			}
			if _, err := os.Stat(filepath.Join(home.Dir, "data", "emqttd.pid")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a pid file was left: %v", err)
			}
		})
	}
}

// complaints are the lines on stderr that are not of the log: those tell a
// person what is wrong.
func complaints(stderr string) (lines []string) {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "emqttd: ") || strings.HasPrefix(line, "error: ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestAllProblemsOfAConfigurationAreToldAtOnce(t *testing.T) {
	home := testkit.NewHome(t, "mqtt.no_such = 1", "mqtt.max_packet_size = 1", "retainer.expiry_interval = never")
	o := home.Emqttd("foreground")
	if o.Code != 1 || len(complaints(o.Stderr)) != 3 {
		t.Errorf("%+v", o)
	}
}
