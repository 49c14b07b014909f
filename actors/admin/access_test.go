package admin

import (
	"net/http"
	"strings"
	"testing"
)

// closed is a node that lets nobody in without a password.
func closed() *closedNode { f := newFake(); f.chain = newChain(false); return &closedNode{f} }

type closedNode struct{ *fakeNode }

func (c *closedNode) sources() *Sources {
	s := c.fakeNode.sources()
	s.AllowAnonymous = false
	return s
}

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
			f := newFake()
			if got, code := ctl(t, f.sources(), strings.Fields(tc.args)...); got != tc.want || code != tc.code {
				t.Errorf("%d\n%s\nwant %d\n%s", code, got, tc.code, tc.want)
			}
		})
	}
}

func TestAccessStatsCountWhatModulesAnswered(t *testing.T) {
	src := closed().sources()
	asUser(t, src, "joe", "wrong", "GET", "/api/v2/routes", "", 401)
	asUser(t, src, "joe", "j-secret", "GET", "/api/v2/routes", "", 200)
	got, code := ctl(t, src, "access", "stats")
	if code != 0 || !strings.HasPrefix(got, "username\n  ok        : 1\n  denied    : 1\n  ignored   : 0\n") {
		t.Errorf("%d %s", code, got)
	}
}

func TestBannedClientIsListedAndLiftedByItsOneName(t *testing.T) {
	src := newFake().sources()
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

func asUser(t *testing.T, src *Sources, user, password, method, target, body string, want int) string {
	t.Helper()
	kind := ""
	if body != "" {
		kind = jsonBody
	}
	code, got := call(t, src, method, target, kind, body, func(r *http.Request) { r.SetBasicAuth(user, password) })
	if code != want {
		t.Errorf("%s %s %s as %s: %d %s, want %d", method, target, body, user, code, got, want)
	}
	return got
}

func TestHTTPUsersAreThoseOfTheAccessChain(t *testing.T) {
	src := closed().sources()
	const publish = `{"topic":"joe/1","message":"x"}`
	for _, tc := range []struct {
		user, password, method, target, body string
		want                                 int
	}{
		{"joe", "j-secret", "GET", "/api/v2/routes", "", 200},
		{"joe", "J-secret", "GET", "/api/v2/routes", "", 401},
		{"Joe", "j-secret", "GET", "/api/v2/routes", "", 401},
		{"", "j-secret", "GET", "/api/v2/routes", "", 401},
		{"joe", "j-secret", "POST", "/mqtt/publish", publish, 200},
		{"joe", "j-secret", "POST", "/mqtt/publish", strings.Replace(publish, "joe", "boss", 1), 403},
		{"joe", "j-secret", "POST", "/mqtt/publish", `{"topics":"joe/1,boss/1","message":"x"}`, 403},
		{"joe", "j-secret", "GET", "/api/v3/users", "", 403},
		{"joe", "j-secret", "POST", "/api/v3/users", `{"name":"x","password":"y"}`, 403},
		{"joe", "j-secret", "POST", "/api/v3/access/test", `{}`, 403},
		{"joe", "j-secret", "PUT", "/api/v2/clients/c1/clean_acl_cache", "", 403},
		{"boss", "b-secret", "PUT", "/api/v2/clients/c1/clean_acl_cache", `{"topic":"t"}`, 200},
		{"boss", "b-secret", "PUT", "/api/v3/clients/nobody/clean_acl_cache", "", 404},
		{"boss", "b-secret", "POST", "/mqtt/publish", publish, 200},
		{"boss", "b-secret", "GET", "/api/v3/access/stats", "", 200},
	} {
		asUser(t, src, tc.user, tc.password, tc.method, tc.target, tc.body, tc.want)
	}
}

func TestWrongPasswordsOverHTTPMustWait(t *testing.T) {
	src := closed().sources()
	for range 6 {
		asUser(t, src, "joe", "guess", "GET", "/api/v2/routes", "", 401)
	}
	asUser(t, src, "joe", "j-secret", "GET", "/api/v2/routes", "", 429)
}

func TestAccessIsManagedOverHTTP(t *testing.T) {
	src := closed().sources()
	for _, tc := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "users", "", 200, `{"code":0,"result":{"objects":[{"name":"boss","superuser":true},{"name":"joe","superuser":false}]}}`},
		{"POST", "users", `{"name":"ann/1","password":"x"}`, 201, `{"code":0,"result":[]}`},
		{"POST", "users", `{"name":"ann/1","password":"x"}`, 409, `{"code":107,"message":"it exists already"}`},
		{"PUT", "users/ann%2F1", `{"password":"y","superuser":true}`, 200, `{"code":0,"result":[]}`},
		{"PUT", "users/ann%2F1", `{"name":"other","password":"y"}`, 400, `{"code":107,"message":"an account cannot be renamed"}`},
		{"DELETE", "users/ann%2F1", "", 200, `{"code":0,"result":[]}`},
		{"DELETE", "users/ann%2F1", "", 404, `{"code":107,"message":"not found"}`},
		{"POST", "users", `{"name":"","password":"x"}`, 400, `{"code":107,"message":"an account needs a name and a password"}`},
		{"POST", "users", `{"user":"x"}`, 400, `{"code":109,"message":"body not as expected: json: unknown field \"user\""}`},
		{"POST", "users", "", 400, `{"code":109,"message":"body not as expected: EOF"}`},
		{"PATCH", "users", "", 405, `{"code":102,"message":"method not allowed"}`},
		{"POST", "clientids", `{"name":"c","password":"x"}`, 201, `{"code":0,"result":[]}`},
		{"DELETE", "clientids/c", "", 200, `{"code":0,"result":[]}`},
		{"POST", "banned", `{"kind":"peerhost","who":"10.0.0.0/8","seconds":60,"reason":"r"}`, 201, `{"code":0,"result":[]}`},
		{"POST", "banned", `{"kind":"shoe","who":"10.0.0.0/8"}`, 400, `{"code":107,"message":"expected clientid, username or peerhost; got \"shoe\""}`},
		{"POST", "banned", `{"kind":"clientid","who":"x","seconds":-1}`, 400, `{"code":107,"message":"seconds: from 0, which is for ever, to a hundred years"}`},
		{"DELETE", "banned/peerhost/10.0.0.0/8", "", 200, `{"code":0,"result":[]}`},
		{"DELETE", "banned/peerhost/10.0.0.0/8", "", 404, `{"code":107,"message":"not found"}`},
		{
			"POST", "access/test", `{"clientid":"c","username":"joe","password":"j-secret","publish":["joe/a"],"subscribe":["#"]}`, 200,
			`{"code":0,"result":{"decision":"accept","why":"username: password","username":"joe","superuser":false,` +
				`"modules":[{"name":"username","verdict":"allow","why":"username: password"}],` +
				`"topics":[{"action":"publish","topic":"joe/a","allow":true,"why":"acl.conf:1"},{"action":"subscribe","topic":"#","allow":false,"why":"acl.conf:2"}]}}`,
		},
		{"GET", "nothing", "", 404, `{"code":102,"message":"no such path"}`},
	} {
		got := asUser(t, src, "boss", "b-secret", tc.method, "/api/v3/"+tc.path, tc.body, tc.code)
		if got != tc.want {
			t.Errorf("%s %s %s\ngot  %s\nwant %s", tc.method, tc.path, tc.body, got, tc.want)
		}
	}
}
