package web

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/tests/backends/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is one that knows users, as EMQ's users write them.
type service struct {
	mu    sync.Mutex
	users map[string]suite.User
	addr  string
	serve *httptest.Server
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{users: map[string]suite.User{}}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *service) start(t testing.TB) {
	t.Helper()
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.serve = &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	s.serve.Start()
}

func (s *service) stop(testing.TB) {
	s.serve.CloseClientConnections()
	s.serve.Close()
}

// params are those of a request in any of the forms.
func params(r *http.Request) url.Values {
	if r.Header.Get("Content-Type") == "application/json" {
		var object map[string]string
		if json.NewDecoder(r.Body).Decode(&object) != nil {
			return nil
		}
		form := url.Values{}
		for k, v := range object {
			form.Set(k, v)
		}
		return form
	}
	if r.ParseForm() != nil {
		return nil
	}
	return r.Form
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := params(r)
	s.mu.Lock()
	u, known := s.users[p.Get("username")]
	s.mu.Unlock()
	ok := false
	switch r.URL.Path {
	case "/auth":
		if !known {
			_, _ = w.Write([]byte("ignore"))
			return
		}
		ok = u.Stored != "" && u.Stored == p.Get("password")
	case "/superuser":
		ok = u.Super
	case "/acl":
		ok = slices.ContainsFunc(u.Rules, func(r suite.Rule) bool { return r.Topic == p.Get("topic") })
	}
	if !ok {
		w.WriteHeader(http.StatusForbidden)
	}
}

func emq(addr, method string, asJSON bool) Options {
	return Options{
		Auth:  Request{URL: "http://" + addr + "/auth", Method: method, Params: []string{"clientid=%c", "username=%u", "password=%P"}},
		Super: Request{URL: "http://" + addr + "/superuser", Method: method, Params: []string{"clientid=%c", "username=%u"}},
		ACL:   Request{URL: "http://" + addr + "/acl", Method: method, Params: []string{"access=%A", "username=%u", "clientid=%c", "ipaddr=%a", "topic=%t"}},
		JSON:  asJSON, Timeout: 5 * time.Second,
	}
}

func open(t testing.TB, o Options) access.Module {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// use is open for those who do not close it.
func use(t testing.TB, o Options) access.Module {
	t.Helper()
	m := open(t, o)
	t.Cleanup(func() { m.(access.Closer).Close() })
	return m
}

func TestHTTPDoesWhatABackEndMust(t *testing.T) {
	for name, o := range map[string]func(string) Options{
		"form": func(addr string) Options { return emq(addr, "post", false) },
		"json": func(addr string) Options { return emq(addr, "post", true) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			suite.Run(t, suite.Backend{
				Addr: s.addr,
				Open: func(t testing.TB, addr, _ string) access.Module { return open(t, o(addr)) },
				Add: func(_ testing.TB, u suite.User) {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.users[u.Name] = u
				},
				Stop: s.stop, Start: s.start, Schemes: []string{"plain"}, NoRules: true,
			})
		})
	}
}

// answering is a service that keeps what it was asked and says one thing.
func answering(t *testing.T, status int, kind, body string) (addr string, asked chan *http.Request) {
	t.Helper()
	asked = make(chan *http.Request, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Form = params(r)
		asked <- r
		w.Header().Set("Content-Type", kind)
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), asked
}

func TestStatusAndBodyDecide(t *testing.T) {
	for _, c := range []struct {
		status     int
		kind, body string
		want       access.Verdict
		super      bool
		fails      bool
	}{
		{200, "text/plain", "", access.Allow, false, false},
		{200, "text/plain", "deny", access.Allow, false, false}, // only the status counts, with EMQ
		{200, "text/plain", " ignore\n", access.Ignore, false, false},
		{201, "text/plain", "", access.Deny, false, false},
		{204, "", "", access.Deny, false, false},
		{302, "text/plain", "", access.Deny, false, false},
		{401, "text/plain", "ignore", access.Deny, false, false},
		{404, "text/plain", "", access.Deny, false, false},
		{500, "text/plain", "", access.Ignore, false, true},
		{503, "text/plain", "", access.Ignore, false, true},
		{200, "application/json", `{"result": "allow", "is_superuser": true}`, access.Allow, true, false},
		{200, "application/json; charset=utf-8", `{"result": "deny", "is_superuser": true}`, access.Deny, false, false},
		{200, "application/json", `{"result": "ignore"}`, access.Ignore, false, false},
		{200, "application/json", `{"result": "perhaps"}`, access.Deny, false, false},
		{200, "application/json", `{}`, access.Allow, false, false},
	} {
		addr, _ := answering(t, c.status, c.kind, c.body)
		o := emq(addr, "post", false)
		o.Super = Request{}
		r, err := use(t, o).Authenticate(t.Context(), suite.Client("u", "p"))
		if (err != nil) != c.fails || r.Verdict != c.want || r.Superuser != c.super {
			t.Errorf("%d %q: %v, %v; want %v, superuser %t, failure %t", c.status, c.body, r, err, c.want, c.super, c.fails)
		}
	}
}

func TestParametersAreSentByEachMethod(t *testing.T) {
	for _, c := range []struct {
		method string
		json   bool
		want   string
	}{{"get", false, http.MethodGet}, {"get", true, http.MethodGet}, {"post", false, http.MethodPost}, {"put", true, http.MethodPut}, {"", true, http.MethodPost}} {
		addr, asked := answering(t, 200, "", "")
		o := emq(addr, c.method, c.json)
		o.ACL.Params = append(o.ACL.Params, "fixed=x y", "both=%u/%c")
		m := use(t, o)
		cred := suite.Client("ü&u=1", "p w+%")
		if r, err := m.Authenticate(t.Context(), cred); err != nil || !r.Superuser {
			t.Fatalf("%v, %v", r, err)
		}
		if v, err := m.(access.Judge).Authorize(t.Context(), cred, acl.Publish, "a/#?x=1"); err != nil || v != access.Allow {
			t.Fatalf("%v, %v", v, err)
		}
		for _, want := range []map[string]string{
			{"clientid": "c", "username": "ü&u=1", "password": "p w+%"},
			{"clientid": "c", "username": "ü&u=1"},
			{"access": "2", "username": "ü&u=1", "clientid": "c", "ipaddr": "127.0.0.1", "topic": "a/#?x=1", "fixed": "x y", "both": "ü&u=1/c"},
		} {
			r := <-asked
			got := map[string]string{}
			for k := range r.Form {
				got[k] = r.Form.Get(k)
			}
			if r.Method != c.want || !maps.Equal(got, want) {
				t.Errorf("%s with %v, want %s with %v", r.Method, got, c.want, want)
			}
		}
	}
}

func TestCookieOfTheWebSocketIsPassedOn(t *testing.T) {
	addr, asked := answering(t, 200, "", "")
	o := emq(addr, "post", false)
	o.Super, o.Headers = Request{}, []string{"cookie", "X-Forwarded-For"}
	m := use(t, o)
	c := &access.Credentials{ClientID: "c", Peer: "127.0.0.1", Header: http.Header{"Cookie": {"session=1"}, "Authorization": {"no"}, "Host": {"evil"}}}
	if r, err := m.Authenticate(t.Context(), c); err != nil || r.Verdict != access.Allow {
		t.Fatalf("%v, %v", r, err)
	}
	if r := <-asked; r.Header.Get("Cookie") != "session=1" || r.Header.Get("Authorization") != "" || r.Host != addr {
		t.Errorf("passed on: %v, host %s", r.Header, r.Host)
	}
	for name, header := range map[string]http.Header{
		"no cookie":           {},
		"a line end":          {"Cookie": {"a=1\r\nX-Admin: 1"}},
		"a control character": {"Cookie": {"a=\x00"}},
		"a long one":          {"Cookie": {strings.Repeat("a", maxHeader+1)}},
	} {
		c.Header = header
		if r, err := m.Authenticate(t.Context(), c); err != nil || r.Verdict != access.Deny {
			t.Errorf("%s: %v, %v; want deny", name, r, err)
		}
	}
	if len(asked) != 0 {
		t.Error("the service was asked about a client that was to be refused")
	}
}

func TestErrorsDoNotTellTheParameters(t *testing.T) {
	o := emq("127.0.0.1:1", "get", false)
	o.Auth.URL = "http://user:secret@127.0.0.1:1/auth?key=secret"
	_, err := use(t, o).Authenticate(t.Context(), suite.Client("alice", "hunter2"))
	if err == nil {
		t.Fatal("a service that is away is no error")
	}
	for _, word := range []string{"hunter2", "secret", "alice", "key="} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("%q is in %v", word, err)
		}
	}
}

func TestNewRefusesBadRequests(t *testing.T) {
	for _, r := range []Request{
		{URL: "127.0.0.1/auth"},
		{URL: "ftp://x/"},
		{URL: "http://"},
		{URL: "http://x\x7f:secret@/"},
		{URL: "http://x/", Method: "delete"},
		{URL: "http://x/", Params: []string{"username"}},
	} {
		if _, err := New(Options{Auth: r}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestModuleJudgesTopicsOnlyIfItIsSetUpTo(t *testing.T) {
	addr, _ := answering(t, 200, "", "ignore")
	o := emq(addr, "post", false)
	o.NoMatch = access.Deny
	m := use(t, o)
	if v, err := m.(access.Judge).Authorize(t.Context(), suite.Client("u", "p"), acl.Subscribe, "a"); err != nil || v != access.Deny {
		t.Errorf("%v, %v; want what acl_nomatch says", v, err)
	}
	o.ACL = Request{}
	if _, ok := use(t, o).(access.Judge); ok {
		t.Error("it judges without a request")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	o := emq(strings.TrimPrefix(s.URL, "http://"), "post", false)
	o.Super = Request{}
	suite.Benchmark(b, use(b, o), suite.Client("u", "p"))
}
