package access

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/tests/testkit"
)

func TestOperatorsManageAccessByCommand(t *testing.T) {
	acl := write(t, "acl.conf", "%% rules\n{deny, {user, \"ann\"}, pubsub, [\"secret/#\"]}.\n")
	home := testkit.NewHome(t, "access.modules = username, clientid", "access.backoff.after = 0", "mqtt.acl_file = "+acl)
	home.Foreground()
	ctl := func(code int, want string, args ...string) {
		t.Helper()
		if o := home.Ctl(args...); o.Code != code || !strings.Contains(o.Stdout, want) {
			t.Errorf("%v: exit %d, %s%s; want %d, %s", args, o.Code, o.Stdout, o.Stderr, code, want)
		}
	}
	ctl(0, "ok", "users", "add", "ann", "ann-pw")
	ctl(1, "{error,existed}", "users", "add", "ann", "other")
	ctl(0, "ok", "users", "add", "root", "root-pw", "--superuser")
	ctl(0, "ann\nroot\n", "users", "list")
	ctl(1, "subscribe : deny +/a ("+acl+":2)", "access", "test", "--client", "c", "--user", "ann", "--password", "ann-pw", "--subscribe", "+/a")
	ctl(1, "publish   : deny secret/a ("+acl+":2)", "access", "test", "--user", "ann", "--publish", "secret/a")
	ctl(0, "publish   : allow secret/a (super-user)", "access", "test", "--user", "root", "--password", "root-pw", "--publish", "secret/a")
	ctl(0, "access stats", "help", "access")
	ctl(0, "username\n  ok        : 0\n", "access", "stats")

	dial := func() *testkit.Client { return testkit.Dial(t, home.MQTT) }
	ann := dial()
	ann.Connect(as("ann", "dev", v5))
	ann.Subscribe(1, "open")
	if code := publish(t, ann, "secret/a", "x"); code != protocol.NotAuthorized {
		t.Errorf("PUBACK 0x%02X", byte(code))
	}
	ctl(0, "ok", "subscriptions", "add", "dev", "secret/a", "1") // an operator may
	root := dial()
	root.Connect(as("root", "root"))
	publish(t, root, "secret/a", "by an operator's leave")
	ann.ExpectPublish("secret/a", "by an operator's leave")

	since := time.Now()
	ctl(0, "ok", "users", "del", "ann")
	if code := ends(t, ann); code != protocol.NotAuthorized {
		t.Errorf("DISCONNECT 0x%02X", byte(code))
	}
	within(t, "the deleted user is sent away", since)
	since = time.Now()
	ctl(0, "ok", "banned", "add", "clientid", "root", "1h", "test")
	ends(t, root)
	within(t, "the banned client is sent away", since)
	ctl(0, "clientid root until=", "banned", "list")
	ctl(0, "ok", "banned", "del", "clientid", "root")

	cmd := exec.Command(testkit.Binary(t, "emqttd_ctl"), "-c", home.Conf, "access", "test", "--user", "root", "--password-stdin")
	cmd.Stdin = strings.NewReader("root-pw\n")
	out, err := cmd.Output()
	if err != nil || !bytes.HasPrefix(out, []byte("connect   : accept")) {
		t.Errorf("%v %s", err, out)
	}
	replace(t, acl, "{deny, all")
	ctl(1, "acl.conf:1", "acl", "reload")
}
