package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"emqttd/tests/fakenode"
)

func TestRoutesOfPluginsAreBelowTheAuthentication(t *testing.T) {
	f := fakenode.New()
	if err := f.Operators.Add(context.Background(), "viewer", "pw", "viewer"); err != nil {
		t.Fatal(err)
	}
	if err := f.Operators.Add(context.Background(), "op", "pw", "operator"); err != nil {
		t.Fatal(err)
	}
	rs := new(Routes)
	remove, err := rs.Add("/thing/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) }))
	if err != nil {
		t.Fatal(err)
	}
	h := NewHandler(Options{Sources: f.Sources(), Routes: rs})
	ask := func(method, user, password string) int {
		r := httptest.NewRequest(method, "http://127.0.0.1/thing/7", http.NoBody)
		r.RemoteAddr = "192.0.2.1:5000"
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code == http.StatusOK && w.Body.String() != "7" {
			t.Errorf("answer %q", w.Body)
		}
		return w.Code
	}
	for _, tc := range []struct {
		method, user, password string
		want                   int
	}{
		{"GET", "", "", 401},
		{"GET", "viewer", "wrong", 401},
		{"GET", "viewer", "pw", 200},
		{"POST", "viewer", "pw", 403},
		{"POST", "op", "pw", 200},
	} {
		if got := ask(tc.method, tc.user, tc.password); got != tc.want {
			t.Errorf("%s as %q: %d, want %d", tc.method, tc.user, got, tc.want)
		}
	}
	remove()
	if got := ask("GET", "viewer", "pw"); got != http.StatusNotFound {
		t.Errorf("after it was removed: %d", got)
	}
}

func TestRouteThatClashesIsRefused(t *testing.T) {
	rs := new(Routes)
	if _, err := rs.Add("GET /thing", http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"GET /thing", "/status", "GET /api/v2/users", "/api/v3", "host/x", "", "/", "GET /{"} {
		if _, err := rs.Add(pattern, http.NotFoundHandler()); err == nil {
			t.Errorf("%q was taken", pattern)
		}
	}
	if remove, err := rs.Add("POST /thing", http.NotFoundHandler()); err != nil {
		t.Error(err)
	} else {
		remove()
	}
}
