package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
	"emqttd/tests/fakenode"
)

// closed is a node that lets no MQTT client in without a password.
func closed() *admin.Sources {
	f := fakenode.New()
	f.Chain = fakenode.NewChain(false)
	s := f.Sources()
	s.AllowAnonymous = func() bool { return false }
	return s
}

// anybody takes the credentials away.
func anybody(r *http.Request) { r.Header.Del("Authorization") }

// from has a request come from another machine.
func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address + ":40000" }
}

func as(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestOnlyStatusNeedsNobodyAndSomeThingsNobodyOnThisMachine(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, 200, "figures") })
	h := NewHandler(Options{Sources: fakenode.New().Sources(), Metrics: metrics})
	named := func(r *http.Request) { r.Host = "evil.example:8080" }
	for path, want := range map[string][4]int{ // here, under another name, through a proxy, from elsewhere
		"/status":              {200, 200, 200, 200},
		"/metrics":             {200, 401, 401, 401},
		"/api/v3/openapi.json": {200, 401, 401, 401},
		"/api/v3/docs":         {200, 401, 401, 401},
		"/api/v3/clients":      {401, 401, 401, 401},
		"/api/v3/nothing":      {401, 401, 401, 401},
		"/api/v2/routes":       {401, 401, 401, 401},
		"/":                    {401, 401, 401, 401},
		"/nothing":             {401, 401, 401, 401},
	} {
		for i, edit := range []func(*http.Request){func(*http.Request) {}, named, header("X-Forwarded-For", "1.2.3.4"), from("10.0.0.1")} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+path, nil)
			r.RemoteAddr = "127.0.0.1:40000"
			edit(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want[i] {
				t.Errorf("%s, case %d: %d, want %d", path, i, w.Code, want[i])
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", path)
			}
		}
	}
}

func TestProfilesAreForAdministratorsOnThisMachine(t *testing.T) {
	f := fakenode.New()
	for _, role := range []string{"viewer", "operator", "administrator"} {
		if err := f.Operators.Add(context.Background(), role, "pw", role); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, path string
		edits      []func(*http.Request)
		want       int
	}{
		{"an administrator", "heap", []func(*http.Request){as("administrator", "pw")}, 200},
		{"the list", "", []func(*http.Request){as("administrator", "pw")}, 200},
		{"what there is not", "nothing", []func(*http.Request){as("administrator", "pw")}, 404},
		{"the command line", "cmdline", []func(*http.Request){as("administrator", "pw")}, 404},
		{"an administrator elsewhere", "heap", []func(*http.Request){as("administrator", "pw"), from("10.0.0.1")}, 403},
		{"through a proxy", "heap", []func(*http.Request){as("administrator", "pw"), header("Via", "1.1 proxy")}, 403},
		{"an operator", "heap", []func(*http.Request){as("operator", "pw")}, 403},
		{"a viewer", "heap", []func(*http.Request){as("viewer", "pw")}, 403},
		{"nobody", "heap", []func(*http.Request){anybody}, 401},
	} {
		if code, body := call(t, f.Sources(), "GET", "/debug/pprof/"+tc.path, "", "", tc.edits...); code != tc.want {
			t.Errorf("%s: %d %.80s, want %d", tc.name, code, body, tc.want)
		}
	}
	if code, _ := call(t, f.Sources(), "POST", "/debug/pprof/heap", "", "", as("administrator", "pw")); code != 405 {
		t.Errorf("POST: %d", code)
	}
}

func TestTheFirstPasswordIsGoodHereOnly(t *testing.T) {
	f := fakenode.New()
	for _, tc := range []struct {
		name string
		edit func(*http.Request)
		want int
	}{
		{"here", func(*http.Request) {}, 200},
		{"localhost", func(r *http.Request) { r.Host = "localhost:8080" }, 200},
		{"IPv6", from("[::1]"), 200},
		{"a web page", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"a proxy", header("Via", "1.1 proxy"), 403},
		{"elsewhere", from("10.0.0.1"), 403},
	} {
		if code, body := call(t, f.Sources(), "GET", "/api/v3/stats", "", "", tc.edit); code != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, code, body, tc.want)
		}
	}
	if err := f.Operators.SetPassword(context.Background(), "admin", "s3cret"); err != nil {
		t.Fatal(err)
	}
	if code, _ := call(t, f.Sources(), "GET", "/api/v3/stats", "", "", as("admin", "s3cret"), from("10.0.0.1")); code != 200 {
		t.Errorf("the new password: %d", code)
	}
	if code, _ := call(t, f.Sources(), "GET", "/api/v3/stats", "", ""); code != 401 {
		t.Errorf("the first password, later: %d", code)
	}
}

func TestRolesDecideWhoMayDoWhat(t *testing.T) {
	f := fakenode.New()
	ctx := context.Background()
	for _, role := range []string{"viewer", "operator", "administrator"} {
		if err := f.Operators.Add(ctx, role, "pw", role); err != nil {
			t.Fatal(err)
		}
	}
	publish := `{"topic":"a","payload":"x"}`
	for _, tc := range []struct {
		method, path, body string
		want               [3]int // viewer, operator, admin
	}{
		{"GET", "/api/v2/routes", "", [3]int{200, 200, 200}},
		{"GET", "/api/v2/configs", "", [3]int{200, 200, 200}},
		{"DELETE", "/api/v2/clients/c1", "", [3]int{403, 200, 200}},
		{"PUT", "/api/v2/clients/c1/clean_acl_cache", "", [3]int{403, 200, 200}},
		{"POST", "/api/v2/mqtt/publish", publish, [3]int{403, 200, 200}},
		{"POST", "/api/v2/mqtt/subscribe", `{"client_id":"c1","topic":"t"}`, [3]int{403, 200, 200}},
		{"GET", "/api/v2/users", "", [3]int{403, 403, 200}},
		{"DELETE", "/api/v2/users/nobody", "", [3]int{403, 403, 200}},
		{"PUT", "/api/v2/configs/emqttd", `{"key":"a","value":"b"}`, [3]int{403, 403, 200}},
		{"POST", "/mqtt/publish", `{"topic":"a","message":"x"}`, [3]int{403, 200, 200}},
		{"GET", "/api/v3/clients", "", [3]int{200, 200, 200}},
		{"DELETE", "/api/v3/clients/c1", "", [3]int{403, 204, 204}},
		{"POST", "/api/v3/publish", publish, [3]int{403, 204, 204}},
		{"POST", "/api/v3/banned", `{"kind":"clientid","who":"x"}`, [3]int{403, 201, 201}},
		{"PUT", "/api/v3/acl/reload", "", [3]int{403, 409, 409}},
		{"GET", "/api/v3/admins", "", [3]int{403, 403, 200}},
		{"POST", "/api/v3/apikeys", `{"role":"viewer"}`, [3]int{403, 403, 201}},
		{"GET", "/api/v3/users", "", [3]int{403, 403, 200}},
		{"DELETE", "/api/v3/retained", "", [3]int{403, 403, 200}},
		{"DELETE", "/api/v3/actors/one/node/sessions/1", "", [3]int{403, 403, 204}},
		{"POST", "/api/v3/listeners/tcp.external/stop", "", [3]int{403, 403, 204}},
		{"POST", "/api/v3/access/test", "{}", [3]int{403, 403, 200}},
		{"GET", "/api/v3/config", "", [3]int{200, 200, 200}},
		{"PUT", "/api/v3/config", `{"values":[{"key":"mqtt.max_packet_size","value":"1KB"}]}`, [3]int{403, 403, 409}},
		{"POST", "/api/v3/config/check", "", [3]int{403, 403, 200}},
		{"POST", "/api/v3/config/reload", "", [3]int{403, 403, 409}},
		{"GET", "/api/v3/config/history", "", [3]int{403, 403, 200}},
		{"POST", "/api/v3/config/rollback/1", "", [3]int{403, 403, 409}},
	} {
		for i, role := range []string{"viewer", "operator", "administrator"} {
			kind := ""
			if tc.body != "" {
				kind = jsonBody
			}
			if code, body := call(t, f.Sources(), tc.method, tc.path, kind, tc.body, as(role, "pw"), from("10.0.0.1")); code != tc.want[i] {
				t.Errorf("%s %s as %s: %d %s, want %d", tc.method, tc.path, role, code, body, tc.want[i])
			}
		}
	}
}

func TestAKeyLetsInAsAPasswordAndAsAToken(t *testing.T) {
	f := fakenode.New()
	id, secret, err := f.Operators.NewKey(operators.Operator, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*http.Request){
		"password": as(id, secret), "token": header("Authorization", "Bearer "+id+"."+secret),
	} {
		if code, _ := call(t, f.Sources(), "DELETE", "/api/v3/clients/c1", "", "", edit, from("10.0.0.1")); code != 204 {
			t.Errorf("%s: %d", name, code)
		}
	}
	for name, value := range map[string]string{
		"wrong secret": "Bearer " + id + ".x", "no secret": "Bearer " + id, "no token": "Bearer ", "other scheme": "Digest x", "no base64": "Basic %%",
	} {
		if code, _ := call(t, f.Sources(), "GET", "/api/v3/clients", "", "", header("Authorization", value), from("10.0.0.1")); code != 401 {
			t.Errorf("%s: %d", name, code)
		}
	}
}

func TestWhoGuessesMustWaitAndWhoKnowsNeedNot(t *testing.T) {
	f := fakenode.New()
	if err := f.Operators.Add(context.Background(), "ann", "right", "operator"); err != nil {
		t.Fatal(err)
	}
	h := NewHandler(Options{Sources: f.Sources(), Backoff: access.NewBackoff(access.BackoffOptions{
		After: 3, First: 90e9, Longest: 3600e9, Size: 100,
	})})
	ask := func(path, user, password, address string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://10.9.9.9"+path, nil)
		r.RemoteAddr = address + ":1"
		r.SetBasicAuth(user, password)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := ask("/api/v2/routes", "ann", "right", "10.0.0.7"); w.Code != 200 {
		t.Fatal(w.Code)
	}
	for range 4 {
		if w := ask("/api/v2/routes", "ann", "guess", "10.0.0.1"); w.Code != 401 {
			t.Fatal(w.Code)
		}
	}
	for _, tc := range []struct{ path, user, address string }{
		{"/api/v2/routes", "ann", "10.0.0.1"}, {"/api/v3/clients", "ann", "10.0.0.2"}, {"/api/v3/clients", "bob", "10.0.0.1"},
	} {
		w := ask(tc.path, tc.user, "another", tc.address)
		if w.Code != 429 || w.Header().Get("Retry-After") != "90" {
			t.Errorf("%v: %d after %q", tc, w.Code, w.Header().Get("Retry-After"))
		}
	}
	if w := ask("/api/v2/routes", "ann", "right", "10.0.0.1"); w.Code != 200 {
		t.Errorf("one who knows the password waits because of others: %d", w.Code)
	}
}

func TestMQTTUsersMayPublishByTheirRulesAndNothingElse(t *testing.T) {
	src := closed()
	const publish = `{"topic":"joe/1","message":"x"}`
	for _, tc := range []struct {
		user, password, method, path, body string
		want                               int
	}{
		{"joe", "j-secret", "POST", "/mqtt/publish", publish, 200},
		{"joe", "J-secret", "POST", "/mqtt/publish", publish, 401},
		{"", "j-secret", "POST", "/mqtt/publish", publish, 401},
		{"joe", "j-secret", "POST", "/mqtt/publish", strings.Replace(publish, "joe", "boss", 1), 403},
		{"joe", "j-secret", "POST", "/mqtt/publish", `{"topics":"joe/1,boss/1","message":"x"}`, 403},
		{"boss", "b-secret", "POST", "/mqtt/publish", publish, 200},
		{"admin", "public", "POST", "/mqtt/publish", publish, 200},
		{"joe", "j-secret", "GET", "/api/v2/routes", "", 401},
		{"boss", "b-secret", "GET", "/api/v3/users", "", 401},
	} {
		if code, body := call(t, src, tc.method, tc.path, jsonBody, tc.body, as(tc.user, tc.password)); code != tc.want {
			t.Errorf("%s %s as %s: %d %s, want %d", tc.method, tc.path, tc.user, code, body, tc.want)
		}
	}
	for range 6 {
		call(t, src, "POST", "/mqtt/publish", jsonBody, publish, as("joe", "guess"), from("10.0.0.3"))
	}
	if code, _ := call(t, src, "POST", "/mqtt/publish", jsonBody, publish, as("joe", "j-secret"), from("10.0.0.3")); code != 429 {
		t.Errorf("after guesses: %d", code)
	}
}

func TestWhereEverybodyMayPublishTheHeaderMustStillBeThere(t *testing.T) {
	src := fakenode.New().Sources()
	const publish = "topic=a&message=x"
	for _, tc := range []struct {
		name  string
		edits []func(*http.Request)
		want  int
	}{
		{"any password", []func(*http.Request){as("who", "ever")}, 200},
		{"none", []func(*http.Request){anybody}, 401},
		{"a wrong one of a user that is known", []func(*http.Request){as("joe", "wrong")}, 401},
		{"a web page under its own name", []func(*http.Request){as("who", "ever"), func(r *http.Request) { r.Host = "evil.example" }}, 403},
		{"a form on a foreign page", []func(*http.Request){as("who", "ever"), header("Origin", "https://evil.example")}, 403},
	} {
		if code, body := call(t, src, "POST", "/mqtt/publish", form, publish, tc.edits...); code != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, code, body, tc.want)
		}
	}
}
