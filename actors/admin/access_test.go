package admin_test

import (
	"strings"
	"testing"

	"emqttd/tests/fakenode"
)

func TestAccessCommandsShowVerdictsAndTheirReasons(t *testing.T) {
	for _, tc := range []struct {
		args, want string
		code       int
	}{
		{
			"access test --client c --user joe --password j-secret --publish joe/x --subscribe other",
			"connect   : accept (username: password)\n  username: allow (username: password)\nusername  : joe\nsuperuser : false\n" +
				"publish   : allow joe/x (acl.conf:1)\nsubscribe : deny other (acl.conf:2)\n", 1,
		},
		{
			"access test --client c --user boss --password b-secret --publish joe/x",
			"connect   : accept (username: password)\n  username: allow (username: password)\nusername  : boss\nsuperuser : true\n" +
				"publish   : allow joe/x (super-user)\n", 0,
		},
		{
			"access test --user joe --password wrong", "connect   : bad_credential (username: wrong password)\n" +
				"  username: deny (username: wrong password)\nusername  : joe\nsuperuser : false\n", 1,
		},
		{"users list", "boss\njoe\n", 0},
		{"users list superusers", "boss\n", 0},
		{"users add joe x", "{error,existed}\n", 1},
		{"users add ann x", "ok\n", 0},
		{"users passwd joe y --superuser", "ok\n", 0},
		{"users passwd nobody y", "Not Found.\n", 1},
		{"users del nobody", "ok\n", 0},
		{"clientids list", "", 0},
		{"clientids add c1 x", "ok\n", 0},
		{"banned list", "", 0},
		{"banned add clientid evil 30m why", "ok\n", 0},
		{"banned add peerhost 10.0.0.0/8", "ok\n", 0},
		{"banned add peerhost here", "Error: expected an IP address or a CIDR; got \"here\"\n", 1},
		{"banned add clientid evil soon", "Error: expected a duration such as 30m or 12h, or forever; got \"soon\"\n", 1},
		{"banned del clientid nobody", "Not Found.\n", 1},
		{"acl reload", "Error: there is no file of access rules: mqtt.acl_file is empty\n", 1},
	} {
		t.Run(tc.args, func(t *testing.T) {
			f := fakenode.New()
			if got, code := ctl(t, f.Sources(), strings.Fields(tc.args)...); got != tc.want || code != tc.code {
				t.Errorf("%d\n%s\nwant %d\n%s", code, got, tc.code, tc.want)
			}
		})
	}
}

func TestBannedClientIsListedAndLiftedByItsOneName(t *testing.T) {
	src := fakenode.New().Sources()
	if _, code := ctl(t, src, "banned", "add", "peerhost", "::ffff:10.1.2.3", "1h", "scans us"); code != 0 {
		t.Fatal(code)
	}
	got, _ := ctl(t, src, "banned", "list")
	if !strings.HasPrefix(got, "peerhost 10.1.2.3 until=") || !strings.Contains(got, `reason="scans us" by=emqttd_ctl`) {
		t.Error(got)
	}
	if got, code := ctl(t, src, "banned", "del", "peerhost", "10.1.2.3"); got != "ok\n" || code != 0 {
		t.Errorf("%d %s", code, got)
	}
	if got, _ := ctl(t, src, "banned", "list"); got != "" {
		t.Error(got)
	}
}
