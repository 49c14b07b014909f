package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

func call(t *testing.T, src *admin.Sources, method, target, contentType, body string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	NewHandler(Options{Sources: src}).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	if k := w.Result().Header.Get("Content-Type"); strings.HasPrefix(k, "application/json") && !json.Valid(b) {
		t.Errorf("not JSON: %s", b)
	}
	return w.Code, string(b)
}

const form, jsonBody = "application/x-www-form-urlencoded", "application/json"

func TestPublishTakesFormsAndJSONAsEMQDid(t *testing.T) {
	for _, tc := range []struct {
		name, kind, body string
		want             []admin.PublishRequest
	}{
		{"form", form, "qos=1&retain=1&topic=a/b&message=hi%20there&client=me", []admin.PublishRequest{{ClientID: "me", Topic: "a/b", Payload: []byte("hi there"), QoS: 1, Retain: true}}},
		{"form with defaults", form, "topic=a&message=", []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte{}}}},
		{"several topics", form, "topic=a&topics=b,c&message=x", []admin.PublishRequest{
			{ClientID: "http", Topic: "a", Payload: []byte("x")}, {ClientID: "http", Topic: "b", Payload: []byte("x")}, {ClientID: "http", Topic: "c", Payload: []byte("x")},
		}},
		{"JSON with numbers", jsonBody, `{"topic":"a","message":"x","qos":2,"retain":1}`, []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte("x"), QoS: 2, Retain: true}}},
		{"JSON with text and booleans", jsonBody, `{"topic":"a","message":"x","qos":"1","retain":false}`, []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte("x"), QoS: 1, Retain: false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fakenode.New()
			code, body := call(t, f.Sources(), "POST", "/mqtt/publish", tc.kind, tc.body)
			if code != 200 || body != "ok" || fmt.Sprint(f.Published) != fmt.Sprint(tc.want) {
				t.Errorf("%d %s, published %v, want %v", code, body, f.Published, tc.want)
			}
		})
	}
}

func TestBadPublishIsRefusedAndPublishesNothing(t *testing.T) {
	big := "topic=a&message=" + strings.Repeat("x", maxBody)
	for _, tc := range []struct {
		name, kind, body string
		code             int
		want             string
	}{
		{"qos", form, "topic=a&message=x&qos=3", 400, "Bad QoS"},
		{"retain", form, "topic=a&message=x&retain=yes", 400, "Bad Retain"},
		{"wildcard", form, "topic=a&topics=b,c/%23&message=x", 400, "Bad Topics"},
		{"empty among several", form, "topics=a,,b&message=x", 400, "Bad Topics"},
		{"long topic", form, "topic=" + strings.Repeat("t", maxTopic+1) + "&message=x", 400, "Bad Topics"},
		{"no topic", form, "message=x", 400, "Bad Topics"},
		{"no message", form, "topic=a", 400, "Bad Message"},
		{"not JSON", jsonBody, "topic=a", 400, `{"code":109,"message":"body not JSON"}`},
		{"JSON of another shape", jsonBody, `{"topic":"a","message":"x","qos":[1]}`, 400, `{"code":109,"message":"body not JSON"}`},
		{"bad form", form, "topic=%zz", 400, `{"code":109,"message":"body is not a form"}`},
		{"large form", form, big, 413, `{"code":107,"message":"body larger than 1048576 bytes"}`},
		{"large JSON", jsonBody, `{"message":"` + strings.Repeat("x", maxBody) + `"}`, 413, `{"code":107,"message":"body larger than 1048576 bytes"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fakenode.New()
			code, body := call(t, f.Sources(), "POST", "/mqtt/publish", tc.kind, tc.body)
			if code != tc.code || body != tc.want || len(f.Published) != 0 {
				t.Errorf("%d %s, %d published", code, body, len(f.Published))
			}
		})
	}
	for err, want := range map[error]int{admin.ErrTooLarge: 413, errors.New("overloaded"): 503} {
		f := fakenode.New()
		f.PublishError = err
		if code, body := call(t, f.Sources(), "POST", "/mqtt/publish", form, "topic=a&message=x"); code != want {
			t.Errorf("%v: %d %s", err, code, body)
		}
	}
}

func TestStatusTellsWhetherTheBrokerRuns(t *testing.T) {
	f := fakenode.New()
	if code, body := call(t, f.Sources(), "GET", "/status", "", ""); code != 200 || body != "Node emq@127.0.0.1 is started\nemqttd is running" {
		t.Errorf("%d %q", code, body)
	}
	f.Up = false
	if code, body := call(t, f.Sources(), "HEAD", "/status", "", ""); code != 503 || !strings.HasSuffix(body, "not_running") {
		t.Errorf("%d %q", code, body)
	}
}

func TestV2AnswersInEMQsShapes(t *testing.T) {
	client := `{"client_id":"c1","username":"undefined","ipaddress":"127.0.0.1","port":52011,"clean_sess":true,` +
		`"proto_ver":4,"keepalive":60,"connected_at":"` + admin.FormatTime(fakenode.Since) + `"}`
	session := `{"client_id":"c2","clean_sess":false,"subscriptions":0,"max_inflight":0,"inflight_len":5,"mqueue_len":7,` +
		`"mqueue_dropped":1,"awaiting_rel_len":4,"deliver_msg":3,"enqueue_msg":9,"created_at":"` + admin.FormatTime(fakenode.Since) + `"}`
	subs := `{"objects":[{"client_id":"c2","topic":"x","qos":2}]}`
	node := url.PathEscape("emq@127.0.0.1")
	for path, want := range map[string]string{
		"nodes/" + node + "/clients?page_size=1":              `{"current_page":1,"page_size":1,"total_num":2,"total_page":2,"objects":[` + client + `]}`,
		"nodes/" + node + "/clients?curr_page=9":              `{"current_page":9,"page_size":20,"total_num":2,"total_page":1,"objects":[]}`,
		"nodes/" + node + "/clients/c1":                       `{"objects":[` + client + `]}`,
		"clients/c1/":                                         `{"objects":[` + client + `]}`,
		"clients/nobody":                                      `{"objects":[]}`,
		"nodes/" + node + "/sessions?curr_page=2&page_size=1": `{"current_page":2,"page_size":1,"total_num":0,"total_page":0,"objects":[` + session + `]}`,
		"nodes/" + node + "/sessions/c2":                      `{"objects":[` + session + `]}`,
		"sessions/c2":                                         `{"objects":[` + session + `]}`,
		"nodes/" + node + "/subscriptions/c2":                 subs,
		"subscriptions/c2":                                    subs,
		"routes?page_size=1&curr_page=2":                      `{"current_page":2,"page_size":1,"total_num":2,"total_page":2,"objects":[{"topic":"b//c/","node":"emq@127.0.0.1"}]}`,
		"routes/b//c/":                                        `{"objects":[{"topic":"b//c/","node":"emq@127.0.0.1"}]}`,
		"routes/a%2F%23":                                      `{"objects":[{"topic":"a/#","node":"emq@127.0.0.1"}]}`,
		"monitoring/stats":                                    `[{"emq@127.0.0.1":{"clients/count":2,"clients/max":5,"routes/count":2}}]`,
		"monitoring/metrics/" + node:                          `{"bytes/received":1,"packets/sent":2}`,
		"monitoring/listeners": `[{"emq@127.0.0.1":[{"protocol":"mqtt:tcp","listen":"0.0.0.0:1883","acceptors":16,` +
			`"max_clients":102400,"current_clients":2,"shutdown_count":{"closed":10,"keepalive_timeout":3}}]}]`,
	} {
		t.Run(path, func(t *testing.T) {
			code, body := call(t, fakenode.New().Sources(), "GET", "/api/v2/"+path, "", "")
			if want = `{"code":0,"result":` + want + `}`; code != 200 || body != want {
				t.Errorf("%d\ngot  %s\nwant %s", code, body, want)
			}
		})
	}
	code, body := call(t, fakenode.New().Sources(), "GET", "/api/v2/management/nodes", "", "")
	if code != 200 || !strings.Contains(body, `"name":"emq@127.0.0.1","version":"0.1.0","sysdescr":"Go MQTT Broker","uptime":"3 minutes, 32 seconds"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestWalkToALatePageSkipsExactlyThePagesBefore(t *testing.T) {
	f := fakenode.New()
	f.ClientRows = nil
	for i := range 2*walkRows + 30 {
		f.ClientRows = append(f.ClientRows, admin.ClientInfo{ID: fmt.Sprint("c", i)})
	}
	_, body := call(t, f.Sources(), "GET", "/api/v2/nodes/emq@127.0.0.1/clients?curr_page=102&page_size=20", "", "")
	if !strings.Contains(body, `"objects":[{"client_id":"c2020"`) || strings.Count(body, "client_id") != 10 {
		t.Error(body)
	}
}

func TestRefusalsHaveAStatusCodeAndAReason(t *testing.T) {
	anonymousOff := closed()
	src := fakenode.New().Sources()
	for _, tc := range []struct {
		name, method, target string
		src                  *admin.Sources
		edit                 func(*http.Request)
		code                 int
	}{
		{"unknown path", "GET", "/nothing", src, nil, 404},
		{"unknown path of v2", "GET", "/api/v2/nothing", src, nil, 404},
		{"bare v2", "GET", "/api/v2/", src, nil, 404},
		{"unknown node", "GET", "/api/v2/nodes/other/clients", src, nil, 404},
		{"wrong method", "DELETE", "/api/v2/clients/c1", src, nil, 405},
		{"GET publish", "GET", "/mqtt/publish", src, nil, 405},
		{"page zero", "GET", "/api/v2/routes?curr_page=0", src, nil, 400},
		{"page of words", "GET", "/api/v2/routes?page_size=all", src, nil, 400},
		{"huge page", "GET", "/api/v2/routes?page_size=1000000", src, nil, 400},
		{"anonymous access off", "GET", "/api/v2/routes", anonymousOff, nil, 401},
		{"publish without authentication", "POST", "/mqtt/publish", anonymousOff, nil, 401},
		{"status needs none", "GET", "/status", anonymousOff, nil, 200},
		{"rebound name", "GET", "/status", src, func(r *http.Request) { r.Host = "evil.example:8080" }, 403},
		{"localhost", "GET", "/status", src, func(r *http.Request) { r.Host = "localhost:8080" }, 200},
		{"form on a foreign page", "POST", "/mqtt/publish", src, func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
		}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			edit := tc.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			code, body := call(t, tc.src, tc.method, tc.target, "", "", edit)
			if code != tc.code || body == "" {
				t.Errorf("%d %s, want %d", code, body, tc.code)
			}
		})
	}
}

func TestRootListsThePaths(t *testing.T) {
	code, body := call(t, fakenode.New().Sources(), "GET", "/", "", "")
	if code != 200 || !strings.HasPrefix(body, `{"paths":["status","mqtt/publish","api/v2/management/nodes"`) ||
		!strings.Contains(body, `"api/v2/routes/{topic}"`) {
		t.Errorf("%d %s", code, body)
	}
}

// closed is a node that lets nobody in without a password.
func closed() *admin.Sources {
	f := fakenode.New()
	f.Chain = fakenode.NewChain(false)
	s := f.Sources()
	s.AllowAnonymous = false
	return s
}

func asUser(t *testing.T, src *admin.Sources, user, password, method, target, body string, want int) string {
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
	src := closed()
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
	src := closed()
	for range 6 {
		asUser(t, src, "joe", "guess", "GET", "/api/v2/routes", "", 401)
	}
	asUser(t, src, "joe", "j-secret", "GET", "/api/v2/routes", "", 429)
}

func TestAccessIsManagedOverHTTP(t *testing.T) {
	src := closed()
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
