package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

// two are emq@127.0.0.1, which is asked, far@h, and down@h, which does not answer.
type two struct{ far *admin.Sources }

func (two) Nodes() []string { return []string{"down@h", "emq@127.0.0.1", "far@h"} }

func (o two) Ask(ctx context.Context, node string, q *Question) (*Told, error) {
	if node != "far@h" {
		return nil, errors.New("it is silent")
	}
	return Answer(ctx, o.far, q), nil
}

func TestAnotherNodeAnswersForItself(t *testing.T) {
	far := fakenode.New().Sources()
	far.Node = "far@h"
	h := NewHandler(Options{Sources: fakenode.New().Sources(), Others: two{far}})
	ask := func(path string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/api/v2/"+path, strings.NewReader(""))
		r.RemoteAddr = "127.0.0.1:40000"
		r.SetBasicAuth("admin", "public")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		b, err := io.ReadAll(w.Result().Body)
		if err != nil || !json.Valid(b) {
			t.Fatalf("%s: %v, %s", path, err, b)
		}
		return w.Code, string(b)
	}
	for _, list := range []string{"clients", "sessions", "subscriptions"} {
		_, here := ask("nodes/emq@127.0.0.1/" + list + "?page_size=1")
		if code, there := ask("nodes/far@h/" + list + "?page_size=1"); code != http.StatusOK || there != here {
			t.Errorf("%s: %d\n%s\n%s", list, code, there, here)
		}
	}
	for path, want := range map[string]int{
		"nodes/down@h/clients": http.StatusBadGateway, "nodes/nobody@h/clients": http.StatusNotFound, "nodes/far@h/nothing": http.StatusNotFound,
	} {
		if code, body := ask(path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for _, path := range []string{"management/nodes", "monitoring/nodes", "monitoring/stats", "monitoring/metrics", "monitoring/listeners"} {
		code, body := ask(path)
		var all struct{ Result []json.RawMessage }
		if err := json.Unmarshal([]byte(body), &all); err != nil || code != http.StatusOK || len(all.Result) != 2 {
			t.Fatalf("%s: %d %v %s", path, code, err, body)
		}
		for i, name := range []string{`"emq@127.0.0.1"`, `"far@h"`} {
			if !strings.Contains(string(all.Result[i]), name) {
				t.Errorf("%s: %s does not stand in %s", path, name, all.Result[i])
			}
		}
	}
}

// members are those of two, one of which is known to be down.
type members struct{ admin.Cluster }

func (members) Members() []admin.MemberInfo {
	return []admin.MemberInfo{{Name: "emq@127.0.0.1", State: "up"}, {Name: "gone@h", State: admin.MemberDown}}
}

func TestMonitoringNamesNodesThatAreDown(t *testing.T) {
	src := fakenode.New().Sources()
	src.Cluster = members{}
	_, body := call(t, src, "GET", "/api/v2/monitoring/nodes", "", "")
	if !strings.HasSuffix(body, `,{"name":"gone@h","node_status":"Stopped"}]}`) {
		t.Error(body)
	}
}

func TestABodyForAnotherNodeIsBounded(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1:8080/api/v2/nodes/far@h/plugins/p", strings.NewReader(strings.Repeat("x", maxBody+1)))
	r.RemoteAddr = "127.0.0.1:40000"
	r.SetBasicAuth("admin", "public")
	w := httptest.NewRecorder()
	NewHandler(Options{Sources: fakenode.New().Sources(), Others: two{fakenode.New().Sources()}}).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
