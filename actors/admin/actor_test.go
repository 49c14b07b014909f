package admin_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"emqttd/actors/admin"
	"emqttd/cluster/wire"
	"emqttd/tests/fakenode"
)

const testCookie = "emqsecretcookie"

// nodeEnv makes the test binary be the node: a second process, because two remotes in one race on gRPC's logger.
const nodeEnv = "ADMIN_TEST_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		os.Exit(beNode())
	}
	goleak.VerifyTestMain(m)
}

// beNode serves the fake node until its stdin ends, and prints its address.
func beNode() int {
	system := actor.NewActorSystemWithConfig(actor.Configure(wire.QuietFramework(nil)))
	r, err := wire.Start(system, wire.Options{Listen: "127.0.0.1:0", Cookie: testCookie, Targets: []string{admin.ID}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	f := fakenode.New()
	for i := range 1200 {
		f.ClientRows = append(f.ClientRows, admin.ClientInfo{ID: fmt.Sprint("more-", i)})
	}
	src := f.Sources()
	src.Kick = func(string) bool { os.Exit(3); return false } // a node that dies while it is asked
	if os.Getenv(nodeEnv) != "starting" {
		if _, err := system.Root.SpawnNamed(admin.Props(admin.Options{Sources: src}), admin.ID); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println(r.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
	r.Stop()
	return 0
}

func startNode(t *testing.T, how string) (address string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"="+how)
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
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // one of the nodes dies on purpose
	})
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatal(err)
	}
	return address
}

func connect(t *testing.T, address string) *admin.Client {
	t.Helper()
	c, err := admin.Dial(address, testCookie, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientPrintsAllPagesAndReturnsTheExitCode(t *testing.T) {
	c := connect(t, startNode(t, "running"))
	var out strings.Builder
	if code, err := c.Run(&out, "clients", "list"); code != 0 || err != nil {
		t.Errorf("%d %v", code, err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1202 {
		t.Errorf("%d lines for 1202 clients", n)
	}
	if code, err := c.Run(io.Discard, "clients", "show", "nobody"); code != 1 || err != nil {
		t.Errorf("not found: %d %v", code, err)
	}
}

func TestClientNoticesAtOnceThatTheNodeDies(t *testing.T) {
	c := connect(t, startNode(t, "running"))
	if _, err := c.Run(io.Discard, "status"); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if code, err := c.Run(io.Discard, "clients", "kick", "c1"); code != 1 || !admin.IsLost(err) {
		t.Errorf("%d %v", code, err)
	}
	if took := time.Since(before); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestNodeWithoutAnAdminActorIsNotRunningYet(t *testing.T) {
	c := connect(t, startNode(t, "starting"))
	if code, err := c.Run(io.Discard, "status"); code != 1 || !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("%d %v", code, err)
	}
}

func TestDialTellsQuicklyWhyItCannotConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	before := time.Now()
	if _, err := admin.Dial(free, testCookie, nil); !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("nobody there: %v", err)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := admin.Dial(startNode(t, "running"), "guess", nil); !errors.Is(err, wire.ErrCookie) {
		t.Errorf("wrong cookie: %v", err)
	}
	if _, err := admin.Dial("6369", testCookie, nil); err == nil || errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("bad address: %v", err)
	}
}

func TestListenerOnAllInterfacesIsReachedByLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:6369":   "127.0.0.1:6369",
		"[::]:6369":      "[::1]:6369",
		":6369":          "127.0.0.1:6369",
		"10.0.0.7:6369":  "10.0.0.7:6369",
		"localhost:6369": "localhost:6369",
	} {
		if got, err := admin.LocalAddress(listen); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", listen, got, err, want)
		}
	}
}

// spawn starts an admin actor in this process and returns a function that asks it.
func spawn(t *testing.T, o admin.Options) (pid *actor.PID, system *actor.ActorSystem) {
	t.Helper()
	system = actor.NewActorSystemWithConfig(actor.Configure(wire.QuietFramework(nil)))
	pid, err := system.Root.SpawnNamed(admin.Props(o), admin.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = system.Root.StopFuture(pid).Wait() })
	return pid, system
}

func TestCommandThatHangsTimesOutAndTheOthersGoOn(t *testing.T) {
	release := make(chan struct{})
	src := fakenode.New().Sources()
	src.Listeners = func() []admin.ListenerInfo { <-release; return nil }
	pid, system := spawn(t, admin.Options{Sources: src}.WithTimeout(50*time.Millisecond))
	ask := func(args ...string) *admin.Result {
		v, err := system.Root.RequestFuture(pid, &admin.Command{Args: args}, 5*time.Second).Result()
		if err != nil {
			t.Fatal(err)
		}
		return v.(*admin.Result)
	}
	for range admin.MaxRunning {
		if r := ask("listeners"); r.Text != "RPC to emq@127.0.0.1 error: timeout\n" || r.ExitCode != 1 {
			t.Fatalf("%+v", r)
		}
	}
	// All slots hang now: the mailbox still answers, with a refusal.
	if r := ask("status"); !strings.Contains(r.Text, "too many commands") || r.ExitCode != 1 {
		t.Errorf("%+v", r)
	}
	close(release)
	for deadline := time.Now().Add(5 * time.Second); ask("status").ExitCode != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the slots are not free again")
		}
	}
}

func TestPluginsRegisterCommandsByMessage(t *testing.T) {
	pid, system := spawn(t, admin.Options{Sources: fakenode.New().Sources()})
	ask := func() *admin.Result {
		v, err := system.Root.RequestFuture(pid, &admin.Command{Args: []string{"recon"}}, 5*time.Second).Result()
		if err != nil {
			t.Fatal(err)
		}
		return v.(*admin.Result)
	}
	system.Root.Send(pid, &admin.Register{Handler: &admin.Handler{Name: "recon", Run: func(*admin.Request) admin.Result { return admin.Result{Text: "7\n"} }}})
	if r := ask(); r.Text != "7\n" {
		t.Errorf("%+v", r)
	}
	system.Root.Send(pid, &admin.Unregister{Name: "recon"})
	if r := ask(); r.ExitCode != admin.ExitUsage {
		t.Errorf("%+v", r)
	}
}

func TestMissingSourceIsFoundAtStart(t *testing.T) {
	src := fakenode.New().Sources()
	src.Kill = nil
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "Sources.Kill") {
			t.Errorf("panic %v", p)
		}
	}()
	admin.Props(admin.Options{Sources: src})
}
